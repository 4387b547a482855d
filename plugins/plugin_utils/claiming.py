# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims a host from the controller: says who claims it, waits for another run, takes over from one that has ended."""

from __future__ import annotations

import getpass
import os
import re
import time

from .claimant import claimant, is_gone, is_this_run

# A connection that is silent for long may be cut, and a controller that holds a host may end meanwhile.
WAIT_SECONDS = 20
# The id of a claim comes from the host.
CHANGE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# A host has one claim; one that goes on telling of others, all of runs that have ended, is not believed for ever.
GONE = 8


def take(host, arguments, ask):
    """Take a host, now or within the time that there is for it; returns the module's answer.

    :param host: its name in the inventory
    :param arguments: what the module is asked with: ``change_id`` and, in seconds, ``timeout``
    :param ask: runs the module with these arguments and what the controller adds to them. The answer has ``claimed``
        and, where another run has the host, ``held`` and ``held_by``
    """
    arguments = {**arguments, "user": getpass.getuser(), "controller": claimant(os.getppid(), host)}
    end = time.monotonic() + float(arguments.get("timeout") or 0)
    arguments["timeout"] = 0
    over = []
    while True:
        answer = ask(arguments)
        held = answer.get("held")
        if answer.get("failed") or not held:
            return {
                **answer,
                "change_id": arguments["change_id"],
                "taken": answer.get("taken", bool(answer.get("claimed"))),
            }
        there = held.get("controller")
        if is_this_run(there, arguments["controller"]) and CHANGE_ID.fullmatch(str(held.get("id"))):
            return {"change_id": held["id"], "claimed": True, "taken": False}
        if is_gone(there) and held.get("id") not in over and len(over) < GONE:
            over.append(held["id"])
            arguments["over"] = over[-1:]
            continue
        left = end - time.monotonic()
        if left <= 0:
            return {**answer, "failed": True, "msg": _refusal(host, answer["held_by"])}
        arguments["timeout"] = min(WAIT_SECONDS, left)


def _refusal(host, held_by):
    return (
        f"{host} is claimed by {held_by}. Nothing was read or changed. Wait for that run, or let this one wait with "
        f"mig_partition_claim_timeout. If that run is gone for good: ansible-playbook gpufleet.mig.restore -l {host} "
        "takes the host from it once its time has passed, and with -e mig_restore_claim=take at once."
    )
