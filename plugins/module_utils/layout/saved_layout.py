# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The layout that a host comes back with after a boot, as a file: JSON, every GPU by its UUID, every placement said.

``{"version": 2, "written_by": release, "layout": [entries], "profiles": tables}``; an entry is one of the layout
option, as mig_facts returns it, and the tables say what the names of profiles meant (kept_profiles.py).
Version 1 had no tables.
"""

from __future__ import annotations

import json

from ..errors import LayoutError, MigError
from ..host.files import RELEASE, check_version, read_json
from .entries import validate_layout
from .kept_profiles import from_data, merged, of_today, to_data

PATH = "/etc/gpufleet-mig/layout.json"
VERSION = 2
WRITE_AGAIN = "Nothing was changed. Run the role gpufleet.mig.mig_persistence for this host to write it again."


def exact_entries(layout):
    """Check a layout that is to be kept.

    :param layout: entries of the layout option, each naming one GPU by its UUID and every instance with its placement
    :returns: {UUID in lower case: Entry}
    :raises LayoutError: for what could come back as something else
    """
    found = {}
    for entry in validate_layout(layout):
        uuid = _only_uuid(entry)
        if uuid in found:
            raise LayoutError(f"{entry.prefix}gpus: {entry.gpus[0].text} has two entries; leave one")
        _check_placements(entry)
        found[uuid] = entry
    if not found:
        raise LayoutError("layout: it is empty, so there is nothing to keep; state: absent ends the keeping")
    return found


def _only_uuid(entry):
    """The UUID that an entry is about; an index may be another GPU's after the next boot."""
    if entry.gpus is None or len(entry.gpus) != 1 or not isinstance(entry.gpus[0].key, str) or entry.narrowed:
        raise LayoutError(
            f"{entry.prefix}gpus: expected one GPU by its UUID and nothing else, as in the layout that "
            "gpufleet.mig.mig_facts returns; indexes may change with a reboot"
        )
    return entry.gpus[0].key


def _check_placements(entry):
    layout = entry.layout
    if not layout.mig_enabled:
        return
    places = [place.start for instance in layout.instances or () for place in (instance, *instance.compute_instances)]
    if layout.instances is None or None in places:
        raise LayoutError(
            f"{entry.prefix}instances: expected a list in which every instance has its placement, as in the layout "
            "that gpufleet.mig.mig_facts returns; without placements the driver may put them elsewhere"
        )


def to_text(entries, memory):
    """The file's text for what exact_entries returns: the same for one layout, however it was written.

    ``memory`` is what the host knows of the names of profiles, {UUID in lower case: KeptProfiles}.
    """
    layout = [_entry_data(entries[uuid]) for uuid in sorted(entries)]
    tables = to_data({uuid: profiles for uuid, profiles in memory.items() if uuid in entries})
    return (
        json.dumps({"version": VERSION, "written_by": RELEASE, "layout": layout, "profiles": tables}, indent=2) + "\n"
    )


def same(entries, others, profiles):
    """Whether two layouts as exact_entries returns them are one, by whatever names; ``profiles`` are {UUID in lower
    case: Profiles} of today, as far as they are known.
    """

    def said(layouts):
        return [
            _entry_data(entry._replace(layout=of_today(entry.layout, profiles.get(uuid, ()))[0]))
            for uuid, entry in sorted(layouts.items())
        ]

    # A UUID may be written in capitals.
    return sorted(entries) == sorted(others) and [dict(one, gpus=[]) for one in said(entries)] == [
        dict(one, gpus=[]) for one in said(others)
    ]


def _entry_data(entry):
    data = {"gpus": [entry.gpus[0].text], "mig_enabled": entry.layout.mig_enabled}
    if entry.layout.mig_enabled:
        data["instances"] = [
            dict(_place(instance), compute_instances=list(map(_place, sorted(instance.compute_instances, key=_start))))
            for instance in sorted(entry.layout.instances, key=_start)
        ]
    return data


def _start(wanted):
    return wanted.start


def _place(wanted):
    return {"profile": wanted.profile, "placement": wanted.start}


def read(path, what_to_do=WRITE_AGAIN):
    """The {UUID: Entry} of a file, each with what its names meant. Raises MigError that says what is wrong with it and
    then ``what_to_do``, a sentence.
    """
    data = read_json(path, what_to_do=what_to_do)
    if data is None:
        raise MigError(f"{path} cannot be read: No such file or directory. {what_to_do}")
    check_version(path, data, VERSION, what_to_do)
    try:
        entries, memory = exact_entries(data.get("layout")), from_data(data.get("profiles", []))
    except (LayoutError, ValueError) as error:
        raise MigError(f"{path} is damaged: {error}. {what_to_do}") from None
    return {
        uuid: entry._replace(layout=entry.layout._replace(kept=memory.get(uuid, ()))) for uuid, entry in entries.items()
    }


def memory(path):
    """What the names in a file meant, {UUID in lower case: KeptProfiles}; {} where there is none. Raises MigError."""
    return merged({uuid: entry.layout.kept for uuid, entry in read(path).items()})
