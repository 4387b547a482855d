# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a Slurm node has the GPUs of its host, and what the role mig_slurm does about it, or why not. Pure."""

from __future__ import annotations

import base64
import binascii
import posixpath

from ..host_gpus import layout_read
from .choices import slurm_gres_choices, slurmd_service
from .gres import gres_differences, slurm_gres, slurmd_gres_problems

# A slurmd that gets its configuration from slurmctld keeps it there (slurmd(8), conf-cache).
SERVED = "/run/slurm/conf"
# With these words slurmctld says of a node that it did not register what slurm.conf has of it.
WRONG_STATES = ("INVALID_REG", "INVAL")
# What scontrol shows in place of the start of a slurmd that has not registered.
NO_START = ("", "None", "Unknown")


def slurm_state(gpus, seen):
    """What Slurm has of these GPUs, and what is to be done: see the filter slurm_state for what comes in and out.

    ``gpus`` as in mig_facts; ``seen`` has the role's options and what its tasks have registered until now, {} where one
    has not run.

    Rule: Slurm's words
    """
    service = slurmd_service(_said(seen["unit"]), _said(seen["version"]), _content(seen["cgroup"]))
    unread = layout_read(gpus, "The MIG devices", "nothing was changed for Slurm")["refusal"]
    # The role itself is about what is there, unless the layout is still to come.
    target = seen["target"] if seen["checks_only"] or seen["pending"] else []
    wanted = slurm_gres([] if unread else gpus, _content(seen["minors"]), seen["types"], target, service["release"])
    config = seen["config"]
    if not (seen["config_there"].get("stat") or {}).get("exists"):
        config = posixpath.join(SERVED, posixpath.basename(config))
    # Before they were looked for, all of them.
    every = [file for device in wanted["devices"] for file in device["capabilities"]]
    # In check mode slurmd cannot be asked about device files that are not there yet.
    unsure = seen["check_mode"] and bool(seen["device_files"].get("missing", every))
    choices = _choices(wanted, service, seen, not unsure)
    uncertain = seen["pending"] or unsure
    chosen, unfound = _tried(wanted, choices, config, seen)
    has = _has(wanted, service, seen)
    node = seen["found"].get("node") or {}
    return {
        "unread": unread,
        "service": service,
        "config": config,
        "config_checked": seen["config"] if seen["config_hosts"] else config,
        "wanted": wanted,
        "refusal": f"Slurm: {choices['refusal']}" if choices["refusal"] else "",
        # Where somebody else writes gres.conf, it is tried as it is.
        "to_try": [
            {"lines": lines} if seen["config_hosts"] else {} for lines in ([] if seen["pending"] else choices["lines"])
        ],
        **({} if chosen is None else {"chosen": chosen}),
        "unfound": "" if uncertain else unfound,
        "registered": node.get("slurmd_start", "") not in (*NO_START, seen["earlier_start"]),
        **has,
        **_sentences(wanted, choices, has, seen, uncertain),
    }


def slurm_files_back(written, hosts):
    """[{host, files}] of what slurm_node_gres wrote (``written``, its loop over hosts), on these hosts and no other."""
    return [
        {"host": one["item"], "files": one["files"]}
        for one in written.get("results") or ()
        if one.get("item") in hosts and "files" in one
    ]


def _said(command):
    return command.get("stdout") or ""


def _content(slurped):
    """The text that slurp has read, empty where there is none."""
    try:
        return base64.b64decode(slurped.get("content") or "").decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _choices(wanted, service, seen, device_files):
    return slurm_gres_choices(
        wanted,
        seen["node"],
        seen["autodetect"],
        {
            "host": seen["host"],
            "slurmd": service["loaded"],
            "controller": seen["controller"],
            "slurmctld": "LoadState=loaded" in _said(seen["controller_unit"]),
            "release": service["release"],
            "constrains": service["constrains"],
            "refusal": service["refusal"],
            "detected": seen["detected"].get("would_have") or "",
            "files": seen["foreseen"].get("results") or [],
            "ours": bool(seen["config_hosts"]),
            "device_files": device_files,
        },
    )


def _tried(wanted, choices, config, seen):
    """(the first lines with which slurmd has exactly these devices, ""), or (None, why there are none).

    Where somebody else writes gres.conf, there are none in any case.
    """
    tried = seen["tried"].get("results") or []
    problems = [slurmd_gres_problems(one.get("would_have") or "", wanted["devices"]) for one in tried]
    chosen = [one["item"] for one, wrong in zip(tried, problems) if not wrong]
    if chosen:
        return chosen[0].get("lines"), ""
    hint = ""
    if choices["undetected"] and not choices["names_devices"]:
        hint = ", and set ConstrainDevices=yes in cgroup.conf: then the role can name the devices"
    return None, (
        f"Slurm: slurmd of {seen['host']} would not have the GPUs and MIG devices that are there, so nothing was"
        f" changed. {' '.join(problems[-1] if problems else [])} Look for lines about GPUs in gres.conf beside"
        f" {config} that are not this collection's{hint}."
    )


def _has(wanted, service, seen):
    """What slurmctld and slurmd have of the devices, and whether that is right.

    Whether slurmd has read these devices is known since the role had it do so.
    """
    devices = [[one["type"], one["uuid"], one["files"], one["place"]] for one in wanted["devices"]]
    recorded = seen["record"].get("devices")
    differences = _differences(wanted["gres"], seen["found"].get("node"))
    files = [file for one in seen["planned"].get("results") or () for file in one.get("files") or ()]
    wrong = (
        bool(differences)
        or not service["active"]
        or (recorded is not None and recorded != devices)
        or (bool(files) and bool(seen["config_hosts"]))
    )
    return {
        "devices": devices,
        "differences": differences,
        "writes": bool(files),
        "wrong": wrong,
        "unproven": recorded is None,
        "has_to_change": wrong or (recorded is None and not seen["found"].get("jobs")),
    }


def _differences(gres, node):
    """What slurmctld has that is not there, or the other way round: phrases."""
    if not node:
        return []
    found = gres_differences(gres, node["gres"])
    if any(word in node["states"] for word in WRONG_STATES):
        found.append(f"its state is {'+'.join(node['states'])} ({node['reason'] or 'no reason'})")
    return found


def _sentences(wanted, choices, has, seen, uncertain):
    """What the role tells, each empty where there is nothing to tell."""
    told = dict.fromkeys(("under_jobs", "jobs_remain", "would", "unknown", "mismatch"), "")
    host, node, differences = seen["host"], seen["node"], has["differences"]
    jobs = seen["found"].get("jobs")
    if jobs:
        named = ", ".join(
            f"job {job['task']} ({job['user']}, {job['name']}, {job['gres'] or 'perhaps with GPUs'})" for job in jobs
        )
        aborted = f"Slurm: {named} on node {node} would be aborted when its gres change"
        told["under_jobs"] = f"{aborted}. Wait for them, or let mig_partition do so: mig_partition_drain: [slurm]."
        told["jobs_remain"] = (
            f"{aborted}, so nothing was changed. Wait for them, or drain the node, and run again."
            f" {'. '.join(differences)}"
        )
        if has["unproven"] and not has["wrong"]:
            told["unknown"] = (
                f"Slurm has the right gres, and {named} hold some of them, so slurmd is left alone. Whether it has"
                " read their device files since they last changed is known when this role has restarted it once."
            )
    if uncertain or has["has_to_change"]:
        how = "restarted" if choices["restarts_controller"] else "told by scontrol reconfigure"
        first = f"slurmctld would be {how}, and " if has["writes"] else ""
        told["would"] = f"{first}slurmd of {host} would be restarted, for {wanted['gres'] or 'no GPU'}."
    if differences:
        told["mismatch"] = (
            f"Slurm: slurmctld does not have the GPUs and MIG devices of {host} (node {node}) that are there."
            f" {'; '.join(differences)}."
        )
    return told
