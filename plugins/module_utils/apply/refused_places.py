# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What follows where a driver refuses the place that a plan has for an instance.

Either something is not as it was when the plan was made: the GPU was changed, or a new GPU instance offers other than
was forecast. Then it is planned again, once. Or which instances go together on this GPU is another than it seemed: that
is said, with what the driver still offers, and not tried again in the run.
"""

from __future__ import annotations

from collections import Counter

from ..errors import NvmlError
from ..model import (
    CREATE_COMPUTE_INSTANCE,
    CREATE_GPU_INSTANCE,
    DESTROY_COMPUTE_INSTANCE,
    DESTROY_GPU_INSTANCE,
    RESET_GPU,
    Blocker,
)
from ..plan.geometry import compute_profiles_of
from ..profiles import part
from .execution import PLACE_REFUSED, offers

FOR_CLIENTS = (
    "The GPU has no GPU instance, so it is not the place that is taken: somebody uses the GPU itself. End that, or "
    "drain it first, and run again."
)
CHANGED = "Something else has changed the GPU since it was read."
OTHER_INSIDE = "The GPU instance does not offer what was forecast."
_INSIDE = {CREATE_COMPUTE_INSTANCE: 1, DESTROY_COMPUTE_INSTANCE: -1}  # how many more a step leaves in a GPU instance


class RefusedPlaces:
    """What the driver has refused in one run; ``decide(snapshot)`` is the run's, None to plan nothing again."""

    def __init__(self, decide=None):
        self._decide = decide
        self._refused = []  # (product, PCI device id, set of (profile id, start), name of the GPU)
        self._refused_inside = []  # the same with what _inside returns as the third

    @staticmethod
    def concerns(failure):
        """Whether a Failure is a place that the driver refused to an instance.

        Rule: codes that mean a place is taken
        """
        if not failure or not failure.step or failure.blockers:
            return False
        if failure.step.action == CREATE_COMPUTE_INSTANCE:
            return failure.code in (*PLACE_REFUSED, "NOT_SUPPORTED")  # the latter where nothing is left to be tried
        return failure.step.action == CREATE_GPU_INSTANCE and failure.code in PLACE_REFUSED

    def known(self, plan):
        """(the first step of a Plan that leads to a combination that was refused already, in words why), or None.

        Rule: a combination refused once
        """
        model = (plan.gpu.product, plan.gpu.pci_device_id)
        for step, there in _combinations(plan.gpu, plan.steps):
            for *of, refused, name in self._refused:
                if (*of,) == model and refused <= there:
                    return step, _not_tried(name)
        for step in plan.steps:
            if step.action == CREATE_COMPUTE_INSTANCE:
                profile_id, inside = _inside(plan, step)
                for *of, (refused_id, refused), name in self._refused_inside:
                    if ((*of,), refused_id) == (model, profile_id) and not refused - inside:
                        return step, _not_tried(name)
        return None

    @staticmethod
    def difference(port, gpu, done, step):
        """What is not as it was planned for, in words, None where all is.

        ``step`` was refused on a Gpu as it was planned for, ``done`` are the Dones since. Raises NvmlError.
        """
        return _difference(gpu, [one.step for one in done], step, port.read_gpu(gpu))

    def plan_again(self, port, gpu):
        """What is decided on a Gpu now: a Plan, a Refusal, or None where nobody decides. Raises NvmlError."""
        if self._decide is None:
            return None
        decisions, _warnings = self._decide(port.read())
        return next((one for one in decisions if one.gpu.uuid == gpu.uuid), None)

    def explained(self, port, plan, done, failure):
        """The Failure that says what this driver does not allow and what it still offers; remembers the combination.

        ``plan`` is the Plan that failed, ``done`` as for difference(), which has found none.
        """
        gpu, step = plan.gpu, failure.step
        if step.action == CREATE_COMPUTE_INSTANCE:
            if failure.code in PLACE_REFUSED:
                self._refused_inside.append((gpu.product, gpu.pci_device_id, _inside(plan, step), gpu.name))
            return failure._replace(message=f"{failure.message} {_inside_in_words(port, step)}")
        there = _there(gpu, [one.step for one in done])
        if failure.code == "IN_USE" and not there:
            # RM: kmigmgrCreateGPUInstanceCheck, seen with Xorg and with a profiler.
            return failure._replace(message=f"{failure.message} {FOR_CLIENTS}")
        this = (step.profile_id, step.placement.start)
        self._refused.append((gpu.product, gpu.pci_device_id, {this, *_pairs(there)}, gpu.name))
        what = f"{step.profile} at slice {step.placement.start}"
        beside = _in_words(_instances(port, gpu))
        left = _remaining(port, gpu)
        words = [failure.message]
        if beside and left and left.get(step.profile) == 0:
            words.append(f"The driver has no room left for a {step.profile}: {beside} has it.")
        why = "Unless a process uses the GPU," if failure.code == "IN_USE" else "Nothing else has changed the GPU, so"
        words.append(f"{why} this driver does not allow {what}{f' beside {beside}' if beside else ''}.")
        if left is not None:
            offered = ", ".join(f"{count} × {name}" for name, count in left.items() if count)
            words.append(f"It still offers {offered or 'nothing'}.")
        return failure._replace(message=" ".join(words))


def replanned(plan, done, again):
    """The Plan that was carried out: what is ``done`` of ``plan``, then what was planned ``again``."""
    return again._replace(gpu=plan.gpu, steps=(*(one.step for one in done), *again.steps))


def _difference(gpu, steps, refused, now):
    """What is not as steps should have left a Gpu, in words, None where all is; ``now`` is the Gpu as it is."""
    expected = _there(gpu, steps)
    if (now.mig_mode, _there(now, ())) != (True, expected):
        return CHANGED
    if refused.action != CREATE_COMPUTE_INSTANCE:
        return None
    start = refused.gpu_instance.start
    inside = [len(one.compute_instances) for one in now.instances if one.placement.start == start]
    if inside != [sum(_contents(gpu, steps, start).values())]:
        return CHANGED
    profile = next((one for one in gpu.profiles if one.id == expected.get(start)), None)
    if profile and compute_profiles_of(now, profile) != compute_profiles_of(gpu, profile):
        return OTHER_INSIDE
    return None


def _there(gpu, steps):
    """{start: profile id} of the GPU instances that steps leave on a Gpu; told by both, never by sizes."""
    there = {instance.placement.start: gpu.profile_id(instance) for instance in gpu.instances or ()}
    for step in steps:
        _carry_out(there, step)
    return there


def _carry_out(there, step):
    if step.action == RESET_GPU:
        there.clear()
    elif step.action == DESTROY_GPU_INSTANCE:
        there.pop(step.placement.start, None)
    elif step.action == CREATE_GPU_INSTANCE:
        there[step.placement.start] = step.profile_id


def _pairs(there):
    return {(profile_id, start) for start, profile_id in there.items()}


def _combinations(gpu, steps):
    """Yield (step that creates a GPU instance, the set of (profile id, start) that it leads to)."""
    there = _there(gpu, ())
    for step in steps:
        _carry_out(there, step)
        if step.action == CREATE_GPU_INSTANCE:
            yield step, _pairs(there)


def _inside(plan, step):
    """(the profile id of the GPU instance around a create_compute_instance step, what a Plan leaves in it)."""
    start = step.gpu_instance.start
    return _there(plan.gpu, plan.steps).get(start), _contents(plan.gpu, plan.steps, start)


def _contents(gpu, steps, start):
    """What steps leave in the GPU instance at ``start``: {(compute slices of a compute instance, None for all; where it
    was to be, None for anywhere): how many} as a Counter.
    """
    inside = Counter(
        (part(device.profile), None)
        for instance in gpu.instances or ()
        if instance.placement.start == start
        for device in instance.compute_instances
    )
    for step in steps:
        if step.action == RESET_GPU or (step.action == CREATE_GPU_INSTANCE and step.placement.start == start):
            inside.clear()
        elif step.gpu_instance and step.gpu_instance.start == start:
            inside[part(step.profile), step.start] += _INSIDE.get(step.action, 0)
    return inside


def _not_tried(name):
    return f"The driver has just refused this combination on {name}, so it was not tried here."


def _instances(port, gpu):
    """The GpuInstances of a Gpu as they are now, () where it cannot be read."""
    try:
        return port.read_gpu(gpu).instances or ()
    except NvmlError:
        return ()


def _remaining(port, gpu):
    """What the driver says that it still has room for, {profile name: count}; None where it does not tell."""
    try:
        return port.remaining(gpu) or None
    except NvmlError:
        return None


def _inside_in_words(port, step):
    """That the driver does not allow a compute instance in its GPU instance, and what it tells of that."""
    words = f"Nothing else has changed the GPU, so this driver does not allow a {step.profile} there"
    try:
        offered, _slices, there = port.inside(step)
    except NvmlError:
        return f"{words}."
    if there:
        words += f" beside {', '.join(device.profile for device in there)}"
    return f"{words}. Inside it tells of {offers(offered)}."


def _in_words(instances):
    """GpuInstances and who computes in them, in words."""
    from ..plan.refusals import holders_in_words  # only where there is something to explain

    names = []
    for instance in instances:
        lists = [device.processes for device in instance.compute_instances if device.processes]
        held = "; ".join(holders_in_words(Blocker(None, "busy", processes=processes)) for processes in lists)
        name = f"{instance.profile} at slice {instance.placement.start}"
        names.append(f"{name} (used by {held})" if held else name)
    return ", ".join(names)
