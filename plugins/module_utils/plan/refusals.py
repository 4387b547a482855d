# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Says why a layout is refused, in sentences for a tired reader, and which layout would fit instead. Pure."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

from ..layout.written import contents_in_words, place_in_words
from ..model import CREATE_GPU_INSTANCE, RESET_GPU, SET_MIG_MODE, GpuLayout, Refusal
from ..profiles import how_many, outer
from ..profiles import part as part_of
from .geometry import ENGINES, OVERLAP, compute_profiles_of, geometry_of
from .search import contents_fit, spreads

# Whoever reads this has a module or the role, whose options differ.
LET_GO = "End or move what uses it, or ask for a layout that keeps it."
LET_GO_OF_GPU = "End or move what uses it."

START_FABRIC_MANAGER = "start Fabric Manager (nvidia-fabricmanager.service), with which each GPU is reset alone"


def peers_not_named(gpu, unnamed):
    """Refuse a reset that would take GPUs along which the layout does not name."""
    message = (
        f"{gpu.name} cannot be reset alone: it shares NVSwitches with {_indexes(unnamed)}, which the layout does not "
        "name, and Fabric Manager is not running, so they would be reset too. Nothing was changed. Either "
        f"{START_FABRIC_MANAGER}, or name every one of them in the layout: each must be free then, and gets its "
        "instances back after the reset."
    )
    return Refusal(gpu, "peers", message)


def _indexes(gpus):
    return f"GPU {', '.join(str(gpu.index) for gpu in gpus)}"


def no_such_profile(gpu, geometry, wanted, inner):
    """Refuse a profile that the GPU does not have: ``wanted`` of a GPU instance, ``inner`` of a compute instance."""
    shared = [profile.id for profile in geometry.profiles if profile.told == wanted]
    if shared:
        ids = " and ".join(map(str, shared))
        message = (
            f"{gpu.name} has {len(shared)} profiles that its driver calls {wanted}, with the ids {ids}, so it is "
            f"not known which is meant. Write the id as the profile, such as profile: {shared[0]}."
        )
    elif wanted not in geometry.position:
        message = f"{gpu.name} has no profile {wanted}; it has {', '.join(sorted(geometry.position))}."
    else:
        inside = compute_profiles_of(gpu, geometry.profiles[geometry.position[wanted]])
        message = f"{gpu.name} has no profile {inner}; inside {wanted} it has {', '.join(inside)}."
    return Refusal(gpu, "no_such_profile", message)


def impossible(gpu, geometry, layout):
    """Refuse a layout that does not fit even on an empty GPU; ``nearest`` is the nearest {profile: count} that does."""
    # Of all ways to spread compute instances over GPU instances the one that takes least: its reason holds for all.
    wanted = min(spreads(gpu, geometry, layout), key=lambda way: _memory_slices(geometry, way), default=())
    reason = _compute_instances_reason(gpu, geometry, layout) or _gpu_instances_reason(gpu, geometry, wanted)
    nearest = _nearest(geometry, wanted or _within_limits(gpu, geometry, layout))
    message = f"{gpu.name} cannot have {_layout_in_words(layout)}: {reason}."
    if nearest is not None:
        message += f" The nearest that fits is {_counts_in_words(nearest)}."
    return Refusal(gpu, "impossible", message, nearest=nearest)


def _memory_slices(geometry, wanted):
    return sum(_least(geometry, want) for want in wanted)


def impossible_by_name(gpu, layout, kind, needed, there):
    """Refuse a layout whose names alone ask for more compute or memory slices than the GPU has."""
    message = (
        f"{gpu.name} cannot have {_layout_in_words(layout)}: by their names they need at least {needed} {kind} slices, "
        f"and the GPU has {there}. Ask for fewer or smaller ones."
    )
    return Refusal(gpu, "impossible", message)


def busy(gpu, plan, blockers, nearest=None):
    """Refuse a plan that ``blockers`` are in the way of: who they are, in the way of what, and what can be done.

    ``nearest`` is the nearest {profile: count} that leaves alone what is in use, where one was looked for.
    """
    made = [step for step in plan.steps if step.action == CREATE_GPU_INSTANCE]
    held = "; ".join(_in_the_way(blocker, made) for blocker in blockers)
    message = f"{gpu.name} is in use: {held}. Nothing was changed. {_advice(plan, blockers)}"
    if nearest is not None:
        message += f" Beside it, the nearest that fits is {_counts_in_words(nearest)}."
    return Refusal(gpu, "busy", message, blockers, plan, nearest)


def limits_broken(gpu):
    """A warning about limits that what is on a Gpu breaks, so that they are none there."""
    geometry = geometry_of(gpu.profiles, gpu.instances)
    counts = geometry.counts(gpu.instances)
    kinds = [f"× {profile.name}" for profile in geometry.profiles] + [f"{name} engines" for name in ENGINES]
    told = [
        "two GPU instances in one memory slice"
        if limit == OVERLAP
        else f"{counts[limit]} {kinds[limit]} where {geometry.told[limit]} are told"
        for limit in geometry.without
    ]
    for instance in gpu.instances:
        position = geometry.position.get(instance.profile)
        if position is None:
            continue
        profile = geometry.profiles[position]
        inside = compute_profiles_of(gpu, profile)
        names = [device.profile for device in instance.compute_instances]
        most = [(name, inside[name].max) for name in sorted({*names} & {*inside})]
        told += [
            f"{names.count(name)} × {name} in a GPU instance where {limit} are told"
            for name, limit in most
            if limit is not None and names.count(name) > limit
        ]
        taken = sum(inside[name].slices for name in names if name in inside)
        if taken > profile.slices:
            told.append(f"{taken} compute slices in a {profile.name}, which tells of {profile.slices}")
    return (
        f"{gpu.name} holds more than its driver tells that it can: {'; '.join(dict.fromkeys(told))}. So these are no "
        "limits of this GPU here; please report it with the driver version."
    )


def _advice(plan, blockers):
    reset = next((step for step in plan.steps if step.action == RESET_GPU), None)
    if reset and reset.peers and plan.mig_mode == plan.gpu.mig_mode:
        return (
            f"It would be reset together with {_indexes(reset.peers)}, since a MIG mode changes there: they share "
            f"NVSwitches, and Fabric Manager is not running. End or move what uses it, or {START_FABRIC_MANAGER}."
        )
    whole_gpu = reset or any(step.action == SET_MIG_MODE for step in plan.steps)
    return LET_GO_OF_GPU if whole_gpu or any(blocker.device is None for blocker in blockers) else LET_GO


def with_nearest(refusal, layout, held, plan):
    """A Refusal of kind busy that also names the nearest layout that leaves alone what is in use, if there is one.

    ``held`` are the profiles of all MIG devices that must stay, ``plan`` takes a GpuLayout to a Plan or a Refusal. The
    nearest holds them, and of what ``layout`` wants the part with the most compute slices, then the most devices.
    """
    wanted = (
        Counter(dict(layout.counts))
        if layout.counts is not None
        else Counter(device.profile for instance in layout.instances for device in instance.compute_instances)
    )
    least = Counter(held)
    names = sorted({*wanted, *least})
    parts = product(*(range(max(wanted[name], least[name]), least[name] - 1, -1) for name in names))
    whole = {profile.name: profile.slices for profile in refusal.gpu.profiles}
    slices = {name: part_of(name) or whole.get(outer(name), 0) for name in names}

    def granted(part):
        each = [(name, min(count, wanted[name])) for name, count in zip(names, part)]
        return -sum(slices[name] * count for name, count in each), -sum(count for _name, count in each)

    for part in sorted(parts, key=granted):
        nearest = {name: count for name, count in zip(names, part) if count}
        if not isinstance(plan(GpuLayout(counts=tuple(nearest.items()))), Refusal):
            return busy(refusal.gpu, refusal.plan, refusal.blockers, nearest)
    return refusal


def _layout_in_words(layout):
    """A GpuLayout in words, such as 2 × 3g.20gb + 1g.5gb at 6."""
    if layout.counts is not None:
        return _counts_in_words(dict(layout.counts))
    return " + ".join(place_in_words(want) + _contents_in_words(want) for want in layout.instances) or "no instances"


def _contents_in_words(want):
    names = [device.profile for device in want.compute_instances]
    return "" if names == [want.profile] else f" {contents_in_words(names)}"


def _counts_in_words(counts):
    """{profile: count} in words."""
    return (
        " + ".join(name if count == 1 else f"{count} × {name}" for name, count in counts.items() if count)
        or "no instances"
    )


def _compute_instances_reason(gpu, geometry, layout):
    if layout.instances is not None:
        for want in layout.instances:
            if not contents_fit(gpu, geometry, want):
                names = " + ".join(place_in_words(device) for device in want.compute_instances)
                return f"{names} do not fit together into one {want.profile}"
        return None
    for name, count in layout.counts:
        limit = _most(gpu, geometry, name)
        if count > limit:
            return f"{count} × {name} are wanted, at most {limit} fit on one GPU"
    if not spreads(gpu, geometry, layout):
        return "the compute instances need more GPU instances than their profile allows on one GPU"
    return None


def _gpu_instances_reason(gpu, geometry, wanted):
    """Why these GPU instances do not fit: the first of bad start, max, memory slices, engines, and else alignment."""
    for want in wanted:
        starts = [start for start, _other in geometry.placements[geometry.position[want.profile]]]
        if not starts:
            return f"the driver tells no placement for {want.profile}"
        if want.start is not None and want.start not in starts:
            return f"{want.profile} cannot start at memory slice {want.start}, only at {_one_of(starts)}"
    for one, other in combinations(wanted, 2):
        if one.start is not None and one.start == other.start:
            return f"{one.profile} and {other.profile} cannot both start at memory slice {one.start}"
    positions = [geometry.position[want.profile] for want in wanted]
    for profile, most, position in zip(geometry.profiles, geometry.most, range(len(geometry.profiles))):
        if positions.count(position) > most:
            return f"{positions.count(position)} × {profile.name} are wanted, at most {most} fit on one GPU"
    needed = _memory_slices(geometry, wanted)
    if needed > gpu.memory_slices:
        return f"together they need {needed} memory slices and the GPU has {gpu.memory_slices}"
    for kind, (name, most) in enumerate(zip(ENGINES, geometry.engines)):
        needed = sum(geometry.profiles[position].engines[1:][kind] for position in positions)
        if needed > most:
            return f"together they need {needed} {name} engines and the GPU has {most}"
    rules = "; ".join(
        f"{geometry.profiles[position].name} takes {_sizes_and_starts(geometry, position)}"
        for position in sorted(set(positions))
    )
    return f"no arrangement on {gpu.memory_slices} memory slices avoids an overlap ({rules})"


def _least(geometry, want):
    """How many memory slices a WantedInstance takes at the least: placements of one profile may differ in size."""
    position = geometry.position[want.profile]
    starts = [start for start, _other in geometry.placements[position] if want.start in (None, start)]
    return min((geometry.size_at(position, start) for start in starts), default=0)


def _sizes_and_starts(geometry, position):
    starts = {}
    for start, _other in geometry.placements[position]:
        starts.setdefault(geometry.size_at(position, start), []).append(start)
    return ", or ".join(f"{size} from {_one_of(where)}" for size, where in sorted(starts.items(), reverse=True))


def _one_of(starts):
    names = [str(start) for start in starts]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _most(gpu, geometry, name):
    """How many MIG devices of a profile fit on one GPU."""
    position = geometry.position[outer(name)]
    profile = geometry.profiles[position]
    return geometry.most[position] * how_many(compute_profiles_of(gpu, profile)[name], profile.slices)


def _within_limits(gpu, geometry, layout):
    """GPU instances for counts that ask for too many of a kind, as many of them as one GPU may hold; else ()."""
    if layout.counts is None:
        return ()
    counts = tuple((name, min(count, _most(gpu, geometry, name))) for name, count in layout.counts)
    return next(iter(spreads(gpu, geometry, layout._replace(counts=counts))), ())


def _nearest(geometry, wanted):
    """The part of ``wanted`` that fits and takes the most memory slices, then the most instances.

    Returns {profile: count} of MIG devices, None where nothing fits.
    """
    kinds = sorted({(geometry.position[want.profile], want.start, want.compute_instances) for want in wanted}, key=str)
    counts = [
        sum((geometry.position[want.profile], want.start, want.compute_instances) == kind for want in wanted)
        for kind in kinds
    ]
    ranges = [
        range(min(count, geometry.most[position]), -1, -1) for (position, _start, _inside), count in zip(kinds, counts)
    ]
    parts = sorted(
        product(*ranges),
        key=lambda part: (
            -sum(geometry.sizes[kind[0]] * count for kind, count in zip(kinds, part)),
            -sum(part),
        ),
    )
    for part in parts:
        if any(part) and geometry.fits([kind[:2] for kind, count in zip(kinds, part) for _other in range(count)]):
            nearest = {}
            for (_position, _start, inside), count in zip(kinds, part):
                for device in inside:
                    nearest[device.profile] = nearest.get(device.profile, 0) + count
            return {name: count for name, count in nearest.items() if count}
    return None


def _in_the_way(blocker, made):
    if blocker.device is None:
        return f"the whole GPU must be free, but is held by {holders_in_words(blocker)}"
    what = f"{blocker.profile} at slice {blocker.placement.start} ({blocker.device.uuid}) is held by "
    what += holders_in_words(blocker)
    first, last = blocker.placement.start, blocker.placement.start + blocker.placement.size
    needs = [
        step for step in made if step.placement.start < last and first < step.placement.start + step.placement.size
    ]
    if needs:
        return (
            f"{what} where {' + '.join(f'{step.profile} at slice {step.placement.start}' for step in needs)} would go"
        )
    return f"{what} and the layout has no place for it"


def holders_in_words(blocker):
    """Who holds what a Blocker is about, such as process 4711 (python3 of alice, pod ml/train-0)."""
    names = [_process_in_words(process) for process in blocker.processes]
    if blocker.because == "busy":
        return ", ".join(names)
    if blocker.because == "kept":
        return "an allocation (keep)"
    if blocker.because == "allocated":
        pods = ", ".join(_pod_in_words(pod) for pod in blocker.allocated_to)
        return f"{pods}, to which the kubelet has given it and which runs nothing in it yet"
    if names:
        words = f"{', '.join(names)}, by the open device file"
    else:
        words = "an unknown process" if blocker.because == "in_use" else "processes that could not be read"
    if blocker.unseen:
        words += f" (this user may not see the open files of {blocker.unseen} process{'es' * (blocker.unseen > 1)})"
    return words


def _process_in_words(process):
    facts = [" of ".join(filter(None, (process.name, process.user)))]
    facts += _belongings_in_words(process)
    if not (process.slurm_job or process.pod or process.container):
        facts.append(process.user_unit or process.unit)
    if process.claimed:
        facts += [f"{words} by its user's account" for words in _belongings_in_words(process.claimed)]
    if process.started:
        facts.append(f"since {process.started}")
    known = ", ".join(filter(None, facts))
    return f"process {process.pid} ({known})" if known else f"process {process.pid}"


def _belongings_in_words(one):
    """The Slurm job, and the pod or else container, of a Process or of what it has Claimed."""
    facts = []
    if one.slurm_job:
        identity, step, name = one.slurm_job
        words = ["Slurm job", str(identity), name, step and f"step {step}"]
        facts.append(" ".join(filter(None, words)))
    if one.pod:
        facts.append(_pod_in_words(one.pod))
    elif one.container:
        facts.append(f"{one.container.runtime or ''} container {one.container.id[:12]}".lstrip())
    return facts


def _pod_in_words(pod):
    return f"pod {pod.namespace}/{pod.name}" if pod.name else f"the pod with UID {pod.uid}"
