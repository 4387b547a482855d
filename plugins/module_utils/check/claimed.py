# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A check within a claim on the host: what a run with nothing to do takes is this one module."""

from __future__ import annotations

from ..apply.claiming import claim, released
from ..errors import MigError
from ..persistence.run import is_kept
from .run import check


def check_within_claim(params, run_command, check_mode):
    """The result of mig_driver_check and its warnings; ``params`` are its options. Raises MigError for bad input.

    With the option claim the host is claimed before anything is read, and given up again where nothing is left to do.
    Where another run has it, the result tells of that alone (``held``, ``held_by``).
    """
    asked = params["claim"]
    if not asked:
        return _checked(params, run_command)
    within = {"change_id": asked["change_id"], "claimed": asked["claimed"], "taken": False}
    if check_mode or asked["claimed"]:
        result, warnings = _checked(params, run_command)
        return {**result, **within}, warnings
    shared = {name: params[name] for name in ("state_dir", "lock_timeout")}
    found = claim({"state": "taken", "force": False, "deadline": 0, **asked, **shared})
    if not found["claimed"]:
        # A host without GPUs has nothing to claim.
        result, warnings = ({}, []) if found["held"] else _checked(params, run_command)
        return {**result, **within, "held": found["held"], "held_by": found["held_by"]}, warnings
    settled = True  # Until the check has said otherwise, nothing follows it.
    try:
        result, warnings = _checked(params, run_command)
        settled = result["settled"]
    finally:
        if settled:
            released(asked["change_id"], **shared)
    return {**result, **within, "claimed": not settled, "taken": not settled}, warnings


def _checked(params, run_command):
    result, warnings = check(params, run_command)
    if params["claim"] or params["persistence"]:
        # Without a layout there is nothing to do where there is nothing that could have one.
        reached = result.get("reached", not result["evidence"]["mig_capable"])
        more = bool(params["claim"] and params["claim"]["keep"])
        settled = result["ok"] and reached and not result["drained"] and not more
        result["settled"] = settled and _is_kept(params, result.get("target"), run_command)
    return result, warnings


def _is_kept(params, target, run_command):
    """Whether mig_persistence has nothing to do; what would fail there has something to do, and says why."""
    if not params["persistence"] or not target:
        return True
    try:
        return is_kept({**params["persistence"], "layout": target, "state_dir": params["state_dir"]}, run_command)
    except MigError:
        return False
