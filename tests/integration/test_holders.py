# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is in the way is named: by unit, container, pod and job, by an open device file, by the kubelet's allocations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from faults import layout_of
from modules import run_module
from own_files import OwnFiles, may_mount

A100, H100 = "A100-SXM4-40GB", "H100-SXM5-80GB"
CONTAINER = "09bc3d7ade839efec32b6bec4ec79d099027a668ddba043083ec21d3c3b8f1e6"
UID = "5b0c3a3e-7f3a-4a56-9b57-0f5e6f8b7c11"
POD = {"uid": UID, "namespace": "ml", "name": "train-0"}


@pytest.fixture
def own_files(tmp_path):
    if not may_mount():
        pytest.skip("unshare --mount is refused: needs root")
    (tmp_path / "own").mkdir()
    return OwnFiles(tmp_path / "own")


@pytest.fixture
def seven(simulated_host):
    """An A100 with seven idle 1g.5gb."""
    host = simulated_host("--mig", A100)
    run_module(host, "mig_instances", {"instances": {"1g.5gb": 7}}).ok()
    return host


def facts(host, **params):
    through = params.pop("through", ())
    return run_module(host, "mig_facts", params, through=through).ok()["ansible_facts"]["mig"]


def devices(host):
    """{UUID: compute instance} of GPU 0, as mig_facts has them."""
    instances = facts(host)["gpus"][0]["instances"]
    return {device["uuid"]: device for instance in instances for device in instance["compute_instances"]}


@pytest.fixture
def into_cgroup():
    """into_cgroup(path, pid, users=None): the process moves to a cgroup of that path, below one of the test's own.

    ``users`` is the part of the path that belongs to somebody else than root, with what is in it.
    """
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    # One with a process limit, say, takes any process; a cpuset wants to be set up first.
    found = [
        where for _what, where, kind, options, *_more in mounts if kind == "cgroup2" or "pids" in options.split(",")
    ]
    if not found or os.geteuid() or not os.access(found[0], os.W_OK):
        pytest.skip("needs root and a writable cgroup hierarchy")
    top = Path(found[0]) / f"gpufleet-mig-test-{os.getpid()}"
    moved, made = [], []

    def move(path, pid, users=None):
        for directory in [top, *reversed((top / path).parents), top / path]:
            if top in (directory, *directory.parents) and not directory.exists():
                directory.mkdir()
                made.append(directory)
                if users and top / users in (directory, *directory.parents):
                    os.chown(directory, 4711, 4711)
        (top / path / "cgroup.procs").write_text(str(pid), encoding="utf-8")
        moved.append(pid)

    yield move
    for pid in moved:
        (Path(found[0]) / "cgroup.procs").write_text(str(pid), encoding="utf-8")
    for directory in reversed(made):
        directory.rmdir()


def test_a_pod_in_the_way_is_named(seven, own_files, into_cgroup):
    (uuid, *_others) = devices(seven)
    job = seven.job(uuid)
    into_cgroup(f"kubepods/burstable/pod{UID}/{CONTAINER}", job.pid)
    own_files.give(UID, "ml", "train-0", uuid)
    expected = {"pid": job.pid, "name": "cat", "pod": POD, "container": {"id": CONTAINER, "runtime": None}}

    refused = run_module(seven, "mig_instances", {"instances": {"7g.40gb": 1}}, through=own_files.through).failed()
    (blocker,) = refused["blockers"]
    assert {key: blocker[key] for key in expected} == expected
    assert (blocker["uuid"], blocker["slurm_job"]) == (uuid, None)
    assert f"is held by process {job.pid} (cat of root, pod ml/train-0, since " in refused["msg"]
    assert job.poll() is None

    read = facts(seven, through=own_files.through)["gpus"][0]["instances"]
    (process,) = [process for instance in read for process in instance["processes"]]
    assert {key: process[key] for key in expected} == expected


def test_a_slurm_job_in_the_way_is_named(seven, into_cgroup):
    job = seven.job(next(iter(devices(seven))))
    into_cgroup("slurmstepd.scope/job_4711/step_0/user/task_0", job.pid)
    refused = run_module(seven, "mig_instances", {"instances": {}}, check=True).failed()
    assert [blocker["slurm_job"] for blocker in refused["blockers"]] == [{"id": 4711, "step": "0", "name": None}]
    assert f"process {job.pid} (cat of root, Slurm job 4711 step 0, since " in refused["msg"]


@pytest.mark.parametrize("how", ["owner", "list", "mode"])
def test_what_a_user_calls_a_cgroup_is_claimed_and_no_more(seven, own_files, into_cgroup, how):
    (uuid, *_others) = devices(seven)
    job = seven.job(uuid)
    path = f"alice/kubepods/burstable/pod{UID}/{CONTAINER}/slurm/uid_0/job_4711/step_0"
    into_cgroup(path, job.pid, users="alice" if how == "owner" else None)
    paths = Path(f"/proc/{job.pid}/cgroup").read_text(encoding="utf-8").splitlines()
    (inside,) = [line.split(":", 2)[2] for line in paths if "alice" in line]
    (alice,) = [found for found in Path("/sys/fs/cgroup").glob("**/alice") if str(found.parent.name) in inside]
    if how == "list":
        os.chown(alice / "cgroup.procs", 4711, 4711)
    elif how == "mode":
        os.chmod(alice, 0o777)

    refused = run_module(seven, "mig_instances", {"instances": {"7g.40gb": 1}}, through=own_files.through).failed()
    (blocker,) = refused["blockers"]
    assert [blocker[kind] for kind in ("container", "pod", "slurm_job")] == [None] * 3
    assert blocker["claimed"] == {
        "container": {"id": CONTAINER, "runtime": None},
        "pod": {"uid": UID, "namespace": None, "name": None},
        "slurm_job": {"id": 4711, "step": "0", "name": None},
    }
    assert f"the pod with UID {UID} by its user's account" in refused["msg"]
    assert job.poll() is None


@pytest.mark.parametrize("model", [A100, H100])
def test_who_holds_a_gpu_that_nvml_lists_nobody_on(simulated_host, own_files, model):
    host = simulated_host(f"{model}:2")
    holder = host.hold(0, files=[own_files.device("nvidia0")])
    host.hold(1, files=[own_files.device("nvidia1")])
    before = host.show()
    wanted = {"state": "enabled", "gpus": [0]}
    refused = run_module(host, "mig_mode", wanted, through=own_files.through).failed()
    assert host.show() == before
    assert [blocker["pid"] for blocker in refused["blockers"]] == [holder.pid]
    assert f"held by process {holder.pid} (cat of root" in refused["msg"]
    assert "by the open device file" in refused["msg"]
    assert "unknown" not in refused["msg"]

    # Without the device file there is nobody to name.
    refused = run_module(host, "mig_mode", wanted).failed()
    assert refused["blockers"] == []
    assert "held by an unknown process" in refused["msg"]

    gpu, second = facts(host, gather=["handles"], through=own_files.through)["gpus"]
    assert [process["pid"] for process in gpu["handles"]] == [holder.pid]
    assert len(second["handles"]) == 1
    assert gpu["processes"] == []
    assert facts(host, through=own_files.through)["gpus"][0]["handles"] is None


def test_who_holds_a_mig_device_that_nvml_lists_nobody_in(simulated_host, own_files):
    host = simulated_host("--mig", f"{A100}:2")
    run_module(host, "mig_instances", {"gpus": [1], "instances": {"1g.5gb": 1}}).ok()
    own_files.driver(host)
    ((instance,),) = [gpu["instances"] for gpu in facts(host)["gpus"] if gpu["instances"]]
    (device,) = instance["compute_instances"]
    table = Path(f"{host.state}.proc/driver/nvidia-caps/mig-minors").read_text(encoding="utf-8")
    minors = dict(line.split() for line in table.splitlines())
    minor = minors[f"gpu1/gi{instance['id']}/ci{device['id']}/access"]
    capability, gpu = own_files.device(f"nvidia-caps/nvidia-cap{minor}"), own_files.device("nvidia1")
    # Both are real clients to the driver and none is listed; only the first is in the MIG device.
    holder = host.hold(0, files=[capability, gpu])
    host.hold(0, files=[gpu])
    host.simulator("fault", "nvmlComputeInstanceDestroy", "--times", "0", "--return", "IN_USE")
    wanted = {"gpus": [1], "instances": {}}
    refused = run_module(host, "mig_instances", wanted, through=own_files.through).failed()
    assert refused["nvml_code"] == "IN_USE"
    assert [(blocker["pid"], blocker["uuid"]) for blocker in refused["blockers"]] == [(holder.pid, device["uuid"])]
    assert f"It is held by process {holder.pid} (cat of root" in refused["msg"]
    assert [len(gpu["instances"]) for gpu in facts(host)["gpus"]] == [0, 1]


def test_who_keeps_a_gpu_from_its_first_instance_is_named_once_the_driver_has_refused(simulated_host, own_files):
    host = simulated_host("--mig", "--strange", "first-instance=holders", f"{H100}:2")
    holder = host.hold(0, files=[own_files.device("nvidia0")])
    before = host.show()
    wanted = {"gpus": [0], "instances": {"3g.40gb": 1}}
    # An open device file refuses nothing beforehand.
    foretold = run_module(host, "mig_instances", wanted, check=True, through=own_files.through).ok()
    assert len(foretold["plan"]) == 2
    refused = run_module(host, "mig_instances", wanted, through=own_files.through).failed()
    assert host.show() == before
    assert (refused["nvml_code"], refused["changed"], refused["left"]) == ("IN_USE", False, [])
    assert [(blocker["pid"], blocker["uuid"]) for blocker in refused["blockers"]] == [(holder.pid, None)]
    assert "so it is not the place that is taken: somebody uses the GPU itself" in refused["msg"]
    assert f"It is held by process {holder.pid} (cat of root" in refused["msg"]
    # The other GPU is nobody's.
    run_module(host, "mig_instances", {**wanted, "gpus": [1]}, through=own_files.through).ok()
    host.close()
    run_module(host, "mig_instances", wanted, through=own_files.through).ok()


def test_a_monitor_of_a_gpu_instance_is_named_and_what_it_watches_comes_back(simulated_host, own_files):
    host = simulated_host("--mig", "--strange", "gi-ids=model", H100)
    run_module(host, "mig_instances", {"instances": {"3g.40gb": 1}}).ok()
    (instance,) = facts(host)["gpus"][0]["instances"]
    own_files.driver(host)
    table = Path(f"{host.state}.proc/driver/nvidia-caps/mig-minors").read_text(encoding="utf-8")
    minor = dict(line.split() for line in table.splitlines())[f"gpu0/gi{instance['id']}/access"]
    gpu, capability = own_files.device("nvidia0"), own_files.device(f"nvidia-caps/nvidia-cap{minor}")
    # Of two that watch one has the capability open, and is named; with the GPU's file alone it is all that have that.
    monitor = host.hold(0, files=[capability, gpu], gpu_instance=instance["id"])
    other = host.hold(0, files=[gpu])
    before = host.show()
    wanted = {"instances": {"1g.10gb": 7}}
    refused = run_module(host, "mig_instances", wanted, through=own_files.through).failed()
    assert (refused["nvml_code"], refused["failed_step"]["action"]) == ("IN_USE", "destroy_gpu_instance")
    assert [one["pid"] for one in refused["blockers"]] == [monitor.pid]
    assert refused["left"] == []
    assert layout_of(host.show()["gpus"][0]) == layout_of(before["gpus"][0])
    monitor.kill()
    monitor.wait()
    monitor = host.hold(0, files=[gpu], gpu_instance=instance["id"])
    refused = run_module(host, "mig_instances", wanted, through=own_files.through).failed()
    assert sorted(one["pid"] for one in refused["blockers"]) == sorted([monitor.pid, other.pid])
    host.close()
    run_module(host, "mig_instances", wanted, through=own_files.through).ok()


def test_a_process_list_that_cannot_be_read_names_who_has_the_device_file_open(simulated_host, own_files):
    host = simulated_host(A100)
    holder = host.job(0, files=[own_files.device("nvidia0")])
    host.simulator("fault", "nvmlDeviceGetComputeRunningProcesses_v3", "--times", "0", "--return", "UNKNOWN")
    refused = run_module(host, "mig_mode", {"state": "enabled"}, check=True, through=own_files.through).failed()
    assert [free["because"] for free in refused["must_be_free"]] == ["unreadable"]
    assert [blocker["pid"] for blocker in refused["blockers"]] == [holder.pid]
    assert "by the open device file" in refused["msg"]


def test_what_the_kubelet_has_given_to_a_pod_is_held(seven, own_files):
    given = sorted(devices(seven))[2]
    own_files.give(UID, "ml", "train-0", given)
    before = seven.show()

    def run(module, params, **options):
        return run_module(seven, module, params, through=own_files.through, **options)

    whole = {"instances": {"7g.40gb": 1}}
    refused = run("mig_instances", whole).failed()
    assert "held by pod ml/train-0, to which the kubelet has given it" in refused["msg"]
    ((blocker,), (free,)) = refused["blockers"], refused["must_be_free"]
    assert (blocker["pid"], blocker["pod"], blocker["uuid"]) == (None, POD, given)
    assert (free["uuid"], free["because"], free["allocated_to"]) == (given, "allocated", [POD])
    assert run("mig_instances", whole, check=True).failed()["must_be_free"] == [free]
    assert run("mig_mode", {"state": "disabled"}).failed()["must_be_free"] == [free]
    rehearsed = run("mig_instances", {**whole, "rehearse": True}).ok()
    assert rehearsed["must_be_free"] == [free]
    assert rehearsed["plan"]
    assert run("mig_check", {"layout": [whole]}).ok()["must_be_free"] == [free]
    assert seven.show() == before

    # All others may go, and when the pod is gone that one too.
    assert given in run("mig_instances", {"instances": {"1g.5gb": 1}}).ok()["kept"]
    own_files.delete_pod(UID)
    assert given in run("mig_instances", {"instances": {}}).ok()["disrupted"]


def test_the_kubelets_allocations_are_facts(seven, own_files):
    given = sorted(devices(seven))[2]
    own_files.give(UID, "ml", "train-0", given)
    read = facts(seven, through=own_files.through)
    assert read["incomplete"] == []
    pods = {
        device["uuid"]: device["allocated_to"]
        for instance in read["gpus"][0]["instances"]
        for device in instance["compute_instances"]
    }
    assert {uuid: found for uuid, found in pods.items() if found} == {given: [POD]}


def test_allocations_that_cannot_be_read_are_told(seven, own_files):
    own_files.give(UID, "ml", "train-0")
    checkpoint = own_files.directory / "lib/kubelet/device-plugins/kubelet_internal_checkpoint"
    checkpoint.write_text("{", encoding="utf-8")
    assert facts(seven, through=own_files.through)["incomplete"] == ["allocations"]
    change = run_module(seven, "mig_instances", {"instances": {}}, through=own_files.through).ok()
    assert "does not run yet would not be seen: kubelet_internal_checkpoint is not" in str(change["warnings"])


def test_a_whole_gpu_that_a_pod_has_keeps_its_mode(simulated_host, own_files):
    host = simulated_host(f"{H100}:2")
    first, second = host.show()["gpus"]
    own_files.give(UID, "ml", "train-0", first["uuid"])
    refused = run_module(host, "mig_mode", {"state": "enabled"}, through=own_files.through).failed()
    assert "the whole GPU must be free, but is held by pod ml/train-0" in refused["msg"]
    assert [gpu["mig_mode"] for gpu in host.show()["gpus"]] == [False, False]
    result = run_module(host, "mig_mode", {"state": "enabled", "gpus": [1]}, through=own_files.through).ok()
    assert [gpu["uuid"] for gpu in result["gpus"]] == [second["uuid"]]
