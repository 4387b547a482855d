# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who claims a host: this controller and its ansible-playbook, and whether another such process still lives.

Process ids mean something only on one boot and in one PID namespace of a controller, and come again; by its start a
process is told from a later one of the same id. A controller without /proc cannot tell: nobody there counts as gone.
"""

from __future__ import annotations

import os
import socket

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def claimant(pid, host):
    """What a claim says of its controller: that process of this machine, for the host of this name in its inventory."""
    return {
        "name": socket.gethostname(),
        "host": host,
        "boot_id": _boot_id(),
        "pid_namespace": _pid_namespace(),
        "pid": pid,
        "started": _started(pid),
    }


def is_this_run(other, own):
    """Whether a claim's controller is this very process, for the same host."""
    return bool(own["started"]) and other == own


def is_gone(other):
    """Whether a claim's process was one of this machine and is no more."""
    if not isinstance(other, dict):
        return False
    pid, started = other.get("pid"), other.get("started")
    if not isinstance(pid, int) or not isinstance(started, str) or not started:
        return False
    here = (_boot_id(), _pid_namespace())
    return None not in here and here == (other.get("boot_id"), other.get("pid_namespace")) and _started(pid) != started


def _boot_id():
    try:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def _pid_namespace():
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None


def _started(pid):
    """When a process started, in the kernel's ticks since the boot, as text; None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # "pid (name) state ...": the name may hold anything, see proc(5). A zombie does nothing any more.
            state, *rest = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else rest[18]
