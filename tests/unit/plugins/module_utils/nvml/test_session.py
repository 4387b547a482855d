# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The adapter against the library of the simulated GPUs: what is read, and what steps do."""

from __future__ import annotations

import getpass
import shutil
import subprocess

import pytest
import yaml
from environments import interpreters
from nvml_process import in_session
from paths import ROOT

from ansible_collections.gpufleet.mig.plugins.module_utils.model import Engines, Placement, Profile

CATALOGUE = yaml.safe_load((ROOT / "roles/mig_simulator/files/catalogue.yml").read_text(encoding="utf-8"))
MIG_MODELS = [model for model, facts in CATALOGUE.items() if facts["profiles"]]
A100, H100, L40S = "A100-SXM4-40GB", "H100-SXM5-80GB", "L40S-48GB"


def expected_profile(row):
    return Profile(
        row["name"],
        row["id"],
        int(row["name"].split("g.")[0]),
        row["max"],
        row["memory_mib"],
        row["sm"],
        Engines(row["ce"], row["dec"], row["enc"], row["jpeg"], row["ofa"]),
        tuple(Placement(start, row["size"]) for start in row["starts"]),
    )


@pytest.mark.parametrize("model", MIG_MODELS)
def test_every_model_is_read_as_the_catalogue_has_it(simulated_host, model):
    snapshot = in_session(simulated_host("--mig", f"{model}:2"), "result = session.read()")
    facts = CATALOGUE[model]
    assert snapshot.incomplete == ()
    assert snapshot.reason is None
    assert len({gpu.uuid for gpu in snapshot.gpus}) == 2
    for index, gpu in enumerate(snapshot.gpus):
        assert gpu.problem is None
        assert gpu.index == index
        assert gpu.pci_device_id == facts["pci_device_id"]
        assert gpu.memory_mib == facts["memory_total_mib"]
        assert (gpu.mig_mode, gpu.mig_mode_pending) == (True, True)
        assert (gpu.memory_slices, gpu.compute_slices) == (facts["slices"]["memory"], facts["slices"]["compute"])
        assert gpu.mode_needs_reset == (facts["architecture"] == "ampere")
        assert sorted(gpu.profiles) == sorted(map(expected_profile, facts["profiles"]))
        assert gpu.instances == ()


def test_versions_and_a_gpu_without_mig(simulated_host):
    snapshot = in_session(simulated_host("--driver", "550.90.07", L40S), "result = session.read()")
    assert snapshot.driver_version == "550.90.07"
    assert snapshot.nvml_version.startswith("12.550")
    assert snapshot.cuda_version == "12.4"
    (gpu,) = snapshot.gpus
    assert (gpu.mig_capable, gpu.profiles, gpu.instances, gpu.processes) == (False, (), (), ())


def test_instances_are_created_where_they_shall_be_and_read_back(simulated_host):
    made, gpu = in_session(
        simulated_host("--mig", A100),
        """
gpu = session.read().gpus[0]
made = create(session, gpu, "3g.20gb", 4, ("1c.3g.20gb", 2), ("2c.3g.20gb", 0))
made += create(session, gpu, "1g.5gb", 2)
result = made, session.read_gpu(gpu)
""",
    )
    orphan, half = gpu.instances
    assert (orphan.id, orphan.profile, orphan.placement) == (made[3]["gpu_instance_id"], "1g.5gb", (2, 1))
    assert orphan.compute_instances == ()
    assert (half.id, half.profile, half.placement) == (made[0]["gpu_instance_id"], "3g.20gb", (4, 4))
    assert [(device.profile, device.placement) for device in half.compute_instances] == [
        ("2c.3g.20gb", (0, 2)),
        ("1c.3g.20gb", (2, 1)),
    ]
    for device, said in zip(half.compute_instances, (made[2], made[1]), strict=True):
        assert (half.id, device.id) == (said["gpu_instance_id"], said["compute_instance_id"])
        assert device.uuid == said["uuid"]
        assert device.uuid.startswith("MIG-")
        assert device.processes == ()
    assert sorted(device.index for device in half.compute_instances) == [0, 1]
    assert [profile.name for profile in gpu.compute_profiles["3g.20gb"]] == ["1c.3g.20gb", "2c.3g.20gb", "3g.20gb"]
    assert gpu.compute_profiles["3g.20gb"][0].placements == ((0, 1), (1, 1), (2, 1))


@pytest.mark.parametrize(("counted", "left"), [("sorted", 1), ("lowest", 2)])
def test_indexes_are_read_as_the_driver_counts_them(simulated_host, counted, left):
    gpu = in_session(
        simulated_host("--mig", "--strange", f"mig-indexes={counted}", A100),
        """
gpu = session.read().gpus[0]
for start in (0, 1, 2):
    create(session, gpu, "1g.5gb", start, ("1g.5gb", 0))
instance = session.read_gpu(gpu).instances[1]
destroy(session, gpu, instance, instance.compute_instances[0])
destroy(session, gpu, instance)
result = session.read_gpu(gpu)
""",
    )
    assert [(instance.placement, instance.compute_instances[0].index) for instance in gpu.instances] == [
        ((0, 1), 0),
        ((2, 1), left),
    ]


def test_a_process_is_named_with_its_user_and_keeps_its_instance(simulated_host):
    host = simulated_host("--mig", A100)
    make = """
gpu = session.read().gpus[0]
result = create(session, gpu, "1g.5gb", 0, ("1g.5gb", 0)) + create(session, gpu, "1g.5gb", 1, ("1g.5gb", 0))
"""
    uuid = in_session(host, make)[1]["uuid"]
    job = host.job(uuid)
    look = """
gpu = session.read().gpus[0]
busy = gpu.instances[0]
result = gpu, refusal(destroy, session, gpu, busy, busy.compute_instances[0]), refusal(destroy, session, gpu, busy)
"""
    gpu, of_compute_instance, of_gpu_instance = in_session(host, look)
    busy, idle = (instance.compute_instances[0] for instance in gpu.instances)
    assert [process[:3] for process in busy.processes] == [(job.pid, "cat", getpass.getuser())]
    assert busy.busy
    assert not idle.busy
    assert of_compute_instance == of_gpu_instance == ("IN_USE", "busy")


def test_processes_of_a_gpu_with_mig_off(simulated_host):
    host = simulated_host(f"{H100}:2")
    job = host.job(1)
    idle, used = in_session(host, "result = session.read()").gpus
    assert idle.processes == ()
    assert [process.pid for process in used.processes] == [job.pid]


def test_processes_of_a_gpu_in_mig_mode_that_has_no_gpu_instance(simulated_host):
    host = simulated_host("--mig", "--strange", "first-instance=processes", f"{H100}:2")
    job = host.job(1)
    idle, used = in_session(host, "result = session.read()").gpus
    assert idle.processes == ()
    assert [process.pid for process in used.processes] == [job.pid]
    again = in_session(host, "result = session.read_gpu(session.read().gpus[1])")
    assert again.processes == used.processes
    # Nothing of the GPU itself is asked where instances are.
    in_session(host, "create(session, session.read().gpus[0], '1g.10gb', 0)")
    host.simulator("calls", "--reset")
    assert in_session(host, "result = session.read(only=lambda gpus: gpus[:1])").gpus[0].processes == ()
    assert "RunningProcesses" not in host.simulator("calls").stdout


@pytest.mark.parametrize(
    ("gather", "has"),
    [
        ((), set()),
        (("profiles",), {"profiles"}),
        (("instances",), {"profiles", "instances"}),
        (("processes",), {"profiles", "instances", "processes"}),
    ],
)
def test_what_is_not_gathered_is_not_asked_for(simulated_host, gather, has):
    host = simulated_host("--mig", A100)
    uuid = in_session(host, "result = create(session, session.read().gpus[0], '1g.5gb', 0, ('1g.5gb', 0))")[1]["uuid"]
    host.job(uuid)
    (gpu,) = in_session(host, "result = session.read(gather)", gather=gather).gpus
    assert {name for name in ("profiles", "instances") if getattr(gpu, name)} == has - {"processes"}
    devices = [device for instance in gpu.instances for device in instance.compute_instances]
    assert any(device.processes for device in devices) == ("processes" in has)


def test_only_the_chosen_gpus_are_read(simulated_host):
    host = simulated_host("--mig", f"{A100}:3")
    snapshot = in_session(host, "result = session.read(only=lambda gpus: [gpu for gpu in gpus if gpu.index == 1])")
    assert [gpu.index for gpu in snapshot.gpus] == [1]
    assert calls(host)["nvmlDeviceGetMaxMigDeviceCount"] == 1


def calls(host):
    """How often each function was called, by its name."""
    found = {}
    for line in host.simulator("calls").stdout.splitlines():
        words = line.split()
        numbers = [word for word in words if word.isdigit()]
        names = [word for word in words if word.startswith("nvml")]
        if numbers and names:
            found[names[0]] = int(numbers[0])
    return found


def test_each_fact_is_asked_for_once(simulated_host):
    host = simulated_host("--mig", f"{A100}:8")
    seven_each = """
for gpu in session.read().gpus:
    for start in range(7):
        create(session, gpu, "1g.5gb", start, ("1g.5gb", 0))
"""
    in_session(host, seven_each)
    host.simulator("calls", "--reset")
    assert sum(len(gpu.instances) for gpu in in_session(host, "result = session.read()").gpus) == 56
    asked = calls(host)
    once = ("nvmlInitWithFlags", "nvmlSystemGetDriverVersion", "nvmlDeviceGetCount_v2", "nvmlShutdown")
    assert {name: asked[name] for name in once} == dict.fromkeys(once, 1)
    a_gpu = ("nvmlDeviceGetName", "nvmlDeviceGetMigMode", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetPciInfo_v3")
    assert {name: asked[name] for name in a_gpu} == dict.fromkeys(a_gpu, 8)
    assert asked["nvmlDeviceGetUUID"] == 8 + 56
    assert asked["nvmlDeviceGetGpuInstances"] == 8 * 7
    assert asked["nvmlDeviceGetGpuInstancePossiblePlacements_v2"] == 8 * 7 * 2
    assert asked["nvmlGpuInstanceGetInfo"] == asked["nvmlComputeInstanceGetInfo_v2"] == 56
    assert asked["nvmlDeviceGetComputeRunningProcesses_v3"] == 56
    assert "nvmlDeviceGetGpuInstanceRemainingCapacity" not in asked
    # One profile of which instances exist, compute instance profile indexes up to 8, and one past the end.
    assert asked["nvmlGpuInstanceGetComputeInstanceProfileInfoV"] <= 8 * 10


@pytest.fixture(scope="module")
def nobody():
    """A command that runs another as the user nobody, who is not the administrator of a simulated host."""
    command = ("unshare", "--user", "--map-user=65534")
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("no unshare, or no user namespaces for this user")
    return command


def forbid_instances(host):
    """Close the capability file, which ``nobody`` owns as far as it can tell."""
    (host.directory / "state.proc/driver/nvidia/capabilities/mig/config").chmod(0)


def test_without_privilege_mode_profiles_and_mig_devices_are_read(simulated_host, nobody):
    host = simulated_host("--mig", A100)
    made = in_session(host, "result = create(session, session.read().gpus[0], '3g.20gb', 4, ('1c.3g.20gb', 2))")
    forbid_instances(host)
    snapshot = in_session(host, "result = session.read()", through=nobody)
    (gpu,) = snapshot.gpus
    assert {"placements", "orphans", "free"} <= set(snapshot.incomplete)
    assert gpu.problem is None
    assert gpu.instances is None
    assert (gpu.mig_mode, gpu.mig_mode_pending) == (True, True)
    assert [profile.placements for profile in gpu.profiles] == [()] * 7
    (seen,) = gpu.visible_instances
    assert (seen.id, seen.profile, seen.placement) == (made[0]["gpu_instance_id"], "3g.20gb", None)
    (device,) = seen.compute_instances
    assert (device.profile, device.uuid, device.index) == ("1c.3g.20gb", made[1]["uuid"], 0)


ALIKE = {
    A100: ["1g.5gb", "1g.5gb+me", "1g.10gb", "2g.10gb"],
    H100: ["1g.10gb", "1g.10gb+me", "1g.20gb", "2g.20gb"],
    "A30-24GB": ["1g.6gb", "1g.6gb+me", "2g.12gb"],
    "RTX-PRO-6000-BLACKWELL-96GB": ["1g.24gb+me.all", "1g.24gb-me"],
}


@pytest.mark.parametrize("memory", ["profile", "more"])
@pytest.mark.parametrize("model", ALIKE)
def test_without_privilege_a_profile_is_told_by_the_attributes_of_its_mig_device(simulated_host, nobody, model, memory):
    """The driver calls the whole of a 1g.10gb+me a 1g.10gb."""
    strange = f"compute-names=bare,device-memory={memory}"
    host = simulated_host("--mig", "--driver", "580.95.05", "--strange", strange, model)
    make = """
gpu = session.read().gpus[0]
taken, profiles = 0, {known.name: known for known in gpu.profiles}
for name in names:
    for place in profiles[name].placements:
        if place.start >= taken:
            break
    create(session, gpu, name, place.start, (name, 0))
    taken = place.start + place.size
result = session.read_gpu(gpu)
"""
    known = in_session(host, make, names=ALIKE[model])
    forbid_instances(host)
    snapshot = in_session(host, "result = session.read()", through=nobody)
    (gpu,) = snapshot.gpus
    assert "instance_profiles" not in snapshot.incomplete
    profiles = {device.uuid: device.profile for one in known.instances for device in one.compute_instances}
    assert sorted(profiles.values()) == sorted(ALIKE[model])
    seen = [(one, device) for one in gpu.visible_instances for device in one.compute_instances]
    assert {device.uuid: device.profile for _one, device in seen} == profiles
    assert all(one.profile == device.profile for one, device in seen)
    for one, device in seen:
        assert device.told == one.profile.partition("+")[0].partition("-")[0]


def test_without_privilege_it_is_said_where_two_profiles_still_fit(simulated_host, nobody):
    host = simulated_host("--mig", "--strange", "compute-names=bare,twin", A100)
    in_session(host, "gpu = session.read().gpus[0]\nresult = create(session, gpu, '19', 0, ('19', 0))")
    forbid_instances(host)
    snapshot = in_session(host, "result = session.read()", through=nobody)
    assert "instance_profiles" in snapshot.incomplete
    (seen,) = snapshot.gpus[0].visible_instances
    assert (seen.profile, seen.compute_instances[0].profile) == ("1g.5gb", "1g.5gb")


def test_without_privilege_nothing_is_changed(simulated_host, nobody):
    host = simulated_host("--mig", A100)
    code = """
gpu = session.read().gpus[0]
result = refusal(mode, session, gpu, False), refusal(create, session, privileged, "1g.5gb", 0)
"""
    privileged = in_session(host, "result = session.read().gpus[0]")
    forbid_instances(host)
    assert in_session(host, code, through=nobody, privileged=privileged) == (("NO_PERMISSION", "permission"),) * 2


# Old drivers


@pytest.mark.parametrize(
    ("driver", "uuid", "tells_placements"),
    [
        ("460.73.01", "MIG-GPU-", False),
        ("470.57.02", "MIG-", False),
        ("515.65.01", "MIG-", False),
        ("525.85.12", "MIG-", True),
    ],
)
def test_drivers_since_r460_create_instances(simulated_host, driver, uuid, tells_placements):
    host = simulated_host("--mig", "--driver", driver, A100)
    made, places, gpu = in_session(
        host,
        """
gpu = session.read().gpus[0]
made = create(session, gpu, "3g.20gb", 4, ("2c.3g.20gb", 0), ("1c.3g.20gb", 2))
result = made, (session.places_gpu_instances, session.places_compute_instances), session.read_gpu(gpu)
""",
    )
    assert places == (True, tells_placements)
    (half,) = gpu.instances
    assert (half.id, half.profile, half.placement) == (made[0]["gpu_instance_id"], "3g.20gb", (4, 4))
    assert {device.profile for device in half.compute_instances} == {"1c.3g.20gb", "2c.3g.20gb"}
    assert all(device.uuid.startswith(uuid) for device in half.compute_instances)
    assert all(device.processes == () for device in half.compute_instances)
    assert gpu.compute_profiles["3g.20gb"][0].placements == ((0, 1), (1, 1), (2, 1))


@pytest.mark.parametrize("driver", ["450.80.02", "460.73.01", "470.57.02", "510.47.03", "525.85.12"])
@pytest.mark.parametrize("model", [A100, "A100-SXM4-80GB"])
def test_profiles_are_named_on_drivers_without_names_too(simulated_host, driver, model):
    (gpu,) = in_session(simulated_host("--mig", "--driver", driver, model), "result = session.read()").gpus
    known = {profile.name: profile for profile in map(expected_profile, CATALOGUE[model]["profiles"])}
    assert gpu.problem is None
    assert len(gpu.profiles) >= 5
    for profile in gpu.profiles:
        assert profile == known[profile.name]


def test_r450_is_read(simulated_host):
    host = simulated_host("--mig", "--driver", "450.80.02", A100)
    host.run("nvidia-smi", "mig", "-cgi", "9", "-C")
    snapshot, places, refused = in_session(
        host,
        """
snapshot = session.read()
refused = refusal(create, session, snapshot.gpus[0], "1g.5gb", 0)
result = snapshot, session.places_gpu_instances, refused
""",
    )
    (half,) = snapshot.gpus[0].instances
    assert (half.profile, half.placement.size) == ("3g.20gb", 4)
    (device,) = half.compute_instances
    assert (device.profile, device.placement, device.processes) == ("3g.20gb", None, None)
    assert snapshot.incomplete == ("processes",)
    assert not places
    assert refused == ("FUNCTION_NOT_FOUND", "unsupported")


def test_processes_of_old_drivers(simulated_host):
    host = simulated_host("--mig", "--driver", "470.57.02", A100)
    make = "result = create(session, session.read().gpus[0], '1g.5gb', 0, ('1g.5gb', 0))[1]['uuid']"
    job = host.job(in_session(host, make))
    (gpu,) = in_session(host, "result = session.read()").gpus
    assert [process.pid for process in gpu.instances[0].compute_instances[0].processes] == [job.pid]


@pytest.mark.parametrize("python", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_every_python_reads_and_changes(simulated_host, python):
    if python not in interpreters():
        pytest.skip(f"no Python {python}")
    code = """
gpu = session.read().gpus[0]
create(session, gpu, "1g.5gb", 3, ("1g.5gb", 0))
result = session.read_gpu(gpu)
"""
    gpu = in_session(simulated_host("--mig", A100), code, interpreters()[python])
    assert gpu.instances[0].placement == (3, 1)
    assert gpu.instances[0].compute_instances[0].processes == ()


# Mode and reset


def test_hopper_changes_its_mode_at_once(simulated_host):
    code = """
gpu = session.read().gpus[0]
status = mode(session, gpu, True)
on = session.read_gpu(gpu)
made = create(session, on, "1g.10gb", 6, ("1g.10gb", 0))
result = gpu, status, on, session.read_gpu(gpu)
"""
    off, status, on, after = in_session(simulated_host(H100), code)
    assert (off.mig_mode, off.mig_mode_pending, off.mode_needs_reset) == (False, False, False)
    assert status == "SUCCESS"
    assert (on.mig_mode, on.mig_mode_pending) == (True, True)
    assert [instance.placement for instance in after.instances] == [(6, 1)]


def test_a_session_goes_on_after_a_reset(simulated_host):
    code = """
gpu, other = session.read().gpus
mode(session, gpu, True)
reset(session, gpu)
after = session.read_gpu(gpu)
create(session, after, "1g.5gb", 0, ("1g.5gb", 0))
result = session.read_gpu(gpu), session.read_gpu(other)
"""
    after, other = in_session(simulated_host(f"{A100}:2"), code)
    assert (after.mig_mode, after.mig_mode_pending) == (True, True)
    assert len(after.instances) == 1
    assert (other.mig_mode, other.mig_mode_pending) == (False, False)


def test_a_gpu_is_reset_once_it_is_idle(simulated_host):
    host = simulated_host(A100)
    job = host.job(0)
    code = """
gpu = session.read().gpus[0]
status = mode(session, gpu, True)
result = status, refusal(reset, session, gpu), session.read_gpu(gpu)
"""
    status, refused, gpu = in_session(host, code)
    assert status == "IN_USE"
    assert refused == ("IN_USE", "busy")
    assert (gpu.mig_mode, gpu.mig_mode_pending) == (False, True)
    assert gpu.processes
    job.kill()
    job.wait()
    after = in_session(host, "gpu = session.read().gpus[0]; reset(session, gpu); result = session.read_gpu(gpu)")
    assert (after.mig_mode, after.mig_mode_pending) == (True, True)


def test_no_session_is_open_while_a_gpu_is_reset(simulated_host, tmp_path):
    host = simulated_host(A100)
    real = shutil.which("nvidia-smi", path=host.environment["PATH"])
    stand_in = tmp_path / "nvidia-smi"
    stand_in.write_text(f'#!/bin/sh\nmig-simulator calls > {tmp_path}/calls\nexec {real} "$@"\n', encoding="utf-8")
    stand_in.chmod(0o755)
    host.environment["PATH"] = f"{tmp_path}:{host.environment['PATH']}"
    in_session(host, "gpu = session.read().gpus[0]; reset(session, gpu); result = session.read_gpu(gpu)")
    said = (tmp_path / "calls").read_text(encoding="utf-8").split()
    assert said[said.index("nvmlInitWithFlags") - 1] == said[said.index("nvmlShutdown") - 1] == "1"


def test_pass_through_leaves_the_mode_pending(simulated_host):
    host = simulated_host(A100)
    host.simulator("passthrough", "on")
    code = """
gpu = session.read().gpus[0]
result = mode(session, gpu, True), refusal(reset, session, gpu)
"""
    assert in_session(host, code) == ("RESET_REQUIRED", ("NOT_SUPPORTED", "unsupported"))


# Failures


@pytest.mark.parametrize(
    "function",
    [
        "nvmlDeviceGetHandleByIndex_v2",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetGpuInstanceProfileInfoV",
        "nvmlDeviceGetGpuInstances",
        "nvmlDeviceGetMaxMigDeviceCount",
    ],
)
def test_a_lost_gpu_is_reported_and_the_others_are_read(simulated_host, function):
    host = simulated_host("--mig", f"{A100}:3")
    host.simulator("fault", function, "--nth", "1", "--return", "GPU_IS_LOST")
    lost, *others = in_session(host, "result = session.read()").gpus
    assert lost.index == 0
    assert "NVML_ERROR_GPU_IS_LOST" in lost.problem
    assert lost.mig_mode is None or lost.uuid
    assert all(gpu.problem is None and len(gpu.profiles) == 7 for gpu in others)


EACH_FAILURE = """
import itertools, subprocess

def instances(gpu):
    return {
        (one.id, one.profile, one.placement, device.id, device.profile, device.placement)
        for one in gpu.instances for device in one.compute_instances
    }

def read():
    with Session() as second:
        return second.read()

right, outcomes = read(), set()
for function, code in itertools.product(functions, codes):
    subprocess.run([simulator, "fault", "--clear"], check=True)
    subprocess.run([simulator, "fault", function, "--return", code], check=True)
    try:
        found = read()
    except MigError as error:
        outcomes.add("error")
        continue
    for gpu, expected in zip(found.gpus, right.gpus):
        if gpu.problem:
            outcomes.add("problem")
        elif gpu.instances is None or not gpu.mig_capable:
            outcomes.add("not told")
        else:
            outcomes.add("right")
            assert instances(gpu) == instances(expected), (function, code, gpu)
result = outcomes
"""


def test_no_failure_of_the_driver_hides_an_instance(simulated_host, simulator):
    host = simulated_host("--mig", f"{A100}:2")
    code = """
for gpu in session.read().gpus:
    create(session, gpu, "3g.20gb", 4, ("1c.3g.20gb", 0), ("1c.3g.20gb", 1))
    create(session, gpu, "1g.5gb", 1, ("1g.5gb", 0))
"""
    in_session(host, code)
    host.simulator("calls", "--reset")
    in_session(host, "session.read()")
    codes = ("UNKNOWN", "NOT_SUPPORTED", "NO_PERMISSION", "NOT_FOUND", "GPU_IS_LOST", "INVALID_ARGUMENT", "IN_USE")
    outcomes = in_session(
        host, EACH_FAILURE, functions=sorted(calls(host)), codes=codes, simulator=str(simulator / "mig-simulator")
    )
    assert outcomes == {"error", "problem", "not told", "right"}


@pytest.mark.parametrize(
    "function", ["nvmlDeviceGetGpuInstanceProfileInfoV", "nvmlGpuInstanceGetComputeInstanceProfileInfoV"]
)
def test_a_driver_that_goes_on_hiding_an_instance_is_a_problem(simulated_host, function):
    host = simulated_host("--mig", A100)
    in_session(host, "create(session, session.read().gpus[0], '1g.5gb', 0, ('1g.5gb', 0))")
    host.simulator("fault", function, "--times", "0", "--return", "NOT_SUPPORTED")
    (gpu,) = in_session(host, "result = session.read()").gpus
    assert "does not list the compute instance of the MIG device MIG-" in gpu.problem


@pytest.mark.parametrize("kind", ["Compute", "Graphics", "MPSCompute"])
def test_a_process_list_that_cannot_be_read_counts_as_busy(simulated_host, kind):
    host = simulated_host("--mig", A100)
    in_session(host, "create(session, session.read().gpus[0], '1g.5gb', 0, ('1g.5gb', 0))")
    host.simulator("fault", f"nvmlDeviceGet{kind}RunningProcesses_v3", "--return", "UNKNOWN")
    snapshot = in_session(host, "result = session.read()")
    device = snapshot.gpus[0].instances[0].compute_instances[0]
    assert device.processes is None
    assert device.busy
    assert snapshot.incomplete == ("processes",)


def test_a_step_that_fails_says_which_function_and_code(simulated_host):
    host = simulated_host("--mig", A100)
    code = """
gpu = session.read().gpus[0]
create(session, gpu, "1g.5gb", 0)
try:
    create(session, gpu, "1g.5gb", 0)
except NvmlError as error:
    result = error.function, error.code, error.kind, str(error)
"""
    function, code_name, kind, message = in_session(host, code)
    assert (function, code_name, kind) == (
        "nvmlDeviceCreateGpuInstanceWithPlacement",
        "INSUFFICIENT_RESOURCES",
        "insufficient_resources",
    )
    assert message.startswith("nvmlDeviceCreateGpuInstanceWithPlacement answered NVML_ERROR_INSUFFICIENT_RESOURCES. ")


def test_a_driver_that_is_not_loaded_is_no_gpu(simulated_host):
    host = simulated_host(A100)
    host.simulator("fault", "nvmlInitWithFlags", "--return", "DRIVER_NOT_LOADED")
    with pytest.raises(AssertionError, match=r"DriverMissing: The NVIDIA driver does not answer"):
        in_session(host, "result = session.read()")
