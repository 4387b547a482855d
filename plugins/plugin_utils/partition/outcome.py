# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a host, from what the tasks of the role mig_partition have left behind. Pure."""

from __future__ import annotations

from ..report.host import failure_message, partition_result
from .decision import difference


def outcome(run):
    """The fact mig_partition_result of a host.

    :param run: what the tasks registered and set, as the role's vars/main.yml lists it: ``request``, ``check`` and
        ``claim`` are the results of mig_partition_request, mig_driver_check and mig_claim, ``decision`` is what
        followed from them, and ``changes`` are the results of mig_mode and mig_instances in their order, those of
        going back included; ``after``, ``now`` and ``left`` are those of mig_check after the change, before going back
        and after it, and ``time`` is the present time. Of a run that only compares it has ``verified``, what mig_check
        returned, with ``request``, ``host``, ``facts`` and ``time``
    """
    if "verified" in run:
        return _verified(run)
    claim, check = dict(run["claim"]), run["check"]
    if check.get("unreachable_host") or check.get("held"):
        # The check takes the claim where no task before it has.
        claim.update({key: check.get(key) for key in ("unreachable_host", "held", "msg")})
    decision, drained, request = run["decision"], run["drained"], run["request"]
    left = run.get("left") or {}
    result = partition_result(
        {
            **run,
            "claim": claim,
            "check": check,
            "drained": decision["must_be_free"] if drained else [],
            "hooks": [*decision["hooks"], *run["stopped"]] if drained else [],
            "restores": drained or bool(check.get("drained")),
            "rebooted": bool(run["rebooted"].get("rebooted")),
            # Where nothing had to be brought back, what was read before that is what is there.
            "left": (run.get("now") or {}) if left.get("skipped") else left,
            "label": request.get("label"),
        }
    )
    return {**result, "change_id": request["claim"]["change_id"]}


def _verified(run):
    """What became of a host that was only compared with its layout: a difference is a failure."""
    request, check = run["request"], run["verified"]
    why = difference(request, check, run["host"]) if "ok" in check else failure_message(check)
    result = partition_result(
        {
            **dict.fromkeys(("changes", "drained", "hooks"), ()),
            **dict.fromkeys(("check_mode", "rebooted", "restores"), False),
            "check": check,
            "failures": [{"stage": "verify", "message": why}] if why else [],
            "brought_back": None,
            "host": run["host"],
            "facts": run["facts"],
            "label": request.get("label"),
            "time": run["time"],
        }
    )
    return {**result, "change_id": (request["claim"] or {}).get("change_id")}
