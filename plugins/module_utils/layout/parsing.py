# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading single values of a layout: profiles, counts, starts, booleans, whole numbers, device ids. Pure."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from ..errors import LayoutError
from ..model import LONGEST_PROFILE_NAME, PROFILE_NAME
from ..profiles import ProfileName
from ..visible import shown

PROFILE_ID = re.compile(r"(?:(?P<compute>[1-9][0-9]?)c\.)?(?P<id>0|[1-9][0-9]{0,3})")
DEVICE_ID = re.compile(r"0x[0-9a-f]{1,8}|[0-9]{1,10}", re.IGNORECASE)
WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
TRUE = ("true", "yes", "on", "y", "t", "1")
FALSE = ("false", "no", "off", "n", "f", "0")


def as_text(value):
    """A string without blanks around it, or an int or bool as a string; "" for anything else."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and abs(value) < 1 << 40 else ""


def as_list(value):
    """The items of what Ansible takes as a list: a list, a string with commas, or one item alone."""
    if isinstance(value, (list, tuple)):
        return list(value)
    return value.split(",") if isinstance(value, str) else [value]


def parse_counts(counts, where, parse=None):
    """MIG devices by profile name; ``parse`` makes ProfileNames, parse_profile by default.

    :returns: a tuple of (profile name, count), sorted, without zeros
    :raises LayoutError: for what is not a profile name or not a count, and for one profile under two names
    """
    found = {}
    for name, count in counts.items():
        profile = (parse or parse_profile)(name, where).name
        if profile in found:
            raise LayoutError(f"{where}: {profile} is counted under two names; write one sum")
        found[profile] = parse_whole_number(count, f"{where}[{name!r}]", "a count, 0 or more")
    return tuple(sorted((profile, count) for profile, count in found.items() if count))


def profile_or_id(value, where):
    """parse_profile, and for an id, 19 or 1c.19, a ProfileName that knows of no slices.

    :raises LayoutError: as parse_profile
    """
    found = PROFILE_ID.fullmatch(as_text(value)) if isinstance(value, (int, str)) else None
    if not found or isinstance(value, bool):
        return parse_profile(value, where)
    return ProfileName(found.group(), found.group("id"), int(found.group("compute") or 0), 0)


def parse_profile(value, where):
    """A ProfileName.

    :raises LayoutError: where it is none, or takes more compute slices than there are

    Rule: names in a layout
    """
    # int() refuses numbers of thousands of digits in a way of its own.
    short = isinstance(value, str) and len(value) <= LONGEST_PROFILE_NAME
    found = PROFILE_NAME.fullmatch(value.strip()) if short else None
    if found is None:
        meant = _meant(value)
        raise LayoutError(
            f"{where}: expected a profile name such as 3g.20gb, 1c.3g.20gb or 1g.5gb+me, got {shown(value)};"
            + (f" did you mean {meant}?" if meant else " nvidia-smi mig -lgip lists those of a GPU")
        )
    slices = int(found.group("slices"))
    compute = int(found.group("compute") or slices)
    outer = found.group("gpu_instance")
    if compute > slices:
        raise LayoutError(f"{where}: {found.group()} asks for {compute} compute slices, and {outer} has {slices}")
    return ProfileName(outer if compute == slices else found.group(), outer, compute, slices)


def _meant(value):
    """The profile name that nvidia-smi -L (MIG 1g.5gb), Kubernetes (mig-1g.5gb.me) or a hasty hand means, or None."""
    text = re.sub(r"^(nvidia\.com/)?mig[- ]", "", as_text(value)[:40].lower())
    text = re.sub(r"(gb)\.(?=[a-z])", r"\1+", text)
    return text if PROFILE_NAME.fullmatch(text) else None


def parse_start(item, where):
    start = item.get("placement")
    return None if start is None else parse_whole_number(start, where + ".placement", "the first slice, such as 4")


def check_keys(mapping, known, where):
    """Refuse what is not a mapping, and keys that mean nothing there.

    :raises LayoutError: with the nearest known key
    """
    if not isinstance(mapping, dict):
        raise LayoutError(f"{where}: expected a mapping with {', '.join(known)}, got {shown(mapping)}")
    for key in mapping:
        if key not in known:
            from difflib import get_close_matches  # not loaded otherwise, and good input does without

            near = get_close_matches(as_text(key), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise LayoutError(f"{where}: unknown key {shown(key)}; {hint}")


def check_product(value, where):
    """Refuse a product that is no shell pattern.

    :raises LayoutError: for an empty one too
    """
    try:
        if isinstance(value, str) and value.strip():
            fnmatchcase("", value.lower())
            return
    except re.error:  # "[z-a]", before Python 3.11
        pass
    raise LayoutError(f"{where}: expected a product name or a pattern such as 'NVIDIA A100*', got {shown(value)}")


def parse_device_ids(value, where):
    """PCI device and vendor ids: one or a list, each an int, a decimal or a 0x string.

    :returns: a sorted tuple of int
    :raises LayoutError: for an empty list, and for what is not an NVIDIA device
    """
    found = set()
    for item in as_list(value) or [None]:
        text = as_text(item)
        number = int(text, 16 if text[:2].lower() == "0x" else 10) if DEVICE_ID.fullmatch(text) else 0
        if number & 0xFFFF != 0x10DE or not 0xFFFF < number <= 0xFFFFFFFF:
            raise LayoutError(
                f"{where}: expected device and NVIDIA's vendor id in one, as 0x20B010DE, got {shown(item)}"
            )
        found.add(number)
    return tuple(sorted(found))


def parse_boolean(value, where):
    """A bool from whatever Ansible takes for one.

    :raises LayoutError: for anything else
    """
    text = as_text(value).lower()
    if text in TRUE or text in FALSE:
        return text in TRUE
    raise LayoutError(f"{where}: expected true or false, got {shown(value)}")


def parse_whole_number(value, where, expected):
    """An int from an int or from the digits that a template leaves of one.

    :raises LayoutError: for anything else, booleans and negative numbers among it
    """
    text = as_text(value)
    if not WHOLE_NUMBER.fullmatch(text):
        raise LayoutError(f"{where}: expected {expected}, got {shown(value)}")
    return int(text)
