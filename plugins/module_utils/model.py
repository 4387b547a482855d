# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The values that all rooms share: what is there (Snapshot), what is wanted (GpuLayout), what to do (Step, Plan).

Everything here is immutable and knows neither NVML nor Ansible. Sizes of memory are MiB; starts and sizes of GPU
instance placements are memory slices of the GPU, those of compute instance placements are units of their GPU instance:
compute slices or, on Hopper and B200, eighths. NamedTuples, because typing is already loaded by every Ansible module
and dataclasses are not.
"""

from __future__ import annotations

import re
from typing import Dict, NamedTuple, Optional, Tuple

# [<C>c.]<G>g.<M>gb[+me|+gfx|+me.all|-me], the names of the MIG User Guide and of nvidia-smi mig -lgip / -lcip; other
# attributes may come.
PROFILE_NAME = re.compile(
    r"^(?:(?P<compute>[1-9][0-9]*)c\.)?(?P<gpu_instance>(?P<slices>[1-9][0-9]*)g\.(?P<memory>0|[1-9][0-9]*)gb"
    r"(?:[+-][a-z0-9]+(?:[.+-][a-z0-9]+)*)?)$"
)
LONGEST_PROFILE_NAME = 40  # in a layout; no real name is as long


class Placement(NamedTuple):
    """Where an instance sits: its first slice and how many it takes."""

    start: int
    size: int


class Engines(NamedTuple):
    """How many engines of each kind a profile has; GPU instances on one GPU compete for all but ``copy``."""

    copy: int = 0
    decoder: int = 0
    encoder: int = 0
    jpeg: int = 0
    ofa: int = 0


class Profile(NamedTuple):
    """A GPU instance profile as one GPU offers it; ``max`` is how many the GPU holds at the most.

    ``placements`` is empty where they were not asked for or the driver did not tell: without privilege, or with MIG
    off. A name stands for one profile: where the driver gives one name to several, ``told``, each is named by its id.
    """

    name: str
    id: int
    slices: int
    max: int
    memory_mib: int
    multiprocessors: int
    engines: Engines
    placements: Tuple[Placement, ...]
    told: Optional[str] = None


class ComputeProfile(NamedTuple):
    """A compute instance profile inside one GPU instance profile, told apart by its ``id``.

    ``name`` is what a layout calls it (profiles.py) and ``told`` what the driver does, ``max`` how many a GPU instance
    holds, None where not told. Placements are in units of the driver's, which need not be compute slices.
    """

    name: str
    id: int
    slices: int
    placements: Tuple[Placement, ...]
    max: Optional[int] = None
    told: Optional[str] = None


class Container(NamedTuple):
    """A container; ``runtime`` is docker, containerd, cri-o or podman, None where its cgroup does not tell."""

    id: str
    runtime: Optional[str] = None


class Pod(NamedTuple):
    """A Kubernetes pod; a cgroup tells its UID alone, the kubelet's socket the rest alone."""

    uid: Optional[str] = None
    namespace: Optional[str] = None
    name: Optional[str] = None


class SlurmJob(NamedTuple):
    """A step of a Slurm job: ``step`` is a number, batch, extern or interactive. ``name`` is the job's."""

    id: int
    step: Optional[str] = None
    name: Optional[str] = None


class Claimed(NamedTuple):
    """What a process says of itself by the names of its cgroups: its user's word, for people to read."""

    container: Optional[Container] = None
    pod: Optional[Pod] = None
    slurm_job: Optional[SlurmJob] = None


class Process(NamedTuple):
    """A process on a MIG device or a GPU; what is not known is None. ``started`` is UTC: 2026-01-31T03:00:00Z.

    holders/naming.py fills in what follows from ``unit`` on. ``unit`` and ``user_unit`` are systemd's, of the system's
    manager and of a user's. ``pid`` is None for a pod that has a device allocated and does not run yet. Whoever runs
    the process can write ``name``, ``user_unit`` and ``claimed``; nothing is decided by them.
    """

    pid: Optional[int]
    name: Optional[str] = None
    user: Optional[str] = None
    started: Optional[str] = None
    unit: Optional[str] = None
    user_unit: Optional[str] = None
    container: Optional[Container] = None
    pod: Optional[Pod] = None
    slurm_job: Optional[SlurmJob] = None
    claimed: Optional[Claimed] = None


class ComputeInstance(NamedTuple):
    """A compute instance with its MIG device. ``processes`` is None where the list could not be read, which counts
    as busy. ``allocated_to`` are the pods to which the kubelet has given it, as far as that was asked for.

    ``placement`` is None where the driver does not tell it, as on R450, under which nothing is changed. ``memory_mib``
    is that of the MIG device, None where the driver does not tell; it may differ from that of the GPU instance profile.
    ``told`` is what the driver calls the profile, which other programs see (1g.10gb of a 1g.10gb+me), None untold.
    """

    id: int
    profile: str
    placement: Optional[Placement]
    uuid: Optional[str] = None
    index: Optional[int] = None
    processes: Optional[Tuple[Process, ...]] = ()
    allocated_to: Tuple[Pod, ...] = ()
    memory_mib: Optional[int] = None
    told: Optional[str] = None

    @property
    def busy(self):
        """True where a process uses it or a pod has it, and where nobody can tell."""
        return self.processes is None or bool(self.processes or self.allocated_to)


class GpuInstance(NamedTuple):
    """A GPU instance; one without compute instances is an orphan: it holds memory slices and no MIG device.

    ``profile_id`` is what its own info says, None where only its name is known.
    """

    id: int
    profile: str
    placement: Placement
    compute_instances: Tuple[ComputeInstance, ...] = ()
    profile_id: Optional[int] = None


class Gpu(NamedTuple):
    """One GPU as it was read.

    ``mig_mode`` and ``mig_mode_pending`` are None on a GPU without MIG. ``instances`` is None where the caller may
    not list GPU instances; only then ``visible_instances`` has those that hold MIG devices, without placements.
    ``compute_profiles`` maps a GPU instance profile name to what the device offers inside it, known only for profiles
    of which an instance exists. ``processes`` are those of the whole GPU while MIG is off or no GPU instance is there,
    None where they could not be read; ``allocated_to`` are the pods that have the whole GPU, ``handles`` those
    processes that have its device file open and are in no process list, None where that was not asked for.
    ``reset_peers`` are the UUIDs of the other GPUs that a reset of this one takes along; () where it resets alone, and
    where that was not asked. ``remaining`` is {profile name: how many more the driver has room for}, None where it does
    not tell or was not asked. ``problem`` says in a sentence why the rest could not be read (the GPU is lost, say) and
    ``problem_code`` is NVML's return code for it; then everything that NVML had not told by then has its default.
    """

    index: int
    uuid: str = ""
    pci_address: str = ""
    product: str = ""
    pci_device_id: Optional[int] = None
    minor: Optional[int] = None
    memory_mib: Optional[int] = None
    mode_needs_reset: bool = False
    reset_peers: Tuple[str, ...] = ()
    mig_mode: Optional[bool] = None
    mig_mode_pending: Optional[bool] = None
    memory_slices: int = 0
    compute_slices: int = 0
    profiles: Tuple[Profile, ...] = ()
    compute_profiles: Dict[str, Tuple[ComputeProfile, ...]] = {}  # noqa: RUF012 - never changed, as all here
    instances: Optional[Tuple[GpuInstance, ...]] = ()
    visible_instances: Tuple[GpuInstance, ...] = ()
    processes: Optional[Tuple[Process, ...]] = ()
    allocated_to: Tuple[Pod, ...] = ()
    handles: Optional[Tuple[Process, ...]] = None
    remaining: Optional[Dict[str, int]] = None
    problem: Optional[str] = None
    problem_code: Optional[str] = None

    @property
    def mig_capable(self):
        """True where NVML knows a MIG mode for it."""
        return self.mig_mode is not None

    @property
    def placed(self):
        """Its instances as a sorted tuple of PlacedInstance: what a Plan's target is compared with."""
        return tuple(sorted(map(placed_of, self.instances or ())))

    def profile_id(self, one):
        """The id of the profile of a GpuInstance, or of what is placed or wanted on this Gpu, where a name stands for
        one profile; the name of one that is neither listed nor there. Another reading may have other names.
        """
        told = getattr(one, "profile_id", None)
        if told is not None:
            return told
        listed = ((profile.name, profile.id) for profile in self.profiles)
        there = ((instance.profile, instance.profile_id) for instance in self.instances or ())
        known = (identity for name, identity in (*listed, *there) if name == one.profile and identity is not None)
        return next(known, one.profile)

    @property
    def name(self):
        """How messages call it: index, product, UUID and PCI address."""
        known = ", ".join(fact for fact in (self.product, self.uuid, self.pci_address) if fact)
        return f"GPU {self.index} ({known})" if known else f"GPU {self.index}"


def placed_of(instance):
    """A GpuInstance as a PlacedInstance."""
    inside = (
        PlacedComputeInstance(*(device.placement or NO_PLACE), device.profile) for device in instance.compute_instances
    )
    return PlacedInstance(*instance.placement, instance.profile, tuple(sorted(inside, key=in_place)))


def with_devices(gpu, function):
    """The Gpu in which each ComputeInstance is what ``function`` makes of it."""

    def of(instances):
        return instances and tuple(
            instance._replace(compute_instances=tuple(map(function, instance.compute_instances)))
            for instance in instances
        )

    return gpu._replace(instances=of(gpu.instances), visible_instances=of(gpu.visible_instances))


def processes_of(gpu):
    """All Processes that NVML lists on a GPU and its MIG devices."""
    lists = [gpu.processes] + [
        device.processes
        for instance in (*(gpu.instances or ()), *gpu.visible_instances)
        for device in instance.compute_instances
    ]
    return [process for processes in lists for process in processes or ()]


class GpuState(NamedTuple):
    """What else about a GPU may stand in the way of a change; None where NVML does not tell.

    ``virtualization`` is one of none, pass-through, vgpu, host_vgpu and host_vsga. ``fabric`` is one of not_started,
    in_progress and completed: how far an NVSwitch machine's Fabric Manager is with the GPU (Hopper and later tell).
    """

    ecc: Optional[bool] = None
    ecc_pending: Optional[bool] = None
    persistence: Optional[bool] = None
    virtualization: Optional[str] = None
    fabric: Optional[str] = None


class Snapshot(NamedTuple):
    """All that was read of a host.

    ``incomplete`` names what NVML kept from the caller; ``reason`` says why there is no GPU; ``places_gpu_instances``
    whether the driver creates GPU instances at given placements (R460 and later), ``places_compute_instances`` whether
    compute instances (R525 and later). ``kept_profiles`` is what the host remembers of the names of profiles, {GPU UUID
    in lower case: KeptProfiles} (layout/kept_profiles.py).
    """

    gpus: Tuple[Gpu, ...] = ()
    driver_version: Optional[str] = None
    nvml_version: Optional[str] = None
    cuda_version: Optional[str] = None
    incomplete: Tuple[str, ...] = ()
    reason: Optional[str] = None
    places_gpu_instances: bool = True
    places_compute_instances: bool = True
    kept_profiles: Dict[str, Tuple] = {}  # noqa: RUF012 - never changed, as all here


class WantedComputeInstance(NamedTuple):
    """A compute instance that a layout names; ``start`` is None where any placement will do."""

    profile: str
    start: Optional[int] = None


class WantedInstance(NamedTuple):
    """A GPU instance that a layout names, with exactly these compute instances; ``profile`` may be an id in digits."""

    profile: str
    start: Optional[int] = None
    compute_instances: Tuple[WantedComputeInstance, ...] = ()


class GpuLayout(NamedTuple):
    """What one GPU should have: with MIG on either ``counts``, MIG devices by profile name, or ``instances``.

    ``kept`` is what its names meant where it was saved, KeptProfiles (layout/kept_profiles.py).
    """

    mig_enabled: bool = True
    counts: Optional[Tuple[Tuple[str, int], ...]] = None
    instances: Optional[Tuple[WantedInstance, ...]] = None
    kept: Tuple = ()


class PlacedComputeInstance(NamedTuple):
    """A compute instance as a plan leaves it, comparable with what was read; start and size are None where not told."""

    start: Optional[int]
    size: Optional[int]
    profile: str


NO_PLACE = (None, None)  # start and size of what the driver tells no placement of


def in_place(placed):
    """What PlacedComputeInstances are sorted by: those without a place come last."""
    return placed.start is None, placed


class PlacedInstance(NamedTuple):
    """A GPU instance as a plan leaves it, comparable with what was read."""

    start: int
    size: int
    profile: str
    compute_instances: Tuple[PlacedComputeInstance, ...] = ()


SET_MIG_MODE = "set_mig_mode"
RESET_GPU = "reset_gpu"
DESTROY_COMPUTE_INSTANCE = "destroy_compute_instance"
DESTROY_GPU_INSTANCE = "destroy_gpu_instance"
CREATE_GPU_INSTANCE = "create_gpu_instance"
CREATE_COMPUTE_INSTANCE = "create_compute_instance"


class Step(NamedTuple):
    """One NVML call (or one reset) on one GPU.

    ``profile`` and ``placement`` are those of the instance acted on, ``profile_id`` what NVML calls that profile;
    ``gpu_instance`` is the placement of the GPU instance around a compute instance, which tells it also before it
    exists. Ids and ``uuid`` are known for what exists already. ``peers`` are the Gpus that one reset takes along.
    ``forecast`` is true for a compute instance in a GPU instance that does not exist yet: then its id and placement are
    a guess, the GPU instance is asked once it is there, and promised is what the layout named: ``start``, or None.
    """

    action: str
    gpu: Gpu
    profile: Optional[str] = None
    profile_id: Optional[int] = None
    placement: Optional[Placement] = None
    gpu_instance: Optional[Placement] = None
    gpu_instance_id: Optional[int] = None
    compute_instance_id: Optional[int] = None
    uuid: Optional[str] = None
    mig_enabled: Optional[bool] = None
    peers: Tuple[Gpu, ...] = ()
    forecast: bool = False
    start: Optional[int] = None


class Plan(NamedTuple):
    """The ordered steps for one GPU and what they leave: ``mig_mode`` and ``wanted`` are what a verification must
    find.

    ``target`` is where all instances will be, as far as anybody can tell before; ``wanted`` has of it what was asked
    for: every GPU instance with its start, of a compute instance a start only where the layout names it. Both are None
    where instances are not this plan's concern. ``kept`` and ``disrupted`` are MIG device UUIDs.
    """

    gpu: Gpu
    steps: Tuple[Step, ...] = ()
    mig_mode: Optional[bool] = None
    target: Optional[Tuple[PlacedInstance, ...]] = None
    kept: Tuple[str, ...] = ()
    disrupted: Tuple[str, ...] = ()
    wanted: Optional[Tuple[WantedInstance, ...]] = None


class Blocker(NamedTuple):
    """A MIG device that stands in the way (with ``device`` None a GPU instance without any, with ``placement`` None
    too the whole GPU), and who holds it.

    ``because`` is one of busy, kept, allocated (to pods that run nothing in it yet: ``allocated_to``), unreadable and
    in_use (held by somebody whom NVML does not name: ``processes`` are those that have its device file open, and
    ``unseen`` says how many processes' open files were hidden from this user).
    """

    gpu: Gpu
    because: str
    device: Optional[ComputeInstance] = None
    profile: Optional[str] = None
    placement: Optional[Placement] = None
    processes: Tuple[Process, ...] = ()
    allocated_to: Tuple[Pod, ...] = ()
    unseen: int = 0


class Refusal(NamedTuple):
    """Why a layout cannot be reached on a GPU without harm.

    ``kind`` is one of no_such_profile, impossible, busy, unsupported, permission, unreadable, mig_mode and peers (it
    would be reset with GPUs that no layout names). For busy, ``blockers`` is the smallest set whose end lets the layout
    be reached and ``plan`` what would then follow.
    ``nearest`` is a layout that would fit, in the words of the layout option, where one was looked for.
    """

    gpu: Gpu
    kind: str
    message: str
    blockers: Tuple[Blocker, ...] = ()
    plan: Optional[Plan] = None
    nearest: Optional[object] = None
