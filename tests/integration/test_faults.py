# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a single NVML call of a change does, the layout is reached or restored, or the report names what is left."""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from evidence import table, write_evidence
from faults import ALL_CODES, CLASSES, GIVEN_UP, SCENARIOS, STEPS, Case, Stage, kills_and_lies
from modules import ModuleServer

PARTS = 4
# More than there are processors: some of the cases do nothing but wait.
PROVE_PARTS = 8
SLOW_MS = 2000
IN_ORDER = ("reached", "restored", "nothing done", "left", "lost", "pending", "killed", "misled")


def cases_of_each_phase(stage):
    """Each distinct call and phase with one code per class; the modes' readings take the classes in turn."""
    turn = count()
    for function, nth in stage.calls_of_each_phase():
        codes = CLASSES
        if stage.scenario.module == "mig_mode" and function not in STEPS:
            codes = [CLASSES[next(turn) % len(CLASSES)]]
        for code in codes:
            yield Case(function, nth, ("--return", code))
        for action in kills_and_lies():
            yield Case(function, nth, action)


def lasting_cases(stage):
    """A step that goes on failing, so that going back fails too; and a GPU that is lost between two steps."""
    for function in STEPS:
        if stage.calls.get(function):
            for code in CLASSES[1:]:
                for nth in range(1, stage.calls[function] + 1):
                    yield Case(function, nth, ("--return", code), times=0)
            yield Case(function, 1, ("--lie",), times=0)
    for nth in range(stage.total() // 10, stage.total(), stage.total() // 10):
        yield lost_from(nth)


def lost_from(nth):
    """The GPU falls off the bus with the nth call of all."""
    return Case("any", nth, ("--return", "GPU_IS_LOST"), times=0)


def every_case(stage):
    """Every single call with every code, killed, slow, and lying; the GPU lost at every call; all lasting_cases."""
    actions = [*(("--return", code) for code in ALL_CODES), *kills_and_lies(SLOW_MS)]
    calls = [(function, nth) for function, calls in stage.calls.items() for nth in range(1, calls + 1)]
    single = [Case(function, nth, action) for function, nth in calls for action in actions]
    return [*single, *map(lost_from, range(1, stage.total() + 1)), *lasting_cases(stage)]


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
        stages.append(Stage(SCENARIOS[name], modules, tmp_path / f"host-{len(stages)}"))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


# Every other case each day.
@pytest.mark.parametrize("part", [0, 1, *(pytest.param(part, marks=pytest.mark.prove) for part in range(2, PARTS))])
@pytest.mark.parametrize("name", SCENARIOS)
def test_one_call_goes_wrong(stage_of, name, part, record_property):
    stage = stage_of(name)
    outcomes, problems = judge_all(stage, list(cases_of_each_phase(stage))[part::PARTS])
    record_property("faults", words(outcomes))
    assert not problems, report(problems)
    assert {"pending" if stage.scenario.passed_through else "reached", "killed"} <= set(outcomes)
    assert set(outcomes) <= set(IN_ORDER)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_step_goes_on_failing(stage_of, name, record_property):
    stage = stage_of(name)
    outcomes, problems = judge_all(stage, lasting_cases(stage))
    record_property("faults", words(outcomes))
    assert not problems, report(problems)
    assert set(outcomes) <= set(IN_ORDER)


def test_what_breaks_a_limit_comes_back_all_the_same(modules, tmp_path, record_property):
    stage = Stage(GIVEN_UP, modules, tmp_path / "host")
    try:
        cases = [Case(function, 1, ("--return", code)) for function in STEPS[-2:] for code in CLASSES]
        outcomes, problems = judge_all(stage, cases)
    finally:
        stage.close()
    record_property("faults", words(outcomes))
    assert not problems, report(problems)
    assert set(outcomes) <= {"reached", "nothing done", "restored", "left", "lost"}


def kind_of(case):
    """What is broken on purpose, as a row of the table."""
    who = "a step" if case.function in STEPS else "a reading call"
    if case.function == "any":
        return "the GPU is lost from a call on"
    if case.times == 0:
        return "a step goes on failing, going back too"
    return {
        "--return": f"{who} returns an error code",
        "--kill": f"the run is killed {case.action[-1]} the effect of {who}",
        "--delay": f"{who} takes {SLOW_MS / 1000:g} s longer",
        "--lie": f"{who} says SUCCESS and has no effect",
    }[case.action[0]]


def prove_part(name, directory, part, tally):
    """One part of a scenario's every_case, on a host of its own: ({kind: Counter of outcomes}, problems)."""
    found, problems = {}, []
    with ModuleServer() as modules:
        stage = Stage(SCENARIOS[name], modules, directory)
        try:
            for case in every_case(stage)[part::PROVE_PARTS]:
                outcomes, wrong = judge_all(stage, [case])
                found.setdefault(kind_of(case), Counter()).update(outcomes)
                problems += wrong
                tally.step()
        finally:
            stage.close()
    return found, problems


@pytest.mark.prove
def test_every_call_goes_wrong(stage_of, tmp_path, progress):
    scenarios, kinds, problems, seconds = {}, {}, [], 0
    for number, name in enumerate(SCENARIOS):
        stage = stage_of(name)
        with ThreadPoolExecutor(PROVE_PARTS) as pool, progress(name, len(every_case(stage))) as tally:
            parts = [
                pool.submit(prove_part, name, tmp_path / f"{number}-{part}", part, tally) for part in range(PROVE_PARTS)
            ]
            for part in parts:
                found, wrong = part.result()
                problems += wrong
                for kind, outcomes in found.items():
                    scenarios.setdefault(name, Counter()).update(outcomes)
                    kinds.setdefault(kind, Counter()).update(outcomes)
        print(f"{name}: {words(scenarios[name])}", file=sys.__stderr__)
        seconds += tally.seconds
    write_tables(scenarios, dict(sorted(kinds.items())), seconds)
    assert not problems, report(problems)
    assert set().union(*scenarios.values()) <= set(IN_ORDER)


def write_tables(scenarios, kinds, seconds):
    """How often each change and each kind of fault came to which outcome, into docs/reliability.md."""

    def rows(counted):
        return [[name, sum(found.values()), *map(found.__getitem__, IN_ORDER)] for name, found in counted.items()]

    total = sum(sum(found.values()) for found in scenarios.values())
    write_evidence(
        "faults",
        [
            f"{total:,} cases, {len(ALL_CODES)} error codes, {seconds:,} s.",
            "",
            *table(["the change", "cases", *IN_ORDER], rows(scenarios)),
            "",
            *table(["what was broken", "cases", *IN_ORDER], rows(kinds)),
        ],
    )
