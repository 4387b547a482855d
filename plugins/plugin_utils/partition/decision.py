# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of the role mig_partition does with a host, once the check has looked at it. Pure.

``request`` is what mig_partition_request returns, ``check`` what mig_driver_check does: {} where it was not reached.
"""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.module_utils.model import RESET_GPU, SET_MIG_MODE

from ..drain.gpu_clients import gpu_clients
from ..drain.hooks import SCHEDULERS
from .request import EXPOSE


def decision(request, check, claim, check_mode):
    """What is to be done, as data.

    :param claim: the run's claim on the host so far, as mig_claim returns it
    :returns: a dict. ``claim`` is the claim that the run has now. ``change`` says whether mode or instances change,
        and ``refusal`` why they must not, "" where nothing stands against it. ``mode`` is whether a MIG mode changes;
        ``gpus`` are the GPUs concerned. ``drain`` is whether something is drained: ``hooks`` and ``units`` by name,
        ``must_be_free`` by the hooks; ``rehearse`` says that only the plan that then follows is shown. ``target`` is
        the layout that the host then has. ``persistence`` is whether that stage follows, ``expose`` what then exposes
        the MIG devices, ``pending`` whether these are only to come, and ``checks`` what of it is asked before anything
        is done. Each of these names all of them beside itself: Ansible runs equal includes of a loop together, and so
        would change the order on hosts that expose by other lists
    """
    options = request["options"]
    must_be_free, plan = list(check.get("must_be_free") or ()), list(check.get("plan") or ())
    clients = gpu_clients(check, options.get("mig_partition_gpu_clients") or ())
    hooks, tasks = options.get("mig_partition_drain") or [], options.get("mig_partition_tasks") or {}
    hooks = list(hooks) if must_be_free else [hook for hook in hooks if hook in SCHEDULERS]
    # Not right only in check mode, where nvidia-ml-py is still missing: then nothing more can be foretold.
    ok, refusal = bool(check.get("ok")), _refusal(request, check, clients["others"])
    change = ok and not check.get("reached", not check["evidence"]["mig_capable"])
    names = list(options.get("mig_partition_expose") or ()) if ok else []
    expose = [{"name": name, "is_role": name in EXPOSE, "all": names} for name in names]
    stage = ("before_persistence", "after_persistence")
    return {
        "claim": _claim(claim, check),
        "change": change,
        "refusal": refusal,
        "mode": any(step["action"] in (SET_MIG_MODE, RESET_GPU) for step in plan),
        "gpus": list({step["gpu"]["uuid"]: step["gpu"] for step in plan}.values()),
        "drain": bool(hooks or clients["stop"]),
        "hooks": hooks,
        "units": clients["stop"],
        "must_be_free": must_be_free,
        "rehearse": check_mode and bool(must_be_free),
        "target": list(check.get("target") or ()),
        "persistence": bool(options.get("mig_partition_persistence")) or any(place in tasks for place in stage),
        "expose": expose,
        "pending": check_mode and change,
        "checks": [] if refusal else [one for one in expose if one["is_role"]],
    }


def _claim(claim, check):
    if not check.get("change_id"):
        return claim
    taken = bool(claim.get("taken") or check.get("taken"))
    return {**claim, "change_id": check["change_id"], "claimed": bool(check.get("claimed")), "taken": taken}


def _refusal(request, check, others):
    """Why nothing is done with a host although something would be to do, "" where nothing stands against it."""
    if not request["wanted"]:
        return request["no_layout"]
    if check.get("refusal"):
        return check["refusal"]
    if others and not request["options"].get("mig_partition_drain"):
        return f"{check['in_the_way']} Or name hooks in mig_partition_drain that empty it."
    return ""


def keep_now(keep, check):
    """The MIG devices that a change must let live: what was allocated since the check, and what its plan lets stay.

    :param keep: mig_partition_keep as it is now; only what was drained may go
    """
    drained = {one.get("uuid") for one in check.get("must_be_free") or ()}
    return [uuid for uuid in dict.fromkeys([*keep, *(check.get("kept") or ())]) if uuid not in drained]


def difference(request, check, host):
    """What verify says of a host that is not as wanted: a text, "" where it is."""
    if not check["ok"]:
        return check["problem"]
    if not check["evidence"]["mig_capable"]:
        return ""
    if not request["wanted"]:
        return request["no_layout"]
    if check["reached"]:
        return ""
    if check["refusal"]:
        return check["refusal"]
    return "\n".join([f"{host} differs from its layout. To reach it:", *check["actions"]])
