# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of all hosts in a run of the role mig_partition: a report for programs and a table for people. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping

from ansible_collections.gpufleet.mig.plugins.module_utils.layout.written import contents_in_words
from ansible_collections.gpufleet.mig.plugins.module_utils.model import CREATE_COMPUTE_INSTANCE
from ansible_collections.gpufleet.mig.plugins.module_utils.visible import visible

from ..host_gpus import gpus_refusal
from .host import (
    CHANGED,
    EARLIER,
    FAILED,
    NO_GPUS,
    NOT_CHECKED,
    NOT_REACHED,
    NOTHING_TO_COMPARE,
    UNCHANGED,
    UNFINISHED,
    UNREACHABLE,
    WOULD_CHANGE,
    without,
)

VERSION = 3
WIDTH, INDENT = 110, "    "
LISTS = (
    *("gpus", "plan", "actions", "kept", "disrupted", "replanned_steps", "drained", "hooks", "reset_gpus"),
    *("not_checked", "created", "restored"),
)
COLUMNS, ALIGNS = ("HOST", "RESULT", "CREATED", "KEPT", "DISRUPTED", "DRAINED", "RESTORED"), "<<>>><<"
MOST_NAMES = 3
DEEPEST = 30  # levels of a result, which has half as many
LONGEST_PRODUCT = 60
MOST_LINES = 200
LONGEST_MESSAGE = 10000  # in the table; the report has all of it
WORDS = {
    NO_GPUS: "no MIG-capable GPU",
    NOTHING_TO_COMPARE: "nothing to compare",
    UNCHANGED: "as wanted",
    CHANGED: "changed",
    WOULD_CHANGE: "would change",
    NOT_CHECKED: "not checked",
    FAILED: "FAILED",
    UNREACHABLE: "UNREACHABLE",
    UNFINISHED: "UNFINISHED",
    NOT_REACHED: "not reached",
}
QUIET = (NO_GPUS, NOTHING_TO_COMPARE, UNCHANGED, NOT_CHECKED, NOT_REACHED)
EARLIER_WORDS = "what an earlier run drained"
LOST = (
    "The host left the run before its end: the connection was lost, or a task outside this role failed; see the output "
    "above. What is on its GPUs is not known. Run again for this host: it goes on from what is there, and restores "
    "what was drained."
)
BEFORE = (
    "The host failed before this role had begun with it, so nothing was done; see the output above. Its variables may "
    "be wrong, a task before the role may have failed, or the connection was lost."
)
ODD = (
    "What the host said of its GPUs is nothing that the modules of this collection return, so it is not shown. Find "
    "out what answers there before you run again."
)


def report(results, everyone, batch, present, check_mode, refused=()):
    """The report as plain data. Who is in the play but takes no part in the change is not in it.

    :param results: {host: its mig_partition_result}, of the hosts that have one
    :param everyone: the hosts of the play in their order
    :param batch: those of the present batch (``serial``)
    :param present: those that are still in the play
    :param refused: {host: why nothing more is done with it}
    """
    last = everyone.index(batch[-1]) if batch and batch[-1] in everyone else len(everyone) - 1
    hosts, refused = {}, dict(refused)
    for number, host in enumerate(everyone):
        result = begun = results.get(host)
        if host in batch and host not in present:
            result = None
        if result and result["state"] != UNFINISHED:
            # One host's words must not keep the others from being told of.
            hosts[host] = result if _is_whole(result) else _unknown(FAILED, ODD, check_mode)
        elif number > last and not result:
            hosts[host] = _unknown(NOT_REACHED, None, check_mode)
        elif begun:
            hosts[host] = _unknown(UNFINISHED, refused.get(host, LOST), check_mode)
        elif host not in present:
            hosts[host] = {**_unknown(FAILED, refused.get(host, BEFORE), check_mode), "stage": "check"}
    ends = last == len(everyone) - 1 or all(host in hosts and is_failure(hosts[host]) for host in batch)
    return {
        "version": VERSION,
        "check_mode": check_mode,
        "complete": ends,
        "counts": _counts(hosts),
        "hosts": hosts,
    }


def merged(data, earlier):
    """A report of some hosts in an earlier one of all: the other hosts keep what that says of them.

    :param earlier: what a file has that should be such a report; without another version's or kind's nothing is kept
    """
    if not isinstance(earlier, Mapping) or any(earlier.get(key) != data[key] for key in ("version", "check_mode")):
        return data
    hosts = earlier.get("hosts")
    if not isinstance(hosts, Mapping) or not all(
        isinstance(one, Mapping) and one.get("state") in (*WORDS,) for one in hosts.values()
    ):
        return data
    hosts = {**hosts, **data["hosts"]}
    return {**data, "counts": _counts(hosts), "hosts": hosts}


def _counts(hosts):
    counts = Counter(result.get("state") for result in hosts.values())
    return {state: counts[state] for state in WORDS if counts[state]}


def _unknown(state, message, check_mode):
    """The result of a host that could not give one."""
    return {
        "state": state,
        "check_mode": check_mode,
        "changed": None if state == UNFINISHED else False,
        "stage": None,
        "message": message,
        **{name: [] for name in LISTS},
        "replanned": False,
        "reboot": False,
        "brought_back": None,
        "claim": None,
        **dict.fromkeys(("layout", "label", "driver", "time")),
    }


def _is_whole(result):
    """Whether what the table shows of a result has the types that it needs."""
    gpus, hooks = result.get("gpus"), result.get("hooks")
    numbered = ("reset_gpus", "not_checked")
    return (
        all(isinstance(result.get(name), (list, tuple)) for name in LISTS)
        and all(
            isinstance(gpu, Mapping)
            and all(isinstance(gpu.get(name), (str, type(None))) for name in ("product", "uuid"))
            for gpu in gpus
        )
        and all(isinstance(gpu, Mapping) and "index" in gpu for name in numbered for gpu in result[name])
        and all(isinstance(words, str) for words in (*hooks, *result["replanned_steps"]))
        and all(isinstance(words, str) for words in (*result["created"], *result["restored"]))
        and all(isinstance(step, Mapping) for step in result["plan"])
        and gpus_refusal((), result.get("layout")) is None
        and all(isinstance(result.get(name), (str, type(None))) for name in ("message", "label", "driver", "time"))
        and isinstance(result.get("claim"), (Mapping, type(None)))
        and not _is_deep(result)
    )


def _is_deep(value):
    """Whether it is nested so deeply that writing it down as JSON could fail."""
    level = [value]
    for _number in range(DEEPEST):
        inside = [one.values() if isinstance(one, Mapping) else one for one in level]
        level = [one for several in inside for one in several if isinstance(one, (Mapping, list, tuple))]
    return bool(level)


def is_failure(result):
    """Whether the host of this result has to be looked at."""
    return result["state"] in (FAILED, UNREACHABLE, UNFINISHED)


def table(data, hosts, command=""):
    """The lines of a report for a terminal about these hosts in it.

    Hosts on which nothing happened are counted, those with a failure in common stand together above it. ``command`` is
    the one to go on with where hosts have failed, without its --limit.
    """
    results = {host: data["hosts"][host] for host in hosts if host in data["hosts"]}
    quiet, rows, failed = {}, {}, {}
    for host, result in results.items():
        if is_failure(result):
            failed.setdefault((result["state"], result["stage"], without(host, result["message"])), []).append(host)
        elif _is_quiet(result):
            quiet.setdefault((result["state"], without(host, result["message"])), []).append(host)
        else:
            rows[host] = (host, *_row(result))
    lines = [_headline(data, hosts)]
    for (state, _message), alike in quiet.items():
        names = ", ".join(alike) if len(alike) <= MOST_NAMES else f"{len(alike)} hosts"
        lines += [f"{WORDS[state]}: {names}", *_wrapped(results[alike[0]]["message"])]
    rows.update((host, (host, *_row(results[host]))) for alike in failed.values() for host in alike)
    if rows:
        cells = [COLUMNS, *rows.values()]
        widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
        told = {alike[-1]: results[alike[0]]["message"] for alike in failed.values()}
        for host, row in zip((None, *rows), cells):
            padded = [f"{cell:{align}{width}}" for cell, align, width in zip(row, ALIGNS, widths)]
            lines.append("  ".join(padded).rstrip())
            for message in _below(results[host], told.get(host)) if host else ():
                lines += _wrapped(message)
    if failed:
        again = [host for host in results if is_failure(results[host])]
        lines.append(f"Once the cause is gone: {command}{' ' * bool(command)}--limit {','.join(again)}")
    return [visible(line) for line in lines]


def _is_quiet(result):
    """Whether nothing happened on a host, so that it can be counted with others."""
    return result["state"] in QUIET and not (
        result["restored"] or result["claim"] or result["replanned_steps"] or result["reset_gpus"] or result["reboot"]
    )


def _wrapped(message):
    lines = (message or "")[:LONGEST_MESSAGE].splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "…"]
    around = {"initial_indent": INDENT, "subsequent_indent": INDENT, "break_long_words": False}
    return [wrapped for line in lines for wrapped in textwrap.wrap(line, WIDTH, **around)]


def _below(result, message):
    """The sentences below a host's row; ``message`` is what it says for all with whom it has failed."""
    claim = result["claim"]
    if result["gpus"]:
        yield f"{'now: ' if result['check_mode'] else ''}{_gpus(result)}"
    if result["replanned_steps"]:
        yield f"Planned again on the way: {'; '.join(result['replanned_steps'])}."
    if message or (result["message"] and not is_failure(result)):
        yield message or result["message"]
    elif claim and not is_failure(result):
        # A failure that is about a claim names it already.
        lapsed = " It has lapsed." if claim["lapsed"] else ""
        yield (
            f"Claimed by {claim['who']} from {claim['where'] or 'an unknown controller'}, stage {claim['stage']}, "
            f"since {claim['since']}.{lapsed}"
        )


def _headline(data, hosts):
    counts = Counter(data["hosts"][host]["state"] for host in hosts if host in data["hosts"])
    words = ", ".join(f"{counts[state]} {word}" for state, word in WORDS.items() if counts[state])
    return f"MIG{' (check mode)' if data['check_mode'] else ''}: {words}"


def _row(result):
    """The cells of a host's row behind its name."""
    if result["state"] in (UNREACHABLE, UNFINISHED):
        return (WORDS[result["state"]], "", "", "", "", "")
    created = len(result["created"])
    if result["check_mode"] and result["changed"]:
        created = sum(step.get("action") == CREATE_COMPUTE_INSTANCE for step in result["plan"])
    drained = len(result["drained"])
    names = _names(result["hooks"])
    return (
        _words(result),
        str(created),
        str(len(result["kept"])),
        str(len(result["disrupted"])),
        f"{drained} by {names}" if drained and names else names,
        _names(EARLIER_WORDS if name == EARLIER else name for name in result["restored"]),
    )


def _names(hooks):
    return ", ".join(hook.rpartition("/")[2] for hook in hooks)


def _gpus(result):
    """A host's GPUs and what is on them, equal ones together: ``8 x A100-SXM4-40GB: 3g.20gb + 4 x 1g.5gb``."""
    there = {uuid: _in_words(entry) for entry in result["layout"] or () for uuid in entry["gpus"]}
    alike = Counter(
        ((gpu["product"] or "unknown").replace("NVIDIA ", "")[:LONGEST_PRODUCT], there.get(gpu.get("uuid"), ""))
        for gpu in result["gpus"]
    )
    return "; ".join(f"{count} x {product}{layout}" for (product, layout), count in alike.items())


def _in_words(entry):
    """What a layout entry says that its GPUs have."""
    if not entry.get("mig_enabled", True):
        return ": MIG off"
    names = Counter(_instance(instance) for instance in entry.get("instances") or ())
    return ": " + (" + ".join(f"{count} x {name}" if count > 1 else name for name, count in names.items()) or "empty")


def _instance(instance):
    inside = sorted((device["profile"] for device in instance["compute_instances"]), reverse=True)
    profile = instance.get("profile", "unknown")
    return profile if inside == [profile] else f"{profile} {contents_in_words(inside)}"


def _words(result):
    """The result column: the word for the state and what else a tired person should see at once."""
    words = [WORDS[result["state"]]]
    if result["state"] == FAILED:
        words = [f"FAILED ({result['stage']})"]
        if result["brought_back"] is not None:
            words.append("brought back" if result["brought_back"] else "NOT BROUGHT BACK")
        elif result["changed"] and not result["check_mode"]:
            words.append("the new layout stays")
    if result["reset_gpus"]:
        words.append(f"reset GPU {_indexes(result['reset_gpus'])}")
    if result["reboot"]:
        words.append("reboot")
    if result["not_checked"]:
        words.append(f"instances of GPU {_indexes(result['not_checked'])} not planned yet")
    return ", ".join(words)


def _indexes(gpus):
    return ",".join(str(gpu["index"]) for gpu in gpus)
