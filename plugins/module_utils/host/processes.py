# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who the processes are that NVML names by their pid alone."""

from __future__ import annotations

import os
import time

from ..model import Process
from ..visible import visible


def describe(pid):
    """The Process with this pid; all else is None where /proc does not show it (it ended, or /proc hides it)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="surrogateescape") as stat:
            # "pid (name) state ...": the name may hold spaces and brackets itself, see proc(5).
            name, facts = stat.read().split("(", 1)[1].rsplit(")", 1)
        user = user_name(os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        return Process(pid)
    return Process(pid, visible(name), user, _time_since_boot(int(facts.split()[19])))


def _time_since_boot(ticks):
    """When the host's clock stood at ``ticks`` after the boot, in UTC."""
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))


def user_name(uid):
    """The name of a user, or its number as text where the host knows no name."""
    import pwd  # only where something runs

    try:
        return visible(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid)
