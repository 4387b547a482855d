# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner's answer is the best there is: for a seeded sample here, for all situations in `make prove`."""

from __future__ import annotations

import multiprocessing

import pytest
from evidence import write_evidence
from model_gpu import A30, A100, RTX
from oracle import divided
from planner_proof import (
    check_divided,
    check_pair,
    marked_states,
    present,
    sampled_divided,
    sampled_pairs,
    states,
    targets,
)

SAMPLE = 8000
DIVIDED = 400
PARTS = 2


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("model", [A100, A30, RTX])
def test_agrees_with_the_oracle_on_a_seeded_sample(model, part):
    refused = sum(
        check_pair(model, present(placed, marks), wanted)
        for placed, marks, wanted in sampled_pairs(model, part, SAMPLE // PARTS)
    )
    assert 0 < refused < SAMPLE // PARTS


def test_agrees_with_the_oracle_on_divided_gpu_instances():
    refused = sum(check_divided(A30, *pair) for pair in sampled_divided(A30, 0, DIVIDED))
    assert 0 < refused < DIVIDED


def _check_divided(situation):
    return check_divided(*situation)


@pytest.mark.prove
@pytest.mark.parametrize("model, pairs", [(A30, 5_000), (RTX, 500)])
def test_agrees_with_the_oracle_on_divided_gpu_instances_at_length(model, pairs, progress):
    situations = [(model, *pair) for pair in sampled_divided(model, "at length", pairs)]
    refused = 0
    with multiprocessing.Pool() as pool, progress(f"{model}, divided", pairs) as tally:
        for found in pool.imap_unordered(_check_divided, situations, chunksize=16):
            refused += found
            tally.step()
    line = (
        f"- {model}: {len(divided(model)):,} results, {pairs:,} seeded pairs, {refused:,} refused; {tally.seconds:,} s"
    )
    write_evidence(f"planner {model}, divided", [line])
    assert 0 < refused < pairs


def _check_state(situation):
    model, placed, marks = situation
    instances = present(placed, marks)
    return sum(check_pair(model, instances, wanted) for wanted in targets(model))


@pytest.mark.prove
@pytest.mark.parametrize("model", [A30, RTX, A100])
def test_agrees_with_the_oracle_on_every_pair(model, progress):
    situations = [(model, placed, marks) for placed, marks in marked_states(model)]
    pairs, refused = len(situations) * len(targets(model)), 0
    with multiprocessing.Pool() as pool, progress(model, pairs) as tally:
        for found in pool.imap_unordered(_check_state, situations, chunksize=16):
            refused += found
            tally.step(len(targets(model)))
    line = (
        f"- {model}: {len(states(model)):,} layouts, {len(situations):,} with every marking, x {len(targets(model)):,} "
        f"wanted ones = {pairs:,} pairs, {refused:,} of them refused; {tally.seconds:,} s"
    )
    write_evidence(f"planner {model}", [line])
    assert 0 < refused < pairs
