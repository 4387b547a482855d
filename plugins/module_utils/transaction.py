# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A change of one host: read, decide, apply, read again, verify, and go back where that failed.

Knows the planner and an NVML port, not NVML and not Ansible. A port comes from a context manager and has

- ``read()``, which returns a Snapshot,
- ``read_gpu(gpu)``, which returns a Gpu, and
- ``execute(step)``, which returns a dict: ids and UUIDs of what was created, ``activation`` of a mode change.

They raise NvmlError. ``decide(snapshot)`` returns (a Plan or a Refusal for each GPU concerned, warnings); what is
applied was always planned on what was read under the lock.
"""

from __future__ import annotations

import time
from typing import NamedTuple, Optional, Tuple

from .errors import MigError, NvmlError
from .model import (
    DESTROY_COMPUTE_INSTANCE,
    DESTROY_GPU_INSTANCE,
    RESET_GPU,
    SET_MIG_MODE,
    Blocker,
    Gpu,
    Plan,
    Refusal,
    Step,
)
from .planner import plan_back, plan_mode

# A GPU instance may still be IN_USE for a moment after its compute instance went (seen on hardware); nothing else
# is retried.
BUSY_AFTER_DESTROY_SECONDS = 15
POLL_SECONDS = 0.2


class Done(NamedTuple):
    """A step that was executed, with the ids and UUIDs of what it created."""

    step: Step
    created: dict


class Failure(NamedTuple):
    """Why a GPU did not get where its plan leads; ``step`` is None where all succeeded and the result still differs."""

    gpu: Gpu
    message: str
    step: Optional[Step] = None
    code: Optional[str] = None
    blockers: Tuple[Blocker, ...] = ()


class GpuOutcome(NamedTuple):
    """What became of one GPU's plan.

    ``after`` is None where the GPU could not be read any more. ``undone`` are the steps that went back after a
    failure, ``left`` names in words what could not be brought back. ``needs`` is ``reset`` or ``reboot`` where the
    mode stays pending.
    """

    plan: Plan
    after: Optional[Gpu]
    done: Tuple[Done, ...] = ()
    undone: Tuple[Done, ...] = ()
    not_done: Tuple[Step, ...] = ()
    failure: Optional[Failure] = None
    left: Tuple[str, ...] = ()
    needs: Optional[str] = None


class Options(NamedTuple):
    """How to apply: ``atomic`` undoes all GPUs when one fails, ``leave_pending`` lets a busy GPU's mode wait."""

    atomic: bool = False
    leave_pending: bool = False
    busy_timeout: float = 0


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


def rehearse(open_port, decide):
    """What a change would do: read and decide, take no lock, touch nothing. Returns a Change without outcomes."""
    with open_port() as port:
        decisions, warnings = decide(port.read())
    return Change(tuple(decisions), warnings=tuple(warnings))


def change(open_port, decide, host_state, lock_timeout, options, journal=None):
    """Change a host: lock, read, decide, apply, verify, and keep the journal.

    The port is opened under the lock: an NVML session that waits would itself keep a GPU from being reset.

    ``journal`` is None or a function that makes the record of a Change, a dict of plain values; it is called before
    the first step (no outcomes yet) and after the last. Refused by any GPU, nothing is done to any. Raises MigError
    when the lock or the state directory cannot be had, NvmlError when the host cannot be read.
    """
    with host_state.lock(lock_timeout), open_port() as port:
        return change_under_lock(port, decide, host_state, options, journal)


def change_under_lock(port, decide, host_state, options, journal=None):
    """What change() does once it holds the lock, through a port that is open."""
    warnings = _interruption(host_state)
    decisions, more = decide_when_free(port, decide, options.busy_timeout)
    result = Change(tuple(decisions), warnings=(*warnings, *more))
    plans = [plan for plan in result.plans if plan.steps]
    if result.refusals or not plans:
        return result
    if journal:
        host_state.begin(journal(result))
    result = result._replace(outcomes=tuple(apply(port, plans, options)))
    if journal:
        try:
            host_state.end(journal(result))
        except MigError as error:
            # What was done is done: the run must tell it, whatever becomes of the journal.
            result = result._replace(warnings=(*result.warnings, str(error)))
    return result


def _interruption(host_state):
    begun = host_state.interrupted()
    if not begun:
        return ()
    return (
        f"The change that {begun['user']} began at {begun['time']} (process {begun['pid']}) was cut short; "
        "this run goes on from what is there.",
    )


def decide_when_free(port, decide, busy_timeout=0):
    """Read and decide; while nothing but busy instances is in the way, again for up to ``busy_timeout`` seconds."""
    deadline = time.monotonic() + busy_timeout
    while True:
        decisions, warnings = decide(port.read())
        refusals = [decision for decision in decisions if isinstance(decision, Refusal)]
        if not refusals or any(refusal.kind != "busy" for refusal in refusals) or time.monotonic() >= deadline:
            return decisions, warnings
        time.sleep(POLL_SECONDS)


def apply(port, plans, options):
    """Execute plans GPU by GPU and return a GpuOutcome for each, in their order.

    A GPU that fails is taken back to where it was. The others go on, because they are independent and an operator
    would rather repair one GPU than eight; with ``options.atomic`` the first failure takes all of them back.
    """
    outcomes = []
    for plan in plans:
        if options.atomic and any(outcome.failure for outcome in outcomes):
            outcomes.append(GpuOutcome(plan, plan.gpu, not_done=plan.steps))
            continue
        outcomes.append(_apply_to_gpu(port, plan, options))
    if options.atomic and any(outcome.failure for outcome in outcomes):
        outcomes = [
            outcome if outcome.failure or not outcome.done else _take_back(port, outcome) for outcome in outcomes
        ]
    return outcomes


def _apply_to_gpu(port, plan, options):
    """Execute one GPU's plan and prove the result, or go back."""
    done, needs, failure = _execute_all(port, plan, options)
    after, error = _reread(port, plan.gpu)
    if error and not failure:
        failure = Failure(plan.gpu, f"{plan.gpu.name} could not be read again: {error}", code=error.code)
    elif not failure:
        problem = _difference(plan, after, needs)
        failure = problem and Failure(plan.gpu, problem)
    outcome = GpuOutcome(plan, after, tuple(done), not_done=plan.steps[len(done) :], failure=failure, needs=needs)
    if not failure:
        return outcome
    if failure.code == "IN_USE" and after and not failure.blockers:
        blockers = _holders(plan, after) or _held(failure.step)
        outcome = outcome._replace(failure=failure._replace(blockers=blockers))
    return _take_back(port, outcome)


def _execute_all(port, plan, options):
    """Execute steps up to the first that fails, or that leaves the mode pending by right: (done, needs, failure)."""
    done = []
    for step in plan.steps:
        try:
            if step.action == RESET_GPU and port.read_gpu(plan.gpu).mig_mode == step.mig_enabled:
                # Setting the mode of an idle GPU may reset it by itself; a second reset would serve nobody.
                done.append(Done(step, {"needed": False}))
                continue
            created = _execute(port, step, done)
        except NvmlError as error:
            needs = _pending_after_failed_reset(step, error, options)
            return done, needs, None if needs else Failure(plan.gpu, str(error), step, error.code)
        done.append(Done(step, created))
        activation = created.get("activation")
        if activation == "RESET_REQUIRED":
            return done, "reboot", None
        if activation == "IN_USE" and options.leave_pending:
            return done, "reset", None
        if activation == "IN_USE":
            error = NvmlError("nvmlDeviceSetMigMode", "IN_USE")
            return done, None, Failure(plan.gpu, str(error), step, error.code, (Blocker(plan.gpu, "in_use"),))
    return done, None, None


def _execute(port, step, done):
    """Execute a step; a GPU instance whose compute instance this run has just destroyed may be busy for a moment."""
    emptied = any(
        one.step.action == DESTROY_COMPUTE_INSTANCE and one.step.gpu_instance_id == step.gpu_instance_id for one in done
    )
    deadline = time.monotonic() + BUSY_AFTER_DESTROY_SECONDS
    while True:
        try:
            return port.execute(step)
        except NvmlError as error:
            retry = error.kind == "busy" and step.action == DESTROY_GPU_INSTANCE and emptied
            if not retry or time.monotonic() >= deadline:
                raise
        time.sleep(POLL_SECONDS)


def _pending_after_failed_reset(step, error, options):
    """What the GPU needs where a reset that did not happen leaves the mode pending by right, else None."""
    if step.action != RESET_GPU:
        return None
    if error.kind == "unsupported":
        return "reboot"
    return "reset" if error.kind == "busy" and options.leave_pending else None


def _difference(plan, after, needs):
    """What is not as the plan leaves it, as a sentence, or None."""
    mode = after.mig_mode_pending if needs else after.mig_mode
    wanted = (
        next((step.mig_enabled for step in plan.steps if step.action == SET_MIG_MODE), plan.mig_mode)
        if needs
        else plan.mig_mode
    )
    if mode != wanted:
        return f"{after.name} reported success, but MIG mode is {_on_off(mode)} instead of {_on_off(wanted)}. {LIED}"
    if not needs and after.mig_mode and plan.target is not None and after.placed != plan.target:
        missing = [instance for instance in plan.target if instance not in after.placed]
        extra = [instance for instance in after.placed if instance not in plan.target]
        return (
            f"{after.name} reported success, but its instances differ: missing {_in_words(missing)}; "
            f"not expected {_in_words(extra)}. {LIED}"
        )
    return None


LIED = "The driver did not do what it said, or something else changed the GPU: look at the kernel log, then run again."


def _on_off(mode):
    return "enabled" if mode else "disabled"


def _in_words(instances):
    return (
        ", ".join(
            f"{one.profile} at slice {one.start} holding "
            + (" + ".join(f"{device.profile} at {device.start}" for device in one.compute_instances) or "nothing")
            for one in instances
        )
        or "nothing"
    )


def _reread(port, gpu):
    """(Gpu, None), or (None, the NvmlError) where it could not be read."""
    try:
        return port.read_gpu(gpu), None
    except NvmlError as error:
        return None, error


def _holders(plan, after):
    """Who holds what the plan would have destroyed: processes that came between planning and the step."""
    return tuple(
        Blocker(after, "busy", device, device.profile, instance.placement, device.processes or ())
        for instance in after.instances or ()
        for device in instance.compute_instances
        if device.busy and device.uuid in plan.disrupted
    )


def _held(step):
    """What a step did not get because somebody holds it whom NVML does not name."""
    if step.action in (SET_MIG_MODE, RESET_GPU):
        return (Blocker(step.gpu, "in_use"),)
    for instance in step.gpu.instances or ():
        for device in instance.compute_instances:
            if (instance.id, device.id) == (step.gpu_instance_id, step.compute_instance_id):
                return (Blocker(step.gpu, "in_use", device, device.profile, instance.placement),)
    return (Blocker(step.gpu, "in_use", None, step.profile, step.placement),)


def _take_back(port, outcome):
    """Bring a GPU back towards where it was before its plan, without harm to anybody, and say what could not be."""
    before = outcome.plan.gpu
    undone, left = [], []
    after, unread = _reread(port, before)
    try:
        if after and (after.mig_mode, after.mig_mode_pending) != (before.mig_mode, before.mig_mode_pending):
            for step in _mode_steps_back(before, after):
                undone.append(Done(step, _execute(port, step, undone)))
            after = port.read_gpu(before)
        if after and after.mig_mode:
            plan, _other = plan_back(before, after)
            for step in plan.steps:
                undone.append(Done(step, _execute(port, step, undone)))
    except NvmlError as error:
        left.append(f"going back failed: {_briefly(error, outcome.failure)}")
    if undone or left:
        after, unread = _reread(port, before)
    if after is None:
        left.append(f"what is on it now is not known: {_briefly(unread, outcome.failure)}")
    else:
        left += _differences_left(before, after)
    return outcome._replace(after=after, undone=tuple(undone), left=tuple(left))


def _briefly(error, failure):
    """An NvmlError without its full stop, and without what to do about it where the failure says that already."""
    return (error.text if failure and failure.code == error.code else str(error)).rstrip(".")


def _mode_steps_back(before, after):
    """Steps that give a GPU its former mode, current and pending; none where somebody uses it."""
    back = plan_mode(after, before.mig_mode)
    if isinstance(back, Refusal):
        return ()
    if before.mig_mode_pending != before.mig_mode:
        return (*back.steps, Step(SET_MIG_MODE, after, mig_enabled=before.mig_mode_pending))
    return back.steps


def _differences_left(before, after):
    left = []
    if (after.mig_mode, after.mig_mode_pending) != (before.mig_mode, before.mig_mode_pending):
        left.append(
            f"MIG mode is {_on_off(after.mig_mode)} (pending: {_on_off(after.mig_mode_pending)}), was "
            f"{_on_off(before.mig_mode)} (pending: {_on_off(before.mig_mode_pending)})"
        )
    missing = [instance for instance in before.placed if instance not in after.placed]
    extra = [instance for instance in after.placed if instance not in before.placed]
    if missing:
        left.append(f"not restored: {_in_words(missing)}")
    if extra:
        left.append(f"not removed: {_in_words(extra)}")
    return left
