# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a process and of all that it has started, as a power cut would end them."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def kill_tree(process):
    """SIGKILL to that process, its children and theirs; it may be the caller itself."""
    processes = [process]
    for one in processes:
        # Stopped first, a process starts no others while its children are looked up. The caller starts none meanwhile.
        if one != os.getpid():
            _signal(one, signal.SIGSTOP)
        processes += _children(one)
    for one in reversed(processes):
        _signal(one, signal.SIGKILL)


def _children(process):
    """The ids of that process's children."""
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text(encoding="utf-8").split()]
    except FileNotFoundError:
        return []


def _signal(process, number):
    # One that has ended by itself is no error.
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
