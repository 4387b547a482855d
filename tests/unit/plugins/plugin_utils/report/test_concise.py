# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a concise run says."""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.concise import (
    CHANGED,
    FAILED,
    RESCUED,
    names,
    recap,
    stage_lines,
    task_lines,
    warnings,
)

NAME = "gpufleet.mig.mig_partition : Set GPU instances"


def told(*given):
    return [line for line, _kind in task_lines(NAME, *given)]


def test_hosts_stand_together():
    assert told([]) == []
    assert told([("gpu-1", CHANGED, ""), ("gpu-2", CHANGED, "")]) == [
        "mig_partition : Set GPU instances: changed gpu-1, gpu-2"
    ]
    assert names([f"gpu-{number}" for number in (11, *range(11))]).endswith("gpu-9 and 2 more")
    assert names(["9", "b", "a2", "10", "a10"]) == "9, 10, a2, a10, b"


def test_a_message_of_several_hosts_is_told_once():
    outcomes = [("a", FAILED, "No.\nNever."), ("b", RESCUED, ""), ("c", FAILED, "No.\nNever.")]
    assert told(outcomes) == [
        "mig_partition : Set GPU instances: FAILED a, c",
        "    No.",
        "    Never.",
        "mig_partition : Set GPU instances: failed (rescued) b",
    ]


def test_equal_differences_are_shown_once():
    changed = [("a", CHANGED, ""), ("b", CHANGED, "")]
    line = "mig_partition : Set GPU instances: changed a, b"
    assert told(changed, [("a", "-1\n+2\n\n"), ("b", "-1\n+2\n\n")]) == [line, "-1", "+2"]
    assert told(changed, [("a", "-1"), ("b", "-2")])[1:] == [
        *("mig_partition : Set GPU instances: difference on a", "-1"),
        *("mig_partition : Set GPU instances: difference on b", "-2"),
    ]


def test_a_terminal_gets_no_characters_of_a_host_that_it_would_obey():
    lines = told([("a", FAILED, "x\x1b[2J" + "\ny" * 10**5)])
    assert all(line.isprintable() for line in lines)
    assert len(lines) < 300


def test_stages_and_the_recap():
    assert stage_lines([("a", "drain"), ("b", "drain"), ("c", "mode")]) == ["Stage drain: a, b", "Stage mode: c"]
    nothing = {"unreachable": 0, "failures": 0, "changed": 0}
    hosts = {"a": nothing, "b": {**nothing, "changed": 2}, "c": {**nothing, "changed": 1, "failures": 1}}
    assert recap({**hosts, "d": {**nothing, "unreachable": 1}}) == "Hosts: 1 ok, 1 changed, 1 failed, 1 unreachable"
    assert recap({}) == "Hosts: none"


def test_a_warning_of_several_hosts_is_told_once():
    given = [("a", "a: it is slow"), ("b", "b: it is slow"), ("a", "of all"), ("b", "of all")]
    assert list(warnings(given)) == ["a, b: it is slow", "of all"]
