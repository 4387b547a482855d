# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""GPUs that must be reset together: GPUs of Ampere on NVSwitches while Fabric Manager does not run. Pure.

Each of them knows its ``reset_peers``. Where one is to be reset, every peer gets a plan of its own that takes its
instances down before the reset and makes them again after it, and the reset step of each names the others. Plans that
name each other so are applied together.
"""

from __future__ import annotations

from ..model import RESET_GPU, SET_MIG_MODE, Refusal
from .gpu import plan_mode, plan_reset


def reset_together(gpus, decisions, pending=False, keep=frozenset()):
    """Take ``decisions``, a Plan or Refusal for each GPU concerned, to such in which no GPU is reset without its peers.

    ``gpus`` are all that are known of the host: of a group that is not among them as a whole, nobody is reset.
    ``pending`` and ``keep`` are plan_mode's: with ``pending`` a group of which one is busy is not reset either, and its
    modes are left pending.
    """
    found = {decision.gpu.uuid: decision for decision in decisions}
    seen = set()
    for decision in decisions:
        gpu, plan = decision.gpu, _plan_of(decision)
        if gpu.reset_peers and gpu.uuid not in seen and plan and _reset_of(plan):
            members = [one for one in gpus if one.uuid == gpu.uuid or one.uuid in gpu.reset_peers]
            seen.update(one.uuid for one in members)
            found.update(_decide_group(members, found, pending, keep))
    return [found[decision.gpu.uuid] for decision in decisions]


def batches(plans):
    """Plans as a list of lists: those that share a reset in one, every other alone."""
    found = {}
    for plan in plans:
        reset = _reset_of(plan)
        members = frozenset([plan.gpu.uuid, *(peer.uuid for peer in reset.peers)] if reset else [plan.gpu.uuid])
        found.setdefault(members, []).append(plan)
    return list(found.values())


def in_order(plans):
    """The steps of plans that share a reset, in the order in which they are executed.

    First what comes before the reset, on GPUs whose mode changes first, since that is what may fail while the others
    are as they were; then the reset; then the rest, GPU by GPU.
    """
    before, resets, after = [], [], []
    for plan in sorted(plans, key=lambda plan: plan.mig_mode == plan.gpu.mig_mode):
        steps = before
        for step in plan.steps:
            if step.action == RESET_GPU:
                resets.append(step)
                steps = after
            else:
                steps.append(step)
    return before + resets + after


def steps_in_order(plans):
    """The steps of all plans of a host, in the order in which they are executed."""
    return [step for batch in batches(plans) for step in in_order(batch)]


def _plan_of(decision):
    """The Plan in a decision, for a busy refusal the one that follows once its blockers are gone; else None."""
    return decision.plan if isinstance(decision, Refusal) else decision


def _reset_of(plan):
    return next((step for step in plan.steps if step.action == RESET_GPU), None)


def _decide_group(members, found, pending, keep):
    """Decisions for the GPUs of a group, at least one of which is to be reset, by UUID."""
    named = [gpu for gpu in members if gpu.uuid in found]
    resetting = [gpu for gpu in named if _plan_of(found[gpu.uuid]) and _reset_of(_plan_of(found[gpu.uuid]))]
    unnamed = [gpu for gpu in members if gpu.uuid not in found]
    if unnamed or any(len(gpu.reset_peers) >= len(members) for gpu in members):
        return {gpu.uuid: _refusals().peers_not_named(gpu, unnamed) for gpu in resetting}
    if not all(_plan_of(found[gpu.uuid]) for gpu in named):
        return {}  # one is refused for good, and with it the host
    decided = {}
    for gpu in named:
        decision = found[gpu.uuid]
        peers = tuple(other for other in members if other.uuid != gpu.uuid)
        if gpu not in resetting:
            decision = _decide_peer(gpu, decision, peers, keep)
        decided[gpu.uuid] = _with_peers(decision, peers)
    if pending and any(isinstance(decision, Refusal) for decision in decided.values()):
        return {gpu.uuid: plan_mode(gpu, _plan_of(found[gpu.uuid]).mig_mode, reset=False) for gpu in resetting}
    return decided


def _decide_peer(gpu, decision, peers, keep):
    """The decision for a GPU that is reset only because others are; a mode that waits for a reset gets it."""
    plan = _plan_of(decision)
    modes = [step.mig_enabled for step in plan.steps if step.action == SET_MIG_MODE]
    mode = modes[-1] if modes else gpu.mig_mode_pending
    if mode != gpu.mig_mode:
        return plan_mode(gpu, mode, keep=keep)
    return plan_reset(gpu, plan.steps, peers, keep)


def _with_peers(decision, peers):
    if isinstance(decision, Refusal):
        return decision._replace(plan=decision.plan and _with_peers(decision.plan, peers))
    steps = tuple(step._replace(peers=peers) if step.action == RESET_GPU else step for step in decision.steps)
    return decision._replace(steps=steps)


def _refusals():
    from . import refusals  # as in plan/gpu.py

    return refusals
