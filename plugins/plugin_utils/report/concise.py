# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a concise run says of a task and of its end, in lines. Pure."""

from __future__ import annotations

import re
from collections import Counter

from ansible_collections.gpufleet.mig.plugins.module_utils.visible import visible

from .host import without

CHANGED, SAID, RESCUED, FAILED, UNREACHABLE = "changed", "said", "failed (rescued)", "FAILED", "UNREACHABLE"
MOST_NAMES = 10
NUMBER = re.compile(r"([0-9]+)")
MOST_LINES = 200
COLLECTION = "gpufleet.mig."


def task_lines(name, outcomes, diffs=()):
    """The lines of one task: [(line, kind)], none where it neither changed nor failed anything.

    :param name: the task's, with its role before it
    :param outcomes: [(host, kind, message)]; equal messages are told once, "" is none
    :param diffs: [(host, text)]; equal texts are shown once
    """
    name, alike, lines = name.removeprefix(COLLECTION), {}, []
    for host, kind, message in outcomes:
        alike.setdefault((kind, message), []).append(host)
    for (kind, message), hosts in alike.items():
        lines.append((f"{name}: {'' if kind == SAID else kind + ' '}{names(hosts)}", kind))
        lines += [(f"    {line}", kind) for line in message.splitlines()[:MOST_LINES]]
    shown = {}
    for host, text in diffs:
        shown.setdefault(text, []).append(host)
    for text, hosts in shown.items():
        if hosts != alike.get((CHANGED, "")):
            lines.append((f"{name}: difference on {names(hosts)}", SAID))
        lines += [(line, "diff") for line in text.strip().splitlines()]
    # A difference has its colours already, and comes from Ansible's own hand.
    return [(line if kind == "diff" else visible(line), kind) for line, kind in lines]


def stage_lines(stages):
    """The lines that say which hosts begin with which stage; ``stages`` are [(host, stage)]."""
    alike = {}
    for host, stage in stages:
        alike.setdefault(stage, []).append(host)
    return [visible(f"Stage {stage}: {names(hosts)}") for stage, hosts in alike.items()]


def warnings(given):
    """What is warned of, each warning once; ``given`` are [(host, text)], and a text may begin with its host."""
    alike = {}
    for host, text in given:
        alike.setdefault(without(host, text), []).append((host, text))
    for same in alike.values():
        host, text = same[0]
        start = f"{host}: "
        yield f"{names([one for one, _text in same])}: {text[len(start) :]}" if text.startswith(start) else text


def recap(hosts):
    """The last line; ``hosts`` are Ansible's counts of each: {host: {failures, unreachable, changed, ...}}."""
    words = Counter(
        "unreachable" if one["unreachable"] else "failed" if one["failures"] else "changed" if one["changed"] else "ok"
        for one in hosts.values()
    )
    found = ", ".join(f"{words[word]} {word}" for word in ("ok", "changed", "failed", "unreachable") if words[word])
    return f"Hosts: {found or 'none'}"


def names(hosts):
    """Some hosts by name, of many the first. In what order they answer says nothing."""
    hosts = sorted(hosts, key=lambda host: [int(part) if part.isdecimal() else part for part in NUMBER.split(host)])
    more = len(hosts) - MOST_NAMES
    return ", ".join(hosts) if more <= 0 else f"{', '.join(hosts[:MOST_NAMES])} and {more} more"
