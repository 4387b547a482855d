# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of gres: what slurmd of a release calls a device by NVML, what jobs are to call it, and whether slurmd can
give it that type. Pure.

The rules are those of Slurm's plugins gpu/nvml (src/plugins/gpu/nvml/gpu_nvml.c, _handle_mig) and gres/gpu
(src/plugins/gres/gpu/gres_gpu.c, _normalize_sys_gres_types), from release 21.08 on.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping

from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.configuration import TYPE

from ..host_gpus import PROFILE
from ..host_words import shown

# Since this release the plugin takes the profile from a MIG device's name; before, it makes one of slices and memory.
NAMES_SINCE = (23, 2, 6)
# Before this one a name had to fit into NVML_DEVICE_NAME_BUFFER_SIZE, with its NUL, or it was made of numbers as well.
LONG_NAMES_SINCE = (26, 5)
NAME_BUFFER = 64
UNKNOWN, NEWEST = (0,), (9999,)
NUMBERS = re.compile(r"(?:([0-9]+)c\.)?([0-9]+)g\.")
REST = "*"  # of a product's profiles
MEDIA = "+me"


def release_of(text):
    """A release such as ``22.05`` or ``23.02.6`` as a tuple to compare; (0,) where it is none."""
    return tuple(map(int, re.findall("[0-9]{1,4}", str(text)[:32])[:3])) or UNKNOWN


def driver_name(profile):
    """What the driver will call the MIG device that spans a GPU instance of ``profile``, which slurmd goes by.

    A compute instance profile has no ``+me`` (seen on A100 and H100); of other attributes nobody has seen it. Where the
    device is there, its name is asked for.

    Rule: driver's names of MIG devices to come
    """
    return profile.removesuffix(MEDIA)


def detected_type(release, product, profile=None, memory_mib=None):
    """What slurmd of a release calls a GPU of this product, or its MIG device by the name of that; None: not known.

    ``profile`` is what the driver's name of the MIG device ends in, ``memory_mib`` what its attributes say (None where
    nobody has told). A ``release`` that is not known (empty, or 0) counts as the newest.

    Rule: Slurm's types
    """
    gpu = product.lower().replace(" ", "_")
    if profile is None:
        return gpu
    number = release_of(release)
    name = _profile(NEWEST if number == UNKNOWN else number, product, profile, memory_mib)
    return name and f"{_before_profile(product)}_{name}"


def _before_profile(product):
    return product.lower().replace(" ", "_").partition("-")[0]


def _profile(release, product, profile, memory_mib):
    fits = release >= LONG_NAMES_SINCE or len(f"{product} MIG {profile}") < NAME_BUFFER
    if release >= NAMES_SINCE and fits:
        return profile
    numbers = NUMBERS.match(profile)
    if not numbers:
        return None
    compute, slices = numbers.groups()
    if memory_mib is None:
        # That a part of a GPU instance is called as the whole is certain all the same.
        return profile.rpartition("c.")[2] if compute and release < NAMES_SINCE else None
    if release >= NAMES_SINCE:
        return f"{f'{compute}c.' if compute else ''}{slices}g.{-(-memory_mib // 1024)}gb"
    return f"{slices}g.{(2 * memory_mib + 1024) // 2048}gb"  # roundl(): half away from zero


def types_refusal(types):
    """Why these cannot be ``mig_slurm_types``: a sentence, or None."""
    for glob, names in types.items():
        for profile, name in names.items() if isinstance(names, Mapping) else [(None, names)]:
            if profile is not None and profile != REST and not PROFILE.fullmatch(str(profile)):
                return (
                    f"mig_slurm_types has {shown(profile)} for {glob}. Expected is a profile as the driver names it,"
                    f" such as 1g.10gb or 1c.3g.40gb, or {REST!r} for all others and for the GPU without MIG."
                )
            if name is None or isinstance(name, (Mapping, list)) or not TYPE.fullmatch(str(name)):
                return (
                    f"mig_slurm_types calls {glob if profile is None else f'{profile} of {glob}'} {shown(name)}. A type"
                    " has letters, digits and _.+- and nothing else, as jobs and Slurm's files name it."
                )
    return None


def type_of(types, product, detected, profiles=()):
    """(the type that jobs ask for, whether ``types`` give it) of a GPU or, with ``profiles``, of a MIG device.

    ``types`` are {glob of a product: its name}, or {glob: {profile: type, "*": its name}}. ``profiles`` are the names
    by which it may be meant, the closest first; the last is the driver's. ``detected`` is what slurmd calls it.
    """
    names = next((names for glob, names in types.items() if fnmatch.fnmatchcase(product, str(glob))), None)
    if isinstance(names, Mapping):
        meant = next((names[profile] for profile in profiles if profile in names), None)
        if meant is not None:
            return str(meant), True
        names = names.get(REST)
    if not profiles:
        return (detected, False) if names is None else (str(names), True)
    before = _before_profile(product) if names is None else str(names)
    return f"{before}_{_told_apart(product, detected, profiles[-1])}", names is not None


def _told_apart(product, detected, profile):
    """The profile as slurmd names it, where that does not make a whole GPU instance of a part of one."""
    name = detected and detected[len(_before_profile(product)) + 1 :]
    return name if name and ("c." in name) == ("c." in profile) else profile


def undetected(release, devices):
    """Why slurmd of this release could not give these devices their types by NVML: sentences, none where it could.

    ``devices`` are {what, type, named, detected} of all that a host has, GPUs and MIG devices. slurmd gives a device
    the longest type of the node's that is a part of its own and not used up, the longest device first.

    Rule: Slurm's types
    """
    slurm = "Slurm" if release_of(release) == UNKNOWN else f"Slurm {release}"
    groups = {}
    for device in devices:
        if device["detected"]:
            groups.setdefault(device["detected"], {}).setdefault(device["type"], []).append(device)
    foreign = [
        f"{slurm} calls {_those(there)} {name}, and {wanted}{' of mig_slurm_types' * there[0]['named']} is no part of"
        " that"
        for name, types in groups.items()
        for wanted, there in types.items()
        if wanted.lower() not in name.lower()
    ]
    alike = [
        f"{slurm} calls {' and '.join(map(_those, types.values()))} all {name}, so it cannot tell {', '.join(types)}"
        " apart"
        for name, types in groups.items()
        if len(types) > 1
    ]
    if foreign or alike:
        return foreign + alike
    given = _given(groups)
    return [
        f"{slurm} would give {_those(there)} the type {given[name]} instead of {wanted}, as both are parts of {name}"
        for name, types in groups.items()
        for wanted, there in types.items()
        if given[name] != wanted
    ]


def _those(devices):
    more = len(devices) - 1
    return devices[0]["what"] + (f" and {more} more" if more else "")


def _given(groups):
    """{detected: another type than its own that slurmd gives one of these, or its own}."""
    left = {}
    for types in groups.values():
        for wanted, there in types.items():
            left[wanted] = left.get(wanted, 0) + len(there)
    given = {}
    for name in sorted(groups, key=lambda name: (-len(name), name)):
        ((own, there),) = groups[name].items()
        for _device in there:
            fitting = [one for one, count in left.items() if count and one.lower() in name.lower()]
            one = min(fitting, key=lambda one: (-len(one), one), default=name)
            if one in left:
                left[one] -= 1
            given[name] = one if given.get(name, own) == own else given[name]
    return given
