# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What mig_claim does on a host: from its options to its result."""

from __future__ import annotations

import ctypes
import time

from ..host.evidence import read_evidence
from .claims import Claim, claim_data, described, is_free, now, read_claim, release, renew, take
from .state_directory import HostState

POLL_SECONDS = 0.5


def claim(params):
    """The result of mig_claim, whose options ``params`` are. Raises MigError.

    ``claimed`` says whether the run has the host now. Where another has it, ``held`` tells of that and ``held_by``
    says so in words.
    """
    state = HostState(params["state_dir"])
    if params["state"] == "taken":
        return _taken(state, params)
    if params["state"] == "released":
        released(params["change_id"], params["state_dir"], params["lock_timeout"])
        return {"claimed": False, "warnings": []}
    with state.lock(params["lock_timeout"]):
        modes = {gpu["uuid"]: gpu["pending"] == "enabled" for gpu in params["gpus"] or ()}
        problem = renew(state, params["change_id"], params["stage"], params["deadline"] + params["grace"], now(), modes)
    return {"claimed": True, "warnings": [problem] if problem else []}


def released(change, state_dir, lock_timeout):
    """Give up the claim of this change on the host, if it has one. Raises MigError."""
    state = HostState(state_dir)
    with state.lock(lock_timeout):
        release(state, change)


def _taken(state, params):
    if not has_gpus():
        return {"claimed": False, "held": None, "held_by": None, "warnings": []}
    deadline, over = time.monotonic() + params["timeout"], params["over"] or ()
    while True:
        is_late = time.monotonic() >= deadline
        # Whoever waits asks without the lock, which a change may hold for long.
        if is_late or params["force"] or is_free(read_claim(state), params["change_id"], over, now()):
            with state.lock(params["lock_timeout"]):
                clock = now()
                there = take(state, _wanted(params, clock), clock, over, params["force"])
            if there is None or is_late:
                break
        time.sleep(POLL_SECONDS)
    if there is None:
        return {"claimed": True, "held": None, "held_by": None, "warnings": []}
    held = dict(claim_data(there, clock), controller=there.controller)
    return {"claimed": False, "held": held, "held_by": described(there, clock), "warnings": []}


def _wanted(params, clock):
    return Claim(
        change=params["change_id"],
        user=params["user"],
        controller=params["controller"],
        since=clock.wall,
        stage=params["stage"],
        boot_id=clock.boot_id,
        renewed=clock.seconds,
        silence=params["deadline"] + params["grace"],
        modes={},
    )


def has_gpus():
    """Whether this host may have anything to claim: an NVIDIA GPU that the system shows, or the driver's NVML."""
    if read_evidence().nvidia_devices:
        return True
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True
