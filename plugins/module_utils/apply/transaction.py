# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A change of one host: read, decide, apply, read again, verify, and go back where that failed.

Knows the planner and an NVML port, not NVML and not Ansible. A port comes from a context manager and has

- ``read()``, which returns a Snapshot,
- ``read_gpu(gpu)``, which returns a Gpu, and
- ``execute(step)``, which returns a dict: ids and UUIDs of what was created, ``activation`` of a mode change, and
- ``remaining(gpu)``, which returns {profile name: how many more}, or None where the driver does not tell,
- ``inside(step)``, which asks the GPU instance of a create_compute_instance step: (ComputeProfiles that it offers, its
  compute slices, ComputeInstances in it).

They raise NvmlError. ``decide(snapshot)`` returns (a Plan or a Refusal for each GPU concerned, warnings); what is
applied was always planned on what was read under the lock.
"""

from __future__ import annotations

import time

from ..errors import MigError, NvmlError
from ..model import (
    CREATE_COMPUTE_INSTANCE,
    CREATE_GPU_INSTANCE,
    RESET_GPU,
    SET_MIG_MODE,
    Blocker,
    Plan,
    Refusal,
    Step,
)
from ..plan.reset_groups import batches, in_order
from .compensation import take_back
from .execution import PLACE_REFUSED, POLL_SECONDS, Execution, done_on, execute, reread
from .outcome import Change, Done, Failure, GpuOutcome
from .refused_places import RefusedPlaces, replanned
from .verification import difference, mode_set


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
        warnings = _interruption(host_state)
        done = change_under_lock(port, decide, host_state, options, journal)
        return done._replace(warnings=(*warnings, *done.warnings))


def change_under_lock(port, decide, host_state, options, journal=None):
    """What change() does once it holds the lock, through a port that is open. Reads no journal."""
    decisions, warnings = decide_when_free(port, decide, options.busy_timeout)
    result = Change(tuple(decisions), warnings=tuple(warnings))
    plans = [plan for plan in result.plans if plan.steps]
    if result.refusals or not plans:
        return result
    if journal:
        host_state.begin(journal(result))
    result = result._replace(outcomes=tuple(apply(port, plans, options, decide)))
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
        f"The change that {begun.get('user') or 'somebody'} began at {begun.get('time') or 'an unknown time'} (process "
        f"{begun.get('pid', 'unknown')}) was cut short; this run goes on from what is there.",
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


def apply(port, plans, options, decide=None):
    """Execute plans GPU by GPU, those that share a reset together, and return a GpuOutcome for each, in their order.

    A GPU that fails is taken back to where it was. The others go on, because they are independent and an operator
    would rather repair one GPU than eight; with ``options.atomic`` the first failure takes all of them back.
    ``decide`` is asked again where something else has changed a GPU in the meantime.
    """
    outcomes, refused = {}, RefusedPlaces(decide)
    for batch in batches(plans):
        if options.atomic and any(outcome.failure for outcome in outcomes.values()):
            done = [GpuOutcome(plan, plan.gpu, not_done=plan.steps) for plan in batch]
        elif len(batch) > 1:
            done = _apply_together(port, batch, options, refused)
        else:
            done = [_apply_to_gpu(port, batch[0], options, refused)]
        outcomes.update((outcome.plan.gpu.uuid, outcome) for outcome in done)
    if options.atomic and any(outcome.failure for outcome in outcomes.values()):
        for batch in batches(plans):
            done = [outcomes[plan.gpu.uuid] for plan in batch]
            if any(outcome.done and not outcome.failure for outcome in done):
                outcomes.update((outcome.plan.gpu.uuid, outcome) for outcome in take_back(port, done))
    return [outcomes[plan.gpu.uuid] for plan in plans]


def _apply_together(port, plans, options, refused):
    """Execute plans that share a reset: all of them up to it, and from there each GPU for itself.

    What keeps the reset from happening takes all of them back. Where that leaves modes pending by right, only the GPUs
    that were to be reset for the sake of others go back: they get their instances again.
    """
    steps = in_order(plans)
    resets = [number for number, step in enumerate(steps) if step.action == RESET_GPU]
    done, needs, failure = _execute_all(port, steps[: resets[-1] + 1], options)
    if not failure and not needs:
        return [_apply_to_gpu(port, plan, options, refused, done_on(plan.gpu, done)) for plan in plans]
    if failure and failure.code == "IN_USE":
        readings = [(plan, reread(port, plan.gpu)[0]) for plan in plans]
        blockers = tuple(one for plan, after in readings if after for one in _holders(plan, after))
        failure = failure._replace(blockers=blockers or _held(failure.step, failure.message))
    pending, back = [], []
    for plan in plans:
        own = done_on(plan.gpu, done)
        outcome = GpuOutcome(plan, None, own, not_done=plan.steps[len(own) :])
        if failure:
            back.append(outcome._replace(failure=failure if failure.gpu.uuid == plan.gpu.uuid else None))
        elif plan.mig_mode == plan.gpu.mig_mode:
            back.append(outcome)
        else:
            pending.append(_proven(port, outcome._replace(needs=needs), options))
    return pending + take_back(port, back)


def _apply_to_gpu(port, plan, options, refused, done=()):
    """Execute what is not ``done`` yet of one GPU's plan and prove the result, or go back."""
    again, needs, failure = None, None, _known(refused, plan)
    if failure and not done:
        return GpuOutcome(plan, plan.gpu, not_done=plan.steps, failure=failure)
    if not failure:
        more, needs, failure = _execute_all(port, plan.steps[len(done) :], options)
        done = (*done, *more)
        if refused.concerns(failure):
            plan, done, needs, failure, again = _after_refusal(port, plan, options, refused, done, failure)
    outcome = GpuOutcome(plan, None, done, not_done=plan.steps[len(done) :], failure=failure, needs=needs)
    return _proven(port, outcome._replace(replanned=again), options)


def _known(refused, plan):
    """The Failure of a Plan that leads to a combination which the driver has refused in this run, None of any other."""
    known = refused.known(plan)
    return known and Failure(plan.gpu, known[1], known[0])


def _after_refusal(port, plan, options, refused, done, failure):
    """Go on after the driver refused an instance its place: (plan, done, needs, failure, the step planned again)."""
    step = failure.step
    try:
        differs = refused.difference(port, plan.gpu, done, step)
        again = refused.plan_again(port, plan.gpu) if differs else None
    except NvmlError:
        return plan, done, None, failure, None
    if differs is None:
        return plan, done, None, refused.explained(port, plan, done, failure), None
    if not isinstance(again, Plan):
        words = [failure.message, differs, again.message if again else "Run again."]
        failure = failure._replace(message=" ".join(words), blockers=again.blockers if again else ())
        return plan, done, None, failure, None
    plan = replanned(plan, done, again)
    failure = _known(refused, again)
    if failure:
        return plan, done, None, failure, step
    more, needs, failure = _execute_all(port, again.steps, options)
    done = (*done, *more)
    if refused.concerns(failure):
        failure = _refused_again(port, again, refused, more, failure)
    return plan, done, needs, failure, step


def _refused_again(port, plan, refused, done, failure):
    """The Failure of a place that was refused after planning again, which is not done twice."""
    try:
        differs = refused.difference(port, plan.gpu, done, failure.step)
    except NvmlError:
        return failure
    if differs is None:
        return refused.explained(port, plan, done, failure)
    return failure._replace(message=f"{failure.message} It was planned again once, and then: {differs} Run again.")


def _reset_where_pending(port, outcome, after, options):
    """Reset a GPU whose driver has left pending a mode that was to be active: (the outcome, the Gpu now, NvmlError).

    Which architectures take a reset for that is a forecast, and so is whether there is a way to reset. Nothing is lost
    by it: the change has emptied the GPU, and whoever uses it keeps it from being reset. Where a reset is refused, or
    not allowed, the mode stays pending.

    Rule: reset in a virtual machine
    """
    wanted = mode_set(outcome.plan)
    if outcome.needs or wanted is None or (after.mig_mode, after.mig_mode_pending) != (not wanted, wanted):
        return outcome, after, None
    activations = [one.created.get("activation") for one in outcome.done if one.step.action == SET_MIG_MODE]
    gpu = outcome.plan.gpu
    if outcome.plan.mig_mode != wanted or not options.reset or not gpu.pci_address or after.instances:
        passed_through = "RESET_REQUIRED" in activations and not gpu.reset_peers
        return outcome._replace(needs="reboot" if passed_through else "reset"), after, None
    if any(one.step.action == RESET_GPU for one in outcome.done):
        return outcome, after, None
    step = Step(RESET_GPU, after, mig_enabled=wanted)
    last = next(one.step for one in reversed(outcome.done) if one.step.action == SET_MIG_MODE)
    plan = outcome.plan._replace(steps=(*outcome.plan.steps, step))
    try:
        done = (*outcome.done, Done(step, execute(port, step, ())))
        outcome = outcome._replace(plan=plan, done=done, replanned=last)
    except NvmlError as error:
        needs = _pending_after_failed_reset(step, error, options)
        if needs:
            return outcome._replace(needs=needs), after, None
        failure = Failure(gpu, str(error), step, error.code)
        outcome = outcome._replace(plan=plan, not_done=(step,), failure=failure, replanned=last)
    return (outcome, *reread(port, gpu))


def _proven(port, outcome, options):
    """The outcome with what is there now. Where a step failed, or the plan leaves something else, the GPU goes back."""
    after, error = reread(port, outcome.plan.gpu)
    if after and not outcome.failure:
        outcome, after, error = _reset_where_pending(port, outcome, after, options)
    plan, failure = outcome.plan, outcome.failure
    if error and not failure:
        failure = Failure(plan.gpu, f"{plan.gpu.name} could not be read again: {error}", code=error.code)
    elif not failure:
        problem = difference(plan, after, outcome.needs)
        failure = problem and Failure(plan.gpu, problem)
    outcome = outcome._replace(after=after, failure=failure)
    if not failure:
        return outcome
    if failure.code == "IN_USE" and after and not failure.blockers:
        blockers = _holders(plan, after) or _held(failure.step, failure.message, after)
        outcome = outcome._replace(failure=failure._replace(blockers=blockers))
    return take_back(port, [outcome])[0]


def _execute_all(port, steps, options):
    """Execute steps up to the first that fails, or that leaves the mode pending by right: (done, needs, failure)."""
    execution = Execution(port, steps)
    done = execution.done
    resets = [step for step in steps if step.action == RESET_GPU]
    for step in steps:
        try:
            if resets and step is resets[0] and _active(port, resets):
                # Setting the mode of an idle GPU may reset it by itself; a second reset would serve nobody.
                done.append(Done(step, {"needed": False}))
                continue
            created = execution.execute(step).created
        except NvmlError as error:
            needs = _pending_after_failed_reset(step, error, options)
            # What to do about a place that is refused follows from a second look.
            created = (CREATE_GPU_INSTANCE, CREATE_COMPUTE_INSTANCE)
            words = error.text if step.action in created and error.code in PLACE_REFUSED else str(error)
            return done, needs, None if needs else Failure(step.gpu, words, step, error.code)
        # Of several GPUs only their reset tells; what else is said of an activation, the mode tells as it then reads.
        activation = None if len(resets) > 1 else created.get("activation")
        if activation == "IN_USE" and options.leave_pending:
            return done, "reset", None
        if activation == "IN_USE":
            error = NvmlError("nvmlDeviceSetMigMode", "IN_USE")
            return done, None, Failure(step.gpu, str(error), step, error.code, (Blocker(step.gpu, "in_use"),))
    return done, None, None


def _active(port, resets):
    return all(port.read_gpu(step.gpu).mig_mode == step.mig_enabled for step in resets)


def _pending_after_failed_reset(step, error, options):
    """What the GPU needs where a reset that did not happen leaves the mode pending by right, else None."""
    if step.action != RESET_GPU:
        return None
    if error.kind == "unsupported":
        return "reboot"
    return "reset" if error.kind == "busy" and options.leave_pending else None


def _holders(plan, after):
    """Who holds what the plan would have destroyed or reset: processes that came between planning and the step."""
    if after.processes or not after.mig_mode:
        return (Blocker(after, "busy", processes=after.processes),) if after.processes else ()
    return tuple(
        Blocker(after, "busy", device, device.profile, instance.placement, device.processes or ())
        for instance in after.instances or ()
        for device in instance.compute_instances
        if device.busy and device.uuid in plan.disrupted
    )


def _held(step, message, after=None):
    """What a step did not get because somebody holds it whom NVML does not name; nvidia-smi names GPUs.

    ``after`` is the GPU as it is then: what an empty one refuses its first GPU instance for are clients of the GPU.
    """
    if step.action in (SET_MIG_MODE, RESET_GPU):
        said = message.rpartition(" failed: ")[2]
        gpus = [gpu for gpu in (step.gpu, *step.peers) if gpu.pci_address and gpu.pci_address in said]
        return tuple(Blocker(gpu, "in_use") for gpu in gpus or [step.gpu])
    if step.action == CREATE_GPU_INSTANCE and after and not after.instances:
        return (Blocker(after, "in_use"),)
    for instance in step.gpu.instances or ():
        for device in instance.compute_instances:
            if (instance.id, device.id) == (step.gpu_instance_id, step.compute_instance_id):
                return (Blocker(step.gpu, "in_use", device, device.profile, instance.placement),)
    return (Blocker(step.gpu, "in_use", None, step.profile, step.placement),)
