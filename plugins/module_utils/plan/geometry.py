# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What fits on a GPU and inside a GPU instance, built from what the device says about itself.

A set of GPU instances is legal when no two overlap, no profile exceeds its ``max``, and together they hold no more
of an engine (decoder, encoder, JPEG, OFA) than the whole-GPU profile has; that last rule is why ``+me`` exists once
per GPU and why only ``-me`` profiles fit beside ``+me.all``. Every subset of a legal set is legal, so a plan that
destroys before it creates is legal after each step. A limit that is broken on a GPU already is none there.

Two integers hold a set's state: ``mask``, a bit for each memory slice that is taken, and ``usage``, a bit field for
each profile's count and each engine's, each with a spare top bit so that one subtraction compares all fields with
their limits.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

from ..model import NO_PLACE, Engines, PlacedComputeInstance, Profile, in_place
from ..profiles import by_name, counts_in_eighths, forecast

FIELD_BITS = 16
FIELD_GUARD = 1 << (FIELD_BITS - 1)
NO_LIMIT = FIELD_GUARD - 1
MOST = 1023  # of a profile's engines: no GPU has as many, and dozens of instances do not overflow a field
OVERLAP = -1  # stands for a limit's position: that no two GPU instances share a memory slice
ENGINES = ("decoder", "encoder", "JPEG", "OFA")  # those of Engines that GPU instances compete for, in its order


def _pack(values):
    """Put small numbers into one integer, FIELD_BITS each, the first lowest."""
    packed = 0
    for position, value in enumerate(values):
        packed |= value << (FIELD_BITS * position)
    return packed


def _mask(placement):
    """The units that a placement takes as bits, all of them where the driver tells no placement."""
    return -1 if placement is None else ((1 << placement.size) - 1) << placement.start


def geometry_of(profiles, *there):
    """The Geometry of a tuple of Profile, made once for all GPUs that are alike.

    Each of ``there`` are GpuInstances or PlacedInstances that are or were on the GPU together: what they exceed is no
    limit on it.
    """
    plain = _geometry(profiles, ())
    broken = {limit for instances in there for limit in plain.broken_by(instances or ())}
    return _geometry(profiles, tuple(sorted(broken))) if broken else plain


@lru_cache(maxsize=None)
def _geometry(profiles, without):
    return Geometry(profiles, without)


def engines_of(profiles, sizes):
    """How many engines a GPU has of each of ENGINES: as many as the profile that takes all of it tells.

    A profile without any engine, as with_unlisted makes them, tells nothing of engines.

    Rule: engines
    """
    told = [(profile.engines[1:], size) for profile, size in zip(profiles, sizes) if any(profile.engines)]
    largest = max((size for _counts, size in told), default=0)
    whole = [counts for counts, size in told if size == largest]
    return tuple(max(counts) for counts in zip(*whole)) if whole else ()


class Geometry:
    """The rules for GPU instances on one kind of GPU.

    Takes the tuple of Profile that the device reports. Profiles are told apart by their position in ``profiles``,
    which is sorted by id. A limit has a position, too: that of its profile, behind all profiles that of its engine, or
    OVERLAP; those in ``without`` are not applied.

    Rule: GPU instances together
    """

    def __init__(self, profiles, without=()):
        self.profiles = tuple(sorted(profiles, key=lambda profile: profile.id))
        self.position = {profile.name: position for position, profile in enumerate(self.profiles)}
        # Each placement has a size of its own; that of a profile is its largest.
        self.sizes = [max((place.size for place in profile.placements), default=0) for profile in self.profiles]
        self._sizes_at = [{place.start: place.size for place in profile.placements} for profile in self.profiles]
        self.placements = [
            sorted((place.start, 0 if OVERLAP in without else _mask(place)) for place in profile.placements)
            for profile in self.profiles
        ]
        self.told = [profile.max for profile in self.profiles] + list(engines_of(self.profiles, self.sizes))
        self.without = without
        limits = [NO_LIMIT if position in without else min(limit, NO_LIMIT) for position, limit in enumerate(self.told)]
        self.most, self.engines = limits[: len(self.profiles)], tuple(limits[len(self.profiles) :])
        self.limit = _pack(limits)
        self.guards = _pack([FIELD_GUARD] * len(limits))
        ones = [[int(i == position) for i in range(len(self.profiles))] for position in range(len(self.profiles))]
        self.uses = [
            _pack(one + [min(count, MOST) for count in profile.engines[1:]])
            for one, profile in zip(ones, self.profiles)
        ]
        self._headroom = self.limit | self.guards
        self._room = {}

    def within_limits(self, usage):
        """True where no profile's max and no engine is exceeded."""
        return (self._headroom - usage) & self.guards == self.guards

    def counts(self, instances):
        """[how many instances have of what each limit is about], by the limits' positions."""
        usage = self.state(instances)[1]
        return [usage >> FIELD_BITS * position & (1 << FIELD_BITS) - 1 for position in range(len(self.told))]

    def broken_by(self, instances):
        """[position] of the limits that instances break together."""
        masks = [_mask(getattr(instance, "placement", instance)) for instance in instances]
        overlap = [OVERLAP] if any(one & other for one, other in combinations(masks, 2)) else []
        pairs = zip(self.counts(instances), self.told)
        return overlap + [position for position, (count, limit) in enumerate(pairs) if count > limit]

    def room(self, mask, usage):
        """Sum of the sizes of every (profile, start) that could be created next, each taken alone."""
        known = self._room.get((mask, usage))
        if known is None:
            known = 0
            for use, sizes, placements in zip(self.uses, self._sizes_at, self.placements):
                if self.within_limits(usage + use):
                    known += sum(sizes[start] for start, taken in placements if not mask & taken)
            self._room[mask, usage] = known
        return known

    def bits(self, position, start):
        """The mask of a profile's placement at ``start``."""
        return next(taken for at, taken in self.placements[position] if at == start)

    def size_at(self, position, start):
        """How many memory slices a profile's placement at ``start`` takes."""
        return self._sizes_at[position][start]

    def state(self, instances):
        """(mask, usage) of GpuInstances or PlacedInstances; a profile the device does not list only takes slices."""
        mask = usage = 0
        for instance in instances:
            mask |= _mask(getattr(instance, "placement", instance))
            position = self.position.get(instance.profile)
            usage += 0 if position is None else self.uses[position]
        return mask, usage

    def free(self, instances):
        """How many more of each profile fit beside ``instances``, each profile taken alone: {profile name: count}."""
        mask, usage = self.state(instances)
        counts = {}
        for position, profile in enumerate(self.profiles):
            counts[profile.name] = 0
            used, taken_mask = usage, mask
            for _other, taken in sorted(self.placements[position], key=lambda place: place[1].bit_length()):
                # Taking the first that ends and is free is exact, whatever their sizes.
                if not taken_mask & taken and self.within_limits(used + self.uses[position]):
                    taken_mask |= taken
                    used += self.uses[position]
                    counts[profile.name] += 1
        return counts

    def completions(self, mask, usage, wishes):
        """Every way to add all of ``wishes`` to a state: an iterator of tuples of starts, in the order of the
        wishes.

        ``wishes`` are (position, start or None) in the order that ``ordered`` gives.
        """
        if not self.within_limits(usage + sum(self.uses[position] for position, _other in wishes)):
            return iter(())
        return ways(
            mask,
            wishes,
            [[spot for spot in self.placements[position] if start in (None, spot[0])] for position, start in wishes],
        )

    def fits(self, wishes):
        """True where all of ``wishes``, in any order, fit on an empty GPU."""
        return next(self.completions(0, 0, self.ordered(wishes)), None) is not None

    def ordered(self, wishes):
        """Wishes in the order in which ``completions`` wants them: fixed ones first, then the largest."""
        return sorted(wishes, key=lambda wish: (wish[1] is None, -self.sizes[wish[0]], wish))


def compute_profiles_of(gpu, profile):
    """What can be created inside a GPU instance of ``profile`` on ``gpu``: the device's word, else a forecast.

    Returns {name: ComputeProfile}.
    """
    return _by_name(gpu.compute_profiles.get(profile.name) or _forecast(profile, _in_eighths(gpu.profiles)))


def with_unlisted(gpu):
    """The Gpu whose profiles are also those of what is on it and not listed: no more of them, and nowhere else."""
    known, found = {profile.name for profile in gpu.profiles}, {}
    for instance in gpu.instances or ():
        if instance.profile not in known and instance.profile_id is not None:
            found.setdefault((instance.profile, instance.profile_id), []).append(instance.placement)
    if not found:
        return gpu
    unlisted = (
        Profile(name, identity, 0, len(places), 0, 0, Engines(), tuple(places))
        for (name, identity), places in found.items()
    )
    return gpu._replace(profiles=(*gpu.profiles, *unlisted))


def allowing(gpu, instances):
    """The Gpu into whose GPU instances fits what such GpuInstances hold, which are or were on it.

    A limit that is broken there is none on this GPU. Without one it is the Gpu itself.
    """
    inside, slices = dict(gpu.compute_profiles), {}
    for instance in instances or ():
        names = [device.profile for device in instance.compute_instances]
        offered = by_name(inside.get(instance.profile, ()))
        if all(name in offered for name in names):
            broken = [name for name in names if offered[name].max is not None and names.count(name) > offered[name].max]
            if broken:
                inside[instance.profile] = tuple(
                    one._replace(max=None) if one.name in broken else one for one in inside[instance.profile]
                )
            taken = sum(offered[name].slices for name in names)
            slices[instance.profile] = max(taken, slices.get(instance.profile, 0))
    profiles = tuple(one._replace(slices=max(one.slices, slices.get(one.name, 0))) for one in gpu.profiles)
    if (profiles, inside) == (gpu.profiles, gpu.compute_profiles):
        return gpu
    return gpu._replace(profiles=profiles, compute_profiles=inside)


_forecast = lru_cache(maxsize=None)(forecast)
_in_eighths = lru_cache(maxsize=None)(counts_in_eighths)
_by_name = lru_cache(maxsize=None)(by_name)


def arrange(compute_profiles, existing, wanted, slices):
    """Fit wanted compute instances into one GPU instance, losing as little as can be of what exists.

    ``slices`` are the GPU instance's compute slices: placements alone do not bound what it holds. ``existing`` is
    a tuple of (ComputeInstance, busy), ``wanted`` a tuple of WantedComputeInstance. Returns None where they do not fit
    together, else (lost busy ones, lost, lowest placements): two tuples of ComputeInstance and a sorted tuple of
    PlacedComputeInstance. Best is: fewest busy lost, fewest lost, lowest placements.
    """
    if _too_many(compute_profiles, wanted, slices):
        return None
    best = None
    for kept in _subsets_that_match(existing, wanted):
        mask = 0
        for instance, _other in kept:
            mask |= _mask(instance.placement)
        missing = _without(wanted, kept)
        if missing is None:
            continue
        placed = _lowest(compute_profiles, mask, missing)
        if placed is None:
            continue
        lost = [pair for pair in existing if pair not in kept]
        stay = [PlacedComputeInstance(*(one.placement or NO_PLACE), one.profile) for one, _other in kept]
        result = tuple(sorted(placed + stay, key=in_place))
        cost = (sum(busy for _other, busy in lost), len(lost), tuple(map(in_place, result)))
        if best is None or cost < best[0]:
            best = (
                cost,
                tuple(instance for instance, busy in lost if busy),
                tuple(instance for instance, _other in lost),
                result,
            )
    return None if best is None else best[1:]


def _too_many(compute_profiles, wanted, slices):
    """Whether they take more compute slices than there are, or are more of one profile than it allows.

    Rule: compute instances together
    """
    names = [want.profile for want in wanted]
    if sum(compute_profiles[name].slices for name in names) > slices:
        return True
    return any(
        compute_profiles[name].max is not None and names.count(name) > compute_profiles[name].max for name in set(names)
    )


def _subsets_that_match(existing, wanted):
    """Subsets of existing compute instances whose profiles occur often enough in ``wanted``."""
    names = [want.profile for want in wanted]
    subsets = [()]
    for pair in existing:
        subsets += [
            (*chosen, pair)
            for chosen in subsets
            if sum(other.profile == pair[0].profile for other, _other in chosen) < names.count(pair[0].profile)
        ]
    return subsets


def _without(wanted, kept):
    """Wanted compute instances that ``kept`` do not provide, or None if one of kept is not wanted.

    Those with a required start are matched first.
    """
    missing = list(wanted)
    for instance, _other in kept:
        matches = [
            want
            for want in missing
            if want.profile == instance.profile
            and want.start in (None, instance.placement and instance.placement.start)
        ]
        if not matches:
            return None
        missing.remove(min(matches, key=lambda want: want.start is None))
    return missing


def _lowest(compute_profiles, mask, missing):
    """Place missing compute instances beside ``mask`` as low as can be: a list of PlacedComputeInstance, or None."""
    order = sorted(missing, key=lambda want: (want.start is None, -compute_profiles[want.profile].slices, want.profile))
    profiles = [compute_profiles[want.profile] for want in order]
    spots = [
        [(place, _mask(place)) for place in profile.placements if want.start in (None, place.start)]
        for want, profile in zip(order, profiles)
    ]
    found = (
        sorted(PlacedComputeInstance(*place, profile.name) for place, profile in zip(places, profiles))
        for places in ways(mask, order, spots)
    )
    return min(found, default=None)


def ways(mask, wishes, spots, at=0, after=None):
    """Every way to give each of ``wishes`` one of its ``spots`` so that none overlap each other or ``mask``.

    ``spots[i]`` lists the (start or Placement, mask) that wishes[i] may take. Equal wishes must be adjacent; being
    interchangeable they get ascending starts only. Yields tuples of those, from wish ``at`` on, the first past
    ``after``.
    """
    if at == len(wishes):
        yield ()
        return
    alike = wishes[at] in wishes[at + 1 : at + 2]
    for start, taken in spots[at]:
        if (after is None or start > after) and not mask & taken:
            for rest in ways(mask | taken, wishes, spots, at + 1, start if alike else None):
                yield (start, *rest)
