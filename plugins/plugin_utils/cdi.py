# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nvidia-ctk calls the devices of a host in a CDI specification, and whether a specification has exactly them.

Names and device files are those of the toolkit's pkg/nvcdi (namer.go, mig-device-nvml.go).
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from ansible_collections.gpufleet.mig.plugins.module_utils.host.device_files import (
    capabilities,
    capability_file,
    capability_proc_file,
    gpu_file,
    parse_minors,
)

from .host_gpus import gpus_refusal
from .host_words import LONGEST_TEXT, lines, shown, slurped

# The C parser where there is one: it is fifty times as fast. Every scalar is a string then, as all in question are.
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
DEPTH = 20  # a specification has seven levels
MOST_SHOWN = 20
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

    ``gpus`` as in mig_facts, ``minors`` the text of /proc/driver/nvidia-caps/mig-minors, or a result of
    slurp. A GPU with MIG is none itself.
    ``capabilities`` are files in /proc, each with the ``path`` of the device file that nvidia-modprobe makes from it.
    Raises ValueError, by the GPU, for what no driver says.

    Rule: CDI's names
    """
    refusal = gpus_refusal(gpus, needs=("minor",))
    if refusal:
        raise ValueError(refusal)
    numbers = parse_minors(slurped(minors))
    devices = []
    for gpu in gpus:
        if gpu["mig_mode"] != "enabled":
            devices.append(_device(f"GPU {gpu['index']}", gpu, None, strategies, []))
            continue
        for instance in gpu["instances"] or ():
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

    ``listed`` is what `nvidia-ctk cdi list` prints, of all specifications there; ``specification`` the one that
    the toolkit generated: its text, its data, or a result of slurp.
    """
    if isinstance(specification, Mapping) and "content" in specification:
        specification = slurped(specification)
    try:
        data = _data(specification) if isinstance(specification, str) else specification
        files = _device_files(data)
    except ValueError as error:
        return [f"It cannot be read: {error}."]
    prefix = f"{KIND}="
    there = {line.strip()[len(prefix) :] for line in lines(listed) if line.strip().startswith(prefix)}
    problems = []
    for device in devices:
        lacking = [prefix + name for name in device["names"] if name not in there]
        if lacking:
            problems.append(f"Missing: {', '.join(lacking)} ({device['what']}).")
        for name in device["names"]:
            without = [path for path in device["files"] if path not in files.get(name, ())]
            if name in files and without:
                problems.append(f"{prefix}{name} ({device['what']}) gives containers no {', '.join(without)}.")
    known = {name for device in devices for name in device["names"]}
    stale = sorted(there - known - {MERGED})
    if stale:
        more = f" and {len(stale) - MOST_SHOWN} more" if len(stale) > MOST_SHOWN else ""
        problems.append(f"Named, but not there: {', '.join(prefix + name for name in stale[:MOST_SHOWN])}{more}.")
    return problems


def _data(text):
    """The data of a YAML or JSON text, which a host may have made for whoever reads it: without aliases, not too deep.

    Raises ValueError.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"it has {len(text)} characters; at most {LONGEST_TEXT} are read")
    depth = 0
    try:
        # The events come one by one; what is made of them is made by recursion.
        for event in yaml.parse(text, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(
                    f"it has a YAML alias (line {event.start_mark.line + 1}), and no specification has any"
                )
            if depth > DEPTH:
                raise ValueError(f"it has more than {DEPTH} levels (line {event.start_mark.line + 1})")
        return yaml.load(text, Loader=LOADER) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{line}{getattr(error, 'problem', None) or 'it is no YAML'}") from error


def _device_files(data):
    """{name: paths of its device files} of the data of a specification. Raises ValueError where it is none."""
    files = {}
    for device in _each(_member(data, "devices"), "devices"):
        edits = _member(device, "containerEdits")
        nodes = _each(_member(edits, "deviceNodes") if edits else None, "deviceNodes")
        files[str(_member(device, "name"))] = {str(_member(node, "path")) for node in nodes}
    return files


def _member(value, key):
    if not isinstance(value, Mapping):
        raise ValueError(f"where {key} should be it has {shown(value)}")
    return value.get(key)


def _each(value, what):
    if value and not isinstance(value, (list, tuple)):
        raise ValueError(f"{what} is {shown(value)}, and no list")
    return value or ()
