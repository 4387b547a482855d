# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nvidia-ctk calls the devices of a host in a CDI specification, and whether a specification has exactly them.

Names and device files are those of the toolkit's pkg/nvcdi (namer.go, mig-device-nvml.go).
"""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.module_utils.device_files import (
    capabilities,
    capability_file,
    capability_proc_file,
    gpu_file,
    parse_minors,
)

KIND = "nvidia.com/gpu"
MERGED = "all"  # the device that is all the others together
# How each naming strategy calls a GPU and a MIG device.
NAMES = {
    "index": ("{gpu[index]}", "{gpu[index]}:{mig[index]}"),
    "type-index": ("gpu{gpu[index]}", "mig{gpu[index]}:{mig[index]}"),
    "uuid": ("{gpu[uuid]}", "{mig[uuid]}"),
}


def cdi_devices(gpus, minors, strategies):
    """The devices that the specification of these GPUs should have: [{what, names, files, capabilities}].

    ``gpus`` as in mig_facts, ``minors`` the text of /proc/driver/nvidia-caps/mig-minors. A GPU with MIG is none itself.
    ``capabilities`` are files in /proc, each with the ``path`` of the device file that nvidia-modprobe makes from it.
    """
    numbers = parse_minors(minors)
    devices = []
    for gpu in gpus:
        if gpu["mig_mode"] != "enabled":
            devices.append(_device(f"GPU {gpu['index']}", gpu, None, strategies, []))
            continue
        for instance in gpu["instances"]:
            for mig in instance["compute_instances"]:
                files = [
                    {"capability": capability_proc_file(name), "path": capability_file(numbers[name])}
                    for name in capabilities(gpu["minor"], instance["id"], mig["id"])
                    if name in numbers
                ]
                what = f"the {mig['profile']} {mig['uuid']} on GPU {gpu['index']}"
                devices.append(_device(what, gpu, mig, strategies, files))
    return devices


def _device(what, gpu, mig, strategies, capability_files):
    names = [NAMES[strategy][0 if mig is None else 1].format(gpu=gpu, mig=mig) for strategy in strategies]
    files = [gpu_file(gpu["minor"]), *(one["path"] for one in capability_files)]
    return {"what": what, "names": names, "files": files, "capabilities": capability_files}


def cdi_problems(devices, listed, specification):
    """What is wrong with a CDI specification: sentences, none where it has exactly these devices.

    ``listed`` is what `nvidia-ctk cdi list` prints, of all specifications there; ``specification`` the data of the one
    that the toolkit generated.
    """
    prefix = f"{KIND}="
    there = {line.strip()[len(prefix) :] for line in listed.splitlines() if line.strip().startswith(prefix)}
    edits = {one["name"]: one.get("containerEdits", {}) for one in specification.get("devices", [])}
    problems = []
    for device in devices:
        lacking = [prefix + name for name in device["names"] if name not in there]
        if lacking:
            problems.append(f"Missing: {', '.join(lacking)} ({device['what']}).")
        for name in device["names"]:
            given = {node["path"] for node in edits.get(name, {}).get("deviceNodes", [])}
            without = [path for path in device["files"] if path not in given]
            if name in edits and without:
                problems.append(f"{prefix}{name} ({device['what']}) gives containers no {', '.join(without)}.")
    known = {name for device in devices for name in device["names"]}
    stale = sorted(there - known - {MERGED})
    if stale:
        problems.append(f"Named, but not there: {', '.join(prefix + name for name in stale)}.")
    return problems
