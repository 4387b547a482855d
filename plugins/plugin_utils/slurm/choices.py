# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a Slurm node can have the GPUs of its host: the lines of gres.conf to try, or why it cannot. Pure."""

from __future__ import annotations

import re

from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.controller import RECONFIGURES_SINCE

from ..host_words import lines, path_refusal
from .types import release_of

ERROR = "error: "
# In what slurmd says where its plugin is not there, or finds no NVML.
PLUGIN = ("for gpu/nvml", "gpu_nvml", "libnvidia-ml")
# `slurmd -V`, and slurmd.service as systemctl shows it.
RELEASE = re.compile(r"slurm\S{0,32} ([0-9]{1,4}\.[0-9]{1,4}(?:\.[0-9]{1,4})?)")
PROGRAM = re.compile(r"ExecStart=\{ path=(.*?) ;")
CONSTRAINS = re.compile(r'\s*ConstrainDevices\s*=\s*"?(?:yes|true)\b', re.IGNORECASE)


def slurmd_service(shown, version="", cgroup=""):
    """What a host tells of its slurmd: {loaded, active, program, release, constrains, refusal}.

    ``shown`` is what `systemctl show` prints of slurmd.service, ``version`` what `slurmd -V` does, ``cgroup`` the text
    of cgroup.conf. ``program`` is what the service starts, slurmd on PATH where it tells none. ``refusal`` says why
    what it starts is not used, else it is None.
    """
    properties = dict(line.partition("=")[::2] for line in reversed(lines(shown)))  # the first of several counts
    program = PROGRAM.match(f"ExecStart={properties.get('ExecStart', '')}")
    refusal = program and path_refusal(program[1], "What slurmd.service starts (ExecStart=)")
    release = next(filter(None, map(RELEASE.match, lines(version))), None)
    return {
        "loaded": properties.get("LoadState") == "loaded",
        "active": properties.get("ActiveState") == "active",
        "program": program[1] if program and not refusal else "slurmd",
        "release": release[1] if release else "0",
        "constrains": any(map(CONSTRAINS.match, lines(cgroup))),
        "refusal": refusal,
    }


def slurm_gres_choices(wanted, node, autodetect, seen):
    """How a node can have what ``slurm_gres`` wants: {lines, undetected, names_devices, restarts_controller, refusal}.

    ``autodetect`` is auto, nvml or off. ``seen`` is what there is: {host, slurmd} and {controller, slurmctld}, the
    hosts of the two and whether they have its unit; ``release``, of Slurm, as 22.05.8; ``constrains``, whether jobs
    are kept to their devices; ``detected``, what `slurmd -G` said with AutoDetect=nvml, "" where it was not asked;
    ``files``, [{item: host, files: [what would be written]}] of each host with a copy, with msg instead where it cannot
    be; ``ours``, false where somebody else writes them; ``device_files``, whether those of all devices are there; and
    ``refusal``, that of ``slurmd_service``.

    ``lines`` are the blocks to try, the best first, each a list of lines; [] leaves gres.conf as it is. ``undetected``
    says why slurmd cannot find by NVML what is there or comes. ``refusal`` is None or a sentence.

    Rule: releases of other programs
    """
    undetected = wanted["autodetect"] + _plugin_errors(seen["detected"])
    names_devices = autodetect == "off" or (autodetect == "auto" and seen["constrains"])
    restarts = release_of(seen["release"]) < RECONFIGURES_SINCE
    return {
        "lines": _lines(wanted, node, autodetect, names_devices and seen["device_files"]) if seen["ours"] else [[]],
        "undetected": undetected,
        "names_devices": names_devices,
        "restarts_controller": restarts,
        "refusal": _refused_by_host(wanted, node, seen, restarts)
        or _refused_by_detection(autodetect, undetected, names_devices),
    }


def _plugin_errors(text):
    """What slurmd said of its plugin, each once; as much as is of use to whoever reads it."""
    said = [line.partition(ERROR)[2] for line in lines(text)]
    return list(dict.fromkeys(words for words in said if any(word in words for word in PLUGIN)))[:3]


def _lines(wanted, node, autodetect, named):
    lines = [] if autodetect == "off" else [[], [f"NodeName={node} AutoDetect=nvml"]]
    return lines + ([[f"NodeName={node} {line}" for line in wanted["lines"]]] if named else [])


def _refused_by_host(wanted, node, seen, restarts):
    if wanted.get("refusal") or seen.get("refusal"):
        return f"{seen['host']}: {wanted.get('refusal') or seen['refusal']}"
    if not seen["slurmd"]:
        return (
            f"There is no slurmd.service on {seen['host']}. Install slurmd and configure it as a node, or leave out the"
            " role mig_slurm (slurm in mig_partition_expose)."
        )
    unwritable = [f"On {one['item']}: {one.get('msg', one)}" for one in seen["files"] if "files" not in one]
    if unwritable:
        return " ".join(unwritable)
    if not seen["ours"] and any(one["files"] for one in seen["files"]):
        return (
            f"slurm.conf is left to you (mig_slurm_config_hosts: []), and its node {node} does not have what is to be"
            f" there. It takes Gres={wanted['gres']}."
        )
    if restarts and not seen["slurmctld"]:
        return (
            f"Slurm {seen['release']} takes another number of GPUs only when slurmctld restarts, and"
            f" {seen['controller']} has no slurmctld.service. Set mig_slurm_host to the host of slurmctld."
        )
    return None


def _refused_by_detection(autodetect, undetected, names_devices):
    if names_devices or not undetected:
        return None
    why = "; ".join(undetected)
    if autodetect == "nvml":
        return (
            f"With mig_slurm_autodetect: nvml slurmd would not find what is to be there: {why}. Choose another layout,"
            " or mig_slurm_autodetect: auto."
        )
    return (
        f"AutoDetect=nvml does not find what is to be there: {why}. Devices that gres.conf names need"
        " ConstrainDevices=yes in cgroup.conf, because jobs are told their MIG device by a number that is right within"
        " their own devices only. Set that, with TaskPlugin=task/cgroup, or choose another layout."
    )
