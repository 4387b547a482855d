# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is in the way on a host with a real systemd: services, a user's own units, handles that NVML does not list."""

from __future__ import annotations

import pytest

FACTS, MODE = "gpufleet.mig.mig_facts", "gpufleet.mig.mig_mode"


@pytest.fixture(scope="module")
def host(systemd_hosts):
    (started,) = systemd_hosts({"units": [{"model": "A100-SXM4-40GB", "count": 2}]})
    return started


def tasks(*modules):
    return [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {"ansible.builtin.include_role": {"name": "gpufleet.mig.mig_driver"}},
                *({"ignore_errors": True, **module} for module in modules),
            ],
        }
    ]


def start(host, unit, command, user=False):
    """Start a unit that holds something, and wait until it does."""
    run = "systemd-run"
    if user:
        # These hosts lack libpam-systemd, which would say so to the user's manager.
        settings = "[Service]\\nPAMName=\\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\\n"
        drop_in = "/run/systemd/system/user@.service.d"
        host.run(f"mkdir -p {drop_in} && printf '{settings}' > {drop_in}/runtime.conf && systemctl daemon-reload")
        host.run("systemctl start user@$(id -u ops).service")
        run = "XDG_RUNTIME_DIR=/run/user/$(id -u) systemd-run --user"
    # With Type=exec systemd-run waits for mig-simulator only, which becomes the program when it holds the device.
    ready = f"/tmp/{unit}-is-ready"
    program = f"sh -c 'touch {ready}; exec sleep infinity'"
    host.run(f"{run} --unit={unit} --property=Type=exec mig-simulator {command} -- {program}", sudo=not user)
    host.run(f"timeout 60 sh -c 'until test -e {ready}; do sleep 0.1; done'")


def test_units_are_named_and_so_are_handles_that_nvml_does_not_list(run_playbook, host):
    gpus = [gpu["uuid"] for gpu in host.show()["gpus"]]
    start(host, "train", f"run --device {gpus[0]}")
    start(host, "notebook", f"run --device {gpus[0]}", user=True)
    start(host, "monitor", "hold --gpu 1")
    mode = [{MODE: {"state": "enabled", "gpus": [gpu]}} for gpu in (0, 1)]
    gather = {"gather": ["handles"]}
    run = run_playbook(tasks(*mode, {FACTS: gather}, {FACTS: gather, "vars": {"ansible_become": False}}), [host]).ok()

    listed, unlisted = (one["result"] for one in run.results(MODE))
    found = {blocker["unit"]: blocker for blocker in listed["blockers"]}
    assert found.pop("train.service")["user"] == "root"
    (own,) = found.values()
    assert (own["user"], own["user_unit"]) == ("ops", "notebook.service")
    assert own["unit"].startswith("user@")
    for words in ("of root, train.service, since ", "of ops, notebook.service, since "):
        assert words in listed["msg"]
    assert [(blocker["name"], blocker["unit"]) for blocker in unlisted["blockers"]] == [("sleep", "monitor.service")]
    assert "by the open device file" in unlisted["msg"]

    seen, partly = (one["result"]["ansible_facts"]["mig"] for one in run.results(FACTS))
    assert [[process["unit"] for process in gpu["handles"]] for gpu in seen["gpus"]] == [[], ["monitor.service"]]
    assert "handles" not in seen["incomplete"]
    assert "handles" in partly["incomplete"]
    assert host.run("systemctl is-active train monitor").stdout.split() == ["active"] * 2
