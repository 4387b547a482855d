# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who the processes are that NVML names by their pid alone."""

from __future__ import annotations

import os

from .model import Process


def describe(pid):
    """The Process with this pid; name and user are None where /proc does not show it (it ended, or /proc hides it)."""
    name = user = None
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
            name = comm.read().rstrip("\n")
        user = user_name(os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        pass
    return Process(pid, name, user)


def user_name(uid):
    """The name of a user, or its number as text where the host knows no name."""
    import pwd  # only where something runs

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
