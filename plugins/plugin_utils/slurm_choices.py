# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a Slurm node can have the GPUs of its host: the lines of gres.conf to try, or why it cannot. Pure."""

from __future__ import annotations

import re

from ansible_collections.gpufleet.mig.plugins.module_utils.slurm_controller import RECONFIGURES_SINCE

# What slurmd says where its plugin is not there, or finds no NVML.
PLUGIN = re.compile(r"error: (.*(?:for gpu/nvml|gpu_nvml|libnvidia-ml).*)")


def slurm_gres_choices(wanted, node, autodetect, seen):
    """How a node can have what ``slurm_gres`` wants: {lines, undetected, names_devices, restarts_controller, refusal}.

    ``autodetect`` is auto, nvml or off. ``seen`` is what there is: {host, slurmd} and {controller, slurmctld}, the
    hosts of the two and whether they have its unit; ``release``, of Slurm, such as 22.05; ``constrains``, whether jobs
    are kept to their devices; ``detected``, what `slurmd -G` said with AutoDetect=nvml, "" where it was not asked;
    ``files``, [{item: host, files: [what would be written]}] of each host with a copy, with msg instead where it cannot
    be; ``ours``, false where somebody else writes them; ``device_files``, whether those of all devices are there.

    ``lines`` are the blocks to try, the best first, each a list of lines; [] leaves gres.conf as it is. ``undetected``
    says why slurmd cannot find by NVML what is there or comes. ``refusal`` is None or a sentence.
    """
    release = _release(seen["release"])
    undetected = [
        reason["why"]
        for reason in wanted["autodetect"]
        if "before" not in reason or release < _release(reason["before"])
    ]
    undetected += dict.fromkeys(PLUGIN.findall(seen["detected"]))
    names_devices = autodetect == "off" or (autodetect == "auto" and seen["constrains"])
    restarts = release < RECONFIGURES_SINCE
    return {
        "lines": _lines(wanted, node, autodetect, names_devices and seen["device_files"]) if seen["ours"] else [[]],
        "undetected": undetected,
        "names_devices": names_devices,
        "restarts_controller": restarts,
        "refusal": _refused_by_host(wanted, node, seen, restarts)
        or _refused_by_detection(autodetect, undetected, names_devices),
    }


def _release(text):
    return tuple(map(int, str(text).split(".")))


def _lines(wanted, node, autodetect, named):
    lines = [] if autodetect == "off" else [[], [f"NodeName={node} AutoDetect=nvml"]]
    return lines + ([[f"NodeName={node} {line}" for line in wanted["lines"]]] if named else [])


def _refused_by_host(wanted, node, seen, restarts):
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
