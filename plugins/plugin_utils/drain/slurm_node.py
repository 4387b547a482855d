# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which jobs of a Slurm node are in the way of a change, how they are waited for, and what is said of them. Pure."""

from __future__ import annotations

import math

from ansible_collections.gpufleet.mig.plugins.module_utils.visible import said

from .in_the_way import in_the_way

# A connection that is silent for hours may be cut: so many seconds at most are waited at a time.
LONGEST_WAIT = 120
# What makes other MIG devices of a GPU. A GPU instance without compute instances is no MIG device.
MAKES_OTHERS = {"set_mig_mode", "reset_gpu", "create_compute_instance", "destroy_compute_instance"}
# The command that ends a job, before its name.
END = {"requeue": ["scontrol", "requeue"], "cancel": ["scancel", "--verbose"]}
WOULD = {"wait": "wait for", "requeue": "requeue", "cancel": "cancel"}


def slurm_drain(plan, deadline, seen):
    """How a Slurm node is drained for a plan: see the filter slurm_drain for what comes in and out.

    Slurm gives away the MIG devices of a node by their numbers, and aborts the jobs that hold any of them when there
    are others (gres.conf(5), MultipleFiles).

    Rule: jobs of a node whose gres change
    """
    gres = any(step["action"] in MAKES_OTHERS for step in plan)
    waits = max(1, math.ceil(deadline / LONGEST_WAIT))
    found = seen["found"]
    why = (
        "The MIG devices of the node change, and then Slurm aborts every job that holds any of its GPUs."
        if gres
        else "They use what has to be free."
    )
    named = ", ".join(f"job {job['task']} ({job['user']}, {job['name']})" for job in found.get("jobs") or ())
    return {
        "gres": gres,
        "jobs": in_the_way(seen["must_be_free"])["slurm_jobs"],
        "retries": waits - 1,
        "timeout": math.ceil(deadline / waits),
        "end": END.get(seen["jobs"], []),
        "ends": [job["task"] for job in found.get("jobs") or () if job["certain"]],
        "would": _would(found, seen, named, why) if "node" in found else "",
        "not_drained": _not_drained(seen),
        "refusal": _refusal(found, deadline, seen, named, why),
    }


def _would(found, seen, named, why):
    name, node = seen["node"], found["node"]
    first = f"Would drain Slurm node {name}."
    if not node["in_service"]:
        first = f"Slurm node {name} would stay as it is, {'+'.join(node['states'])}, for its reason: {node['reason']}"
    if not found["jobs"]:
        return f"{first} No job is in the way."
    return f"{first} Would {WOULD[seen['jobs']]} {named}. {why}"


def _not_drained(seen):
    answer = seen["drained"].get("said") or seen["drained"].get("msg") or ""
    return (
        f"Slurm node {seen['node']} was not drained: scontrol on {seen['host']} said {answer}. Nothing was changed."
        " Root, SlurmUser and Slurm's operators may drain nodes; mig_drain_slurm_host names the host on which Ansible"
        " is one of them."
    )


def _refusal(found, deadline, seen, named, why):
    if "jobs" in found:
        first = f"Slurm node {seen['node']} is still in use after {deadline} s: {named}. {why}"
    else:
        first = f"Slurm does not tell whether node {seen['node']} is free: {found.get('msg', '')}"
    ended = [one["stderr"] for one in seen["ended"].get("results") or () if one.get("stderr")]
    return " ".join(
        [
            first,
            "Nothing was changed. Wait for its jobs, with a longer mig_partition_drain_deadline (mig_drain_deadline),"
            " or set mig_drain_slurm_jobs to requeue or cancel.",
            *([said(" ".join(ended))] if ended and seen["jobs"] != "wait" else []),
        ]
    )
