# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds the planner against the oracle: pairs of what is there and what is wanted, by sample or all of them."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import oracle
from model_gpu import ModelPort, gpu, gpu_instance

from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    GpuLayout,
    Refusal,
    WantedComputeInstance,
    WantedInstance,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.gpu import plan_instances

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


def sampled_divided(model, seed, count):
    """``count`` pairs of present GpuInstances with any compute instances and a GpuLayout of either form."""
    chance = random.Random(f"{model} {seed} divided")
    everything = oracle.divided(model)
    for number in range(count):
        placed, filled, _room = chance.choice(everything)
        held = [
            [(name, start, size, chance.random() < 0.3) for start, size, name in content] or [(None, 0, 0, False)]
            for content in filled
        ]
        instances = [
            gpu_instance(index + 1, name, start, size, *inside)
            for index, ((start, size, _id, name), inside) in enumerate(zip(placed, held, strict=True))
        ]
        placed, filled, _room = chance.choice(everything)
        if number % 2:
            yield instances, GpuLayout(counts=tuple(sorted(Counter(one[2] for held in filled for one in held).items())))
            continue
        wanted = [
            WantedInstance(
                name,
                chance.choice([None, None, start]),
                tuple(WantedComputeInstance(one[2], chance.choice([None, None, one[0]])) for one in held),
            )
            for (start, _size, _id, name), held in zip(placed, filled, strict=True)
        ]
        yield instances, GpuLayout(instances=tuple(chance.sample(wanted, len(wanted))))


def fits(layout):
    """A function that says whether a result (placed, contents), as the oracle has it, is what a GpuLayout asks for."""

    def counted(_placed, filled):
        return all(filled) and Counter(one[2] for held in filled for one in held) == Counter(dict(layout.counts))

    def holds(start, name, want_name, want_start):
        return name == want_name and want_start in (None, start)

    def one_by_one(haves, wants, same):
        return len(haves) == len(wants) and any(
            all(same(have, want) for have, want in zip(haves, order, strict=True))
            for order in itertools.permutations(wants)
        )

    def listed(placed, filled):
        return one_by_one(
            list(zip(placed, filled, strict=True)),
            layout.instances,
            lambda have, want: (
                holds(have[0][0], have[0][3], want.profile, want.start)
                and one_by_one(
                    have[1],
                    want.compute_instances,
                    lambda device, wish: holds(device[0], device[2], wish.profile, wish.start),
                )
            ),
        )

    return listed if layout.counts is None else counted


def check_divided(model, instances, layout):
    """As check_pair, for GPU instances that hold any compute instances. Returns whether it refused."""
    cost, placed, filled = oracle.best_divided(model, instances, fits(layout))
    now = gpu(model, instances)
    answer = plan_instances(now, layout)
    refused = isinstance(answer, Refusal)
    assert refused == bool(cost[0]), (instances, layout, answer)
    plan = answer.plan if refused else answer
    actions = [step.action for step in plan.steps]
    made = (actions.count("create_gpu_instance"), actions.count("create_compute_instance"))
    assert (actions.count("destroy_compute_instance"), actions.count("destroy_gpu_instance")) == cost[2:4]
    assert made == cost[5:], (instances, layout)
    assert [(one.start, one.size, one.profile) for one in plan.target] == [(one[0], one[1], one[3]) for one in placed]
    assert [tuple(map(tuple, one.compute_instances)) for one in plan.target] == [tuple(held) for held in filled]
    return refused
