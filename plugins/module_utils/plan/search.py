# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The exact search: which present GPU instances serve which wanted ones, and where the missing ones go.

It looks at every way to match present with wanted instances, cheapest first, and takes the first cost at which the
missing ones find a place. The cost of a way, compared element by element, is

1. busy MIG devices destroyed, then the memory slices of their GPU instances,
2. compute instances destroyed, GPU instances destroyed, memory slices of the latter,
3. GPU instances created, compute instances created;

among equals the result that leaves the most room wins, then the one with the lowest placements, so that the same
input always gives the same result. Because busy devices are part of the cost, one search answers two questions:
what to do, and, where nothing harmless will do, which smallest set would have to be freed first.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple, Optional, Tuple

from ..model import ComputeInstance, GpuInstance, PlacedInstance, WantedComputeInstance, WantedInstance, in_place
from ..profiles import outer
from .geometry import arrange, compute_profiles_of


class Match(NamedTuple):
    """What becomes of one present GPU instance: ``becomes`` is None where it goes, ``lost`` what goes of its inside.

    ``want`` is what it serves then.
    """

    instance: GpuInstance
    becomes: object
    lost: Tuple[ComputeInstance, ...]
    busy_lost: Tuple[ComputeInstance, ...]
    want: Optional[WantedInstance] = None


class Solution(NamedTuple):
    """A way with all places found; ``rank`` orders it among all, the lowest is the best.

    ``created`` are new GPU instances, each with the WantedInstance that it serves.
    """

    rank: tuple
    matches: Tuple[Match, ...]
    created: Tuple[Tuple[PlacedInstance, WantedInstance], ...]


class _Way(NamedTuple):
    cost: int
    mask: int
    usage: int
    matches: Tuple[Match, ...]
    missing: Tuple[WantedInstance, ...]


def _cost(busy=(), size=0, lost=(), gpu_instance_goes=False, gpu_instances_made=0, compute_instances_made=0):
    """The seven numbers of a cost as one integer, a byte each: integers add and compare faster than tuples."""
    cost = 0
    for number in (
        len(busy),
        size if busy else 0,
        len(lost),
        gpu_instance_goes,
        size if gpu_instance_goes else 0,
        gpu_instances_made,
        compute_instances_made,
    ):
        cost = cost << 8 | number
    return cost


def cheapest(gpu, geometry, layout, is_busy):
    """The best Solution for a Gpu and a GpuLayout, or None where the layout does not fit on the GPU at all.

    ``is_busy`` says of a ComputeInstance whether it must not go.
    """
    best = None
    ways = [way for wanted in spreads(gpu, geometry, layout) for way in _ways_to_match(gpu, geometry, wanted, is_busy)]
    for way in sorted(ways, key=lambda way: way.cost):
        if best and way.cost > best.rank[0]:
            break
        for solution in _ways_to_place(gpu, geometry, way, best):
            best = solution
    return best


def unknown_profile(gpu, geometry, layout):
    """The first profile that the GPU does not have: (GPU instance profile, compute instance profile), else None."""
    if layout.counts is not None:
        names = [(outer(name), name) for name, _count in layout.counts]
    else:
        names = [
            (want.profile, name)
            for want in layout.instances
            for name in [want.profile] + [device.profile for device in want.compute_instances]
        ]
    for gpu_instance, name in names:
        position = geometry.position.get(gpu_instance)
        if position is None or name not in compute_profiles_of(gpu, geometry.profiles[position]):
            return gpu_instance, name
    return None


def spreads(gpu, geometry, layout):
    """Every way to say a layout as a list of wanted GPU instances, each list a tuple of WantedInstance.

    The list form says it already. Counts of MIG devices leave open how compute instances spread over GPU instances.
    Empty where compute instances do not fit into the GPU instances meant for them.

    Rule: most MIG devices
    """
    if layout.instances is not None:
        return [layout.instances] if all(contents_fit(gpu, geometry, want) for want in layout.instances) else []
    devices = {}
    for name, count in layout.counts:
        # No GPU holds more MIG devices of a kind than it has slices, so a larger count need not be written out to
        # fail.
        slices = max(gpu.memory_slices, gpu.compute_slices)
        devices.setdefault(outer(name), []).extend([WantedComputeInstance(name)] * min(count, 1 + slices))
    choices = []
    for name, wanted in sorted(devices.items()):
        position = geometry.position[name]
        profile = geometry.profiles[position]
        inside = compute_profiles_of(gpu, profile)
        parts_of = _partitions(tuple(sorted(wanted)), geometry.most[position], inside, profile.slices)
        contents = {tuple(sorted(parts)) for parts in parts_of}
        choices.append([tuple(WantedInstance(name, None, part) for part in parts) for parts in sorted(contents)])
    return [sum(choice, ()) for choice in product(*choices)]


def contents_fit(gpu, geometry, want):
    """True where the compute instances of a WantedInstance fit together into its profile."""
    profile = geometry.profiles[geometry.position[want.profile]]
    return arrange(compute_profiles_of(gpu, profile), (), want.compute_instances, profile.slices) is not None


def _partitions(devices, most, inside, slices):
    """Ways to spread sorted compute instances over at most ``most`` GPU instances, a tuple of parts each."""
    if not devices:
        yield ()
        return
    if not most:
        return
    first, rest = devices[0], devices[1:]
    for chosen in sorted(_subsets(rest)):
        part = (first, *chosen)
        if arrange(inside, (), part, slices):
            others = list(rest)
            for device in chosen:
                others.remove(device)
            for parts in _partitions(tuple(others), most - 1, inside, slices):
                yield (part, *parts)


def _subsets(devices):
    """All distinct sub-multisets of a sorted tuple."""
    subsets = {()}
    for device in devices:
        subsets |= {(*chosen, device) for chosen in subsets}
    return subsets


def _ways_to_match(gpu, geometry, wanted, is_busy):
    """Every way to let present GPU instances serve ``wanted`` ones or go, with what is then missing."""
    kinds = sorted(set(wanted), key=wanted.index)
    options = [_options(gpu, geometry, instance, kinds, is_busy) for instance in gpu.instances]
    found = []

    def match(at, left, cost, mask, usage, matches):
        if at == len(options):
            missing = sum(((kind,) * count for kind, count in zip(kinds, left)), ())
            cost += _cost(
                gpu_instances_made=len(missing),
                compute_instances_made=sum(len(want.compute_instances) for want in missing),
            )
            found.append(_Way(cost, mask, usage, matches, missing))
            return
        for kind, price, taken, uses, outcome in options[at]:
            if kind is None:
                match(at + 1, left, cost + price, mask, usage, (*matches, outcome))
            elif left[kind]:
                rest = (*left[:kind], left[kind] - 1, *left[kind + 1 :])
                match(at + 1, rest, cost + price, mask | taken, usage + uses, (*matches, outcome))

    match(0, tuple(wanted.count(kind) for kind in kinds), 0, 0, 0, ())
    return found


def _options(gpu, geometry, instance, kinds, is_busy):
    """What one present GPU instance can become: (index of a wanted kind or None, cost, mask, usage, Match)."""
    devices = instance.compute_instances
    existing = tuple((device, is_busy(device)) for device in devices)
    busy = tuple(device for device, is_so in existing if is_so)
    size = instance.placement.size
    options = [(None, _cost(busy, size, devices, True), 0, 0, Match(instance, None, devices, busy))]
    mask, usage = geometry.state((instance,))
    for number, kind in enumerate(kinds):
        if kind.profile == instance.profile and kind.start in (None, instance.placement.start):
            profile = geometry.profiles[geometry.position[kind.profile]]
            arranged = arrange(compute_profiles_of(gpu, profile), existing, kind.compute_instances, profile.slices)
            if arranged:
                busy_lost, lost, placed = arranged
                made = len(placed) - len(devices) + len(lost)
                becomes = PlacedInstance(*instance.placement, instance.profile, placed)
                options.append(
                    (
                        number,
                        _cost(busy_lost, size, lost, compute_instances_made=made),
                        mask,
                        usage,
                        Match(instance, becomes, lost, busy_lost, kind),
                    )
                )
    return options


def _ways_to_place(gpu, geometry, way, best):
    """Place what a way misses; yields each Solution better than ``best`` and than those yielded before."""
    wishes = geometry.ordered((geometry.position[want.profile], want.start) for want in way.missing)
    for starts in geometry.completions(way.mask, way.usage, wishes):
        mask, usage = way.mask, way.usage
        for (position, _other), start in zip(wishes, starts):
            mask |= geometry.bits(position, start)
            usage += geometry.uses[position]
        room = geometry.room(mask, usage)
        if best and (way.cost, -room) > best.rank[:2]:
            continue
        created = _contents(gpu, geometry, way.missing, wishes, starts)
        result = sorted([match.becomes for match in way.matches if match.becomes] + [one for one, _want in created])
        rank = (
            way.cost,
            -room,
            [(one.start, one.size, geometry.position[one.profile]) for one in result],
            [tuple(map(in_place, one.compute_instances)) for one in result],
        )
        if best is None or rank < best.rank:
            best = Solution(rank, way.matches, created)
            yield best


def _contents(gpu, geometry, missing, wishes, starts):
    """Fill new GPU instances: among those alike from outside, the lowest contents get the lowest start."""
    spots = {}
    for wish, start in zip(wishes, starts):
        spots.setdefault(wish, []).append(start)
    created = []
    for wish, where in spots.items():
        position, wanted_start = wish
        profile = geometry.profiles[position]
        inside = compute_profiles_of(gpu, profile)
        contents = sorted(
            (
                (arrange(inside, (), want.compute_instances, profile.slices)[2], want)
                for want in missing
                if want.profile == profile.name and want.start == wanted_start
            ),
            key=lambda content: content[0],
        )
        created += [
            (PlacedInstance(start, geometry.size_at(position, start), profile.name, placed), want)
            for start, (placed, want) in zip(sorted(where), contents)
        ]
    return tuple(sorted(created, key=lambda pair: pair[0]))
