# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mig_facts on simulated hosts."""

from __future__ import annotations

import pytest
import yaml
from modules import run_module

from ansible_collections.gpufleet.mig.plugins.modules import mig_facts
from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import with_profiles

A100, H100, L40S = "A100-SXM4-40GB", "H100-SXM5-80GB", "L40S-48GB"


def facts(host, check=False, **params):
    result = run_module(host, "mig_facts", params, check=check).ok()
    assert not result.get("changed")
    return result["ansible_facts"]["mig"]


def refused(host, **params):
    return run_module(host, "mig_facts", params).failed()["msg"]


@pytest.fixture
def partitioned(simulated_host):
    """Two A100: one with shared and whole instances, one empty."""
    host = simulated_host("--mig", f"{A100}:2")
    inside = ["1c.3g.20gb", "2c.3g.20gb"]
    instances = [{"profile": "3g.20gb", "placement": 4, "compute_instances": inside}, "2g.10gb", {"profile": "1g.5gb"}]
    assert run_module(host, "mig_instances", {"layout": [{"gpus": [0], "instances": instances}]}).ok()["changed"]
    return host


def test_what_is_read_is_what_there_is(partitioned):
    found = facts(partitioned)
    assert len(found["profile_tables"]) == 1
    gpu, empty = with_profiles(found)["gpus"]
    assert empty["instances"] == []
    names = [sorted(device["profile"] for device in instance["compute_instances"]) for instance in gpu["instances"]]
    assert sorted(names) == [["1c.3g.20gb", "2c.3g.20gb"], ["1g.5gb"], ["2g.10gb"]]
    profiles = {profile["name"]: profile["memory_mib"] for profile in gpu["profiles"]}
    for instance in gpu["instances"]:
        # The simulated driver has no other memory for the device than for its profile.
        assert {device["memory_mib"] for device in instance["compute_instances"]} == {profiles[instance["profile"]]}
    assert gpu["free"]["1g.5gb"] == 1
    assert empty["free"] == {
        "1g.5gb": 7,
        "1g.5gb+me": 1,
        "1g.10gb": 4,
        "2g.10gb": 3,
        "3g.20gb": 2,
        "4g.20gb": 1,
        "7g.40gb": 1,
    }


@pytest.mark.parametrize(("strange", "halves"), [("combination=free", 1), ("combination=halves", 0)])
@pytest.mark.parametrize("counts", ["exact", "large"])
def test_free_is_the_smaller_of_what_fits_and_what_the_driver_says(simulated_host, strange, halves, counts):
    """A 3g beside a 4g fits by all that is told of placements; some drivers do not allow it."""
    host = simulated_host("--mig", "--strange", f"{strange},free-counts={counts}", A100)
    run_module(host, "mig_instances", {"instances": [{"profile": "4g.20gb", "placement": 0}]}).ok()
    host.simulator("calls", "--reset")
    free = facts(host)["gpus"][0]["free"]
    assert free["3g.20gb"] == (1 if counts == "large" else halves)
    assert (free["1g.5gb"], free["7g.40gb"], free["4g.20gb"]) == (3, 0, 0)
    assert host.simulator("calls").stdout.count("nvmlDeviceGetGpuInstanceRemainingCapacity") == 1
    for gather in ([], ["profiles"]):
        host.simulator("calls", "--reset")
        facts(host, gather=gather)
        assert "RemainingCapacity" not in host.simulator("calls").stdout
    host.simulator("fault", "nvmlDeviceGetGpuInstanceRemainingCapacity", "--return", "UNKNOWN")
    gpu = facts(host)["gpus"][0]
    assert (gpu["problem"], gpu["free"]["3g.20gb"]) == (None, 1)


def test_a_device_is_called_as_the_layout_calls_it_and_the_drivers_name_is_told(simulated_host):
    host = simulated_host("--mig", "--strange", "compute-names=no-me", H100)
    run_module(host, "mig_instances", {"instances": {"1g.10gb+me": 1, "1g.10gb": 1, "1c.2g.20gb": 2}}).ok()
    devices = [one for gpu in facts(host)["gpus"] for each in gpu["instances"] for one in each["compute_instances"]]
    assert sorted((one["profile"], one["driver_name"]) for one in devices) == [
        ("1c.2g.20gb", "1c.2g.20gb"),
        ("1c.2g.20gb", "1c.2g.20gb"),
        ("1g.10gb", "1g.10gb"),
        ("1g.10gb+me", "1g.10gb"),
    ]


def test_the_layout_can_be_applied_again(partitioned):
    layout = [gpu["layout"] for gpu in facts(partitioned)["gpus"]]
    assert not run_module(partitioned, "mig_instances", {"layout": layout}).ok()["changed"]
    run_module(partitioned, "mig_instances", {"instances": {}}).ok()
    assert [gpu["instances"] for gpu in facts(partitioned)["gpus"]] == [[], []]
    assert run_module(partitioned, "mig_instances", {"layout": layout}).ok()["changed"]
    assert [gpu["layout"] for gpu in facts(partitioned)["gpus"]] == layout


def test_a_process_is_found_in_its_instance(partitioned):
    device = facts(partitioned)["gpus"][0]["instances"][0]["compute_instances"][0]
    job = partitioned.job(device["uuid"])
    instance = facts(partitioned)["gpus"][0]["instances"][0]
    assert [process["pid"] for process in instance["processes"]] == [job.pid]
    assert instance["compute_instances"][0]["processes"] == instance["processes"]


def documented(contains):
    return {name: documented(value["contains"]) if "contains" in value else None for name, value in contains.items()}


def shape(value, known):
    """The keys of a result, as deep as they are documented."""
    values = value if isinstance(value, list) else [value]
    keys = {key for one in values for key in one}
    deeper = {key: [one[key] for one in values if one.get(key)] for key in keys}
    return {
        key: shape([one for each in deeper[key] for one in (each if isinstance(each, list) else [each])], known[key])
        if known.get(key)
        else None
        for key in keys
    }


def test_every_key_is_documented_and_every_documented_key_is_there(partitioned):
    returned = documented(yaml.safe_load(mig_facts.RETURN)["ansible_facts"]["contains"]["mig"]["contains"])
    assert shape(facts(partitioned), returned) == returned


def test_gpus_are_chosen_by_any_of_their_names(simulated_host):
    host = simulated_host(f"{H100}:3")
    wanted = {**facts(host)["gpus"][1], "profile_table": "1"}  # it is the first of those read
    for name in (1, "1", wanted["uuid"], wanted["pci_address"], wanted["pci_address"][9:]):
        assert facts(host, gpus=[name])["gpus"] == [wanted]
    assert facts(host, gpus=1)["gpus"] == [wanted]


def test_a_gpu_without_mig_may_be_chosen(simulated_host):
    assert [gpu["mig_capable"] for gpu in facts(simulated_host(L40S), gpus=[0])["gpus"]] == [False]


def test_a_gpu_that_is_absent_is_an_error(simulated_host):
    said = refused(simulated_host(A100), gpus=[7])
    assert said.startswith("gpus[0]: there is no GPU 7 on this host, which has GPU 0 (")


@pytest.mark.parametrize("gpus", [{}, [], "MIG-1", 1.5, [["0"]]])
def test_nonsense_for_gpus_is_an_error(simulated_host, gpus):
    assert refused(simulated_host(A100), gpus=gpus).startswith("gpus")


def test_a_host_without_driver_has_a_reason(simulated_host):
    found = facts(simulated_host().without_driver(), gpus=[0])
    assert found["gpus"] == []
    assert found["reason"].startswith("libnvidia-ml.so.1, the NVML library, was not found.")


def test_a_driver_that_does_not_answer_is_a_reason(simulated_host):
    host = simulated_host(A100)
    host.simulator("fault", "nvmlInitWithFlags", "--return", "DRIVER_NOT_LOADED")
    found = facts(host)
    assert found["gpus"] == []
    assert "NVML_ERROR_DRIVER_NOT_LOADED" in found["reason"]


def test_a_lost_gpu_has_a_problem_and_the_others_are_read(simulated_host):
    host = simulated_host("--mig", f"{A100}:2")
    host.simulator("fault", "nvmlDeviceGetHandleByIndex_v2", "--return", "GPU_IS_LOST")
    lost, other = facts(host)["gpus"]
    assert "NVML_ERROR_GPU_IS_LOST" in lost["problem"]
    assert other["problem"] is None
    assert other["free"]["7g.40gb"] == 1


def test_check_mode_reads_as_well(partitioned):
    assert facts(partitioned, check=True) == facts(partitioned)


def test_a_failure_of_nvml_itself_is_one_message(simulated_host):
    host = simulated_host(A100)
    host.simulator("fault", "nvmlDeviceGetCount_v2", "--return", "UNKNOWN")
    assert refused(host).startswith("nvmlDeviceGetCount answered NVML_ERROR_UNKNOWN. ")


def test_a_change_that_was_cut_short_is_told_until_the_next_one(partitioned):
    state_dir, wanted = str(partitioned.state_dir), {"instances": {"7g.40gb": 1}, "gpus": [0]}
    assert facts(partitioned, state_dir=state_dir)["interrupted"] is None
    partitioned.simulator("fault", "nvmlGpuInstanceDestroy", "--kill", "after")
    assert run_module(partitioned, "mig_instances", wanted).status == -9
    found = facts(partitioned, state_dir=state_dir)["interrupted"]
    assert "GPU 0: create GPU instance 7g.40gb at slices 0-7" in found["actions"]
    assert [len(entry["instances"]) for entry in found["before"]] == [3]
    assert "was cut short" in str(run_module(partitioned, "mig_instances", wanted).ok()["warnings"])
    assert facts(partitioned, state_dir=state_dir)["interrupted"] is None
