# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which service of a host gets which MIG device. Pure."""

from __future__ import annotations

from typing import Dict, FrozenSet, NamedTuple, Optional

from ..errors import MigError
from ..layout.kept_profiles import attributes_of
from ..model import Gpu
from ..profiles import inner, outer, part
from .matching import match

# "The maximum number of clients (48) is lowered proportionally to the Compute Instance size" (MIG User Guide,
# deployment considerations); a whole GPU has 60 since CUDA 13.1 (MPS documentation, client-server connection limits).
MPS_CLIENTS, MPS_CLIENTS_SINCE_13_1 = 48, 60


class AssignmentError(MigError):
    """Not every service can have a MIG device; the message names services, wishes and what there is."""


class MigDevice(NamedTuple):
    """A compute instance with what a wish may ask of it.

    ``start`` and ``compute_start`` are where its GPU instance and it itself begin. ``memory_mib`` is what the driver
    tells of it, of one still to come that of its GPU instance's profile. ``profile_id`` is the GPU instance's;
    ``shared`` says that others compute in that, too. ``uuid`` and the ids are None for one still to come.
    """

    gpu: Gpu
    profile: str
    start: int
    compute_start: int
    memory_mib: int
    shared: bool
    gpu_instance_id: Optional[int] = None
    compute_instance_id: Optional[int] = None
    uuid: Optional[str] = None
    profile_id: Optional[int] = None


class Wish(NamedTuple):
    """What one service wants; what is None is not asked for. ``gpus`` are indexes.

    ``today`` is what GPUs call the profile that had that name, {index: name}, None where nobody has asked.
    """

    service: str
    profile: Optional[str] = None
    memory_mib: Optional[int] = None
    placement: Optional[int] = None
    gpus: Optional[FrozenSet[int]] = None
    today: Optional[Dict[int, str]] = None

    def fits(self, device):
        """True where this MigDevice is what the service wants."""
        return (
            (self.profile in (None, device.profile, _by_id(device)) or self._called(device.gpu) == device.profile)
            and self.placement in (None, device.start)
            and (self.gpus is None or device.gpu.index in self.gpus)
            # What several compute instances share is promised to none of them.
            and (self.memory_mib is None or (not device.shared and device.memory_mib >= self.memory_mib))
        )

    def _called(self, gpu):
        return (self.today or {}).get(gpu.index)

    def __str__(self):
        asked = [self.profile or "a MIG device"]
        if self.memory_mib is not None:
            asked.append(f"with at least {self.memory_mib} MiB of its own")
        if self.placement is not None:
            asked.append(f"at slice {self.placement}")
        if self.gpus is not None:
            asked.append("on GPU " + " or ".join(map(str, sorted(self.gpus))))
        return " ".join(asked)


def _by_id(device):
    """A MigDevice's profile with the id of its GPU instance's profile for the name: 19, 1c.9; None where not known."""
    profile = _profile(device)
    identity = profile.id if profile else device.profile_id
    return None if identity is None else inner(part(device.profile), str(identity))


def _profile(device):
    """The Profile of a MigDevice's GPU instance, by its id where that is known; None of one that is not listed."""
    listed = (one for one in device.gpu.profiles if device.profile_id in (None, one.id))
    return next((one for one in listed if device.profile_id is not None or one.name == outer(device.profile)), None)


class Kept(NamedTuple):
    """What a MIG device is besides its UUID, which another size can have once this one is gone: its GPU's UUID, the id,
    slices and attributes of its GPU instance's profile, how many compute slices it is (None: all), and its places.
    """

    gpu: str
    profile_id: Optional[int]
    slices: Optional[int]
    attributes: str
    compute_slices: Optional[int]
    placement: int
    compute_placement: int

    def is_same(self, other):
        """True where these are one device, whatever their profile is called.

        Rule: one MIG device
        """
        return self._replace(slices=None, attributes="") == other._replace(slices=None, attributes="")


def kept(device):
    """The Kept of a MigDevice."""
    profile = _profile(device)
    told = (profile.id, profile.slices, attributes_of(profile)) if profile else (device.profile_id, None, "")
    return Kept(device.gpu.uuid, *told, part(device.profile), device.start, device.compute_start)


def still_there(devices, recorded):
    """{service: UUID} of those that are still what they were. ``recorded`` is {service: (UUID, Kept)}; without a Kept,
    as release 0.1.0 wrote it, the UUID alone tells.
    """
    there = {device.uuid: kept(device) for device in devices if device.uuid}
    return {
        name: uuid
        for name, (uuid, what) in recorded.items()
        if uuid in there and (what is None or what.is_same(there[uuid]))
    }


def owners_of(gpus, recorded):
    """{UUID: service} of the MIG devices that are still what ``recorded`` says, as still_there has it. Where the places
    on a GPU are not known, the UUID alone tells.
    """
    told = [
        gpu for gpu in gpus if all(device.placement for one in gpu.instances or () for device in one.compute_instances)
    ]
    devices = devices_of(told)
    there, known = still_there(devices, recorded), {device.uuid for device in devices}
    return {uuid: name for name, (uuid, _what) in recorded.items() if there.get(name) == uuid or uuid not in known}


def devices_of(gpus):
    """The MigDevices that are there, by GPU and placement."""
    return _in_order(
        MigDevice(
            gpu,
            inside.profile,
            instance.placement.start,
            inside.placement.start,
            _memory(gpu, instance.profile) if inside.memory_mib is None else inside.memory_mib,
            len(instance.compute_instances) > 1,
            instance.id,
            inside.id,
            inside.uuid,
            instance.profile_id,
        )
        for gpu in gpus
        for instance in gpu.instances or ()
        for inside in instance.compute_instances
    )


def devices_to_come(gpus, target):
    """The MigDevices that there are once ``target`` is reached, complete layout entries that name GPUs by UUID.

    A device that such an entry names and that is there already keeps its UUID; GPUs without an entry stay as they are.
    """
    by_uuid = {gpu.uuid: gpu for gpu in gpus}
    entries = {uuid: entry for entry in target for uuid in entry["gpus"] if uuid in by_uuid}
    there = devices_of(gpus)
    known = {_place(device): device for device in there}
    devices = [device for device in there if device.gpu.uuid not in entries]
    for uuid, entry in entries.items():
        for instance in entry.get("instances", ()) if entry["mig_enabled"] else ():
            inside = instance["compute_instances"]
            for one in inside:
                name = _name_of(by_uuid[uuid], instance["profile"])
                device = MigDevice(
                    by_uuid[uuid],
                    inner(part(one["profile"]), name),
                    instance["placement"],
                    one["placement"],
                    _memory(by_uuid[uuid], name),
                    len(inside) > 1,
                )
                stays = known.get(_place(device), device)
                devices.append(stays._replace(shared=device.shared))
    return _in_order(devices)


def _name_of(gpu, profile):
    """A GPU instance's profile by its name, which a layout may call by its id."""
    return next((one.name for one in gpu.profiles if str(one.id) == profile), profile)


def _in_order(devices):
    return sorted(devices, key=lambda device: (device.gpu.index, device.start, device.compute_start))


def _place(device):
    return device.gpu.uuid, device.profile, device.start, device.compute_start


def _memory(gpu, profile):
    """Of a profile that the device does not list nobody knows more than that it has some."""
    return next((known.memory_mib for known in gpu.profiles if known.name == profile), 0)


def assign(wishes, devices, current, spread=False):
    """Give each Wish a MigDevice of its own: a list in the order of the wishes.

    ``current`` is {service: UUID} of the last assignment. Of all the ways it is the one in which most services keep
    what they have; then that which gives away the least memory; then the one with the services on the first GPUs or, to
    ``spread``, as evenly on all GPUs as can be; then the first by the order of services and devices.
    Raises AssignmentError only where there is no way at all.
    """
    # One number for each choice, in which whatever matters more outweighs all that matters less.
    ranks = {index: rank for rank, index in enumerate(sorted({device.gpu.index for device in devices}))}
    order = (len(devices) + 1) ** len(wishes)
    balance = order * (len(wishes) * (len(wishes) + len(ranks)) + 1)
    memory = balance * (sum(device.memory_mib for device in devices) + 1)
    costs = [
        {
            number: number * (len(devices) + 1) ** (len(wishes) - 1 - place)
            + (0 if spread else ranks[device.gpu.index] * order)
            + device.memory_mib * balance
            + (0 if device.uuid and device.uuid == current.get(wish.service) else memory)
            for number, device in enumerate(devices)
            if wish.fits(device)
        }
        for place, wish in enumerate(wishes)
    ]
    crowding = [number * order if spread else 0 for number in range(len(devices))]
    chosen, short = match(costs, [ranks[device.gpu.index] for device in devices], crowding)
    if chosen is None:
        fitting = {number for place in short for number in costs[place]}
        raise AssignmentError(_refusal([wishes[place] for place in short], len(fitting), devices))
    return [devices[number] for number in chosen]


def _refusal(wishes, fitting, devices):
    wanted = "; ".join(f"{wish.service} wants {wish}" for wish in wishes)
    if not fitting:
        return f"{wanted}, which is not there. {_what_there_is(devices)}{_shared_names(wishes, devices)}"
    one = "only one MIG device fits" if fitting == 1 else f"only {fitting} MIG devices fit"
    return f"{wanted}. For all of them {one}. {_what_there_is(devices)}"


def _shared_names(wishes, devices):
    """That names which services want stand for several profiles of a GPU, with their ids; "" where none does."""
    words = ""
    for name in dict.fromkeys(outer(wish.profile) for wish in wishes if wish.profile):
        for gpu in dict.fromkeys(device.gpu.index for device in devices):
            profiles = next(device.gpu.profiles for device in devices if device.gpu.index == gpu)
            ids = [str(profile.id) for profile in profiles if profile.told == name]
            if ids:
                words += (
                    f" GPU {gpu} has {len(ids)} profiles that its driver calls {name}, with the ids"
                    f" {' and '.join(ids)}: write the id as the profile, such as profile: {ids[0]}."
                )
    return words


def _what_there_is(devices):
    if not devices:
        return "There is no MIG device."
    counts = {}
    for device in devices:
        of_gpu = counts.setdefault(device.gpu.index, {})
        of_gpu[device.profile] = of_gpu.get(device.profile, 0) + 1
    listed = (
        f"on GPU {index} {', '.join(f'{count} x {profile}' for profile, count in sorted(of_gpu.items()))}"
        for index, of_gpu in sorted(counts.items())
    )
    return f"There is {'; '.join(listed)}."


def mps_clients(device, cuda_version):
    """How many CUDA contexts an MPS server serves in that MigDevice at the same time.

    Rule: MPS clients
    """
    profile = _profile(device)
    slices = part(device.profile) or (profile and profile.slices)
    if not (slices and device.gpu.compute_slices):
        return None
    version = tuple(int(part) for part in (cuda_version or "0").split("."))
    whole = MPS_CLIENTS_SINCE_13_1 if version >= (13, 1) else MPS_CLIENTS
    return whole * slices // device.gpu.compute_slices
