# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a host's drain record is restored, and with what. Pure, but for the question whether a file is there.

The record is the word of whoever is root on the host. It chooses among what this controller's variables name, and
itself names nothing: no file, host, directory, node or command.
"""

from __future__ import annotations

import json
import os
import re
import shlex

from ansible_collections.gpufleet.mig.plugins.module_utils.drain.record import CHANGE_ID, DRAINED, LONGEST_HOOK
from ansible_collections.gpufleet.mig.plugins.module_utils.drain.starting import KINDS
from ansible_collections.gpufleet.mig.plugins.module_utils.host.files import DEEPEST
from ansible_collections.gpufleet.mig.plugins.module_utils.host.units import is_unit

from .hooks import CLIENTS, OWN, TASK_FILE, WORKLOADS, in_order, task_file

ID = re.compile(r"[0-9a-f]{64}")
# What the hook slurm gives as the reason of a node that it drains.
REASON = "gpufleet.mig: change of MIG "
# Which variable has what an entry says of a place outside the host.
PLACES = {
    "slurm": {
        "node": "mig_drain_slurm_node",
        "host": "mig_drain_slurm_host",
        "directory": "mig_drain_slurm_directory",
    },
    "kubernetes": {"node": "mig_drain_kubernetes_node"},
}


class _Refused(Exception):
    """An entry that is not restored: why, and with which variables it would be (None: with none)."""

    def __init__(self, why, variables=None):
        self.why = why
        self.variables = variables
        super().__init__(why)


class _Unknown(Exception):
    """An entry of a hook that is a task file which this controller does not know."""

    def __init__(self, path):
        self.path = path
        super().__init__(path)


def drain_restoring(entries, host, hooks, directory, variables, labels, stage="all", exists=os.path.isfile):
    """What is restored of ``entries``, which mig_drain_record returned on ``host``.

    ``hooks`` are those that this controller knows, ``directory`` has the task files of the role's own, ``variables``
    are {name: value} of those in PLACES, ``labels`` what the hook kubernetes may have paused. ``stage`` is "clients",
    "workloads", or "all" for one after the other.

    Returns {"clients": [...], "workloads": [...], "refusals": [sentence, ...]}. The first two are the stages, each with
    what is to be restored in its order: ``hook``, ``file`` (the task file), ``done`` (of the role's own hooks only what
    was checked), ``ids`` (the entries that it is about), ``last`` (whether it is all restored then) and ``after`` (see
    in_order). What is refused is told in the last stage alone.
    """
    paths = [one for one in hooks if isinstance(one, str) and TASK_FILE.fullmatch(one)]
    items, refusals, unknown = [], [], []
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        refusals.append(f"What {host} answered is no drain record. See {DRAINED} there.")
        entries = []
    for entry in entries:
        try:
            hook = _hook(entry["hook"], paths)
            done = _done(hook, entry, variables, labels) if hook in OWN else entry["done"]
            items.append({"hook": hook, "done": done, "ids": [entry["id"]]})
        except _Unknown as refused:
            unknown.append(refused.path)
        except _Refused as refused:
            refusals.append(_sentence(host, refused.why, refused.variables))
    if unknown:
        unknown = list(dict.fromkeys(unknown))
        why = f"names {' and '.join(unknown)}, unknown to mig_drain_hooks and mig_partition_drain here. If it is yours"
        refusals.append(_sentence(host, why, {"mig_drain_hooks": unknown}))
    stages = {CLIENTS: [], WORKLOADS: []}
    for item in reversed(_joined(items)):
        for suffix in OWN.get(item["hook"], (CLIENTS, WORKLOADS)):
            file = task_file(item["hook"], directory, suffix)
            if item["hook"] in OWN or exists(file):
                last = suffix == OWN.get(item["hook"], (WORKLOADS,))[-1]
                stages[suffix].append({**item, "file": file, "last": last})
            elif suffix == WORKLOADS:
                refusals.append(f"{file}, which restores what {os.path.basename(item['hook'])} drained, is not there.")
    clients = stages[CLIENTS] if stage != "workloads" else []
    workloads = stages[WORKLOADS] if stage != "clients" else []
    ordered = in_order([*clients, *workloads], "file", "ids")
    return {
        "clients": ordered[: len(clients)],
        "workloads": ordered[len(clients) :],
        "refusals": list(dict.fromkeys(refusals)) if stage != "clients" else [],
    }


def _is_entry(entry):
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("id"), str)
        and ID.fullmatch(entry["id"]) is not None
        and isinstance(entry.get("hook"), str)
        and len(entry["hook"]) <= LONGEST_HOOK
        and "done" in entry
        and not _is_too_deep(entry["done"])
        and (entry.get("change") is None or _is_change_id(entry["change"]))
    )


def _is_too_deep(value):
    level = [value]
    for _depth in range(DEEPEST):
        level = [inner for one in level if isinstance(one, (dict, list)) for inner in _values(one)]
    return bool(level)


def _values(value):
    return value.values() if isinstance(value, dict) else value


def _is_change_id(value):
    return isinstance(value, str) and CHANGE_ID.fullmatch(value) is not None


def _hook(name, paths):
    """The name of an own hook, or the path among ``paths`` that a record's hook chooses. Raises _Refused."""
    for known in (*OWN, *paths):
        if known == name:
            return known
    if not TASK_FILE.fullmatch(name) or not _can_be_shown(name):
        raise _Refused("names a hook that is neither one of the role's own nor a path that can be shown")
    # Another checkout, or another person's, has the same file elsewhere.
    alike = [one for one in dict.fromkeys(paths) if os.path.basename(one) == os.path.basename(name)]
    if not alike:
        raise _Unknown(str(name))
    if len(alike) > 1:
        raise _Refused(
            f"names {name}, which may be {' or '.join(alike)}. Where it is the first",
            {"mig_drain_hooks": [], "mig_partition_drain": [alike[0]]},
        )
    return alike[0]


def _done(hook, entry, variables, labels):
    """What an own hook's entry says was done, as far as it may say that. Raises _Refused."""
    done = entry["done"]
    if not isinstance(done, dict):
        raise _Refused(f"says of the hook {hook} what that hook does not write")
    if hook not in PLACES:
        return {"units": _units(hook, done.get("units", []))}
    if "node" not in done:
        return {}  # nothing was done yet
    _see_that_it_is_here(hook, done, variables)
    here = {key: variables[variable] for key, variable in PLACES[hook].items()}
    if hook == "slurm":
        return {**here, "reason": _reason(done.get("reason"), entry.get("change"))}
    cordoned, paused = done.get("cordoned", False), done.get("paused", [])
    if not isinstance(cordoned, bool) or not isinstance(paused, list) or not all(one in labels for one in paused):
        raise _Refused(f"says of the hook {hook} what that hook does not write")
    return {**here, "cordoned": cordoned, "paused": [one for one in labels if one in paused]}


def _units(hook, units):
    if not isinstance(units, list) or not all(is_unit(one, KINDS) for one in units):
        raise _Refused(f"says of the hook {hook} what that hook does not write")
    return units


def _reason(reason, change):
    """The reason with which a Slurm node was drained, made anew from the id of the change. Raises _Refused."""
    if change is None and isinstance(reason, str):
        change = reason[len(REASON) :]
    rebuilt = f"{REASON}{change}"
    if rebuilt != reason or not (change == "" or _is_change_id(change)):
        raise _Refused("gives the drain of a Slurm node a reason that the hook slurm does not write")
    return rebuilt


def _see_that_it_is_here(hook, done, variables):
    """Raise _Refused where an entry speaks of another place than the variables do."""
    other = {name: done[key] for key, name in PLACES[hook].items() if done.get(key, variables[name]) != variables[name]}
    if not other:
        return
    here = ", ".join(f"{name} is {variables[name] or 'empty'}" for name in other)
    if not all(map(_can_be_shown, other.values())):
        raise _Refused(f"says of the hook {hook} something that cannot be shown, and here {here}")
    said = ", ".join(value or "none" for value in other.values())
    raise _Refused(f"says {said} of the hook {hook}, but here {here}. If the first is right", other)


def _can_be_shown(text):
    """Whether a host's text may stand in a message and in a command line, where braces would be a template."""
    return isinstance(text, str) and len(text) <= 1000 and text.isprintable() and not set("{}") & set(text)


def _sentence(host, why, variables):
    said = f"Not restored: {DRAINED} of {host} {why}"
    if variables is None:
        return f"{said}. Restore that by hand and take it out of the file."
    line = f"-l {shlex.quote(host)} -e {shlex.quote(json.dumps(variables, ensure_ascii=False))}"
    return f"{said}, run the playbook gpufleet.mig.restore with {line}"


def _joined(items):
    """The same with all entries of one hook that stops units as one, where the last was: a socket that was stopped in
    one run has to start before its service, which another run has stopped.
    """
    joined = []
    for item in items:
        same = [one for one in joined if one["hook"] == item["hook"] and "units" in one["done"]]
        if item["hook"] in OWN and same:
            joined.remove(same[0])
            units = [*same[0]["done"]["units"], *item["done"]["units"]]
            item = {**item, "done": {"units": units}, "ids": [*same[0]["ids"], *item["ids"]]}
        joined.append(item)
    return joined
