# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which drain of a node is ended, taken over or left alone, by its reason."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.draining import update_for
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.node import Node

OURS, CHANGE = "gpufleet.mig: gres of gpu-7", "gpufleet.mig: change of MIG "
IDLE = Node("gpu-7", ("IDLE",), None)


def out(reason):
    return Node("gpu-7", ("IDLE", "DRAIN"), reason)


@pytest.mark.parametrize(
    ("node", "state", "settings"),
    [
        (IDLE, "drained", ("State=DRAIN", f"Reason={OURS}")),
        # Slurm goes on telling the reason of a drain that has ended.
        (IDLE._replace(reason=OURS), "drained", ("State=DRAIN", f"Reason={OURS}")),
        (out(OURS), "drained", None),
        (out("fan broken"), "drained", None),
        (out(None), "drained", None),
        (out(OURS), "resumed", ("State=RESUME",)),
        (out(f"{CHANGE}c-1"), "resumed", ("State=RESUME",)),
        (out(f"{OURS}0"), "resumed", None),
        (out("fan broken"), "resumed", None),
        (out(f"not {CHANGE}"), "resumed", None),
        (out(None), "resumed", None),
        (IDLE._replace(reason=OURS), "resumed", None),
        (out(f"{CHANGE}c-1"), "taken_over", ("State=DRAIN", f"Reason={OURS}")),
        (out(OURS), "taken_over", None),
        (out("fan broken"), "taken_over", None),
        (IDLE._replace(reason=f"{CHANGE}c-1"), "taken_over", None),
    ],
)
def test_whose_drain_it_is(node, state, settings):
    update = update_for(node, state, OURS, [CHANGE])
    assert (update and update.settings) == settings


def test_without_beginnings_only_the_reason_itself_counts():
    assert update_for(out(f"{CHANGE}c-1"), "resumed", OURS) is None
    assert update_for(out(OURS), "resumed", OURS).in_service
