# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the best plan is, by brute force: every legal set of placed GPU instances is looked at. Shares no code with
the planner.

A plan is told by its result: what is in both stays, the rest of the present goes, the rest of the result is made.
``best`` covers layouts in which each GPU instance holds one compute instance that spans it, ``best_divided`` those
that say what each GPU instance holds, or count compute instances that do not.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter

from model_gpu import gpu, legal, slots

from ansible_collections.gpufleet.mig.plugins.module_utils.model import GpuInstance, Placement
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import counts_in_eighths, forecast, part


@functools.cache
def layouts(name):
    """Every legal set of (start, size, profile id, profile name), with its room, grouped by counts of profiles."""
    empty = gpu(name)
    spots = sorted(
        (place.start, place.size, profile.id, profile.name)
        for profile in empty.profiles
        for place in profile.placements
    )
    found = [()]
    frontier = [()]
    while frontier:
        frontier = [
            (*placed, spot)
            for placed in frontier
            for spot in spots
            if (not placed or spot > placed[-1]) and legal(empty, instances((*placed, spot)))
        ]
        found += frontier
    grouped = {}
    for placed in found:
        counts = frozenset(Counter(spot[3] for spot in placed).items())
        room = sum(spot[1] for spot in spots if spot not in placed and legal(empty, instances((*placed, spot))))
        grouped.setdefault(counts, []).append((placed, room))
    return grouped


def instances(placed):
    """Spots as GpuInstances."""
    return [GpuInstance(number, spot[3], Placement(spot[0], spot[1])) for number, spot in enumerate(placed)]


def best(name, present, counts):
    """The best result for a GPU of a model: (cost, placed) or None where the counts fit in no way.

    ``present`` are GpuInstances with at most one compute instance each, ``counts`` {profile: how many}. The cost is
    the tuple of the seven numbers of the objective, busy devices first.
    """
    answers = []
    for placed, room in layouts(name).get(frozenset(counts.items()), ()):
        wanted = {(spot[0], spot[3]) for spot in placed}
        goes = [one for one in present if (one.placement.start, one.profile) not in wanted]
        stays = [one for one in present if one not in goes]
        busy = [one for one in goes if any(device.busy for device in one.compute_instances)]
        cost = (
            len(busy),
            sum(one.placement.size for one in busy),
            sum(len(one.compute_instances) for one in goes),
            len(goes),
            sum(one.placement.size for one in goes),
            len(placed) - len(stays),
            len(placed) - sum(len(one.compute_instances) for one in stays),
        )
        answers.append((cost, -room, [spot[:3] for spot in placed], placed))
    if not answers:
        return None
    cost, _room, _order, placed = min(answers)
    return cost, placed


@functools.cache
def divided(name):
    """Every legal layout with every content of its GPU instances: a list of (placed, contents of each, room).

    A content is a sorted tuple of (start, size, name) of compute instances.
    """
    profiles = {profile.name: profile for profile in gpu(name).profiles}
    eighths = counts_in_eighths(gpu(name).profiles)
    inside = {profile: contents(profiles[profile], eighths) for profile in profiles}
    return [
        (placed, filled, room)
        for group in layouts(name).values()
        for placed, room in group
        for filled in itertools.product(*(inside[spot[3]] for spot in placed))
    ]


def contents(profile, eighths):
    """Every set of compute instances that a GPU instance of a Profile can hold, the empty one too."""
    spots = sorted(
        (place.start, place.size, known.name) for known in forecast(profile, eighths) for place in known.placements
    )
    found = frontier = [()]
    while frontier:
        frontier = [
            (*one, spot)
            for one in frontier
            for spot in spots
            if (not one or spot > one[-1])
            and sum(part(other[2]) or profile.slices for other in (*one, spot)) <= profile.slices
            and not any(_overlap(other, spot) for other in one)
        ]
        found = found + frontier
    return found


def _overlap(one, other):
    return bool(set(slots(Placement(*one[:2]))) & set(slots(Placement(*other[:2]))))


def best_divided(name, present, fits):
    """The best result of those that ``fits(placed, contents)`` accepts: (cost, placed, contents), or None.

    ``present`` are GpuInstances with any compute instances; the cost is that of ``best``.
    """
    now = {(one.placement.start, one.profile): one for one in present}
    answers = []
    for placed, filled, room in divided(name):
        if not fits(placed, filled):
            continue
        after = {
            (spot[0], spot[3]): {(device[0], device[2]) for device in held}
            for spot, held in zip(placed, filled, strict=True)
        }
        cost = [0] * 7
        for key, one in now.items():
            kept = after.get(key, set())
            goes = [device for device in one.compute_instances if (device.placement.start, device.profile) not in kept]
            busy = sum(device.busy for device in goes)
            gone = key not in after
            cost = [
                *(cost[0] + busy, cost[1] + bool(busy) * one.placement.size, cost[2] + len(goes)),
                *(cost[3] + gone, cost[4] + gone * one.placement.size),
                *(cost[5], cost[6] - (len(one.compute_instances) - len(goes))),
            ]
        cost[5] = sum(key not in now for key in after)
        cost[6] += sum(map(len, filled))
        answers.append((cost, -room, [spot[:3] for spot in placed], filled, placed))
    if not answers:
        return None
    cost, _room, _order, filled, placed = min(answers)
    return tuple(cost), placed, filled
