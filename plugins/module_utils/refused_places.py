# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What follows where a driver refuses the place that a plan has for a GPU instance.

Either something else changed the GPU since it was read: then it is planned again, once. Or which profiles go together
on this GPU is another than it seemed: that is said, with what the driver still offers, and not tried again in the run.
"""

from __future__ import annotations

from .errors import NvmlError
from .execution import PLACE_REFUSED
from .model import CREATE_GPU_INSTANCE, DESTROY_GPU_INSTANCE, RESET_GPU

FOR_CLIENTS = (
    "The GPU has no GPU instance, so it is not the place that is taken: somebody uses the GPU itself. End that, or "
    "drain it first, and run again."
)


class RefusedPlaces:
    """What the driver has refused in one run; ``decide(snapshot)`` is the run's, None to plan nothing again."""

    def __init__(self, decide=None):
        self._decide = decide
        self._refused = []  # (product, PCI device id, set of (profile id, start), name of the GPU)

    @staticmethod
    def concerns(failure):
        """Whether a Failure is a place that the driver refused to a GPU instance."""
        return bool(
            failure
            and failure.step
            and failure.step.action == CREATE_GPU_INSTANCE
            and failure.code in PLACE_REFUSED
            and not failure.blockers
        )

    def known(self, plan):
        """(the first step of a Plan that leads to a combination that was refused already, in words why), or None."""
        for step, there in _combinations(plan.gpu, plan.steps):
            for product, device_id, refused, name in self._refused:
                if (product, device_id) == (plan.gpu.product, plan.gpu.pci_device_id) and refused <= there:
                    return step, f"The driver has just refused this combination on {name}, so it was not tried here."
        return None

    def plan_again(self, port, plan, done):
        """Decide again where the GPU is not as this run has left it; returns a Plan, a Refusal, or None."""
        now = port.read_gpu(plan.gpu)
        expected = _left(plan.gpu, [one.step for one in done])
        if self._decide is None or {instance.placement for instance in now.instances or ()} == expected:
            return None
        decisions, _warnings = self._decide(port.read())
        return next((one for one in decisions if one.gpu.uuid == plan.gpu.uuid), None)

    def explained(self, port, plan, done, failure):
        """The Failure that says what this driver does not allow and what it still offers; remembers the combination.

        What keeps an empty GPU from its first GPU instance are its clients.
        """
        step = failure.step
        if failure.code == "IN_USE" and not _left(plan.gpu, [one.step for one in done]):
            # RM: kmigmgrCreateGPUInstanceCheck, seen with Xorg and with a profiler.
            return failure._replace(message=f"{failure.message} {FOR_CLIENTS}")
        steps = [*(one.step for one in done), step]
        there = list(_combinations(plan.gpu, steps))[-1][1]
        self._refused.append((plan.gpu.product, plan.gpu.pci_device_id, there, plan.gpu.name))
        names = {profile.id: profile.name for profile in plan.gpu.profiles}
        beside = [
            f"{names.get(identity, identity)} at slice {start}"
            for identity, start in sorted(there, key=lambda one: one[1])
            if (identity, start) != (step.profile_id, step.placement.start)
        ]
        what = f"{step.profile} at slice {step.placement.start}"
        if failure.code == "IN_USE":
            words = ["Unless a process holds the GPU, this driver does not allow", what]
        else:
            words = ["Nothing else has changed the GPU, so this driver does not allow", what]
        if beside:
            words.append(f"beside {', '.join(beside)}")
        message = f"{failure.message} {' '.join(words)}."
        offered = _offered(port, plan.gpu)
        if offered is not None:
            message += f" It still offers {offered or 'nothing'}."
        return failure._replace(message=message)


def replanned(plan, done, again):
    """The Plan that was carried out: what is ``done`` of ``plan``, then what was planned ``again``."""
    return again._replace(gpu=plan.gpu, steps=(*(one.step for one in done), *again.steps))


def _left(gpu, steps):
    """The Placements of the GPU instances that steps leave on a Gpu."""
    placements = {instance.placement for instance in gpu.instances or ()}
    for step in steps:
        if step.action == RESET_GPU:
            placements.clear()
        elif step.action == DESTROY_GPU_INSTANCE:
            placements.discard(step.placement)
        elif step.action == CREATE_GPU_INSTANCE:
            placements.add(step.placement)
    return placements


def _combinations(gpu, steps):
    """Yield (step that creates a GPU instance, the set of (profile id, start) that it leads to)."""
    ids = {profile.name: profile.id for profile in gpu.profiles}
    there = {
        instance.placement.start: instance.profile_id if instance.profile_id is not None else ids.get(instance.profile)
        for instance in gpu.instances or ()
    }
    for step in steps:
        if step.action == RESET_GPU:
            there.clear()
        elif step.action == DESTROY_GPU_INSTANCE:
            there.pop(step.placement.start, None)
        elif step.action == CREATE_GPU_INSTANCE:
            there[step.placement.start] = step.profile_id
            yield step, {(identity, start) for start, identity in there.items()}


def _offered(port, gpu):
    """What the driver says that it still has room for, in words; None where it does not tell."""
    try:
        left = port.remaining(gpu)
    except NvmlError:
        return None
    return None if left is None else ", ".join(f"{count} × {name}" for name, count in left.items() if count)
