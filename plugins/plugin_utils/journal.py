# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's journal (module_utils/host_state.py) says of the past. Pure."""

from __future__ import annotations

import json


def journal_before(text):
    """The layout before the last change of a host, entries by GPU UUID; empty where the journal tells of no change.

    ``text`` is the journal or its end. Records that share an id are one change: the first that names a GPU knows what
    was on it. What the boot brought back is nobody's change. A line that a crash cut short is no record.
    """
    begun = [record for record in map(_record, text.splitlines()) if record and record.get("event") == "begin"]
    begun = [record for record in begun if record.get("cause") != "boot"]
    before = {}
    for record in begun:
        if record.get("change") == begun[-1].get("change"):
            for entry in record["before"]:
                before.setdefault(entry["gpus"][0], entry)
    return list(before.values())


def _record(line):
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
