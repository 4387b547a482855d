# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mig_assignment_info on simulated hosts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from modules import run_module

A100 = "A100-SXM4-40GB"
# Says what units.json beside it has of a unit; the others run and are not loaded as they should be.
SYSTEMCTL = f"""#!{sys.executable}
import json, pathlib, sys
folder = pathlib.Path(sys.argv[0]).parent
(folder / "called").write_text(json.dumps(sys.argv[1:]))
known = json.loads((folder / "units.json").read_text())
default = {{"MainPID": "0", "LoadState": "loaded", "ActiveState": "active"}}
blocks = [dict(default, **known.get(one, {{}})) for one in sys.argv[sys.argv.index("--") + 1:]]
print("\\n\\n".join("\\n".join(f"{{key}}={{value}}" for key, value in one.items()) for one in blocks))
"""


@pytest.fixture
def host(simulated_host):
    """A host with 3g.20gb, 1g.5gb, 1g.5gb on GPU 0 and 7 x 1g.5gb on GPU 1."""
    started = simulated_host(f"{A100}:2", "--mig")
    layout = [
        {"gpus": [0], "instances": {"3g.20gb": 1, "1g.5gb": 2}},
        {"gpus": [1], "instances": {"1g.5gb": 7}},
    ]
    run_module(started, "mig_instances", {"layout": layout}).ok()
    return started


def ask(host, services, **params):
    record = host.directory / "assignments.json"
    return run_module(host, "mig_assignment_info", {"services": services, "record": str(record), **params})


def systemctl(host, units):
    """Give the host this systemctl, with {unit: {property: value}}; returns its folder."""
    folder = host.directory / "bin"
    folder.mkdir()
    (folder / "units.json").write_text(json.dumps(units), encoding="utf-8")
    (folder / "systemctl").write_text(SYSTEMCTL, encoding="utf-8")
    (folder / "systemctl").chmod(0o755)
    host.environment["PATH"] = f"{folder}:{host.environment['PATH']}"
    return folder


def layouts(host, gpu=None, instances=None):
    """The layout entries of all GPUs, with another one for this GPU if that is given."""
    change = {"layout": [{"gpus": [gpu], "instances": instances}]} if instances else {}
    found = run_module(host, "mig_check", change).ok()
    changed = {entry["gpus"][0]: entry for entry in found.get("target", [])}
    return [changed.get(entry["gpus"][0], entry) for entry in found["before"]]


def remember(host, result):
    services = {one["service"]: {"uuid": one["uuid"], "mps": one["mps"]} for one in result["assignments"]}
    record = {"version": 1, "services": services, "device_files": []}
    (host.directory / "assignments.json").write_text(json.dumps(record), encoding="utf-8")


def test_services_with_their_units(host):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, env={"CUDA_VISIBLE_DEVICES": "MIG-old"}) as process:
        train = {"MainPID": str(process.pid)}
        web = {"LoadState": "not-found", "ActiveState": "inactive"}
        folder = systemctl(host, {"train.service": train, "web.service": web})
        services = [{"name": "train", "profile": "3g.20gb", "mps": True}, {"name": "web.service", "memory_mib": 4000}]
        found = ask(host, services).ok()
    train, web = found["assignments"]
    uuids = {
        inside["uuid"]: instance["profile"]
        for gpu in host.show()["gpus"]
        for instance in gpu["instances"]
        for inside in instance["compute_instances"]
    }
    assert (train["service"], train["profile"], uuids[train["uuid"]]) == ("train.service", "3g.20gb", "3g.20gb")
    assert train["cdi_device"] == f"nvidia.com/gpu={train['uuid']}"
    assert train["mps_clients"] == 20
    assert (train["load_state"], train["active_state"], train["running_with"]) == ("loaded", "active", "MIG-old")
    assert (web["profile"], web["gpu"]["index"], web["mps_clients"]) == ("1g.5gb", 0, None)
    assert (web["load_state"], web["running_with"]) == ("not-found", None)
    assert (found["restart"], found["reload"]) == (["train.service"], True)
    assert (train["wrong"], train["stale"]) == (f"CUDA_VISIBLE_DEVICES=MIG-old; expected {train['uuid']}", True)
    assert (found["missing"], found["stale"], found["mps"]) == (["web.service"], ["train.service"], True)
    called = json.loads((folder / "called").read_text())
    assert called[-4:] == ["--", "train.service", "web.service", "gpufleet-mig-mps@train.service"]
    # What the next run has to end is written down before anything is touched.
    assert found["record_before"]["owed"]["restart"] == ["train.service"]
    assert "owed" not in found["record"]


def test_a_repartition_is_foretold(host):
    services = [{"name": "train", "profile": "3g.20gb"}, {"name": "web", "profile": "1g.5gb", "gpu": 0}]
    before = ask(host, services, target=layouts(host)).ok()
    remember(host, before)
    uuids = [one["uuid"] for one in before["assignments"]]
    assert all(uuids)
    # One slice stays, one is to be made anew.
    after = ask(host, services, target=layouts(host, 0, {"3g.20gb": 2})).failed()
    assert after["msg"].startswith("With the layout to come: web.service wants 1g.5gb on GPU 0, which is not there.")
    assert "There is on GPU 0 2 x 3g.20gb; on GPU 1 7 x 1g.5gb." in after["msg"]
    services[1]["gpu"] = "all"
    after = ask(host, services, target=layouts(host, 0, {"3g.20gb": 2})).ok()["assignments"]
    assert (after[0]["uuid"], [one["kept"] for one in after]) == (uuids[0], [True, False])
    assert after[1]["gpu"]["index"] == 1
    assert [one["foreseen"] for one in after] == [
        f"train.service would keep the 3g.20gb at slice {after[0]['placement']} of GPU 0.",
        f"web.service would get the 1g.5gb at slice {after[1]['placement']} of GPU 1 and be restarted if it runs.",
    ]


def test_what_a_gpu_without_mig_mode_will_have_is_not_known_yet(simulated_host):
    host = simulated_host(f"{A100}:2")
    services = [{"name": "train", "profile": "3g.20gb"}]
    found = ask(host, services, target=[]).ok()
    assert found["assignments"] == []
    assert found["undecided"].endswith("train.service wants 3g.20gb, which is not there. There is no MIG device.")
    off = [{"gpus": [gpu["uuid"]], "mig_enabled": False} for gpu in host.show()["gpus"]]
    assert "train.service wants 3g.20gb, which is not there" in ask(host, services, target=off).failed()["msg"]


def test_what_was_assigned_and_is_not_any_more(host):
    services = [{"name": "train", "profile": "3g.20gb", "mps": True}, {"name": "web", "profile": "1g.5gb"}]
    remember(host, ask(host, services, target=layouts(host)).ok())
    found = ask(host, []).ok()
    assert (found["assignments"], found["removed"]) == ([], ["train.service", "web.service"])
    assert found["mps_removed"] == ["train.service"]
    found = ask(host, [dict(services[0], mps=False)], target=layouts(host)).ok()
    assert (found["removed"], found["mps_removed"]) == (["web.service"], ["train.service"])


def test_a_record_of_the_release_before_stays_until_something_is_assigned_anew(host):
    services = [{"name": "train", "profile": "3g.20gb"}, {"name": "web", "profile": "1g.5gb"}]
    systemctl(host, {})
    remember(host, ask(host, services).ok())
    written = json.loads((host.directory / "assignments.json").read_text(encoding="utf-8"))
    found = ask(host, services).ok()
    assert [one["kept"] for one in found["assignments"]] == [True, True]
    assert found["record"] == written
    more = ask(host, [*services, {"name": "more", "profile": "1g.5gb"}]).ok()["record"]
    assert (more["version"], {*more["services"]}) == (2, {"train.service", "web.service", "more.service"})
    (gpu, _other) = host.show()["gpus"]
    assert more["services"]["train.service"] == {
        **written["services"]["train.service"],
        "gpu": gpu["uuid"],
        "profile": "3g.20gb",
        "profile_id": 9,
        "slices": 3,
        "attributes": "",
        "compute_slices": None,
        "placement": 4,
        "compute_placement": 0,
    }
    # What is written so is read again, and stays as well.
    (host.directory / "assignments.json").write_text(json.dumps(more), encoding="utf-8")
    assert ask(host, [*services, {"name": "more", "profile": "1g.5gb"}]).ok()["record"] == more


def test_another_size_under_the_same_uuid_is_another_device(simulated_host):
    """As on real cards, where the UUID follows from the GPU, the GPU instance's id and the engine."""
    host = simulated_host(A100, "--mig", "--strange", "uuids=engine,gi-ids=model")
    run_module(host, "mig_instances", {"instances": [{"profile": "3g.20gb", "placement": 0}]}).ok()
    services = [{"name": "train", "placement": 0}]
    (uuid,) = (one["uuid"] for one in host.show()["gpus"][0]["instances"][0]["compute_instances"])
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, env={"CUDA_VISIBLE_DEVICES": uuid}) as process:
        running = {
            "MainPID": str(process.pid),
            "DropInPaths": "/etc/systemd/system/train.service.d/50-gpufleet-mig.conf",
        }
        systemctl(host, {"train.service": running})
        record = ask(host, services).ok()["record"]
        (host.directory / "assignments.json").write_text(json.dumps(record), encoding="utf-8")
        found = ask(host, services).ok()
        assert (found["assignments"][0]["kept"], found["restart"], found["record"]) == (True, [], record)
        run_module(host, "mig_instances", {"instances": [{"profile": "4g.20gb", "placement": 0}]}).ok()
        other = ask(host, services).ok()
    assert (other["assignments"][0]["uuid"], other["assignments"][0]["profile"]) == (uuid, "4g.20gb")
    assert (other["assignments"][0]["kept"], other["restart"]) == (False, ["train.service"])
    # Until the service is restarted the record has what it was left with: a run that is killed is made again.
    assert other["record_before"]["services"] == record["services"]
    assert other["record_before"]["owed"]["restart"] == ["train.service"]
    assert other["record"]["services"]["train.service"]["profile"] == "4g.20gb"


def test_a_profile_may_be_called_as_it_was_under_another_driver(simulated_host):
    host = simulated_host("--mig", "H100-SXM5-80GB:2")
    run_module(host, "mig_instances", {"instances": {"1g.10gb": 2, "1c.3g.40gb": 1}}).ok()
    host.simulator("init", "--mig", "--strange", "names=renamed", "H100-SXM5-80GB:2")
    run_module(host, "mig_instances", {"instances": {"1g.9gb": 2, "1c.3g.36gb": 1}}).ok()
    systemctl(host, {})
    services = [{"name": "train", "profile": "1c.3g.40gb", "gpu": 1}, {"name": "web", "profile": "1g.10gb", "gpu": 1}]
    found = ask(host, services, state_dir=str(host.state_dir)).ok()
    assert [(one["profile"], one["gpu"]["index"]) for one in found["assignments"]] == [("1c.3g.36gb", 1), ("1g.9gb", 1)]
    (warning,) = map(str, found["warnings"])
    assert "1g.10gb is 1g.9gb now (profile 19), 3g.40gb is 3g.36gb now (profile 9)" in warning
    # So it is with the layout to come, and a host that remembers nothing says what there is.
    target = [one["layout"] for one in run_module(host, "mig_facts", {}).ok()["ansible_facts"]["mig"]["gpus"]]
    to_come = ask(host, services, target=target, state_dir=str(host.state_dir)).ok()
    assert [one["profile"] for one in to_come["assignments"]] == ["1c.3g.36gb", "1g.9gb"]
    refused = ask(host, services, state_dir=str(host.directory / "another")).failed()["msg"]
    assert "train.service wants 1c.3g.40gb on GPU 1, which is not there" in refused
    assert "1 x 1c.3g.36gb, 2 x 1g.9gb" in refused
    # By today's names there is nothing to say.
    today = [{"name": "train", "profile": "1c.9"}, {"name": "web", "profile": "1g.9gb"}]
    assert "warnings" not in ask(host, today, state_dir=str(host.state_dir)).ok()


def test_no_services_need_no_driver(simulated_host):
    host = simulated_host().without_driver()
    assert ask(host, []).ok()["assignments"] == []
    assert "libnvidia-ml" in ask(host, [{"name": "a", "profile": "1g.5gb"}]).failed()["msg"]


@pytest.mark.parametrize(
    "service, message",
    [
        ({"name": "../train", "profile": "1g.5gb"}, "services[0].name: got '../train'; expected a systemd service"),
        ({"name": "train.socket", "profile": "1g.5gb"}, None),
        ({"name": "-x", "profile": "1g.5gb"}, "services[0].name: got '-x'; expected a systemd service"),
        ({"name": "worker@", "profile": "1g.5gb"}, "expected a systemd service"),
        ({"name": "train"}, "services[0]: train.service wants nothing"),
        ({"name": "train", "profile": "1g.5gb", "gpu": 7}, "services[0].gpu: there is no GPU 7 on this host"),
        ({"name": "train", "profile": "1g.5gb", "users": ["no body"]}, "there is no user no body on this host"),
        ({"name": "train", "profile": "1g.5gb", "users": ["a\nz /etc"]}, r"there is no user 'a\nz /etc' on this host"),
        ({"name": "train", "profile": "1g.5gb", "users": ["a\0b"]}, r"there is no user 'a\x00b' on this host"),
        ({"name": "train", "profile": "1g.5gb", "groups": ["no-one"]}, "there is no group no-one on this host"),
    ],
)
def test_bad_input(host, service, message):
    if message is None:
        # A service may have that name, whatever it reminds of.
        assert ask(host, [service], target=[]).ok()["assignments"][0]["service"] == "train.socket.service"
    else:
        assert message in ask(host, [service], target=[]).failed()["msg"]


def test_a_service_is_named_once(host):
    twice = [{"name": "train", "profile": "1g.5gb"}, {"name": "train.service", "profile": "1g.5gb"}]
    assert "train.service is there twice" in ask(host, twice, target=[]).failed()["msg"]


@pytest.mark.parametrize("text", ["", "[]", '{"services": {"a": 1}}', '{"services": {}}'])
def test_a_record_that_cannot_be_read_is_named(host, text):
    (host.directory / "assignments.json").write_text(text, encoding="utf-8")
    said = ask(host, []).failed()["msg"]
    assert "assignments.json is damaged: " in said
    assert said.endswith("remove it to have all services assigned anew.")


def test_users_need_capability_files(host):
    """This machine has no driver, so it has none in /proc."""
    service = {"name": "a", "profile": "1g.5gb", "users": ["root"]}
    assert "the driver has no capability files" in ask(host, [service]).failed()["msg"]
