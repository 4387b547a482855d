# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whose drain of a node it is, by its reason, and what is done about it: slurm_node's. Pure."""

from __future__ import annotations

from typing import NamedTuple, Optional

# The states that slurm_node takes.
STATES = DRAINED, RESUMED, TAKEN_OVER = "drained", "resumed", "taken_over"


class Update(NamedTuple):
    """What scontrol is told of a node, and what is then true of it."""

    settings: tuple
    in_service: bool
    reason: Optional[str]


def update_for(node, state, reason, beginnings=()):
    """The Update that brings a Node into that state, None where it is to stay as it is.

    ``reason`` is that of our own drain. One with any of these ``beginnings`` counts as ours when the node is resumed,
    and is what a drain is taken over from. A node that anybody else keeps out of service stays as it is.
    """
    drain = Update(("State=DRAIN", f"Reason={reason}"), False, reason)
    if state == DRAINED:
        return drain if node.in_service else None
    if node.in_service:
        return None
    begins_so = (node.reason or "").startswith(tuple(beginnings))
    if state == TAKEN_OVER:
        return drain if begins_so and node.reason != reason else None
    return Update(("State=RESUME",), True, None) if begins_so or node.reason == reason else None


def result_of(node, update):
    """What slurm_node returns of a Node and its Update, or None."""
    before = {"in_service": node.in_service, "reason": node.reason}
    after = {"in_service": update.in_service, "reason": update.reason} if update else before
    return {
        "changed": update is not None,
        "node": {**node._asdict(), "in_service": node.in_service},
        "diff": {"before": before, "after": after},
    }
