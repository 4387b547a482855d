# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a single NVML call of a change does, the layout is reached or restored, or the report names what is left."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from faults import ALL_CODES, CLASSES, KILLS_AND_LIES, SCENARIOS, STEPS, Case, Stage
from modules import ModuleServer
from paths import ROOT

PARTS = 4
IN_ORDER = ("reached", "restored", "nothing done", "left", "pending", "killed", "misled")


def cases_of_each_phase(stage):
    """Each distinct call and phase with one code per class; the modes' readings take the classes in turn."""
    turn = count()
    for function, nth in stage.calls_of_each_phase():
        codes = CLASSES
        if stage.scenario.module == "mig_mode" and function not in STEPS:
            codes = [CLASSES[next(turn) % len(CLASSES)]]
        for code in codes:
            yield Case(function, nth, ("--return", code))
        for action in KILLS_AND_LIES:
            yield Case(function, nth, action)


def lasting_cases(stage):
    """A step that goes on failing, so that going back fails too."""
    for function in STEPS:
        if stage.calls.get(function):
            for code in CLASSES[1:]:
                for nth in range(1, stage.calls[function] + 1):
                    yield Case(function, nth, ("--return", code), times=0)
            yield Case(function, 1, ("--lie",), times=0)


def every_case(stage):
    """Every single call with every code."""
    actions = [("--return", code) for code in ALL_CODES] + list(KILLS_AND_LIES)
    calls = [(function, nth) for function, calls in stage.calls.items() for nth in range(1, calls + 1)]
    return [Case(function, nth, action) for function, nth in calls for action in actions]


def judge_all(stage, cases):
    """(a Counter of outcomes, the problems in words)."""
    outcomes, problems = Counter(), []
    for case in cases:
        outcome, wrong = stage.judge(case)
        outcomes[outcome] += 1
        problems += [f"{case}: {sentence}" for sentence in wrong]
    return outcomes, problems


def words(outcomes):
    """A Counter of outcomes as text."""
    return f"{sum(outcomes.values())} cases: " + ", ".join(
        f"{number} {name}" for name, number in outcomes.most_common()
    )


def report(problems):
    """The first of many problems."""
    return f"{len(problems)} problems\n" + "\n".join(problems[:20])


@pytest.fixture
def stage_of(modules, tmp_path):
    """stage_of(scenario name): the Stage."""
    stages = []

    def make(name):
        stages.append(Stage(SCENARIOS[name], modules, tmp_path / "host"))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SCENARIOS)
def test_one_call_goes_wrong(stage_of, name, part, record_property):
    stage = stage_of(name)
    outcomes, problems = judge_all(stage, list(cases_of_each_phase(stage))[part::PARTS])
    record_property("faults", words(outcomes))
    assert not problems, report(problems)
    assert {"reached", "killed"} <= set(outcomes)
    assert set(outcomes) <= set(IN_ORDER)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_step_goes_on_failing(stage_of, name, record_property):
    stage = stage_of(name)
    outcomes, problems = judge_all(stage, lasting_cases(stage))
    record_property("faults", words(outcomes))
    assert not problems, report(problems)
    assert set(outcomes) <= set(IN_ORDER)


def prove_part(name, directory, part, parts, done):
    """One part of a scenario's every_case, on a host of its own: (outcomes, problems); ``done`` collects the cases."""
    with ModuleServer() as modules:
        stage = Stage(SCENARIOS[name], modules, directory)
        try:
            cases = [*every_case(stage), *lasting_cases(stage)]
            outcomes, problems = Counter(), []
            for number, case in enumerate(cases[part::parts], 1):
                found, wrong = judge_all(stage, [case])
                outcomes += found
                problems += wrong
                done.append(case)
                if part == 0 and number % 10 == 0:
                    share = len(done) / len(cases)
                    print(f"\r{name} [{'#' * int(40 * share):<40}] {share:4.0%}", end="", file=sys.__stderr__)
            return outcomes, problems
        finally:
            stage.close()


@pytest.mark.prove
def test_every_call_goes_wrong(simulator, tmp_path):
    parts = os.cpu_count()
    started, table, problems = time.monotonic(), {}, []
    for number, name in enumerate(SCENARIOS):
        done = []
        with ThreadPoolExecutor(parts) as pool:
            futures = [
                pool.submit(prove_part, name, tmp_path / f"{number}-{part}", part, parts, done) for part in range(parts)
            ]
        table[name] = sum((future.result()[0] for future in futures), Counter())
        problems += [problem for future in futures for problem in future.result()[1]]
        print(f"\n{name}: {words(table[name])}, {time.monotonic() - started:.0f} s so far", file=sys.__stderr__)
    write_table(table)
    assert not problems, report(problems)


MEANING = {
    "reached": "the layout or mode was reached",
    "restored": "steps were done and taken back: profiles and placements as before",
    "nothing done": "a refusal or failure before the first step",
    "left": "the report named exactly what could not be brought back",
    "pending": "the mode is pending, and the result says which reset or reboot it needs",
    "killed": "the run was killed with signal 9 before or after the effect of the call",
    "misled": "a reading call said SUCCESS and gave nothing, or said that the GPU has no such profile",
}


def write_table(table):
    """docs/reliability.md: how often each scenario came to which outcome."""
    lines = [
        "# Reliability",
        "",
        "What becomes of a change when one of its NVML calls goes wrong, on simulated GPUs. Every call of each change",
        f"was made to return each of {len(ALL_CODES)} error codes, to be killed with signal 9 before and after its",
        "effect, to be slow, and to say SUCCESS without an effect; beside that every step was made to go on failing.",
        "After every case the simulated GPUs were read: a job that ran through it still runs on the same MIG device,",
        "the result tells the truth, and one plain run then reaches what was wanted.",
        "",
        "This table is written by `make prove TESTS=tests/integration/test_faults.py`.",
        "",
        "| change | cases | " + " | ".join(IN_ORDER) + " |",
        "|---|---:|" + "---:|" * len(IN_ORDER),
    ]
    for name, outcomes in table.items():
        lines.append(
            f"| {name} | {sum(outcomes.values())} | "
            + " | ".join(str(outcomes[outcome]) for outcome in IN_ORDER)
            + " |"
        )
    lines += ["", *[f"- {name}: {meaning}" for name, meaning in MEANING.items()], ""]
    (ROOT / "docs" / "reliability.md").write_text("\n".join(lines), encoding="utf-8")
