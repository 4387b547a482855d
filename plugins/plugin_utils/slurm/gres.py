# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the GPUs and MIG devices of a host are as Slurm's gres, and whether Slurm has exactly them. Pure."""

from __future__ import annotations

import re

from ansible_collections.gpufleet.mig.plugins.module_utils.host.device_files import (
    MOST_GPUS,
    capabilities,
    capability_file,
    capability_proc_file,
    gpu_file,
    parse_minors,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import inner, outer, part
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.configuration import TYPE, gpu_counts

from ..host_gpus import gpus_refusal
from ..host_words import lines, shown
from .types import detected_type, driver_name, type_of, types_refusal, undetected

# What slurmd prints of a gres, after these words.
GPU = "Gres Name=gpu"
GRES = re.compile(r"(?: Type=(?P<type>\S+))? Count=(?P<count>[0-9]{1,5})\b.*? File=(?P<files>\S+)")
ERROR = re.compile(r"slurmd\S*: (?:error|fatal): (.*)")
# It says so of every host without that file.
HARMLESS = re.compile(r"cgroup\.conf")
MOST_SHOWN = 20  # types, or errors
UNIT = re.compile(r"\[([0-9]{1,3})-([0-9]{1,3})\]$")


def slurm_gres(gpus, minors="", types=None, target=None, release=""):
    """What Slurm should have of these GPUs: {gres, devices, lines, autodetect, refusal}.

    ``gpus`` as in mig_facts with profiles and instances, ``minors`` the text of /proc/driver/nvidia-caps/mig-minors,
    ``types`` what jobs call them (slurm_types.type_of). With ``target``, the GPUs that this layout names are as it has
    them, and there are no files yet. ``release`` is that of slurmd, such as 22.05.8, the newest without it: what nobody
    has named is called as slurmd of this release calls it, but a part of a GPU instance always by its own name.
    ``lines`` are those of gres.conf without AutoDetect, still without NodeName; ``autodetect`` has sentences why
    AutoDetect=nvml cannot find all of it.

    It goes into the files of another host. So ``refusal`` says, by the GPU, why what this one says is not used, and
    then there is nothing else; otherwise it is None.
    """
    types = types or {}
    refusal = types_refusal(types) or gpus_refusal(gpus, target, needs=("product", "minor", "driver_name", "profiles"))
    devices, reasons = [], []
    if not refusal:
        come = {uuid: entry for entry in target or [] for uuid in entry["gpus"]}
        numbers = parse_minors(minors)
        for gpu in gpus:
            found, why = _gpu(gpu, come.get(gpu["uuid"]), numbers, types, release)
            devices += found
            reasons += why
        refusal = next(filter(None, map(_type_refusal, devices)), None)
    if refusal:
        return {"gres": "", "devices": [], "lines": [], "autodetect": [], "refusal": refusal}
    counts = {}
    for device in devices:
        counts[device["type"]] = counts.get(device["type"], 0) + 1
    return {
        "gres": ",".join(f"gpu:{name}:{count}" for name, count in counts.items()),
        "devices": devices,
        "lines": [_line(device) for device in devices],
        "autodetect": reasons + undetected(release, devices),
        "refusal": None,
    }


def _type_refusal(device):
    if TYPE.fullmatch(device["type"]):
        return None
    return (
        f"GPU {device['gpu']} is {shown(device['product'])}, of which Slurm's type would be {shown(device['type'])}. A"
        " type has letters, digits and _.+- and nothing else: give it one with mig_slurm_types."
    )


def _gpu(gpu, entry, numbers, types, release):
    """(what Slurm should have of a GPU, why slurmd does not find it), as it is or as the ``entry`` of a layout says."""
    if entry:
        mig, instances = entry.get("mig_enabled", True), entry.get("instances") or ()
    else:
        mig, instances = gpu["mig_mode"] == "enabled", gpu["instances"] or ()
    if not mig:
        return [_whole(gpu, types, release)], []
    made = [(instance, mig) for instance in instances for mig in instance["compute_instances"]]
    devices = [_mig_device(gpu, instance, mig, numbers, types, release) for instance, mig in made]
    devices = sorted(devices, key=lambda device: device["index"] or 0)
    return devices, _unseen(gpu, devices)


def _whole(gpu, types, release):
    detected = detected_type(release, gpu["product"])
    name, named = type_of(types, gpu["product"], detected)
    return {
        "what": f"GPU {gpu['index']}",
        "gpu": gpu["index"],
        "product": gpu["product"],
        "type": name,
        "named": named,
        "detected": detected,
        "uuid": gpu["uuid"],
        "files": [gpu_file(gpu["minor"])],
        "place": None,
        "capabilities": [],
    }


def _mig_device(gpu, instance, mig, numbers, types, release):
    there = "uuid" in mig
    names = capabilities(gpu["minor"], instance["id"], mig["id"]) if there else []
    files = [
        {"capability": capability_proc_file(name), "path": capability_file(numbers[name])}
        for name in names
        if name in numbers
    ]
    profile = mig.get("driver_name") or driver_name(_with_drivers_name(gpu, mig["profile"]))
    whole = [instance["profile"]] if "profile" in instance and "c." not in profile else []
    detected = detected_type(release, gpu["product"], profile, _memory_mib(gpu, instance, mig))
    name, named = type_of(types, gpu["product"], detected, [*whole, mig["profile"], profile])
    return {
        "what": f"the {mig['profile']}{' ' + mig['uuid'] if mig.get('uuid') else ''} on GPU {gpu['index']}",
        "gpu": gpu["index"],
        "product": gpu["product"],
        "type": name,
        "named": named,
        "detected": detected,
        "uuid": mig.get("uuid"),
        "index": mig.get("index"),
        "files": [gpu_file(gpu["minor"]), *(one["path"] for one in files)],
        "place": _place(instance, mig),
        "capabilities": files,
    }


def _with_drivers_name(gpu, profile):
    """What is called by the id of its GPU instance's profile, by the name that the driver has for that."""
    names = {one["name"]: one.get("driver_name") for one in gpu.get("profiles") or ()}
    return inner(part(profile), names.get(outer(profile)) or outer(profile))


def _place(instance, mig):
    """What a MIG device is besides its type, UUID and files, all of which another one can have once it is gone.

    Rule: one MIG device
    """
    starts = [(one.get("placement") or {}).get("start") for one in (instance, mig) if "uuid" in mig]
    return [instance.get("profile_id"), starts[0], part(mig["profile"]), starts[1]] if starts else None


def _memory_mib(gpu, instance, mig):
    """What a MIG device's attributes say, its profile before there are any, None where the driver tells neither."""
    if mig.get("memory_mib") is not None:
        return mig["memory_mib"]
    name = instance.get("profile", mig["profile"].rpartition("c.")[2])
    return next((one.get("memory_mib") for one in gpu.get("profiles") or () if one["name"] == name), None)


def _unseen(gpu, devices):
    """Why AutoDetect=nvml does not come to the MIG devices of a GPU in MIG mode.

    Rule: what slurmd finds by NVML
    """
    if not devices:
        why = f"GPU {gpu['index']} has MIG on and no MIG device, so slurmd does not start, or takes it for a whole GPU"
        return [why]
    indexes = [device["index"] for device in devices]
    if None in indexes or indexes == list(range(len(indexes))):
        return []
    # nvmlDeviceGetMigDeviceHandleByIndex; the plugin stops where it says NOT_FOUND.
    numbered = ", ".join(map(str, indexes))
    return [f"the MIG devices of GPU {gpu['index']} have the indexes {numbered}, and slurmd stops at a hole"]


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
