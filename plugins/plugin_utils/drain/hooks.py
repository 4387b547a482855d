# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drain hooks: which are the role's own, the task files of each, and the order in which a host runs them. Pure."""

from __future__ import annotations

import os
import re

CLIENTS, WORKLOADS = "_restore_clients", "_restore"
HOOKS = ("kubernetes", "slurm", "systemd")
# Their schedulers give GPUs away, and must not do so with what is about to go, even if nobody has it yet.
SCHEDULERS = ("kubernetes", "slurm")
GPU_CLIENTS = "gpu_clients"
# The role's own hooks, with the stages in which each restores something. The GPU clients of the operating system are
# drained as by a hook.
OWN = {
    "kubernetes": (CLIENTS, WORKLOADS),
    "slurm": (WORKLOADS,),
    "systemd": (WORKLOADS,),
    GPU_CLIENTS: (CLIENTS,),
}
TASK_FILE = re.compile(r"/.*\.ya?ml")


def task_file(hook, directory, stage=""):
    """The task file with which a hook drains, or restores in one of the two stages.

    ``directory`` has those of the role's own hooks. Another hook is the path of the first; the others are beside it.
    """
    base, extension = os.path.splitext(f"{directory}/{hook}.yml" if hook in OWN else hook)
    return f"{base}{stage}{extension}"


def in_order(items, *keys):
    """The same items of a loop over include_tasks, each with ``after``: what the ``keys`` of those before it are.

    Ansible runs an item that several hosts have in common for all of them at once, where the first of them has it. Two
    hosts then have an item in common only where all before it are the same, too, and each keeps its own order.
    """
    names = [[item[key] for key in keys] for item in items]
    return [{**item, "after": names[:place]} for place, item in enumerate(items)]
