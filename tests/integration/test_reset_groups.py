# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mig_mode on NVSwitch machines: without Fabric Manager one GPU of Ampere takes all others along in a reset."""

from __future__ import annotations

import json

import pytest
from faults import layout_of
from modules import run_module
from nvml_process import in_session

A100 = "A100-SXM4-40GB"
ON = {"layout": [{"gpus": "all", "instances": {}}]}
FIRST_OFF = {"layout": [{"gpus": "all", "instances": {}}, {"gpus": [0], "mig_enabled": False}]}


def gpus(host):
    """Each GPU of the host as (mode, pending mode, {start: (profile, compute instances)})."""
    return [layout_of(gpu) for gpu in host.show()["gpus"]]


def with_instances(modules, simulated_host, count=3):
    """A host with MIG on, and on each GPU a 3g.20gb at 4 holding two compute instances, and an orphan 2g.10gb at 0."""
    host = simulated_host("--nvswitch", "--mig", f"{A100}:{count}")
    wish = [
        {"profile": "3g.20gb", "placement": 4, "compute_instances": ["1c.3g.20gb", "2c.3g.20gb"]},
        {"profile": "2g.10gb", "placement": 0, "compute_instances": []},
    ]
    modules.run(host, "mig_instances", {"instances": wish}).ok()
    return host


def uuids(host, *indexes):
    """The UUIDs of the MIG devices of these GPUs, sorted."""
    return sorted(
        device["uuid"]
        for gpu in host.show()["gpus"]
        for instance in gpu["instances"]
        for device in instance["compute_instances"]
        if gpu["index"] in indexes
    )


def test_a_reset_that_takes_unnamed_peers_along_is_refused_with_the_ways_out(modules, simulated_host):
    host = simulated_host("--nvswitch", f"{A100}:3", "A30-24GB")
    before = host.show()
    for check in (True, False):
        refused = modules.run(host, "mig_mode", {"state": "enabled", "gpus": [0, 2]}, check=check).failed()
        assert "GPU 0 (" in refused["msg"]
        assert "it shares NVSwitches with GPU 1, which the layout does not name" in refused["msg"]
        assert "start Fabric Manager (nvidia-fabricmanager.service)" in refused["msg"]
        assert "name every one of them" in refused["msg"]
        assert "The same goes for GPU 2." in refused["msg"]
        assert not refused["changed"]
        assert refused["plan"] == []
        assert host.show() == before
    # No reset, no peers: an A30 is on no NVSwitch, a mode may wait for the next reset, a mode that is right needs none.
    assert modules.run(host, "mig_mode", {"state": "enabled", "gpus": [3]}).ok()["changed"]
    assert modules.run(host, "mig_mode", {"state": "disabled", "gpus": [0]}).ok()["plan"] == []
    left = modules.run(host, "mig_mode", {"state": "enabled", "gpus": [0], "reset": False}).ok()
    assert (left["reset_required"], left["reboot_required"]) == (True, False)
    assert gpus(host) == [(False, True, {}), (False, False, {}), (False, False, {}), (True, True, {})]


def test_all_peers_at_once_with_one_reset(modules, simulated_host):
    host = simulated_host("--nvswitch", f"{A100}:3")
    foretold = modules.run(host, "mig_mode", ON, check=True, diff=True).ok()
    done = modules.run(host, "mig_mode", ON, diff=True).ok()
    assert [step["action"] for step in done["plan"]] == ["set_mig_mode"] * 3 + ["reset_gpu"] * 3
    assert [[peer["index"] for peer in step["peers"]] for step in done["plan"][3:]] == [[1, 2], [0, 2], [0, 1]]
    for key in ("plan", "actions", "diff", "kept", "disrupted"):
        assert done[key] == foretold[key]
    assert gpus(host) == [(True, True, {})] * 3
    assert (done["reset_required"], done["reboot_required"]) == (False, False)
    for check in (True, False):
        again = modules.run(host, "mig_mode", ON, check=check).ok()
        assert not again["changed"]
        assert again["plan"] == []


def test_peers_whose_mode_stays_get_their_instances_back(modules, simulated_host):
    host = with_instances(modules, simulated_host)
    before, devices = gpus(host), uuids(host, 0, 1, 2)
    foretold = modules.run(host, "mig_mode", FIRST_OFF, check=True, diff=True).ok()
    rehearsal = modules.run(host, "mig_mode", {**FIRST_OFF, "rehearse": True}, diff=True).ok()
    assert gpus(host) == before
    done = modules.run(host, "mig_mode", FIRST_OFF, diff=True).ok()
    for key in ("plan", "actions", "diff", "kept", "disrupted"):
        assert done[key] == foretold[key] == rehearsal[key]
    assert gpus(host) == [(False, False, {}), before[1], before[2]]
    assert sorted(done["disrupted"]) == devices
    assert done["kept"] == []
    # They are other devices, though real cards give them their old UUIDs.
    assert set(uuids(host, 1, 2)) < set(devices)
    assert rehearsal["must_be_free"] == []

    planned = [(step["action"], step["gpu"]["index"]) for step in done["plan"]]
    first, last = (find([action for action, _gpu in planned], "reset_gpu") for find in (list.index, rindex))
    assert planned[first : last + 1] == [("reset_gpu", 0), ("reset_gpu", 1), ("reset_gpu", 2)]
    assert planned[:first].index(("set_mig_mode", 0)) < planned.index(("destroy_compute_instance", 1))
    assert {action for action, _gpu in planned[last + 1 :]} == {"create_gpu_instance", "create_compute_instance"}
    assert {gpu for _action, gpu in planned[last + 1 :]} == {1, 2}
    executed = [as_planned(step, plan) for step, plan in zip(done["done"], done["plan"], strict=True)]
    assert executed == done["plan"]
    assert "together with GPU 1, 2" in " ".join(done["actions"])
    assert not modules.run(host, "mig_mode", FIRST_OFF).ok()["changed"]


def as_planned(step, plan):
    """Of a step that was done what its plan says; where the layout names a start the plan has no more of the place."""
    return {key: {of: step[key][of] for of in plan[key]} if key == "placement" else step[key] for key in plan}


def rindex(items, item):
    return len(items) - 1 - items[::-1].index(item)


def test_a_busy_peer_is_in_the_way_and_named(modules, simulated_host):
    host = with_instances(modules, simulated_host)
    busy = uuids(host, 2)[0]
    job, before = host.job(busy), host.show()
    refused = modules.run(host, "mig_mode", FIRST_OFF).failed()
    assert "GPU 2 (" in refused["msg"]
    assert f"process {job.pid}" in refused["msg"]
    assert "It would be reset together with GPU 0, 1" in refused["msg"]
    assert host.show() == before
    rehearsal = modules.run(host, "mig_mode", {**FIRST_OFF, "rehearse": True}).ok()
    assert [one["uuid"] for one in rehearsal["must_be_free"]] == [busy]
    assert [one["pid"] for one in rehearsal["blockers"]] == [job.pid]
    assert len(rehearsal["disrupted"]) == 6


def test_while_a_peer_is_busy_the_mode_may_wait(modules, simulated_host):
    host = with_instances(modules, simulated_host)
    modules.run(host, "mig_mode", FIRST_OFF).ok()
    before = gpus(host)
    host.job(uuids(host, 2)[0])
    waiting = {**ON, "when_busy": "pending"}
    left = modules.run(host, "mig_mode", waiting).ok()
    assert [step["action"] for step in left["plan"]] == ["set_mig_mode"]
    assert (left["reset_required"], left["reboot_required"]) == (True, False)
    assert gpus(host) == [(False, True, {}), before[1], before[2]]
    assert not modules.run(host, "mig_mode", waiting).ok()["changed"]
    host.close()
    modules.run(host, "mig_mode", ON).ok()
    assert gpus(host) == [(True, True, {}), before[1], before[2]]


def test_a_client_that_nobody_names_makes_the_reset_fail_and_everything_comes_back(modules, simulated_host):
    host = with_instances(modules, simulated_host)
    before = gpus(host)
    host.hold(2)
    failed = modules.run(host, "mig_mode", FIRST_OFF).failed()
    assert failed["failed_step"]["action"] == "reset_gpu"
    assert failed["nvml_code"] == "IN_USE"
    assert "GPU 00000000:47:00.0: In use by another client" in failed["msg"]
    assert failed["left"] == []
    assert failed["changed"]  # the instances have other UUIDs
    assert sorted(set(failed["disrupted"])) == sorted(failed["disrupted"])
    assert len(failed["disrupted"]) == 6
    assert gpus(host) == before
    assert {step["gpu"]["index"] for step in failed["undone"]} == {0, 1, 2}
    host.close()
    assert modules.run(host, "mig_mode", FIRST_OFF).ok()["changed"]
    assert gpus(host) == [(False, False, {}), before[1], before[2]]


@pytest.mark.parametrize("function", ["nvmlDeviceCreateGpuInstanceWithPlacement", "nvmlDeviceSetMigMode"])
def test_a_step_that_fails(modules, simulated_host, function):
    """Before the reset nothing has happened to anybody; after it one GPU's failure is its own."""
    host = with_instances(modules, simulated_host)
    before = gpus(host)
    host.simulator("fault", function, "--return", "UNKNOWN")
    failed = modules.run(host, "mig_mode", FIRST_OFF).failed()
    assert failed["nvml_code"] == "UNKNOWN"
    assert failed["left"] == []
    if function == "nvmlDeviceSetMigMode":
        assert gpus(host) == before
        assert {step["gpu"]["index"] for step in failed["undone"]} <= {0}
    else:
        assert gpus(host) == [(False, False, {}), before[1], before[2]]
        assert failed["failed_step"]["gpu"]["index"] == 1


def test_atomic_brings_the_modes_of_a_group_back_with_another_reset(modules, simulated_host):
    host = with_instances(modules, simulated_host)
    before = gpus(host)
    host.simulator("fault", "nvmlDeviceCreateGpuInstanceWithPlacement", "--return", "UNKNOWN")
    failed = modules.run(host, "mig_mode", {**FIRST_OFF, "atomic": True}).failed()
    assert gpus(host) == before
    assert failed["left"] == []
    assert "reset_gpu" in {step["action"] for step in failed["undone"]}


def test_a_process_that_comes_between_plan_and_reset_keeps_its_gpu(modules, simulated_host):
    """It starts while the mode of another GPU is set; the reset then fails, and everybody has what he had."""
    host = simulated_host("--nvswitch", f"{A100}:3")
    smi = host.directory / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    ready = host.directory / "ready"
    smi.write_text(
        "#!/bin/sh\n"
        f"mig-simulator run --device 2 -- sh -c 'echo > {ready}; exec sleep 60' < /dev/null > /dev/null 2>&1 &\n"
        f"until [ -e {ready} ]; do sleep 0.02; done\n"
        'PATH="${PATH#*:}" nvidia-smi "$@"; status=$?\nkill $!\nexit $status\n',
        encoding="utf-8",
    )
    smi.chmod(0o755)
    path = f"{smi.parent}:{host.environment['PATH']}"
    failed = run_module(host, "mig_mode", ON, environment={"PATH": path}).failed()
    assert failed["failed_step"]["action"] == "reset_gpu"
    assert gpus(host) == [(False, False, {})] * 3
    assert failed["left"] == []
    assert not failed["changed"]
    assert modules.run(host, "mig_mode", ON).ok()["changed"]


def test_passed_through_gpus_need_a_reboot_and_no_peers(modules, simulated_host):
    host = with_instances(modules, simulated_host)
    before = gpus(host)
    host.simulator("passthrough", "on")
    result = modules.run(host, "mig_mode", {"state": "disabled", "gpus": [0]}).ok()
    assert result["reboot_required"]
    assert gpus(host) == [(True, False, {}), before[1], before[2]]


def test_a_check_rehearses_the_whole_group(modules, simulated_host):
    host = with_instances(modules, simulated_host)
    before, busy = host.show(), uuids(host, 2)[0]
    host.job(busy)
    wish = [{"gpus": [0], "mig_enabled": False}, {"gpus": [1, 2], "instances": {"7g.40gb": 1}}]
    found = modules.run(host, "mig_check", {"layout": wish}).ok()
    assert [gpu["index"] for gpu in found["reset_gpus"]] == [0, 1, 2]
    assert (found["reached"], found["reset_required"], found["refusal"]) == (False, True, None)
    assert sorted(found["disrupted"]) == uuids(host, 0, 1, 2)
    assert [one["uuid"] for one in found["must_be_free"]] == [busy]
    assert found["kept"] == []
    host.close()
    assert host.show() == before
    for module in ("mig_mode", "mig_instances"):
        modules.run(host, module, {"layout": wish}).ok()
    assert modules.run(host, "mig_check", {"layout": wish}).ok()["reached"]
    unnamed = modules.run(host, "mig_check", {"layout": [{"gpus": [0], "instances": {}}]}).ok()
    assert "shares NVSwitches with GPU 1, 2" in unnamed["refusal"]
    assert unnamed["reset_gpus"] == []


READ = """
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml import reset_peers
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.reading import GATHER_FOR_RESET
reset_peers.ROOT = root
result = [len(gpu.reset_peers) for gpu in session.read(GATHER_FOR_RESET).gpus]
"""


def test_who_has_peers(simulated_host, tmp_path):
    def peers(host, root=tmp_path / "nothing"):
        return in_session(host, READ, root=str(root))

    (tmp_path / "fm/proc/17").mkdir(parents=True)
    (tmp_path / "fm/proc/17/comm").write_text("nv-fabricmanage\n", encoding="utf-8")
    (tmp_path / "fm/proc/18").mkdir()
    (tmp_path / "unit/sys/fs/cgroup/system.slice/nvidia-fabricmanager.service").mkdir(parents=True)
    (tmp_path / "switches/proc/driver/nvidia-nvswitch/devices/0000:c1:00.0").mkdir(parents=True)

    host = simulated_host("--nvswitch", f"{A100}:3", "A30-24GB", "H100-SXM5-80GB")
    assert peers(host) == [2, 2, 2, 0, 0]
    assert peers(host, tmp_path / "fm") == [0] * 5
    assert peers(host, tmp_path / "unit") == [0] * 5
    host.simulator("fault", "nvmlDeviceGetNvLinkRemoteDeviceType", "--times", "0", "--return", "NOT_SUPPORTED")
    assert peers(host) == [0] * 5
    assert peers(host, tmp_path / "switches") == [3, 3, 3, 3, 0]  # links do not tell, the driver has NVSwitches
    host.simulator("passthrough", "on")
    assert peers(host, tmp_path / "switches") == [0] * 5
    assert peers(simulated_host(f"{A100}:3", name="direct"), tmp_path / "switches") == [0] * 3


def test_only_a_change_of_mode_asks_for_links(modules, simulated_host):
    host = simulated_host("--nvswitch", "--mig", f"{A100}:8")
    for module, options in (("mig_facts", {}), ("mig_instances", {"instances": {"7g.40gb": 1}})):
        modules.run(host, module, options).ok()
    calls = json.loads(host.simulator("calls", "--json").stdout)
    assert not [name for name in calls.get("calls", calls) if "NvLink" in name]
