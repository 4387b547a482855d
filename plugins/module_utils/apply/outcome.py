# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The values that a change is told in: what was done to each GPU, and how it ended."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

from ..model import Blocker, Gpu, Plan, Refusal, Step


class Done(NamedTuple):
    """A step that was executed, with the ids and UUIDs of what it created.

    ``placement`` is where a compute instance came to be, where the plan did not say it, it is another, or the driver
    chose it; ``replanned`` whether its profile id or place is another than planned.
    """

    step: Step
    created: dict
    placement: object = None
    replanned: bool = False


class Failure(NamedTuple):
    """Why a GPU did not get where its plan leads; ``step`` is None where all succeeded and the result still differs."""

    gpu: Gpu
    message: str
    step: Optional[Step] = None
    code: Optional[str] = None
    blockers: Tuple[Blocker, ...] = ()


class GpuOutcome(NamedTuple):
    """What became of one GPU's plan.

    ``plan`` is what was carried out: after something else had changed the GPU, or where a mode needed a reset that was
    not expected, another than the decision; ``replanned`` is the step that did not do. ``after`` is None where the GPU
    could not be read any more.
    ``undone`` are the steps that went back after a failure, ``left`` names in words what could not be brought back.
    ``needs`` is ``reset`` or ``reboot`` where the mode stays pending.
    """

    plan: Plan
    after: Optional[Gpu]
    done: Tuple[Done, ...] = ()
    undone: Tuple[Done, ...] = ()
    not_done: Tuple[Step, ...] = ()
    failure: Optional[Failure] = None
    left: Tuple[str, ...] = ()
    needs: Optional[str] = None
    replanned: Optional[Step] = None


class Options(NamedTuple):
    """How to apply: ``atomic`` undoes all GPUs when one fails, ``leave_pending`` lets a busy GPU's mode wait, ``reset``
    allows to reset a GPU whose driver leaves the mode pending.
    """

    atomic: bool = False
    leave_pending: bool = False
    busy_timeout: float = 0
    reset: bool = True


class Change(NamedTuple):
    """All that a run found out: one decision for each GPU concerned, and for those with something to do an outcome."""

    decisions: Tuple[object, ...]
    outcomes: Tuple[GpuOutcome, ...] = ()
    warnings: Tuple[str, ...] = ()

    @property
    def refusals(self):
        """The decisions that are Refusals; where there are any, nothing was done."""
        return [decision for decision in self.decisions if isinstance(decision, Refusal)]

    @property
    def plans(self):
        """The plans, in the order of decisions; of a busy refusal the plan that follows once its blockers are gone."""
        return [
            decision.plan if isinstance(decision, Refusal) else decision
            for decision in self.decisions
            if not isinstance(decision, Refusal) or decision.plan
        ]
