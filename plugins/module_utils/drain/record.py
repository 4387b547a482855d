# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is drained on a host: ``drain.json`` in its state directory, {"version": 1, "written_by": release, "entries":
[{hook, done, change}]}.

Every change of it is merged on the host, under the host's lock, into what stands there at that moment, so that no run
writes back what it once read. An entry without ``change`` is nobody's. The file is gone when nothing is drained.
"""

from __future__ import annotations

import hashlib
import json
import os
import re

from ..apply.state_directory import HostState
from ..errors import MigError
from ..host.files import MOST_BYTES, RELEASE, check_version, parsed, read_json, remove, write

DRAINED = "drain.json"
VERSION = 1
# It may name what only root should know, as what users' hooks leave in it.
MODE = 0o600
# It stands in the reason of a drained Slurm node, from which the restoring knows whose drain it is. Ids of the release
# before hold the host's name and a time with a blank.
CHANGE_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._:-]{0,318}[A-Za-z0-9._:-])?")
LONGEST_HOOK = 4096
WHAT_TO_DO = (
    "It tells what is drained on this host. Correct it; or restore by hand what is drained (stopped units, a cordoned"
    " node, a drained Slurm node), then remove it and run again."
)

WITH_ANOTHER = f"Restore with the release that wrote it. {WHAT_TO_DO}"


def drain_record(params, check_mode, move, heed):
    """The result of mig_drain_record; ``params`` are its options, ``move`` is AnsibleModule.atomic_move.

    ``heed`` is what a HostState heeds as soon as it is locked. Raises MigError, and then nothing was written.
    """
    change = params["change_id"] or None
    if change and not CHANGE_ID.fullmatch(change):
        raise MigError(
            f"change_id: got {change[:80]!r}; expected letters, digits, dots, colons, dashes, underscores and blanks."
        )
    state = HostState(params["state_dir"], heed)
    path = os.path.join(state.path, DRAINED)
    if params["state"] == "read" or check_mode:
        before = read_entries(path)
        return _result(path, before, before if params["state"] == "read" else merged(before, params))
    with state.lock(params["lock_timeout"]):
        before = read_entries(path)
        after = merged(before, params)
        if not after:
            remove(path)
        elif after != before:
            write(path, _content(path, after), move, MODE)
    return _result(path, before, after)


def read_entries(path):
    """The entries of the file, dicts with a text ``hook``, ``done``, and ``change`` where it is somebody's; [] where
    there is no file. Raises MigError where it is not as this release, or the one before, wrote it.
    """
    record = read_json(path, what_to_do=WHAT_TO_DO)
    if record is None:
        return []
    check_version(path, record, VERSION, WITH_ANOTHER)
    entries = record.get("entries")
    if not isinstance(entries, list):
        raise MigError(f"{path} is damaged: It has no list of entries. {WHAT_TO_DO}")
    for number, entry in enumerate(entries):
        problem = _problem(entry)
        if problem:
            raise MigError(f"{path} is damaged: entries[{number}] {problem}. {WHAT_TO_DO}")
    return entries


def _problem(entry):
    if not isinstance(entry, dict):
        return "is no entry"
    hook, change = entry.get("hook"), entry.get("change")
    if not isinstance(hook, str) or not 0 < len(hook) <= LONGEST_HOOK:
        return "names no hook"
    if "done" not in entry:
        return "does not say what was done"
    if change is not None and not (isinstance(change, str) and CHANGE_ID.fullmatch(change)):
        return "has a change that is no id of one"
    return None


def entry_id(entry):
    """What tells an entry from those that say something else. Pure."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def merged(entries, params):
    """The entries after what the options of mig_drain_record say, as a new list. Pure."""
    change = params["change_id"] or None
    if params["state"] == "begun":
        return [*entries, _entry(params["hook"], {}, change)]
    if params["ids"] is not None:
        return _replaced(entries, params)
    own = [
        number
        for number, entry in enumerate(entries)
        if (entry["hook"], entry.get("change")) == (params["hook"], change)
    ]
    if not own:
        return [*entries, _entry(params["hook"], params["done"], change)]
    last = own[-1]
    return [*entries[:last], dict(entries[last], done=params["done"]), *entries[last + 1 :]]


def _entry(hook, done, change):
    return {"hook": hook, "done": done, **({"change": change} if change else {})}


def _replaced(entries, params):
    """The entries without those that are named; where one is to be present, the last of them says what was done."""
    left, after, replaced = list(params["ids"]), [], params["state"] == "absent"
    for entry in reversed(entries):
        identity = entry_id(entry)
        if identity not in left:
            after.append(entry)
            continue
        left.remove(identity)
        if not replaced:
            after.append(dict(entry, done=params["done"]))
            replaced = True
    return after[::-1]


def _content(path, entries):
    """The bytes of the file with these entries. Raises MigError where it could not be read again."""
    data = {"version": VERSION, "written_by": RELEASE, "entries": entries}
    content = (json.dumps(data, indent=4, sort_keys=True) + "\n").encode()
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        parsed(content)
    except ValueError as error:
        raise MigError(
            f"{path} is as it was, for what a hook left in mig_drain_done cannot be kept: {error}."
        ) from None
    return content


def _result(path, before, after):
    return {
        "changed": before != after,
        "entries": [
            {"id": entry_id(one), "hook": one["hook"], "done": one["done"], "change": one.get("change")}
            for one in after
        ],
        "diff": {"before_header": path, "after_header": path, "before": _text(before), "after": _text(after)},
    }


def _text(entries):
    return json.dumps(entries, indent=4, sort_keys=True) + "\n" if entries else ""
