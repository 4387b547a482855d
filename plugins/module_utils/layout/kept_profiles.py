# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What GPU instance profiles were called when something was kept, and what they are called now. Pure.

Names belong to a model and a driver, ids to the model: with another driver the 1g.35gb of a GB300 is a 1g.31gb, under
id 19 as before. So the saved layout and the journal keep, beside the names, what these meant on each GPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ..profiles import outer, renamed

ATTRIBUTES = re.compile(r"gb(?P<attributes>[+-][a-z0-9]+(?:[.+-][a-z0-9]+)*)?$")  # as in PROFILE_NAME
NAME = re.compile(r"[0-9A-Za-z.+-]{1,40}")
UUID = re.compile(r"GPU-[0-9A-Za-z-]{1,92}", re.IGNORECASE)
# More than any driver has had for a model, and than fit into a host: what is read here may be anything.
MOST_NAMES, MOST_GPUS, MOST_NUMBER = 128, 256, 1 << 32


class KeptProfile(NamedTuple):
    """What a name of a GPU instance profile meant: ``attributes`` is what follows its size, such as +me, or ""."""

    name: str
    id: int
    slices: int
    attributes: str


def kept_of(profiles):
    """The KeptProfiles of these Profiles, but for those with a name that no layout can have."""
    return tuple(
        KeptProfile(one.name, one.id, one.slices, attributes_of(one)) for one in profiles if NAME.fullmatch(one.name)
    )


def attributes_of(profile):
    """What follows the size in the name that the driver gives a Profile, such as +me, "" where nothing does."""
    found = ATTRIBUTES.search(profile.told or profile.name)
    return (found and found["attributes"]) or ""


def memory_of(gpus):
    """{UUID in lower case: KeptProfiles} of these Gpus, as far as their profiles are known."""
    return {gpu.uuid.lower(): kept_of(gpu.profiles) for gpu in gpus if gpu.profiles}


class Memory(Mapping):
    """{GPU UUID in lower case: KeptProfiles} as ``read`` returns it, called once and only when somebody asks."""

    def __init__(self, read):
        self._read, self._known = read, None

    def _all(self):
        if self._known is None:
            self._known = self._read()
        return self._known

    def __getitem__(self, uuid):
        return self._all()[uuid]

    def __iter__(self):
        return iter(self._all())

    def __len__(self):
        return len(self._all())


def merged(*memories):
    """One {UUID in lower case: KeptProfiles} of several; what a later one says of a name counts."""
    found = {}
    for memory in memories:
        for uuid, profiles in memory.items():
            names = found.setdefault(uuid, {})
            for one in profiles:
                names.pop(one.name, None)  # to the end: what is known longest goes first
                names[one.name] = one
    newest = [*found.items()][-MOST_GPUS:]
    return {uuid: tuple(names.values())[-MOST_NAMES:] for uuid, names in newest}


def to_data(memory):
    """A memory as plain data, GPUs with the same table together: ``[{"gpus": [UUID], "profiles": [{"name", …}]}]``."""
    groups = {}
    for uuid, profiles in sorted(memory.items()):
        groups.setdefault(tuple(sorted(profiles)), []).append(uuid)
    return [
        {"gpus": uuids, "profiles": [dict(one._asdict()) for one in profiles]} for profiles, uuids in groups.items()
    ]


def from_data(data):
    """What to_data was given. Raises ValueError, in a few words, for what it never returns."""
    memory = {}
    for group in _checked(data, list, "profiles"):
        table = _checked(group, dict, "an entry of profiles")
        profiles = tuple(map(_kept, _checked(table.get("profiles"), list, "a list of profiles")))
        for uuid in _checked(table.get("gpus"), list, "gpus of profiles"):
            if not isinstance(uuid, str) or not UUID.fullmatch(uuid):
                raise ValueError("gpus of profiles has what is no UUID")
            memory[uuid.lower()] = profiles
    return merged(memory)


def _kept(data):
    one = _checked(data, dict, "a profile")
    name, attributes = one.get("name"), one.get("attributes")
    numbers = [one.get("id"), one.get("slices")]
    if not isinstance(name, str) or not NAME.fullmatch(name) or not isinstance(attributes, str):
        raise ValueError("a profile has no name or attributes")
    if not all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < MOST_NUMBER for one in numbers):
        raise ValueError(f"the profile {name} has no id or slices")
    return KeptProfile(name, *numbers, attributes)


def _checked(value, kind, what):
    if not isinstance(value, kind):
        raise ValueError(f"{what} is missing or of another kind")
    return value


def of_today(layout, profiles, earlier=()):
    """(the GpuLayout under the names of these Profiles, {name in the layout: Profile} of those that had another).

    What a layout brings itself (``kept``) counts by id, also where its name is by now another profile's. A name that
    somebody wrote is one of today's where the driver has it, and else what it was ``earlier``, KeptProfiles. A profile
    is the same where its id, its slices and its attributes are. Everything else stays as it is.

    Rule: profiles under another name
    """
    offered = {one.name for one in profiles}
    own, past = ({one.name: one for one in kept} for kept in (layout.kept, earlier))
    found = {}
    for name in _names(layout):
        meant = own.get(name) or (past.get(name) if name not in offered else None)
        now = meant and _same(meant, profiles)
        if now and now.name != name:
            found[name] = now
    return renamed(layout, {name: now.name for name, now in found.items()}), found


def all_known(layout, profiles):
    """Whether these Profiles have every name in a GpuLayout: what they were called earlier is of no interest then."""
    return {*_names(layout)} <= {one.name for one in profiles}


def _names(layout):
    """The GPU instance profiles that a GpuLayout names, each once."""
    if layout.counts is not None:
        return list(dict.fromkeys(outer(name) for name, _count in layout.counts))
    return list(dict.fromkeys(want.profile for want in layout.instances or ()))


def _same(meant, profiles):
    identity = (meant.id, meant.slices, meant.attributes)
    return next((one for one in profiles if (one.id, one.slices, attributes_of(one)) == identity), None)


def in_words(found):
    """One sentence about all GPUs on which names have changed, None where there are none.

    ``found`` are pairs of a Gpu and what of_today says of it.
    """
    groups = {}
    for gpu, names in found:
        if names:
            words = ", ".join(f"{name} is {now.name} now (profile {now.id})" for name, now in sorted(names.items()))
            groups.setdefault(words, []).append(str(gpu.index))
    if not groups:
        return None
    told = "; ".join(f"on GPU {', '.join(indexes)} {words}" for words, indexes in groups.items())
    return f"This driver has other names for profiles: {told}. They were told by their ids; write the new names."
