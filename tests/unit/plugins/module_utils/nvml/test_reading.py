# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of GPUs that tell less than others, or something else, or that change while they are read."""

from __future__ import annotations

import pytest
from modules import run_module
from nvml_process import in_session

A100, H100 = "A100-SXM4-40GB", "H100-SXM5-80GB"
# What a driver answers is put in place of the true answer: `answers` maps a function to what changes it.
ALTERED = """
def call(function, *arguments, asked=session.call, answers=answers):
    return answers.get(function, lambda found: found)(asked(function, *arguments))
session.call = call
"""


def two_instances(host):
    code = """
gpu = session.read().gpus[0]
create(session, gpu, "1g.5gb", 0, ("1g.5gb", 0))
create(session, gpu, "1g.5gb", 1, ("1g.5gb", 0))
"""
    in_session(host, code)
    return host


# What a GPU does not tell


def test_handle_and_uuid_of_a_gpu_are_enough(simulated_host):
    host = simulated_host("--mig", A100, "--strange", "pci-address=none,minor=none")
    for function in ("nvmlDeviceGetName", "nvmlDeviceGetArchitecture", "nvmlDeviceGetMemoryInfo_v2"):
        host.simulator("fault", function, "--times", "0", "--return", "NOT_SUPPORTED")
    (found,) = run_module(host, "mig_facts", {}).ok()["ansible_facts"]["mig"]["gpus"]
    assert found["problem"] is None
    assert [found[key] for key in ("pci_address", "pci_device_id", "product", "minor")] == [None] * 4
    assert run_module(host, "mig_instances", {"gpus": found["uuid"], "instances": {"1g.5gb": 7}}).ok()["changed"]
    again = run_module(host, "mig_instances", {"gpus": [0], "instances": {"1g.5gb": 7}}).ok()
    assert (again["changed"], again["plan"]) == (False, [])
    assert run_module(host, "mig_check", {"layout": [{"instances": {"1g.5gb": 7}}]}).ok()["reached"]


def test_a_gpu_without_pci_address_is_not_reset(simulated_host):
    """Its mode waits for a reboot, which the check says before anything is done."""
    host = simulated_host(A100, "--strange", "pci-address=none")
    wanted = {"layout": [{"instances": {}}]}
    check = run_module(host, "mig_check", wanted).ok()
    assert (check["reset_required"], check["reset_gpus"], check["reboot_required"]) == (False, [], True)
    assert "None" not in " ".join(check["actions"])
    code = """
ran = []
session.run_command = lambda *command, **options: ran.append(command)
gpu = session.read().gpus[0]
try:
    reset(session, gpu)
except NvmlError as error:
    result = gpu, ran, error.kind, str(error)
"""
    gpu, ran, kind, message = in_session(host, code)
    assert (ran, kind) == ([], "unsupported")
    assert message.startswith(f"GPU 0 (NVIDIA {A100}, {gpu.uuid}) has no PCI address, by which a GPU is reset")


# What goes away


@pytest.mark.parametrize("code", ["NOT_FOUND", "INVALID_ARGUMENT"])
@pytest.mark.parametrize(
    "function",
    [
        "nvmlDeviceGetMigDeviceHandleByIndex",
        "nvmlDeviceGetAttributes_v2",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlGpuInstanceGetInfo",
        "nvmlGpuInstanceGetComputeInstances",
        "nvmlComputeInstanceGetInfo_v2",
    ],
)
def test_what_is_gone_when_it_is_asked_is_listed_again_once(simulated_host, function, code):
    host = two_instances(simulated_host("--mig", A100))
    host.simulator("fault", function, "--nth", "2", "--return", code)
    snapshot = in_session(host, "result = session.read()")
    (gpu,) = snapshot.gpus
    assert (gpu.problem, snapshot.incomplete) == (None, ())
    devices = [device for one in gpu.instances for device in one.compute_instances]
    assert [(bool(device.uuid), device.processes, device.memory_mib) for device in devices] == [(True, (), 4864)] * 2


def test_a_mig_device_that_goes_away_while_it_is_read_is_not_there(simulated_host):
    host = two_instances(simulated_host("--mig", A100))
    code = """
other = Session(run_command)
with other:
    gpu = other.read().gpus[0]
    left = [gpu.instances[1]]
    def call(function, *arguments, asked=session.call, other=other, gpu=gpu, left=left):
        if function == "nvmlDeviceGetComputeRunningProcesses_v3" and left:
            instance = left.pop()
            destroy(other, gpu, instance, instance.compute_instances[0])
            destroy(other, gpu, instance)
        return asked(function, *arguments)
    session.call = call
    result = session.read()
"""
    snapshot = in_session(host, code)
    assert [one.placement for one in snapshot.gpus[0].instances] == [(0, 1)]
    assert (snapshot.gpus[0].problem, snapshot.incomplete) == (None, ())


def test_what_cannot_be_read_the_second_time_counts_as_busy(simulated_host):
    host = two_instances(simulated_host("--mig", A100))
    host.simulator("fault", "nvmlDeviceGetComputeRunningProcesses_v3", "--times", "0", "--return", "NOT_FOUND")
    snapshot = in_session(host, "result = session.read()")
    assert snapshot.incomplete == ("processes",)
    assert all(one.compute_instances[0].busy for one in snapshot.gpus[0].instances)


# What is told otherwise


def test_a_gpu_instance_of_a_profile_that_is_not_listed_is_called_by_its_id(simulated_host):
    """It takes its slices, stays where nobody wants it gone, and is none of the profile that it was listed under."""
    host = two_instances(simulated_host("--mig", A100))
    code = ALTERED + "session.read()\nresult = session.read()"
    answers = "answers = {'nvmlGpuInstanceGetInfo': lambda info: setattr(info, 'profileId', 77) or info}\n"
    (gpu,) = in_session(host, answers + code).gpus
    assert gpu.problem is None
    found = [(one.profile, one.profile_id, one.placement) for one in gpu.instances]
    assert found == [("77", 77, (0, 1)), ("77", 77, (1, 1))]
    assert [device.profile for one in gpu.instances for device in one.compute_instances] == ["77", "77"]


def test_a_profile_that_is_listed_twice_is_one(simulated_host):
    """So is an instance that two lists have."""
    host = two_instances(simulated_host("--mig", A100))
    code = """
def call(function, *arguments, asked=session.call):
    if function == "nvmlDeviceGetGpuInstanceProfileInfo" and arguments[1] > 10:
        if arguments[1] < 40:
            raise NvmlError(function, "NOT_SUPPORTED")
        arguments = (arguments[0], arguments[1] - 40, *arguments[2:])
    return asked(function, *arguments)
session.call = call
result = session.read()
"""
    (gpu,) = in_session(host, code).gpus
    assert [profile.name for profile in gpu.profiles].count("1g.5gb") == 1
    assert len(gpu.profiles) == 7
    assert [(one.profile, len(one.compute_instances)) for one in gpu.instances] == [("1g.5gb", 1)] * 2


def test_a_number_that_is_no_argument_ends_no_listing_of_profiles(simulated_host):
    """NVIDIA's own programs go on after INVALID_ARGUMENT, too (go-nvlib, VisitMigProfiles)."""
    host = simulated_host("--mig", A100)
    code = """
gpu = session.read().gpus[0]
create(session, gpu, "3g.20gb", 4, ("3g.20gb", 0))
def call(function, *arguments, asked=session.call):
    if "ProfileInfo" in function and arguments[1] == 1:
        raise NvmlError(function, "INVALID_ARGUMENT")
    return asked(function, *arguments)
before = session.read().gpus[0]
session.close()
session.call = call
result = before, session.read().gpus[0]
"""
    before, after = in_session(host, code)
    assert [one for one in before.profiles if one.slices != 2] == [one for one in after.profiles if one.slices != 2]
    assert {one.slices for one in after.profiles} == {1, 3, 4, 7}
    assert [one.name for one in after.compute_profiles["3g.20gb"]] == ["1c.3g.20gb", "3g.20gb"]
    assert after.placed == before.placed


def test_numbers_that_no_driver_has_said_make_no_arrays_and_no_loops(simulated_host):
    host = two_instances(simulated_host("--mig", A100))
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
calls = []
def call(function, *arguments, asked=session.call, calls=calls):
    calls.append(function)
    assert len(calls) < 100000
    if function == "nvmlDeviceGetMigDeviceHandleByIndex" and arguments[1] > 6:
        raise NvmlError(function, "NOT_FOUND")
    found = asked(function, *arguments)
    if "ProfileInfo" in function:
        found.instanceCount = 2**32 - 1
    if function == "nvmlDeviceGetMaxMigDeviceCount":
        return 2**32 - 1
    if "PossiblePlacements" in function and arguments[2] is None:
        arguments[3]._obj.value = 2**32 - 1
    return found
session.call = call
result = session.read()
"""
    snapshot = in_session(host, code)
    (gpu,) = snapshot.gpus
    assert gpu.problem is None
    assert {profile.max for profile in gpu.profiles} == {2**32 - 1}
    assert [(one.profile, len(one.compute_instances)) for one in gpu.instances] == [("1g.5gb", 1)] * 2
    assert [place.start for place in next(one for one in gpu.profiles if one.slices == 7).placements] == [0]


def test_a_compute_instance_without_a_place_leaves_the_gpu_readable(simulated_host):
    host = two_instances(simulated_host("--mig", A100))
    code = """
from ansible_collections.gpufleet.mig.plugins.module_utils.facts.snapshot import facts_of
def info(instance, known=session.reader.compute_instance_info):
    found = known(instance)
    found.placement.size = 0
    return found
session.reader.compute_instance_info = info
snapshot = session.read()
result = snapshot, facts_of(snapshot, ("profiles", "instances", "processes"))["gpus"][0]
"""
    snapshot, facts = in_session(host, code)
    (gpu,) = snapshot.gpus
    assert gpu.problem is None
    assert [device.placement for one in gpu.instances for device in one.compute_instances] == [None, None]
    assert facts["layout"] is None
    assert [one["compute_instances"][0]["placement"] for one in facts["instances"]] == [None, None]


def test_a_driver_that_never_tells_places_is_asked_for_a_mode(simulated_host):
    host = simulated_host("--mig", "--driver", "450.80.02", A100)
    host.run("nvidia-smi", "mig", "-cgi", "9,19", "-C")
    done = run_module(host, "mig_mode", {"state": "enabled"}).ok()
    assert (done["changed"], done["plan"]) == (False, [])
    assert "its instances are only read" in run_module(host, "mig_instances", {"instances": {}}).failed()["msg"]


def test_a_gpu_instance_is_found_by_its_start_whatever_size_its_info_tells(simulated_host):
    host = simulated_host("--mig", H100)
    code = (
        """
def doubled(info):
    info.placement.size *= 2
    return info
answers = {"nvmlGpuInstanceGetInfo": doubled}
"""
        + ALTERED
        + """
gpu = session.read().gpus[0]
made = create(session, gpu, "3g.40gb", 4, ("3g.40gb", 0))
result = made, session.read_gpu(gpu)
"""
    )
    made, gpu = in_session(host, code)
    assert made[1]["gpu_instance_id"] == made[0]["gpu_instance_id"]
    assert [(one.placement.start, len(one.compute_instances)) for one in gpu.instances] == [(4, 1)]
