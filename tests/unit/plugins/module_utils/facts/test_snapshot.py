# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a Snapshot to facts."""

from __future__ import annotations

import gpus
import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.facts.snapshot import facts_of
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import resolve_layout, validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    ComputeInstance,
    Engines,
    GpuInstance,
    Placement,
    Process,
    Profile,
    Snapshot,
    WantedComputeInstance,
    WantedInstance,
)
from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import with_profiles

ALL = ("profiles", "instances", "processes")
ALICE = Process(4711, "python3", "alice")
UNKNOWN = dict.fromkeys(("started", "unit", "user_unit", "container", "pod", "slurm_job", "claimed"))
ALICE_DATA = {"pid": 4711, "name": "python3", "user": "alice", **UNKNOWN}
SMALL = Profile("1g.5gb", 19, 1, 7, 4864, 14, Engines(1), tuple(Placement(start, 1) for start in range(7)))
HALF = Profile("3g.20gb", 9, 3, 2, 19968, 42, Engines(3, 2), (Placement(0, 4), Placement(4, 4)))
WHOLE = Profile("7g.40gb", 0, 7, 1, 40192, 98, Engines(7, 5, 0, 1, 1), (Placement(0, 8),))


def half(start, *devices):
    return GpuInstance(start // 4 + 1, "3g.20gb", Placement(start, 4), devices)


def partitioned(**fields):
    """An A100 with a busy 1c and an idle 2c in one half, and an empty GPU instance in the other."""
    busy = ComputeInstance(0, "1c.3g.20gb", Placement(0, 1), "MIG-a", 0, (ALICE,), memory_mib=20096, told="1c.3g.20gb")
    idle = ComputeInstance(1, "2c.3g.20gb", Placement(1, 2), "MIG-b", 2)
    instances = (half(0, busy, idle), half(4))
    known = {"profiles": (SMALL, HALF, WHOLE), "memory_slices": 8, "compute_slices": 7, "instances": instances}
    return gpus.gpu(0, **{"mig_mode_pending": True, **known, **fields})


def facts(gpu, gather=ALL, **fields):
    return with_profiles(facts_of(Snapshot(gpus=(gpu,), **fields), gather))["gpus"][0]


def test_a_gpu_is_named_three_ways_with_its_mode_and_slices():
    found = facts(partitioned(mig_mode_pending=False))
    assert found["index"] == 0
    assert found["uuid"] == "GPU-00000000-0000-0000-0000-000000000000"
    assert found["pci_address"] == "00000000:07:00.0"
    assert found["pci_device_id"] == "0x20B010DE"
    assert (found["mig_capable"], found["mig_mode"], found["mig_mode_pending"]) == (True, "enabled", "disabled")
    assert found["slices"] == {"memory": 8, "compute": 7}


def test_equal_profiles_are_stored_once():
    small = partitioned(profiles=(SMALL,))._replace(index=2)
    found = facts_of(Snapshot(gpus=(partitioned(), partitioned()._replace(index=1), small)), ALL)
    assert [gpu["profile_table"] for gpu in found["gpus"]] == ["0", "0", "2"]
    assert {name: len(table) for name, table in found["profile_tables"].items()} == {"0": 3, "2": 1}
    assert facts_of(Snapshot(gpus=(small,)), ("instances",))["profile_tables"] == {}


def test_profiles():
    assert facts(partitioned())["profiles"][1] == {
        "name": "3g.20gb",
        "driver_name": "3g.20gb",
        "id": 9,
        "slices": 3,
        "memory_mib": 19968,
        "multiprocessors": 42,
        "engines": {"copy": 3, "decoder": 2, "encoder": 0, "jpeg": 0, "ofa": 0},
        "placements": [{"start": 0, "size": 4}, {"start": 4, "size": 4}],
        "max": 2,
    }


def test_instances_with_their_devices_and_processes():
    first, orphan = facts(partitioned())["instances"]
    assert (first["id"], first["profile"], first["placement"]) == (1, "3g.20gb", {"start": 0, "size": 4})
    assert first["processes"] == [ALICE_DATA]
    assert first["compute_instances"][0] == {
        "id": 0,
        "profile": "1c.3g.20gb",
        "driver_name": "1c.3g.20gb",
        "placement": {"start": 0, "size": 1},
        "uuid": "MIG-a",
        "index": 0,
        "memory_mib": 20096,
        "processes": [ALICE_DATA],
        "allocated_to": [],
    }
    assert (orphan["compute_instances"], orphan["processes"]) == ([], [])


def test_processes_that_cannot_be_read_are_not_none():
    unreadable = ComputeInstance(0, "3g.20gb", Placement(0, 3), "MIG-a", 0, None)
    instance = facts(partitioned(instances=(half(0, unreadable),)))["instances"][0]
    assert instance["processes"] is None
    assert instance["compute_instances"][0]["processes"] is None


def test_the_layout_names_exactly_what_is_there():
    gpu = partitioned()
    ((resolved, layout),) = resolve_layout(validate_layout([facts(gpu)["layout"]]), [gpu])
    assert resolved is gpu
    inside = WantedComputeInstance("1c.3g.20gb", 0), WantedComputeInstance("2c.3g.20gb", 1)
    assert layout.instances == (WantedInstance("3g.20gb", 0, inside), WantedInstance("3g.20gb", 4, ()))


def test_free_counts_each_profile_alone():
    assert facts(partitioned(instances=(half(4),)))["free"] == {"7g.40gb": 0, "3g.20gb": 1, "1g.5gb": 4}


def test_free_is_never_more_than_the_driver_says():
    left = {"7g.40gb": 1, "3g.20gb": 0, "1g.5gb": 7}
    assert facts(partitioned(instances=(half(4),), remaining=left))["free"] == {"7g.40gb": 0, "3g.20gb": 0, "1g.5gb": 4}


def test_mig_off():
    found = facts(partitioned(mig_mode=False, instances=(), processes=(ALICE,)))
    assert (found["mig_mode"], found["instances"], found["free"]) == ("disabled", [], {})
    assert found["layout"] == {"gpus": [found["uuid"]], "mig_enabled": False}
    assert found["processes"] == [ALICE_DATA]


def test_without_mig():
    found = facts(gpus.gpu(0, gpus.L40S))
    assert found["mig_capable"] is False
    assert found["layout"] is None
    assert found["profiles"] == found["instances"] == []
    assert found["slices"] == {"memory": None, "compute": None}


def test_without_privilege():
    device = ComputeInstance(0, "1c.3g.20gb", None, "MIG-a", 0)
    seen = GpuInstance(1, "3g.20gb", None, (device,))
    bare = tuple(profile._replace(placements=()) for profile in (SMALL, HALF, WHOLE))
    found = facts(partitioned(profiles=bare, instances=None, visible_instances=(seen,), memory_slices=0))
    assert found["free"] is None
    assert found["layout"] is None
    assert found["slices"] == {"memory": None, "compute": 7}
    assert [profile["placements"] for profile in found["profiles"]] == [None, None, None]
    assert found["instances"][0]["placement"] is None
    assert found["instances"][0]["compute_instances"][0]["uuid"] == "MIG-a"


def test_placements_that_an_old_driver_does_not_tell_leave_no_layout():
    device = ComputeInstance(0, "3g.20gb", None, "MIG-GPU-x/1/0", 0)
    found = facts(partitioned(instances=(half(0, device),)))
    assert found["layout"] is None
    assert found["instances"][0]["placement"] == {"start": 0, "size": 4}


def test_a_lost_gpu_has_a_problem_and_nothing_else():
    found = facts(gpus.Gpu(3, problem="It is lost."))
    assert (found["index"], found["problem"]) == (3, "It is lost.")
    assert all(found[key] is None for key in ("uuid", "product", "mig_capable", "instances", "layout", "free"))


@pytest.mark.parametrize(
    ("gather", "absent"),
    [
        ((), {"profiles", "instances", "layout", "free"}),
        (("profiles",), {"instances", "layout", "free"}),
        (("instances",), {"profiles"}),
        (("processes",), {"profiles"}),
    ],
)
def test_what_is_not_gathered_is_null(gather, absent):
    found = facts(partitioned(), gather)
    assert {key for key in ("profiles", "instances", "layout", "free") if found[key] is None} == absent


def test_processes_are_null_where_not_gathered():
    instance = facts(partitioned(), ("profiles", "instances"))["instances"][0]
    assert instance["processes"] is None
    assert instance["compute_instances"][0]["processes"] is None


def test_a_host_without_gpus():
    assert facts_of(Snapshot(reason="There is no driver."), ALL) == {
        "driver_version": None,
        "nvml_version": None,
        "cuda_version": None,
        "profile_tables": {},
        "gpus": [],
        "incomplete": [],
        "reason": "There is no driver.",
    }
