# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the GPUs and MIG devices of a host are as Slurm's gres, and whether Slurm has exactly them.

Names of types are those of Slurm's plugin gpu/nvml (src/plugins/gpu/nvml/gpu_nvml.c) since release 23.11.
"""

from __future__ import annotations

import fnmatch
import re

from ansible_collections.gpufleet.mig.plugins.module_utils.device_files import (
    MOST_GPUS,
    capabilities,
    capability_file,
    capability_proc_file,
    gpu_file,
    parse_minors,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm_configuration import TYPE, gpu_counts

from .host_gpus import gpus_refusal
from .host_words import lines, shown

# Since this release slurmd takes the profile from a MIG device's name; before, it makes one of the numbers of slices.
NAMES_SINCE = (23, 11)
# What slurmd prints of a gres, after these words.
GPU = "Gres Name=gpu"
GRES = re.compile(r"(?: Type=(?P<type>\S+))? Count=(?P<count>[0-9]{1,5})\b.*? File=(?P<files>\S+)")
ERROR = re.compile(r"slurmd\S*: (?:error|fatal): (.*)")
# It says so of every host without that file.
HARMLESS = re.compile(r"cgroup\.conf")
MOST_SHOWN = 20  # types, or errors
UNIT = re.compile(r"\[([0-9]{1,3})-([0-9]{1,3})\]$")


def slurm_gres(gpus, minors="", types=None, target=None):
    """What Slurm should have of these GPUs: {gres, devices, lines, autodetect, refusal}.

    ``gpus`` as in mig_facts, ``minors`` the text of /proc/driver/nvidia-caps/mig-minors, ``types`` {glob of a product:
    what Slurm's users call it}. With ``target``, the GPUs that this layout names are as it has them, and there are no
    files yet. ``lines`` are those of gres.conf without AutoDetect, still without NodeName; ``autodetect`` says why
    AutoDetect=nvml cannot find all of it, for each release: [{before, why}], without ``before`` for all of them.

    It goes into the files of another host. So ``refusal`` says, by the GPU, why what this one says is not used, and
    then there is nothing else; otherwise it is None.
    """
    refusal = _refusal(gpus, types or {}, target)
    if refusal:
        return {"gres": "", "devices": [], "lines": [], "autodetect": [], "refusal": refusal}
    come = {uuid: entry for entry in target or [] for uuid in entry["gpus"]}
    numbers = parse_minors(minors)
    devices, reasons = [], []
    for gpu in gpus:
        entry = come.get(gpu["uuid"])
        if entry:
            mig = entry.get("mig_enabled", True)
            instances = [{"compute_instances": one["compute_instances"]} for one in entry.get("instances") or ()]
        else:
            mig, instances = gpu["mig_mode"] == "enabled", gpu["instances"] or []
        found = _mig_devices(gpu, instances, numbers, types or {}) if mig else [_whole(gpu, types or {})]
        reasons += _undetected(gpu, mig, found)
        devices += found
    counts = {}
    for device in devices:
        counts[device["type"]] = counts.get(device["type"], 0) + 1
    return {
        "gres": ",".join(f"gpu:{name}:{count}" for name, count in counts.items()),
        "devices": devices,
        "lines": [_line(device) for device in devices],
        "autodetect": reasons,
        "refusal": None,
    }


def _refusal(gpus, types, target):
    for glob, name in types.items():
        if name is None or not TYPE.fullmatch(str(name)):
            return (
                f"mig_slurm_types calls {glob} {shown(name)}. A type has letters, digits and _.+- and nothing else, as"
                " jobs and Slurm's files name it."
            )
    refusal = gpus_refusal(gpus, target)
    if refusal:
        return refusal
    for gpu in gpus:
        if not TYPE.fullmatch(_name(gpu, types)[0]):
            return (
                f"GPU {gpu['index']} is {shown(gpu['product'])}, of which Slurm's type would be"
                f" {shown(_name(gpu, types)[0])}. A type has letters, digits and _.+- and nothing else: give it one"
                " with mig_slurm_types."
            )
    return None


def _name(gpu, types):
    """(what the plugin calls a GPU of this product, what it or the user calls its MIG devices before the profile)."""
    detected = gpu["product"].lower().replace(" ", "_")
    for glob, name in types.items():
        if fnmatch.fnmatchcase(gpu["product"], glob):
            return str(name), str(name)
    return detected, detected.partition("-")[0]


def _whole(gpu, types):
    return {
        "what": f"GPU {gpu['index']}",
        "type": _name(gpu, types)[0],
        "uuid": gpu["uuid"],
        "files": [gpu_file(gpu["minor"])],
        "capabilities": [],
    }


def _mig_devices(gpu, instances, numbers, types):
    devices = []
    for instance in instances:
        for mig in instance["compute_instances"]:
            names = capabilities(gpu["minor"], instance["id"], mig["id"]) if "uuid" in mig else []
            files = [
                {"capability": capability_proc_file(name), "path": capability_file(numbers[name])}
                for name in names
                if name in numbers
            ]
            devices.append(
                {
                    "what": f"the {mig['profile']}{' ' + mig['uuid'] if mig.get('uuid') else ''} on GPU {gpu['index']}",
                    "type": f"{_name(gpu, types)[1]}_{mig['profile']}",
                    "uuid": mig.get("uuid"),
                    "index": mig.get("index"),
                    "profile": mig["profile"],
                    "files": [gpu_file(gpu["minor"]), *(one["path"] for one in files)],
                    "capabilities": files,
                }
            )
    return sorted(devices, key=lambda device: device["index"] or 0)


def _undetected(gpu, mig, devices):
    """Why AutoDetect=nvml cannot find what is on a GPU."""
    reasons = []
    if mig and not devices:
        why = f"GPU {gpu['index']} has MIG on and no MIG device, so slurmd does not start, or takes it for a whole GPU"
        reasons.append({"why": why})
    indexes = [device["index"] for device in devices if mig]
    if None not in indexes and indexes != list(range(len(indexes))):
        # nvmlDeviceGetMigDeviceHandleByIndex; the plugin stops where it says NOT_FOUND.
        numbered = ", ".join(map(str, indexes))
        reasons.append(
            {"why": f"the MIG devices of GPU {gpu['index']} have the indexes {numbered}, and slurmd stops at a hole"}
        )
    unnamed = sorted({device["profile"] for device in devices if mig and re.search(r"c\.|[+-]", device["profile"])})
    if unnamed:
        since = ".".join(map(str, NAMES_SINCE))
        why = f"Slurm before {since} does not know {', '.join(unnamed)} from the profile with the same slices"
        reasons.append({"before": since, "why": why})
    return reasons


def _line(device):
    key = "File" if len(device["files"]) == 1 else "MultipleFiles"
    return f"AutoDetect=off Name=gpu Type={device['type']} {key}={','.join(device['files'])} Flags=nvidia_gpu_env"


def slurmd_gres_problems(text, devices):
    """What `slurmd -G` prints (``text``) that differs from these devices: sentences, none where it has exactly them."""
    said = lines(text)
    found = [one for one in (GRES.match(line.partition(GPU)[2]) for line in said) if one]
    there = [(one["type"], tuple(files)) for one in found for files in _files(one)]
    has, wanted = {*there}, {(device["type"], tuple(device["files"])) for device in devices}
    missing = [(device["type"], device["what"]) for device in devices
               if (device["type"], tuple(device["files"])) not in has]  # fmt: skip
    surplus = [(name, ",".join(files)) for name, files in there if (name, files) not in wanted]
    problems = [f"It lacks {words}." for words in _grouped(missing)]
    problems += [f"It has {words}, which is not there." for words in _grouped(surplus)]
    if len(there) > len(has):
        problems.append("It has a device twice.")
    errors = [one[1].rstrip(".") for one in map(ERROR.match, said) if one and not HARMLESS.search(one[1])]
    errors = list(dict.fromkeys(errors))[:MOST_SHOWN]
    return problems + ([f"slurmd says: {'; '.join(errors)}."] if problems and errors else [])


def _grouped(devices):
    """The first [(type, what)] in words, each type once."""
    groups = {}
    for name, what in devices:
        groups.setdefault(name, []).append(what)
    return [
        f"gpu:{name} ({whats[0]}{f' and {len(whats) - 1} more' if len(whats) > 1 else ''})"
        for name, whats in [*groups.items()][:MOST_SHOWN]
    ]


def _files(gres):
    """The files of each device of a line: File=/dev/nvidia[0-3] are several devices, MultipleFiles= is one."""
    if int(gres["count"]) == 1:
        return [gres["files"].split(",")]
    files = []
    for path in gres["files"].split(","):
        span = UNIT.search(path)
        numbers = range(int(span[1]), int(span[2]) + 1)[:MOST_GPUS] if span else []
        files += [[path[: span.start()] + str(number)] for number in numbers] or [[path]]
    return files


def gres_differences(wanted, there):
    """How ``there``, as scontrol shows it, differs from the wanted GPUs: a phrase for each gres that does."""
    expected, shown = gpu_counts(wanted), gpu_counts(there)
    return [
        f"{name}: {expected.get(name, 0)} expected, {shown.get(name, 0)} there"
        for name in sorted({*expected, *shown})
        if expected.get(name, 0) != shown.get(name, 0)
    ]
