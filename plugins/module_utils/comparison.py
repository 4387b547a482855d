# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a GPU has against what a plan leaves, or against what it had before, in words. Pure."""

from __future__ import annotations

from .data import contents_in_words
from .model import SET_MIG_MODE

LIED = "The driver did not do what it said, or something else changed the GPU: look at the kernel log, then run again."


def difference(plan, after, needs):
    """What is not as the plan leaves it, as a sentence, or None."""
    mode = after.mig_mode_pending if needs else after.mig_mode
    wanted = (
        next((step.mig_enabled for step in plan.steps if step.action == SET_MIG_MODE), plan.mig_mode)
        if needs
        else plan.mig_mode
    )
    if mode != wanted:
        return f"{after.name} reported success, but MIG mode is {_on_off(mode)} instead of {_on_off(wanted)}. {LIED}"
    if not needs and after.mig_mode and plan.target is not None and after.placed != plan.target:
        missing = [instance for instance in plan.target if instance not in after.placed]
        extra = [instance for instance in after.placed if instance not in plan.target]
        what = (("missing", missing), ("not expected", extra))
        differ = "; ".join(f"{word} {_in_words(instances)}" for word, instances in what if instances)
        return f"{after.name} reported success, but its instances differ: {differ}. {LIED}"
    return None


def _on_off(mode):
    return "enabled" if mode else "disabled"


def _in_words(instances):
    return ", ".join(
        f"{one.profile} at slice {one.start} "
        + contents_in_words([f"{device.profile} at {device.start}" for device in one.compute_instances])
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
    missing = [instance for instance in before.placed if instance not in after.placed]
    extra = [instance for instance in after.placed if instance not in before.placed]
    if missing:
        left.append(f"not restored: {_in_words(missing)}")
    if extra:
        left.append(f"not removed: {_in_words(extra)}")
    return left
