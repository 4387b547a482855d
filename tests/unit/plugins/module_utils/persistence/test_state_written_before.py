# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What release 0.1.0 left on a host is read as it is, and what a newer release left is not taken for its own.

tests/integration/test_persistence.py has the same on a host, with what follows from it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from model_gpu import H100, ModelPort, gpu, gpu_instance
from paths import ROOT

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.journal import history, last_profiles
from ansible_collections.gpufleet.mig.plugins.module_utils.assign.assignment import (
    devices_of,
    kept,
    owners_of,
    still_there,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.assign.record import owners, read_record
from ansible_collections.gpufleet.mig.plugins.module_utils.drain.record import drain_record, read_entries
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout import saved_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.kept_profiles import memory_of
from ansible_collections.gpufleet.mig.plugins.module_utils.persistence.program import is_program
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.record import recorded

BEFORE = ROOT / "tests" / "state" / "0.1.0"
UUID = json.loads((BEFORE / "layout.json").read_text(encoding="utf-8"))["layout"][0]["gpus"][0]
CHANGE = "gpu-host-20261130T164700Z-77c0"


def planned(layout):
    """What a GPU with that UUID has once a layout that was kept is planned on it."""
    now = gpu(H100, uuid=layout[0]["gpus"][0])
    ((plan,), warnings) = decide_instances(ModelPort(now).read(), validate_layout(layout))
    assert warnings == []
    return [(one.profile, one.start, [inside.profile for inside in one.compute_instances]) for one in plan.target]


def test_the_saved_layout():
    entries = saved_layout.read(str(BEFORE / "layout.json"))
    assert [*entries] == [UUID.lower()]
    profiles = ["1g.10gb", "1g.10gb", "1g.10gb+me", "3g.40gb"]
    assert [one.profile for one in entries[UUID.lower()].layout.instances] == profiles
    assert saved_layout.memory(str(BEFORE / "layout.json")) == {UUID.lower(): ()}
    # It is the same layout as what this release would write.
    layout = json.loads((BEFORE / "layout.json").read_text(encoding="utf-8"))["layout"]
    assert saved_layout.same(entries, saved_layout.exact_entries(layout), {})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("journal.jsonl", [("1g.10gb", 0), ("1g.10gb", 1), ("1g.10gb", 2), ("3g.40gb", 4)]),
        ("journal-h100.jsonl", [("3g.40gb", 0), ("1g.10gb", 4), ("1g.10gb+me", 6)]),
    ],
)
def test_the_journal(name, expected):
    told = history(str(BEFORE / name))
    assert told["problem"] is None
    assert planned(told["layout"]) == [(profile, start, [profile]) for profile, start in expected]
    assert last_profiles(str(BEFORE / name)) == {}
    if name == "journal-h100.jsonl":
        inside = {one["profile"]: one["compute_instances"][0]["profile"] for one in told["layout"][0]["instances"]}
        assert inside["1g.10gb+me"] == "1g.10gb"


def with_kept_devices():
    """The GPU whose MIG devices are those of assignments.json and slurm.json."""
    devices = json.loads((BEFORE / "slurm.json").read_text(encoding="utf-8"))["devices"]
    places = [("1g.10gb", 0, 1), ("1g.10gb", 1, 1), ("1g.10gb+me", 2, 1), ("3g.40gb", 4, 4)]
    instances = []
    for number, ((_type, uuid, _files), place) in enumerate(zip(devices, places, strict=True)):
        instance = gpu_instance(number + 1, *place)
        (device,) = instance.compute_instances
        instances.append(instance._replace(compute_instances=(device._replace(uuid=uuid),)))
    return gpu(H100, instances, uuid=UUID)


def test_the_assignments():
    recorded_then = owners(str(BEFORE / "assignments.json"))
    assert {service: what for service, (_uuid, what) in recorded_then.items()} == {
        "train.service": None,
        "web.service": None,
    }
    now = with_kept_devices()
    # Nothing but the UUID was written down, so that alone tells.
    assert {*still_there(devices_of([now]), recorded_then)} == {"train.service", "web.service"}
    assert {*owners_of([now], recorded_then).values()} == {"train.service", "web.service"}
    assert read_record(str(BEFORE / "assignments.json"))["services"]["train.service"]["mps"] is True


def test_a_uuid_is_the_same_device_only_with_profile_and_place():
    now = with_kept_devices()
    (three,) = (one for one in devices_of([now]) if one.profile == "3g.40gb")
    written = {"train.service": (three.uuid, kept(three))}
    assert still_there(devices_of([now]), written) == {"train.service": three.uuid}
    others = [("4g.40gb", 4, 4), ("3g.40gb", 0, 4)]
    others = [gpu_instance(1, *place) for place in others] + [
        gpu_instance(1, "3g.40gb", 4, 4, ("1c.3g.40gb", 0, 1, False))
    ]
    for other in others:
        (device,) = other.compute_instances
        changed = gpu(H100, [other._replace(compute_instances=(device._replace(uuid=three.uuid),))], uuid=UUID)
        assert still_there(devices_of([changed]), written) == {}
        assert owners_of([changed], written) == {}
    # Another driver's name is no other device.
    renamed = [one._replace(name=one.name.replace("40", "36")) for one in now.profiles]
    instances = [one._replace(profile=one.profile.replace("40", "36")) for one in now.instances]
    instances = [one._replace(profile_id=9 if one.placement.start == 4 else 19) for one in instances]
    assert still_there(devices_of([now._replace(profiles=renamed, instances=instances)]), written) == {
        "train.service": three.uuid
    }


def test_what_is_drained(tmp_path):
    path = tmp_path / "drain.json"
    shutil.copy(BEFORE / "drain.json", path)
    entries = read_entries(str(path))
    assert [(one["hook"], one["change"]) for one in entries] == [
        ("systemd", CHANGE),
        ("/srv/hooks/notebooks.yml", CHANGE),
    ]
    text = path.read_bytes()
    params = {"state_dir": str(tmp_path), "lock_timeout": 0, "change_id": None, "hook": None, "done": {}, "ids": None}
    found = drain_record({**params, "state": "read"}, False, None, None)
    assert path.read_bytes() == text
    # The next change writes the new form, with what was there before.
    gone = {**params, "state": "absent", "ids": [found["entries"][0]["id"]]}
    drain_record(gone, False, lambda source, target: shutil.move(source, target), None)
    assert read_entries(str(path)) == entries[1:]
    assert json.loads(path.read_text(encoding="utf-8"))["written_by"]


def test_what_slurmd_has_read():
    devices = json.loads((BEFORE / "slurm.json").read_text(encoding="utf-8"))["devices"]
    there = [[*one, [19, place, None, 0]] for place, one in enumerate(devices)]
    assert recorded(str(BEFORE / "slurm.json"), there) == there
    # Where something else is there, it is not what slurmd has read.
    other = [[one[0], one[1], ["/dev/nvidia7"], one[3]] for one in there]
    assert recorded(str(BEFORE / "slurm.json"), other) == devices


def test_the_program_of_that_release_says_which_form_it_meets(tmp_path):
    assert is_program((BEFORE / "restore.pyz").read_bytes())
    assert not is_program((BEFORE / "restore.pyz").read_bytes()[:-100])
    assert not is_program(b"else")
    path = tmp_path / "layout.json"
    entries = saved_layout.read(str(BEFORE / "layout.json"))
    path.write_text(saved_layout.to_text(entries, memory_of([gpu(H100, uuid=UUID)])), encoding="utf-8")
    command = [sys.executable, "-I", str(BEFORE / "restore.pyz"), str(path), "--state-dir", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert f"{path} has the version 2 and this program reads version 1: another release" in answer.stdout
    assert saved_layout.read(str(path))[UUID.lower()].layout.kept


@pytest.mark.parametrize(
    ("reader", "data"),
    [
        (saved_layout.read, {"layout": []}),
        (read_entries, {"entries": []}),
        (read_record, {"services": {}, "device_files": []}),
        (recorded, {"devices": []}),
    ],
)
def test_a_newer_form_is_left_to_the_release_that_wrote_it(tmp_path, reader, data):
    path = tmp_path / "file.json"
    path.write_text(json.dumps({"version": 9, "written_by": "7.1.0", **data}), encoding="utf-8")
    with pytest.raises(MigError, match=r"has the version 9 and .* release 7\.1\.0 of gpufleet\.mig wrote it\. [A-Z]"):
        reader(str(path))
    path.write_text(json.dumps({"version": 9, "written_by": "{{ 7 }}\n", **data}), encoding="utf-8")
    with pytest.raises(MigError, match=r"another release of gpufleet\.mig wrote it\. [A-Z]"):
        reader(str(path))


def test_the_release_is_the_collections():
    from ansible_collections.gpufleet.mig.plugins.module_utils.host.files import RELEASE

    assert f"\nversion: {RELEASE}\n" in (ROOT / "galaxy.yml").read_text(encoding="utf-8")
