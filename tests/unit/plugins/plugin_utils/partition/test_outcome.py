# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a host that was only compared with its layout."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.outcome import outcome

CHECK = {
    "ok": True,
    "evidence": {"mig_capable": True},
    "reached": True,
    "refusal": None,
    "actions": [],
    "kept": ["MIG-a"],
}


@pytest.mark.parametrize(
    ("check", "state", "message"),
    [
        ({}, "unchanged", None),
        (
            {"reached": False, "actions": ["GPU 0: a"]},
            "failed",
            "gpu-1 differs from its layout. To reach it:\nGPU 0: a",
        ),
        ({"ok": False, "problem": "No driver."}, "failed", "No driver."),
        ({"evidence": {"mig_capable": False}}, "no_gpus", None),
    ],
)
def test_what_verify_says(check, state, message):
    found = verified({**CHECK, **check})
    assert (found["state"], found["message"], found["change_id"]) == (state, message, "7")
    assert (found["kept"], found["created"], found["label"]) == (["MIG-a"], [], "all-balanced")


@pytest.mark.parametrize(
    ("check", "state"), [({"unreachable": True, "msg": "No route"}, "unreachable"), ({"msg": "No route"}, "failed")]
)
def test_a_host_that_could_not_be_read(check, state):
    found = verified(check)
    assert (found["state"], found["message"], found["layout"]) == (state, "No route", None)


def verified(check):
    request = {"wanted": [{}], "label": "all-balanced", "claim": {"change_id": "7"}}
    return outcome({"request": request, "verified": check, "host": "gpu-1", "facts": [], "time": "now"})
