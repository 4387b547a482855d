# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""When to ask who holds what: only where a plan takes something away, or was refused."""

from __future__ import annotations

from ..model import CREATE_COMPUTE_INSTANCE, CREATE_GPU_INSTANCE, Refusal


def heeding_allocations(decide):
    """``decide`` that counts a device as busy once the kubelet has given it to a pod.

    The kubelet is asked only where a decision would take something away.
    """

    def decide_and_ask(snapshot):
        decisions, warnings = decide(snapshot)
        if not any(_takes_away(decision) for decision in decisions):
            return decisions, warnings
        from ..kubernetes.kubelet import allocations, with_allocations

        allocated, problem = allocations()
        if allocated:
            decisions, warnings = decide(with_allocations(snapshot, allocated))
        if problem:
            unseen = "so a pod that has a device and does not run yet would not be seen"
            warnings = [*warnings, f"What the kubelet has given to pods could not be read, {unseen}: {problem}."]
        return decisions, warnings

    return decide_and_ask


def _takes_away(decision):
    plan = decision.plan if isinstance(decision, Refusal) else decision
    steps = plan.steps if plan else ()
    return any(step.action not in (CREATE_GPU_INSTANCE, CREATE_COMPUTE_INSTANCE) for step in steps)


def with_names(change, run_command):
    """The Change whose refusals and failures tell all that can be known of who is in the way."""
    if not change.refusals and not any(outcome.failure for outcome in change.outcomes):
        return change
    from .naming import named

    return named(change, run_command)
