# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Decides how one GPU gets from what is there to what is wanted: Gpu + wish -> Plan or Refusal.

Pure: no clock, no I/O, no NVML, no Ansible. Which instances stay and where new ones go is the exact search's
decision (plan/search.py); here its answer becomes ordered steps, or a refusal that names who is in the way.
"""

from __future__ import annotations

from ..model import (
    CREATE_COMPUTE_INSTANCE,
    CREATE_GPU_INSTANCE,
    DESTROY_COMPUTE_INSTANCE,
    DESTROY_GPU_INSTANCE,
    NO_PLACE,
    RESET_GPU,
    SET_MIG_MODE,
    Blocker,
    GpuLayout,
    Placement,
    Plan,
    Refusal,
    Step,
    WantedComputeInstance,
    WantedInstance,
)
from ..profiles import by_name, inner, part, with_name
from .geometry import allowing, arrange, compute_profiles_of, geometry_of, with_unlisted
from .search import cheapest, unknown_profile

EMPTY = GpuLayout(instances=())


def plan_instances(gpu, layout, keep=frozenset(), seen=()):
    """Plan the GPU and compute instances of one GPU.

    ``gpu`` must have readable instances, ``layout`` is a GpuLayout, ``keep`` a set of MIG device UUIDs that must
    not go even when idle, ``seen`` are GpuInstances that were on it together: what they, or those there, break is no
    limit. Returns a Plan, or a Refusal of kind no_such_profile, impossible or busy; the latter carries the smallest
    set of devices in the way and the plan that follows once they are free.
    """
    roomy = allowing(allowing(with_unlisted(gpu), gpu.instances), seen)
    geometry = geometry_of(roomy.profiles, gpu.instances, seen)
    unknown = unknown_profile(roomy, geometry, layout)
    if unknown:
        return _refusals().no_such_profile(gpu, geometry, *unknown)
    solution = cheapest(roomy, geometry, layout, lambda device: device.busy or device.uuid in keep)
    if solution is None:
        return _refusals().impossible(roomy, geometry, layout)
    plan = _plan_of(gpu, geometry, solution)
    blockers = tuple(_blocker(gpu, match.instance, device) for match in solution.matches for device in match.busy_lost)
    return _refusals().busy(gpu, plan, blockers) if blockers else plan


def plan_unseen(gpu, layout):
    """Plan the instances of a GPU with MIG on to be, of which the driver does not tell yet what it can hold.

    Returns a Plan without steps and without target, or a Refusal of kind impossible where that is certain already.
    """
    from .by_name import excess  # such drivers are few

    found = excess(gpu, layout)
    return _refusals().impossible_by_name(gpu, layout, *found) if found else Plan(gpu, mig_mode=True)


def plan_mode(gpu, enabled, reset=True, pending=False, keep=frozenset()):
    """Plan MIG mode of one GPU.

    ``enabled`` is the wanted mode, ``reset`` whether a GPU whose mode change needs it may be reset, ``pending``
    whether a busy GPU may be left with the mode pending (then it is set, and nothing is destroyed or reset),
    ``keep`` a set of MIG device UUIDs that count as busy. A change destroys the GPU's instances as part of the plan.
    Returns a Plan, or a Refusal of kind busy naming every busy MIG device or, with MIG off, the GPU's processes.
    """
    if gpu.mig_mode_pending == enabled and (gpu.mig_mode == enabled or pending):
        return Plan(gpu, mig_mode=gpu.mig_mode)
    set_mode = (Step(SET_MIG_MODE, gpu, mig_enabled=enabled),)
    if gpu.mig_mode == enabled:
        return Plan(gpu, set_mode, enabled)
    if gpu.mode_needs_reset and gpu.mig_mode_pending == enabled:
        set_mode = ()
    if gpu.mode_needs_reset and not reset:
        return Plan(gpu, set_mode, gpu.mig_mode)
    freed, blockers = _emptied(gpu, keep)
    steps = freed.steps + set_mode + ((Step(RESET_GPU, gpu, mig_enabled=enabled),) if gpu.mode_needs_reset else ())
    plan = freed._replace(steps=steps, mig_mode=enabled)
    if not blockers:
        return plan
    if pending:
        return Plan(gpu, set_mode, gpu.mig_mode)
    return _refusals().busy(gpu, plan, blockers)


def plan_reset(gpu, set_mode, peers, keep=frozenset()):
    """Plan a GPU that keeps its MIG mode and is reset because ``peers``, Gpus, are: what is on it goes and comes back.

    ``set_mode`` are the steps that its mode needs all the same, ``keep`` as in plan_instances. Returns a Plan, or a
    Refusal of kind busy.
    """
    freed, blockers = _emptied(gpu, keep)
    again = plan_instances(gpu._replace(instances=()), _layout_of(gpu.placed), seen=gpu.instances)
    if isinstance(again, Refusal):
        return again
    created = (step._replace(gpu=gpu) for step in again.steps)
    steps = (*freed.steps, *set_mode, Step(RESET_GPU, gpu, mig_enabled=gpu.mig_mode, peers=peers), *created)
    plan = freed._replace(steps=steps, mig_mode=gpu.mig_mode, target=gpu.placed, wanted=again.wanted)
    return _refusals().busy(gpu, plan, blockers) if blockers else plan


def _emptied(gpu, keep):
    """(a Plan that destroys all instances of a GPU, Blockers: whoever uses one, or the GPU itself)."""
    emptied = plan_instances(gpu, EMPTY, keep)
    freed, blockers = (emptied.plan, emptied.blockers) if isinstance(emptied, Refusal) else (emptied, ())
    if gpu.processes or gpu.processes is None:
        blockers += (Blocker(gpu, "unreadable" if gpu.processes is None else "busy", processes=gpu.processes or ()),)
    elif gpu.allocated_to:
        blockers += (Blocker(gpu, "allocated", allocated_to=gpu.allocated_to),)
    return freed, blockers


def plan_inside(steps, offered, slices, there=(), refused=()):
    """Plan compute instances that were forecast, inside their GPU instance, which exists by now.

    ``steps`` are all create_compute_instance Steps for it that are not done, ``offered`` the ComputeProfiles that it
    has, ``slices`` its compute slices, ``there`` its ComputeInstances so far, ``refused`` pairs of profile id and
    Placement that the driver did not allow. Returns Steps in the order of ``steps``, or None where they do not fit.
    """
    inside = by_name(
        tuple(
            one._replace(placements=tuple(place for place in one.placements if (one.id, place) not in refused))
            for one in offered
        )
    )
    places = [one.placement or NO_PLACE for one in there]
    there_already = tuple(WantedComputeInstance(one.profile, start) for one, (start, _size) in zip(there, places))
    wanted = there_already + tuple(WantedComputeInstance(step.profile, step.start) for step in steps)
    if any(want.profile not in inside for want in wanted):
        return None
    arranged = arrange(inside, tuple((one, True) for one in there), wanted, slices)
    if arranged is None or arranged[1]:
        return None
    left = [one for one in arranged[2] if (one.start, one.size) not in places]
    planned = {}
    for number in sorted(range(len(steps)), key=lambda number: steps[number].start is None):
        step = steps[number]
        place = next(one for one in left if one.profile == step.profile and step.start in (None, one.start))
        left.remove(place)
        placement = Placement(place.start, place.size)
        planned[number] = step._replace(profile_id=inside[step.profile].id, placement=placement)
    return tuple(planned[number] for number in range(len(steps)))


def plan_back(before, now):
    """Plan from what is there back towards what was, as far as it goes without harm.

    ``before`` and ``now`` are two readings of one GPU. Returns (Plan, what of before cannot come back as pairs of a
    PlacedInstance and why: a Refusal's message, or None where somebody holds its place). A busy instance of now stays
    as it is, and what of before overlaps it is given up; so is what cannot be planned on this GPU any more.
    """
    before = _under_names_of(before, now)
    stays, others, given_up = [], list(before.placed), []
    now = now._replace(compute_profiles={**before.compute_profiles, **now.compute_profiles})
    while True:
        result = plan_instances(now, _layout_of([*stays, *others]), seen=before.instances)
        if isinstance(result, Plan):
            return result, tuple(given_up)
        held = {blocker.placement for blocker in result.blockers}
        hidden = [one for one in others if any(_overlap(one, placement) for placement in held)]
        more = [one for one in now.placed if Placement(one.start, one.size) in held and one not in stays]
        if more:
            given_up += [(one, None) for one in hidden if one not in more]
            stays += more
            others = [one for one in others if one not in hidden]
        elif others:
            others, refused = _plannable(before, now, stays, others)
            given_up += refused
        else:
            return Plan(now, mig_mode=now.mig_mode), tuple(given_up)


def _under_names_of(before, now):
    """A Gpu as it was before, its profiles told by their ids and called as they are ``now``."""
    today = {profile.id: profile.name for profile in now.profiles}
    names = {profile.name: today.get(profile.id, profile.name) for profile in before.profiles}
    names.update((one.profile, today[one.profile_id]) for one in before.instances or () if one.profile_id in today)
    if all(old == new for old, new in names.items()):
        return before
    return before._replace(
        instances=before.instances and tuple(with_name(one, names) for one in before.instances),
        compute_profiles={
            names.get(name, name): tuple(
                one._replace(name=inner(part(one.name), names.get(name, name))) for one in offered
            )
            for name, offered in before.compute_profiles.items()
        },
    )


def _plannable(before, now, stays, others):
    """(those of others that can be planned beside what stays, the rest as pairs with the Refusal's message).

    Where all can be planned one by one and yet not all at once, none can.
    """
    found, refused = [], []
    for one in others:
        result = plan_instances(now, _layout_of([*stays, *found, one]), seen=before.instances)
        if isinstance(result, Refusal) and result.kind != "busy":
            refused.append((one, result.message))
        else:
            found.append(one)
    if refused:
        return found, refused
    return [], [(one, None) for one in others]


def _layout_of(placed):
    return GpuLayout(instances=tuple(_as_wanted(instance) for instance in placed))


def _refusals():
    """The module that words refusals, imported only where there is one: each line that is imported costs every run."""
    from . import refusals

    return refusals


def _overlap(one, other):
    return one.start < other.start + other.size and other.start < one.start + one.size


def _as_wanted(instance):
    return WantedInstance(
        instance.profile,
        instance.start,
        tuple(WantedComputeInstance(device.profile, device.start) for device in instance.compute_instances),
    )


def _blocker(gpu, instance, device):
    if device.processes is None:
        because = "unreadable"
    elif device.processes:
        because = "busy"
    else:
        because = "allocated" if device.allocated_to else "kept"
    known = (device, device.profile, instance.placement, device.processes or (), device.allocated_to)
    return Blocker(gpu, because, *known)


def _largest_first(device):
    """What orders PlacedComputeInstances; of one that was there already the driver may not tell where it is."""
    return -(device.size or 0), -1 if device.start is None else device.start


def _plan_of(gpu, geometry, solution):
    """Turn a Solution into steps: all destruction, by placement, then each GPU instance with its compute instances.

    A new GPU instance gets its compute instances before the next is made, so that an interruption leaves few
    without any.
    """
    matches = sorted(solution.matches, key=lambda match: match.instance.placement)
    destroyed, created = [], []
    for match in matches:
        instance = match.instance
        known = {"gpu": gpu, "gpu_instance": instance.placement, "gpu_instance_id": instance.id}
        for device in sorted(match.lost, key=lambda device: (device.placement is None, device.placement)):
            destroyed.append(
                Step(
                    DESTROY_COMPUTE_INSTANCE,
                    profile=device.profile,
                    placement=device.placement,
                    compute_instance_id=device.id,
                    uuid=device.uuid,
                    **known,
                )
            )
        if match.becomes is None:
            destroyed.append(
                Step(
                    DESTROY_GPU_INSTANCE,
                    gpu,
                    instance.profile,
                    placement=instance.placement,
                    gpu_instance_id=instance.id,
                )
            )
        else:
            stays = {device.placement or NO_PLACE for device in instance.compute_instances if device not in match.lost}
            created.append((match.becomes, match.want, instance.id, stays))
    created += [(instance, want, None, set()) for instance, want in solution.created]
    created.sort(key=lambda item: item[0])
    steps = destroyed
    for instance, want, gpu_instance_id, stays in created:
        profile = geometry.profiles[geometry.position[instance.profile]]
        placement = Placement(instance.start, instance.size)
        if gpu_instance_id is None:
            steps.append(Step(CREATE_GPU_INSTANCE, gpu, profile.name, profile.id, placement))
        inside = compute_profiles_of(gpu, profile)
        asked = {(device.profile, device.start) for device in want.compute_instances}
        # The largest first: before R525 the driver places them, and a small one may take the only place of a large one.
        for device in sorted(instance.compute_instances, key=_largest_first):
            if (device.start, device.size) not in stays:
                steps.append(
                    Step(
                        CREATE_COMPUTE_INSTANCE,
                        gpu,
                        device.profile,
                        inside[device.profile].id,
                        Placement(device.start, device.size),
                        placement,
                        gpu_instance_id,
                        forecast=gpu_instance_id is None,
                        start=device.start if (device.profile, device.start) in asked else None,
                    )
                )
    lost = [device.uuid for match in matches for device in match.lost]
    devices = [device.uuid for match in matches for device in match.instance.compute_instances]
    return Plan(
        gpu,
        tuple(steps),
        gpu.mig_mode,
        tuple(instance for instance, *_rest in created),
        tuple(uuid for uuid in devices if uuid not in lost),
        tuple(lost),
        tuple(want._replace(start=instance.start) for instance, want, *_rest in created),
    )
