# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which processes have the device files of GPUs and MIG devices open; NVML lists only those that compute."""

from __future__ import annotations

import os


def openers(paths, proc="/proc"):
    """Who has which of these files open: ({path: pids in order}, how many processes hid their open files).

    This process does not count. A file is known by its device number, whatever a container calls it; only links that
    speak of nvidia are followed, because a host has some hundred thousand open files.
    """
    wanted = {}
    for path in paths:
        identity = _identity(path)
        if identity:
            wanted.setdefault(identity, []).append(path)
    found = {path: [] for path in paths}
    unseen = 0
    if not wanted:
        return found, unseen
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        if pid == os.getpid():
            continue
        directory = f"{proc}/{pid}/fd/"
        try:
            files = _nvidia_files(directory)
        except PermissionError:
            unseen += 1
        except OSError:
            continue  # it has ended
        else:
            for path in {path for file in files for path in wanted.get(_identity(directory + file), ())}:
                found[path].append(pid)
    return found, unseen


def _nvidia_files(directory):
    """The descriptors in a /proc/PID/fd that are links to something of nvidia."""
    files = []
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)  # the kernel then looks up short names only
    try:
        for name in os.listdir(opened):
            try:
                if "nvidia" in os.readlink(name, dir_fd=opened):
                    files.append(name)
            except FileNotFoundError:
                continue  # it was closed
    finally:
        os.close(opened)
    return files


def _identity(path):
    """What two names of one file have in common: the device number, or of a plain file device and inode; else None."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_rdev or (status.st_dev, status.st_ino)
