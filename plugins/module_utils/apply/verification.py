# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a GPU has against what a plan leaves, or against what it had before, in words. Pure."""

from __future__ import annotations

from ..layout.written import contents_in_words, place_in_words
from ..model import SET_MIG_MODE, placed_of
from ..profiles import part

LIED = "The driver did not do what it said, or something else changed the GPU: look at the kernel log, then run again."


def difference(plan, after, needs):
    """What is not as the plan leaves it, as a sentence, or None."""
    wanted = mode_set(plan)
    if wanted is None:
        wanted = plan.mig_mode
    # A mode that may stay pending may just as well be active.
    mode = after.mig_mode_pending if needs or plan.mig_mode != wanted else after.mig_mode
    if mode != wanted:
        return f"{after.name} reported success, but MIG mode is {_on_off(mode)} instead of {_on_off(wanted)}. {LIED}"
    if needs or not after.mig_mode or plan.wanted is None:
        return None
    missing, extra = _unlike([(plan.gpu.profile_id(want), want) for want in plan.wanted], _with_ids(after))
    what = (("missing", missing), ("not expected", extra))
    differ = "; ".join(f"{word} {_in_words(instances)}" for word, instances in what if instances)
    if differ:
        return f"{after.name} reported success, but its instances differ: {differ}. {LIED}"
    return None


def mode_set(plan):
    """The MIG mode that a Plan sets, None where it sets none."""
    return next((step.mig_enabled for step in plan.steps if step.action == SET_MIG_MODE), None)


def _with_ids(gpu):
    """What is on a Gpu, pairs of the id of its profile and a PlacedInstance, by placement."""
    pairs = [(gpu.profile_id(instance), placed_of(instance)) for instance in gpu.instances or ()]
    return sorted(pairs, key=lambda pair: pair[1])


def _unlike(wanted, there):
    """(what of wanted is not there, what is there and none of it); both are pairs of a profile's id and an instance.

    Compared is what was asked for: of a GPU instance its profile's id and its start; of a compute instance whether it
    spans or how many slices it takes, and its start where that was asked for. The rest is the driver's to decide.
    """
    missing, there = [], list(there)
    for identity, want in wanted:
        like = [pair for pair in there if (pair[0], pair[1].start) == (identity, want.start)]
        if like and _holds(like[0][1].compute_instances, want.compute_instances):
            there.remove(like[0])
        else:
            missing.append(want)
    return missing, [one for _identity, one in there]


def _holds(devices, wanted):
    """Whether these PlacedComputeInstances are those WantedComputeInstances and no others."""
    left = [(part(device.profile), device.start) for device in devices]
    for want in sorted(wanted, key=lambda want: want.start is None):
        like = [one for one in left if one[0] == part(want.profile) and want.start in (None, one[1])]
        if not like:
            return False
        left.remove(like[0])
    return not left


def _on_off(mode):
    return "enabled" if mode else "disabled"


def _in_words(instances):
    return ", ".join(
        f"{one.profile} at slice {one.start} "
        + contents_in_words([place_in_words(device) for device in one.compute_instances])
        for one in instances
    )


def modes(gpu):
    """The MIG mode of a GPU, current and pending."""
    return gpu.mig_mode, gpu.mig_mode_pending


def differences_left(before, after):
    """What of a GPU is not as it was before, as a list of phrases."""
    left = []
    if modes(after) != modes(before):
        left.append(
            f"MIG mode is {_on_off(after.mig_mode)} (pending: {_on_off(after.mig_mode_pending)}), was "
            f"{_on_off(before.mig_mode)} (pending: {_on_off(before.mig_mode_pending)})"
        )
    missing, extra = _unlike(_with_ids(before), _with_ids(after))
    if missing:
        left.append(f"not restored: {_in_words(missing)}")
    if extra:
        left.append(f"not removed: {_in_words(extra)}")
    return left
