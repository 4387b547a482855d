# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a layout calls the compute instance profiles of a GPU instance, and which ones it has before it exists. Pure.

A layout says of a compute instance only whether it spans its GPU instance (``3g.20gb``) or how many compute slices it
takes (``1c.3g.20gb``). A driver's own names say less: the whole of a ``1g.10gb+me`` is a ``1g.10gb`` to it, and two
profiles may share a name. So names are made here, and what tells profiles apart is their id.
"""

from __future__ import annotations

from typing import NamedTuple

from .model import ComputeProfile, Placement

# NVML_COMPUTE_INSTANCE_PROFILE_<N>_SLICE of nvml.h, and the one that is the whole of a double-memory 1g
# (NVML_COMPUTE_INSTANCE_PROFILE_1_SLICE_REV1).
IDS = {1: 0, 2: 1, 3: 2, 4: 3, 7: 4, 8: 5, 6: 6}
WHOLE_DOUBLE_MEMORY = 7
SMALLER = {2: (1,), 3: (1, 2), 4: (1, 2), 7: (1, 2, 3, 4)}
EIGHTHS = {1: 1, 2: 2, 3: 4, 4: 4, 7: 8}


def part(name):
    """How many compute slices a compute instance's name says, None where it spans its GPU instance."""
    slices = name.rpartition("c.")[0]
    return int(slices) if slices.isdigit() else None


def outer(name):
    """The GPU instance profile in a compute instance's name: 3g.20gb of 1c.3g.20gb."""
    return name if part(name) is None else name.rpartition("c.")[2]


def inner(slices, gpu_instance):
    """What a layout calls a compute instance with so many compute slices, None for all of its GPU instance's."""
    return gpu_instance if slices is None else f"{slices}c.{gpu_instance}"


def distinct(profiles):
    """GPU instance profiles such that each name stands for one: those that share a name are called by their ids.

    One that is listed twice, under two of NVML's indexes, is one.
    """
    found = {}
    for profile in profiles:
        found.setdefault(profile.id, profile)
    names = [profile.name for profile in found.values()]
    return tuple(
        profile._replace(name=str(profile.id), told=profile.name) if names.count(profile.name) > 1 else profile
        for profile in found.values()
    )


def with_names(layout, profiles):
    """The GpuLayout in which profiles that are asked for by id have the names that these Profiles have."""
    return renamed(layout, {str(profile.id): profile.name for profile in profiles})


def renamed(layout, names):
    """The GpuLayout in which GPU instance profiles, and the compute instances in them, have other ``names``."""
    if layout.counts is not None:
        counts = {}
        for name, count in layout.counts:
            name = _with_name(name, names)
            counts[name] = counts.get(name, 0) + count
        return layout._replace(counts=tuple(sorted(counts.items())))
    instances = tuple(with_name(want, names) for want in layout.instances or ())
    return layout._replace(instances=instances) if layout.instances is not None else layout


def with_name(instance, names):
    """A GPU instance, wanted, placed or there, and the compute instances in it, under its profile's other name."""
    if instance.profile not in names:
        return instance
    name = names[instance.profile]
    inside = (one._replace(profile=inner(part(one.profile), name)) for one in instance.compute_instances)
    return instance._replace(profile=name, compute_instances=tuple(inside))


def _with_name(name, names):
    return inner(part(name), names[outer(name)]) if outer(name) in names else name


def named(profile, found):
    """Compute instance profiles as a layout calls them.

    ``profile`` is that of the GPU instance, ``found`` are ComputeProfiles with any names. The one that spans has all
    compute slices of the GPU instance and, of several such, the largest placement.

    Rule: names of compute instances
    """
    most = profile.slices or max((one.slices for one in found), default=0)  # none of a profile that is not told of
    whole = [one for one in found if one.slices == most]
    spanning = max(whole, key=lambda one: (_size(one), -one.id), default=None)
    return tuple(
        one._replace(name=profile.name if one is spanning else f"{one.slices}c.{profile.name}") for one in found
    )


def by_name(compute_profiles):
    """The profile that a layout means by each name: {name: ComputeProfile}; of several the one that takes least.

    Rule: names of compute instances
    """
    found = {}
    for one in sorted(compute_profiles, key=lambda one: (_size(one), one.id), reverse=True):
        found[one.name] = one
    return {one.name: found[one.name] for one in compute_profiles}


def of_attributes(profiles, slices, memory_mib, engines, told):
    """The Profiles that the GPU instance of a MIG device may have, for whom may not list GPU instances.

    ``slices``, ``memory_mib`` and ``engines`` are what nvmlDeviceGetAttributes_v2 says of the MIG device; its memory
    may differ from its profile's. ``told`` is the driver's name for it, which may lack an attribute such as ``+me`` but
    has none that the profile lacks.

    Rule: profile by attributes
    """
    alike = [one for one in profiles if one.slices == slices and _about(one.memory_mib, memory_mib)]
    same = [one for one in alike if one.engines[1:] == engines[1:]] or alike
    exact = [one for one in same if one.name == told and not told.endswith("gb")]
    return tuple(exact or same)


def _about(one, other):
    return 4 * abs(one - other) <= max(one, other)  # another profile of the same slices has twice as much, or half


def _size(compute_profile):
    return max((place.size for place in compute_profile.placements), default=compute_profile.slices)


def how_many(compute_profile, slices):
    """How many of a compute instance profile fit into a GPU instance with so many compute slices.

    Rule: compute instances together
    """
    bounds = [len(compute_profile.placements), slices // (compute_profile.slices or 1)]
    return min(bounds if compute_profile.max is None else [*bounds, compute_profile.max])


def counts_in_eighths(profiles):
    """Whether a GPU with these Profiles places compute instances in eighths of a GPU instance, not in slices.

    So do those whose 1g with double memory has more multiprocessors than their 1g (Hopper, B200): seen on H100.

    Rule: forecast of compute instances
    """
    ones = sorted((one.memory_mib, one.multiprocessors) for one in profiles if one.slices == 1)
    return bool(ones) and any(2 * memory > 3 * ones[0][0] and count > ones[0][1] for memory, count in ones)


def forecast(profile, eighths=False):
    """Compute instance profiles of a GPU instance that does not exist yet, which no driver can be asked about.

    Takes a Profile and returns a tuple of ComputeProfile, smallest first, the spanning one last. It is a guess by what
    was seen and by what NVIDIA's open kernel modules do (kernel_mig_manager.c); once the GPU instance is there, it is
    asked, and only what the layout asked for is promised.

    Rule: forecast of compute instances
    """
    width = max((place.size for place in profile.placements), default=profile.slices) if eighths else profile.slices
    found = []
    for slices in SMALLER.get(profile.slices, ()):
        size = EIGHTHS[slices] if eighths else slices
        starts = range(0, width - size + 1, size if eighths else 1)
        places = tuple(Placement(start, size) for start in starts)
        name = f"{slices}c.{profile.name}"
        found.append(ComputeProfile(name, IDS[slices], slices, places, profile.slices // slices))
    double = eighths and profile.slices == 1 and width > 1
    identity = WHOLE_DOUBLE_MEMORY if double else IDS.get(profile.slices, 0)
    spanning = ComputeProfile(profile.name, identity, profile.slices, (Placement(0, width),), 1)
    return (*found, spanning)


class ProfileName(NamedTuple):
    """A profile name taken apart: ``1c.3g.20gb`` takes 1 of 3 compute slices; ``3c.3g.20gb`` is named ``3g.20gb``."""

    name: str
    gpu_instance: str
    compute: int
    slices: int
