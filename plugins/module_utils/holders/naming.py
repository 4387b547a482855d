# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who holds a GPU or MIG device: processes with their systemd unit, container, Kubernetes pod and Slurm job.

All of this costs reading, so this module is imported where there is somebody to name and not before.
"""

from __future__ import annotations

import os
from functools import lru_cache

from ..host.device_files import capability_files, gpu_file
from ..host.processes import describe
from ..kubernetes.kubelet import pod_names
from ..model import Pod, processes_of, with_devices
from ..slurm.jobs import with_slurm
from .cgroups import mount_points, origin_of
from .open_files import openers


def with_origins(snapshot):
    """The Snapshot with what can be known of its processes."""
    told = Told()

    def of_device(device):
        return device._replace(processes=device.processes and tuple(map(told, device.processes)))

    gpus = [
        with_devices(gpu, of_device)._replace(processes=gpu.processes and tuple(map(told, gpu.processes)))
        for gpu in snapshot.gpus
    ]
    return snapshot._replace(gpus=tuple(gpus))


def with_handles(snapshot):
    """The Snapshot with those processes that have a GPU's device file open and that NVML does not list.

    For that it looks at all processes of the host; ``incomplete`` says ``handles`` where it could not look at some, or
    not for a GPU whose device file nobody knows, which has no minor number.
    """
    told = Told()
    files = {gpu.uuid: gpu_file(gpu.minor) for gpu in snapshot.gpus if gpu.minor is not None}
    found, unseen = openers(files.values())
    gpus = []
    for gpu in snapshot.gpus:
        if gpu.uuid not in files:
            gpus.append(gpu)
            continue
        listed = {process.pid for process in processes_of(gpu)}
        pids = [pid for pid in found[files[gpu.uuid]] if pid not in listed]
        gpus.append(gpu._replace(handles=tuple(told(describe(pid)) for pid in pids)))
    unknown = unseen or len(files) < len(gpus)
    incomplete = (*snapshot.incomplete, "handles") if unknown else snapshot.incomplete
    return snapshot._replace(gpus=tuple(gpus), incomplete=incomplete)


def named(change, run_command):
    """The Change whose refusals and failures tell all that can be known of who is in the way.

    Where NVML names nobody, they name those that have the device file open. ``run_command`` is AnsibleModule's; it is
    used where Slurm is installed.
    """
    refusals = [refusal for refusal in change.refusals if refusal.kind == "busy"]
    failures = [outcome.failure for outcome in change.outcomes if outcome.failure]
    # A change of the MIG mode may give a GPU another minor number: its files are those of the last reading.
    latest = {outcome.after.uuid: outcome.after for outcome in change.outcomes if outcome.after}
    blockers = [
        blocker._replace(gpu=latest.get(blocker.gpu.uuid, blocker.gpu))
        for one in refusals + failures
        for blocker in one.blockers
    ]
    if not blockers:
        return change
    found, unseen = openers({path for blocker in blockers for files in _files(blocker) for path in files})
    told = Told()

    def with_processes(blocker):
        files = _files(blocker)
        pids = next(filter(None, ({pid for path in paths for pid in found[path]} for paths in files)), ())
        processes = blocker.processes or tuple(map(describe, sorted(pids)))
        return blocker._replace(processes=tuple(map(told, processes)), unseen=unseen if files else 0)

    known = iter(with_slurm([with_processes(blocker) for blocker in blockers], run_command))

    def renamed(one):
        return tuple(next(known) for _blocker in one.blockers)

    from ..plan.refusals import busy

    reworded = {id(refusal): busy(refusal.gpu, refusal.plan, renamed(refusal), refusal.nearest) for refusal in refusals}
    return change._replace(
        decisions=tuple(reworded.get(id(decision), decision) for decision in change.decisions),
        outcomes=tuple(
            outcome._replace(failure=outcome.failure._replace(blockers=renamed(outcome.failure)))
            if outcome.failure
            else outcome
            for outcome in change.outcomes
        ),
    )


def _files(blocker):
    """The device files to look at for a blocker of whom NVML names nobody: sets of paths, the likeliest first.

    Who subscribes to a GPU instance has its capability open. Where nobody has, and the driver says all the same that it
    is in use, it may be any client of the GPU.

    Rule: who has a device file open
    """
    gpu = blocker.gpu
    if blocker.processes or blocker.because not in ("in_use", "unreadable") or gpu.minor is None:
        return []
    whole = {gpu_file(gpu.minor)}
    if blocker.placement is None:
        return [whole]
    ids = [instance.id for instance in gpu.instances or () if instance.placement == blocker.placement]
    if not ids:
        return []
    device = blocker.device and blocker.device.id
    inside = {path for identity in ids for path in capability_files(gpu.minor, identity, device)}
    return [inside, whole] if blocker.because == "in_use" else [inside]


class Told:
    """A function of a Process that returns it with what its cgroup tells."""

    def __init__(self):
        self._pods = None
        self._owner = lru_cache(None)(self._owner_of)  # processes share most of their directories
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
                self._mounts = mount_points(file.read())
        except OSError:
            self._mounts = {}

    def __call__(self, process):
        try:
            with open(f"/proc/{process.pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
                origin = origin_of(file.read(), self._owner)
        except OSError:
            return process  # it ended, or /proc hides it
        claimed = origin.claimed
        return process._replace(
            unit=origin.unit,
            user_unit=origin.user_unit,
            container=origin.container,
            pod=origin.pod_uid and self._pod(origin.pod_uid),
            slurm_job=origin.slurm_job,
            claimed=claimed and claimed._replace(pod=claimed.pod and self._pod(claimed.pod.uid)),
        )

    def _pod(self, uid):
        if self._pods is None:
            self._pods = pod_names()
        return self._pods.get(uid, Pod(uid))

    def _owner_of(self, controllers, path):
        mount = self._mounts.get(controllers.split(",")[0])
        return mount and owner(mount + path)


def owner(directory):
    """The uid of who may put processes and directories into a cgroup's directory; None where several may, or none can.

    Besides the directory that takes its lists of processes, which may be delegated alone, see cgroups(7).
    """
    owners = set()
    for name in (".", "cgroup.procs", "cgroup.threads", "tasks"):
        try:
            status = os.stat(os.path.join(directory, name))
        except OSError:
            if name == ".":
                return None
            continue  # not in this version of cgroups
        if status.st_mode & 0o022:
            return None
        owners.add(status.st_uid)
    owners.discard(0)  # root may in any case
    return (owners or {0}).pop() if len(owners) < 2 else None
