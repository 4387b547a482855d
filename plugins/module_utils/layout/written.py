# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Layouts in the words of the layout option, and places and contents of GPUs in words. Pure."""

from __future__ import annotations

from ..model import LONGEST_PROFILE_NAME, PROFILE_NAME, in_place
from ..profiles import with_name


def wanted_data(gpu, placed):
    """A PlacedInstance of a Gpu in the words of the layout option, which has no other names than such of profiles: what
    a driver calls otherwise is called by its id.
    """
    if not _is_in_the_language(placed.profile):
        placed = with_name(placed, {placed.profile: str(gpu.profile_id(placed))})
    devices = sorted(placed.compute_instances, key=in_place)
    inside = [{"profile": device.profile, "placement": device.start} for device in devices]
    return {"profile": placed.profile, "placement": placed.start, "compute_instances": inside}


def _is_in_the_language(name):
    """Whether a layout can have this name of a GPU instance profile, also with that of a part in front."""
    return bool(PROFILE_NAME.fullmatch(name)) and len("1c." + name) <= LONGEST_PROFILE_NAME


def layout_entry(gpu, placed):
    """The one layout entry that says exactly what a GPU has, so that it can be applied again.

    ``placed`` are PlacedInstances, or None where MIG is off. The GPU is named by its UUID.
    """
    if placed is None:
        return {"gpus": [gpu.uuid], "mig_enabled": False}
    instances = [wanted_data(gpu, instance) for instance in sorted(placed)]
    return {"gpus": [gpu.uuid], "mig_enabled": True, "instances": instances}


def layout_of(gpu):
    """The layout entry of a Gpu as it was read, None where it has no MIG or where its placements are not known."""
    if not gpu.mig_capable:
        return None
    if not gpu.mig_mode:
        return layout_entry(gpu, None)
    devices = [device for instance in gpu.instances or () for device in instance.compute_instances]
    if gpu.problem or gpu.instances is None or any(device.placement is None for device in devices):
        return None
    return layout_entry(gpu, gpu.placed)


def place_in_words(one):
    """The profile of an instance, wanted or placed, and its start where that is told: ``1c.3g.20gb at 2``."""
    return one.profile if one.start is None else f"{one.profile} at {one.start}"


def contents_in_words(inside):
    """What a GPU instance holds; ``inside`` names its compute instances."""
    return f"holding {' + '.join(inside)}" if inside else "without compute instances"
