# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing GPUs back to where they were before a change that failed.

The same planner plans back from what is there now, and what it plans ends no process.
"""

from __future__ import annotations

from ..errors import NvmlError
from ..model import RESET_GPU, SET_MIG_MODE, Plan, Refusal, Step
from ..plan.gpu import plan_back, plan_mode
from ..plan.reset_groups import reset_together, steps_in_order
from .execution import Execution, done_on, execute, reread
from .outcome import Done
from .verification import differences_left, modes


def take_back(port, outcomes):
    """Bring GPUs back towards where they were before their plans, without harm to anybody, and say what could not be.

    Several are GPUs that share a reset: their modes go back together, then each gets its instances for itself.
    """
    befores = [outcome.plan.gpu for outcome in outcomes]
    readings = [reread(port, before) for before in befores]
    undone, errors = [], {}
    for step in _mode_steps_back([(before, after) for before, (after, _why) in zip(befores, readings) if after]):
        if step.gpu.uuid not in errors and not (errors and step.action == RESET_GPU):
            try:
                undone.append(Done(step, execute(port, step, undone)))
            except NvmlError as error:
                errors[step.gpu.uuid] = error
    return [
        _take_instances_back(port, outcome, reading, done_on(before, undone), errors.get(before.uuid))
        for outcome, before, reading in zip(outcomes, befores, readings)
    ]


def _take_instances_back(port, outcome, reading, modes_undone, error):
    """Bring one GPU's instances back, after ``modes_undone`` and, where that failed, the ``error``.

    ``reading`` is what reread gave before that.
    """
    before, (after, unread) = outcome.plan.gpu, reading
    undone, left = list(modes_undone), []
    try:
        if error:
            raise error
        if undone:
            after = port.read_gpu(before)
        if after and after.mig_mode:
            plan, given_up = plan_back(before, after)
            left += [
                f"{one.profile} at slice {one.start} cannot come back: {why.rstrip('.')}"
                for one, why in given_up
                if why
            ]
            execution = Execution(port, plan.steps)
            for step in plan.steps:
                undone.append(execution.execute(step))
    except NvmlError as failed:
        left.append(f"going back failed: {_briefly(failed, outcome.failure)}")
    if undone or left:
        after, unread = reread(port, before)
    if after is None:
        left.append(f"what is on it now is not known: {_briefly(unread, outcome.failure)}")
    else:
        left += differences_left(before, after)
    return outcome._replace(after=after, undone=(*outcome.undone, *undone), left=tuple(left))


def _briefly(error, failure):
    """An NvmlError without its full stop, and without what to do about it where the failure says that already."""
    return (error.text if failure and failure.code == error.code else str(error)).rstrip(".")


def _mode_steps_back(readings):
    """Steps that give GPUs their former modes, current and pending; none where somebody is in the way.

    ``readings`` are pairs of a Gpu before and one now; the steps of GPUs that must be reset together come in order.
    """
    decisions = [
        plan_mode(now, before.mig_mode) if modes(now) != modes(before) else Plan(now, mig_mode=now.mig_mode)
        for before, now in readings
    ]
    plans = []
    for (before, now), back in zip(readings, reset_together([now for _before, now in readings], decisions)):
        if isinstance(back, Refusal):
            continue
        if modes(now) != modes(before) and before.mig_mode_pending != before.mig_mode:
            again = Step(SET_MIG_MODE, now, mig_enabled=before.mig_mode_pending)
            back = back._replace(steps=(*back.steps, again))
        plans.append(back)
    return steps_in_order(plans)
