# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The device files of GPUs and MIG devices, and the capabilities by which the driver numbers the latter."""

from __future__ import annotations

import os
import re

from ..errors import MigError
from ..visible import said

CAPABILITIES = "/proc/driver/nvidia-caps/mig-minors"
# Its lines are those of 32 GPUs, each with 15 GPU instances of 8 compute instances: more of either there cannot be.
MOST_GPUS = 32
MOST_MIG_DEVICES = 15 * 8  # of a GPU
MINOR = re.compile(r"((?:[a-z0-9-]{1,32}/){0,3}[a-z0-9-]{1,32})[ \t]+([0-9]{1,7})")


def gpu_file(minor):
    """The device file of the GPU with this minor number.

    Rule: device files
    """
    return f"/dev/nvidia{minor}"


def capability_minors(minor, gpu_instance, compute_instance=None, table=CAPABILITIES):
    """{capability: minor number of its file} of a GPU instance and, unless None, of one compute instance in it.

    Who computes in a MIG device has both open. A driver without such a table has no such files.
    """
    try:
        with open(table, encoding="utf-8") as file:
            minors = parse_minors(file.read())
    except OSError:
        return {}
    return {name: minors[name] for name in capabilities(minor, gpu_instance, compute_instance) if name in minors}


def capabilities(minor, gpu_instance, compute_instance=None):
    """The capability of a GPU instance and, unless None, that of one compute instance in it, by the driver's names.

    Rule: device files
    """
    instance = f"gpu{minor}/gi{gpu_instance}"
    return [f"{instance}/access"] + ([] if compute_instance is None else [f"{instance}/ci{compute_instance}/access"])


def parse_minors(text):
    """{capability: minor number} of the text of /proc/driver/nvidia-caps/mig-minors, without what is none. Pure."""
    found = [MINOR.fullmatch(line.strip()) for line in text.splitlines()]
    return {one[1]: int(one[2]) for one in found if one}


def capability_proc_file(capability):
    """The file in /proc by which nvidia-modprobe makes the device file of a capability of an instance.

    Rule: device files
    """
    return "/proc/driver/nvidia/capabilities/" + capability.replace("/", "/mig/", 1)


def capability_file(minor):
    """The device file of the capability with this minor number."""
    return f"/dev/nvidia-caps/nvidia-cap{minor}"


def capability_files(minor, gpu_instance, compute_instance=None, table=CAPABILITIES):
    """The files of ``capability_minors``, as a set."""
    return set(map(capability_file, capability_minors(minor, gpu_instance, compute_instance, table).values()))


def make_missing(capabilities, run_command=None):
    """Those of these capabilities whose device files are not there, each once; ``run_command`` makes them, unless None.

    Each has the ``path`` of its file, and is the ``capability`` by which nvidia-modprobe makes it. Raises MigError.
    """
    wanted = {one["path"]: one for one in capabilities}
    missing = [one for path, one in wanted.items() if not os.path.lexists(path)]
    for one in missing if run_command else ():
        status, output, errors = run_command(["nvidia-modprobe", "-f", one["capability"]])
        if status:
            raise MigError(f"{one['path']} could not be made: nvidia-modprobe said {said(output + errors)}")
    return missing
