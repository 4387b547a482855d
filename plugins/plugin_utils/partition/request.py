# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of the role mig_partition is asked for, and what in its variables cannot be meant. Pure."""

from __future__ import annotations

import os

from ..drain.hooks import HOOKS, TASK_FILE, WORKLOADS, task_file

# The places at which task files of the user may run.
STAGES = ("check", "drain", "mode", "instances", "verify", "persistence", "expose", "restore")
PLACES = tuple(f"{when}_{stage}" for when in ("before", "after") for stage in STAGES)
# The roles of this collection that make MIG devices visible, without mig_ before.
EXPOSE = ("assign", "container_runtime", "device_plugin", "slurm")
# Places at which the user's tasks run also on a host whose GPUs are as wanted.
ALWAYS = ("before_check", "after_check", "before_persistence", "after_persistence")


def mistakes(options, is_file, is_directory):
    """What cannot be meant by these options of mig_partition: sentences, one for each kind of mistake.

    :param options: {option: its value}, those that have one
    :param is_file: whether a path on the controller is a file
    :param is_directory: whether one is a directory
    """
    tasks, expose = options.get("mig_partition_tasks") or {}, options.get("mig_partition_expose") or ()
    drain = options.get("mig_partition_drain") or ()
    paths = [hook for hook in drain if TASK_FILE.fullmatch(hook)]
    places = [place for place in tasks if place not in PLACES]
    if places:
        yield f"mig_partition_tasks: no such place: {', '.join(map(str, places))}; there are {', '.join(PLACES)}."
    unknown = [hook for hook in drain if hook not in HOOKS and hook not in paths]
    if unknown:
        yield (
            f"mig_partition_drain: neither one of {', '.join(HOOKS)} nor the absolute path of a .yml file: "
            f"{', '.join(unknown)}."
        )
    files = [
        *tasks.values(),
        *(one for one in expose if one not in EXPOSE),
        *paths,
        *(task_file(path, "", WORKLOADS) for path in paths),
    ]
    missing = [str(file) for file in dict.fromkeys(files) if not is_file(file)]
    if missing:
        yield (
            "mig_partition_drain, mig_partition_tasks, mig_partition_expose: no such file on the controller: "
            f"{', '.join(missing)}. Files are named by their absolute paths; mig_partition_expose also takes "
            f"{', '.join(EXPOSE)}."
        )
    directory = os.path.dirname(options.get("mig_partition_report") or "") or "."
    if not is_directory(directory):
        yield f"mig_partition_report: no directory {directory} on the controller."


def no_layout(host):
    """What a host with MIG-capable GPUs is told that has no layout."""
    return (
        f"No layout for {host}. Set mig_partition_layout, or both mig_partition_mig_parted_config (the path of a "
        "nvidia-mig-parted file on the controller) and mig_partition_mig_parted_label (one of its labels), for this "
        "host or its group."
    )


def has_more(options):
    """Whether a host whose GPUs are as wanted has not ended: something is exposed, or tasks of the user run."""
    tasks = options.get("mig_partition_tasks") or {}
    return bool(options.get("mig_partition_expose")) or any(place in tasks for place in ALWAYS)
