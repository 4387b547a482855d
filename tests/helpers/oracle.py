# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the best plan is, by brute force: every legal set of placed GPU instances is looked at. Shares no code with
the planner.

It covers layouts in which each GPU instance holds one compute instance that spans it. There a plan is told by its
result: what is in both stays, the rest of the present goes, the rest of the result is made.
"""

from __future__ import annotations

import functools
from collections import Counter

from model_gpu import gpu, legal

from ansible_collections.gpufleet.mig.plugins.module_utils.model import GpuInstance, Placement


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
