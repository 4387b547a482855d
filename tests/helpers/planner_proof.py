# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds the planner against the oracle: pairs of what is there and what is wanted, by sample or all of them."""

from __future__ import annotations

import itertools
import random

import oracle
from model_gpu import ModelPort, gpu, gpu_instance

from ansible_collections.gpufleet.mig.plugins.module_utils.model import GpuLayout, Refusal
from ansible_collections.gpufleet.mig.plugins.module_utils.planner import plan_instances

IDLE, BUSY, ORPHAN = "idle", "busy", "orphan"


def states(model):
    """Every legal set of placed GPU instances of a model, as tuples of spots."""
    return [placed for group in oracle.layouts(model).values() for placed, _room in group]


def targets(model):
    """Every multiset of profiles that fits on a model, as {profile: count}."""
    return sorted((dict(group) for group in oracle.layouts(model)), key=lambda target: sorted(target.items()))


def marked_states(model):
    """Every state with every way to mark its instances idle or busy."""
    for placed in states(model):
        for marks in itertools.product((IDLE, BUSY), repeat=len(placed)):
            yield placed, marks


def sampled_pairs(model, seed, count):
    """``count`` pairs of a marked state, with orphans too, and a target."""
    chance = random.Random(f"{model} {seed}")
    all_states, all_targets = states(model), targets(model)
    for _pair in range(count):
        placed = chance.choice(all_states)
        marks = chance.choices((IDLE, BUSY, ORPHAN), (6, 3, 1), k=len(placed))
        yield placed, marks, chance.choice(all_targets)


def present(placed, marks):
    """GpuInstances of spots and marks."""
    made = []
    for number, ((start, size, _id, name), mark) in enumerate(zip(placed, marks, strict=False)):
        slices = int(name.split("g.")[0])
        inside = (None, 0, 0, False) if mark == ORPHAN else (name, 0, slices, mark == BUSY)
        made.append(gpu_instance(number + 1, name, start, size, inside))
    return made


def check_pair(model, instances, wanted):
    """The planner's answer is the oracle's best and its plan is legal and leads there. Returns whether it refused."""
    cost, best = oracle.best(model, instances, wanted)
    now = gpu(model, instances)
    answer = plan_instances(now, GpuLayout(counts=tuple(sorted(wanted.items()))))
    refused = isinstance(answer, Refusal)
    assert refused == bool(cost[0]), (instances, wanted)
    plan = answer.plan if refused else answer
    assert [(one.start, one.size, one.profile) for one in plan.target] == [(spot[0], spot[1], spot[3]) for spot in best]
    actions = [step.action for step in plan.steps]
    assert (actions.count("destroy_compute_instance"), actions.count("destroy_gpu_instance")) == cost[2:4]
    assert (actions.count("create_gpu_instance"), actions.count("create_compute_instance")) == cost[5:]
    if refused:
        assert (len(answer.blockers), sum(blocker.placement.size for blocker in answer.blockers)) == cost[:2]
    else:
        port = ModelPort(now)
        for step in plan.steps:
            port.execute(step)
        assert port.gpus[now.uuid].placed == plan.target
    return refused
