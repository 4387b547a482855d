# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a changing module returns: a Change as plain data, sentences and a diff. Pure."""

from __future__ import annotations

from ..layout.written import contents_in_words, layout_entry
from ..model import (
    CREATE_COMPUTE_INSTANCE,
    CREATE_GPU_INSTANCE,
    DESTROY_COMPUTE_INSTANCE,
    DESTROY_GPU_INSTANCE,
    RESET_GPU,
    SET_MIG_MODE,
    Process,
)
from ..plan.reset_groups import steps_in_order
from ..profiles import outer, part
from .data import gpu_data, mode_word, placement_data, pods_data, process_data


def result_of(change, real=True, rehearsal=False):
    """The module result for a Change: (dict for exit_json or fail_json, None or the failure message).

    ``real`` is false in check mode, where the plan stands for what would happen; ``rehearsal`` changes nothing and
    succeeds with busy instances in the way, since naming them is its purpose.
    """
    blockers = [blocker for refusal in change.refusals for blocker in refusal.blockers]
    in_the_way = {
        "must_be_free": [blocker_data(blocker) for blocker in blockers],
        "blockers": holders_data(blockers),
    }
    if change.refusals and not (rehearsal and all(refusal.kind == "busy" for refusal in change.refusals)):
        nearest = {refusal.gpu.uuid: refusal.nearest for refusal in change.refusals if refusal.nearest}
        message = said_once([(refusal.gpu, refusal.message) for refusal in change.refusals])
        return dict(in_the_way, changed=False, plan=[], actions=[], nearest=nearest), message
    plans = change.plans
    steps = steps_in_order(plans)
    read = {outcome.plan.gpu.uuid: outcome.after for outcome in change.outcomes}
    result = {
        "changed": any(_differs(outcome) for outcome in change.outcomes) if real else bool(steps) and not rehearsal,
        "plan": [step_data(step) for step in steps],
        "actions": [sentence(step) for step in steps],
        "kept": [uuid for plan in plans for uuid in plan.kept],
        "disrupted": [uuid for plan in plans for uuid in plan.disrupted],
        "diff": {
            "before": "".join(_picture(plan.gpu, plan.gpu.mig_mode, plan.gpu.placed) for plan in plans),
            # Once anything was done it is what was read after it, and not what was planned.
            "after": "".join(
                _picture_as_read(read[plan.gpu.uuid]) if read.get(plan.gpu.uuid) else _after_picture(plan)
                for plan in plans
            ),
        },
    }
    failed = [outcome for outcome in change.outcomes if outcome.failure]
    if rehearsal:
        result.update(in_the_way)
    elif failed:
        result.update(_partial(change, failed))
    elif real:
        result["done"] = _done_data(change)
    if real and not rehearsal:
        steps = [step for outcome in change.outcomes for step in _replanned(outcome)]
        result.update(replanned=bool(steps), replanned_steps=[sentence(step) for step in steps])
        if any(outcome.replanned for outcome in change.outcomes):
            result.update(_lived(change.outcomes))
    to_tell = [outcome for outcome in change.outcomes if outcome.failure or outcome.left]
    return result, " ".join(failure_message(outcome) for outcome in to_tell) or None


def not_checked(change):
    """The GPUs of a rehearsed Change whose instances are not planned: MIG is off, and the driver does not tell yet."""
    return [gpu_data(plan.gpu) for plan in change.plans if plan.mig_mode and plan.target is None]


def _partial(change, failed):
    """What a failed change must say: how far it got, what was undone and what is left."""
    outcomes = change.outcomes
    first = failed[0].failure
    return {
        **_lived(outcomes),
        "diff": {
            "before": "".join(
                _picture(outcome.plan.gpu, outcome.plan.gpu.mig_mode, outcome.plan.gpu.placed) for outcome in outcomes
            ),
            "after": "".join(_picture_as_read(outcome.after) for outcome in outcomes if outcome.after),
        },
        "done": _done_data(change),
        "undone": [done_data(done) for outcome in outcomes for done in outcome.undone],
        "pending": [step_data(step) for outcome in outcomes for step in outcome.not_done],
        "left": [f"{outcome.plan.gpu.name}: {what}" for outcome in outcomes for what in outcome.left],
        "failed_step": first.step and step_data(first.step),
        "nvml_code": first.code,
        "blockers": holders_data([blocker for outcome in failed for blocker in outcome.failure.blockers]),
    }


def _replanned(outcome):
    """The steps of a GpuOutcome that did not go as planned: a place refused, or another one inside a GPU instance."""
    refused = [outcome.replanned] if outcome.replanned else []
    return refused + [one.step for one in outcome.done if one.replanned]


def _lived(outcomes):
    """Which MIG devices lived through what was really done, and which did not."""
    before = [device.uuid for outcome in outcomes for _instance, device in _devices(outcome.plan.gpu)]
    ended = {uuid for outcome in outcomes for uuid in _ended(outcome)}
    return {
        "kept": [uuid for uuid in before if uuid not in ended],
        "disrupted": [uuid for uuid in before if uuid in ended],
    }


def _done_data(change):
    """What was done, in the order of the plan: GPUs that share a reset take turns."""
    done = {id(one.step): one for outcome in change.outcomes for one in outcome.done}
    steps = steps_in_order([outcome.plan for outcome in change.outcomes])
    return [done_data(done[id(step)]) for step in steps if id(step) in done]


def said_once(messages):
    """Messages about GPUs, pairs of Gpu and text, as one text with each reason once: GPUs of a host are often alike."""
    alike = {}
    for gpu, message in messages:
        alike.setdefault(message.replace(gpu.name, "") if gpu else message, []).append((gpu, message))
    return " ".join(
        message
        + (f" The same goes for GPU {', '.join(str(other.index) for other, _message in others)}." if others else "")
        for (_gpu, message), *others in alike.values()
    )


def failure_message(outcome):
    """Why a GPU failed, or that it went back because of another, and what became of it, in words."""
    failure = outcome.failure
    parts = [failure.message if failure else f"{outcome.plan.gpu.name} had to go back with it."]
    if failure and failure.step:
        parts = [f"{outcome.plan.gpu.name}: could not {_deed(failure.step)}. {failure.message}"]
    if failure and failure.blockers:
        from ..plan.refusals import holders_in_words

        parts.append(f"It is held by {'; '.join(holders_in_words(blocker) for blocker in failure.blockers)}.")
    if outcome.left:
        parts.append(
            f"Not everything could be brought back: {'; '.join(outcome.left)}. Run again once the cause is gone."
        )
    elif outcome.undone or outcome.done:
        parts.append("This GPU was brought back to where it was.")
    else:
        parts.append("Nothing was changed on this GPU.")
    return " ".join(parts)


def mode_data(change):
    """What mig_mode adds: each GPU's mode before, after and pending, and whether a reset or a reboot is needed."""
    outcomes = {outcome.plan.gpu.uuid: outcome for outcome in change.outcomes}
    gpus, needs = [], set()
    for plan in change.plans:
        outcome = outcomes.get(plan.gpu.uuid)
        if outcome:
            after, pending = outcome.after and outcome.after.mig_mode, outcome.after and outcome.after.mig_mode_pending
        else:
            after = plan.mig_mode
            pending = next(
                (step.mig_enabled for step in plan.steps if step.action == SET_MIG_MODE), plan.gpu.mig_mode_pending
            )
        if outcome and outcome.needs:
            needs.add(outcome.needs)
        elif after != pending:
            needs.add("reset")
        gpus.append(
            dict(
                gpu_data(plan.gpu),
                before=mode_word(plan.gpu.mig_mode),
                after=mode_word(after),
                pending=mode_word(pending),
            )
        )
    return {"gpus": gpus, "reset_required": "reset" in needs, "reboot_required": "reboot" in needs}


def journal_record(change):
    """What the journal keeps of a Change: the layout before, the actions, and, once there are outcomes, their results.

    ``before`` is in the words of the layout option, so that it can be applied again; ``touched`` are the UUIDs of the
    GPUs that have steps.
    """
    record = {
        "touched": [plan.gpu.uuid for plan in change.plans if plan.steps],
        "before": [layout_entry(plan.gpu, plan.gpu.placed if plan.gpu.mig_mode else None) for plan in change.plans],
        "actions": [sentence(step) for step in steps_in_order(change.plans)],
    }
    if change.outcomes:
        record["outcome"] = [
            dict(
                gpu_data(outcome.plan.gpu),
                result="failed" if outcome.failure else "done",
                left=list(outcome.left),
                message=outcome.failure and outcome.failure.message,
            )
            for outcome in change.outcomes
        ]
    return record


def step_data(step):
    """A Step as plain data; what does not belong to its action is left out."""
    data = {"action": step.action, "gpu": gpu_data(step.gpu)}
    for key in ("profile", "gpu_instance_id", "compute_instance_id", "uuid", "mig_enabled"):
        if getattr(step, key) is not None:
            data[key] = getattr(step, key)
    for key in ("placement", "gpu_instance"):
        if getattr(step, key) is not None:
            data[key] = placement_data(getattr(step, key))
    if step.forecast:
        # Where it will be, and how large that is, the driver tells once its GPU instance is there.
        del data["placement"]
        if step.start is not None:
            data["placement"] = {"start": step.start}
    if step.peers:
        data["peers"] = [gpu_data(gpu) for gpu in step.peers]
    return data


def done_data(done):
    """A Done as plain data: its step with the ids and UUIDs of what it created, and where that is."""
    data = dict(step_data(done.step), **done.created)
    if done.placement is not None:
        data.update(placement=placement_data(done.placement), replanned=done.replanned)
    return data


def blocker_data(blocker):
    """A Blocker as plain data: the MIG device (or whole GPU) that must be free, and who holds it."""
    return {
        "gpu": gpu_data(blocker.gpu),
        "uuid": blocker.device and blocker.device.uuid,
        "profile": blocker.profile,
        "profile_id": next((one.id for one in blocker.gpu.profiles if one.name == outer(blocker.profile or "")), None),
        "placement": placement_data(blocker.placement),
        "because": blocker.because,
        "processes": [process_data(process) for process in blocker.processes],
        "allocated_to": pods_data(blocker.allocated_to),
    }


def holders_data(blockers):
    """Who is behind blockers, with what they hold: processes, and where there are none pods that will have some."""
    return [
        dict(process_data(process), gpu=gpu_data(blocker.gpu), uuid=blocker.device and blocker.device.uuid)
        for blocker in blockers
        for process in blocker.processes or [Process(None, pod=pod) for pod in blocker.allocated_to]
    ]


def sentence(step):
    """A Step in words."""
    return f"GPU {step.gpu.index}: {_deed(step)}"


def _deed(step):
    if step.action == SET_MIG_MODE:
        return f"{'enable' if step.mig_enabled else 'disable'} MIG mode"
    if step.action == RESET_GPU and step.peers:
        peers = ", ".join(str(gpu.index) for gpu in step.peers)
        return f"reset the GPU{_at_address(step.gpu)} together with GPU {peers}"
    if step.action == RESET_GPU:
        return f"reset the GPU{_at_address(step.gpu)} if the mode is not active by then"
    verb = {
        CREATE_GPU_INSTANCE: "create",
        CREATE_COMPUTE_INSTANCE: "create",
        DESTROY_GPU_INSTANCE: "destroy",
        DESTROY_COMPUTE_INSTANCE: "destroy",
    }[step.action]
    if step.action in (CREATE_GPU_INSTANCE, DESTROY_GPU_INSTANCE):
        return f"{verb} GPU instance {step.profile} at {_slices(step.placement)}"
    uuid = f" ({step.uuid})" if step.uuid else ""
    return f"{verb} compute instance {step.profile}{uuid} in the GPU instance at {_slices(step.gpu_instance)}"


def _at_address(gpu):
    return f" at {gpu.pci_address}" if gpu.pci_address else ""


def _slices(placement):
    last = placement.start + placement.size - 1
    return f"slice {placement.start}" if placement.size == 1 else f"slices {placement.start}-{last}"


def _after_picture(plan):
    pending = [
        step.mig_enabled for step in plan.steps if step.action == SET_MIG_MODE and step.mig_enabled != plan.mig_mode
    ]
    placed = plan.gpu.placed if plan.target is None else plan.target
    return _picture(plan.gpu, plan.mig_mode, placed, pending)


def _picture_as_read(gpu):
    """A GPU's layout as it was read after a change."""
    pending = [gpu.mig_mode_pending] if gpu.mig_mode_pending != gpu.mig_mode else []
    return _picture(gpu, gpu.mig_mode, gpu.placed, pending)


def _picture(gpu, mig_mode, placed, pending=()):
    """A GPU's layout as lines of text, for a diff."""
    lines = [
        f"GPU {gpu.index} {gpu.product} {gpu.uuid}",
        f"  MIG {'enabled' if mig_mode else 'disabled'}"
        + "".join(f", {'enabled' if mode else 'disabled'} after a reset" for mode in pending),
    ]
    for one in placed if mig_mode else ():
        # In no order of places, which are the driver's: a plan shows what a run will show.
        inside = sorted((device.profile for device in one.compute_instances), reverse=True)
        contents = "" if inside == [one.profile] else f" {contents_in_words(inside)}"
        lines.append(f"  {_slices(one):<12} {one.profile}{contents}")
    return "\n".join(lines) + "\n"


def _devices(gpu):
    return [(instance, device) for instance in (gpu and gpu.instances) or () for device in instance.compute_instances]


def _ended(outcome):
    """UUIDs of the MIG devices of before that a step has destroyed, or that are not at their place any more.

    One that was made again has ended: the driver may give it the same UUID at the same place, and who used it is gone.
    """
    before, after = (
        {
            device.uuid: (gpu.profile_id(instance), instance.placement, device.placement)
            for instance, device in _devices(gpu)
        }
        for gpu in (outcome.plan.gpu, outcome.after)
    )
    destroyed = {
        one.step.uuid for one in (*outcome.done, *outcome.undone) if one.step.action == DESTROY_COMPUTE_INSTANCE
    }
    return {uuid for uuid, place in before.items() if uuid in destroyed or after.get(uuid) != place}


def _differs(outcome):
    """True where anything of a GPU is not as it was, and where a MIG device has ended, because somebody may use it."""
    before, after = outcome.plan.gpu, outcome.after
    if after is None:
        return bool(outcome.done)
    return bool(_ended(outcome)) or _state(before) != _state(after)


def _state(gpu):
    """What of a Gpu a change is about, under whatever names."""
    there = []
    for instance in gpu.instances or ():
        inside = sorted(((part(one.profile), one.placement) for one in instance.compute_instances), key=str)
        there.append((*instance.placement, gpu.profile_id(instance), inside))
    return gpu.mig_mode, gpu.mig_mode_pending, sorted(there, key=str)
