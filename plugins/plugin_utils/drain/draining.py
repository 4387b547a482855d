# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drain does, from the options of the role mig_drain. Pure, but for the question whether a file is there."""

from __future__ import annotations

import os

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host.units import unit_names

from .hooks import GPU_CLIENTS, HOOKS, TASK_FILE, WORKLOADS, in_order, task_file
from .in_the_way import in_the_way


def draining(options, directory, exists=os.path.isfile):
    """What is drained, by the role's ``options`` {name: value}; ``directory`` has the task files of its own hooks.

    Returns a dict: ``refusal``, why nothing can be drained with these options, else "" and also ``hooks``, in their
    order, each with ``hook``, ``file`` and ``after`` (see in_order); ``gpu_clients``, the first two of the operating
    system's GPU clients, and ``clients``, their units; ``units``, what the hook systemd stops; ``evict``, whether the
    hook kubernetes evicts pods, and ``pods``, which ones, missing where it is all of the node.
    """
    try:
        hooks = _hooks(options["mig_drain_hooks"], exists)
        clients = unit_names("mig_drain_gpu_clients (mig_partition_gpu_clients)", options["mig_drain_gpu_clients"])
        listed = unit_names("mig_drain_systemd_units", options["mig_drain_systemd_units"])
        spared = unit_names("mig_drain_systemd_except", options["mig_drain_systemd_except"])
    except MigError as error:
        return {"refusal": str(error)}
    must_be_free = options["mig_drain_must_be_free"]
    found = in_the_way(must_be_free)
    whole_node = options["mig_drain_kubernetes_scope"] == "node"
    return {
        "refusal": "",
        "hooks": in_order([_item(hook, directory) for hook in hooks], "hook"),
        "gpu_clients": _item(GPU_CLIENTS, directory),
        "clients": clients,
        "units": [*listed, *(one for one in found["services"] if one not in spared)],
        "evict": bool(must_be_free if whole_node else found["pods"]),
        **({} if whole_node else {"pods": found["pods"]}),
    }


def _item(hook, directory):
    return {"hook": hook, "file": task_file(hook, directory)}


def _hooks(hooks, exists):
    """The same hooks. Raises MigError where one is neither the role's own nor a task file that is there."""
    paths = [one for one in dict.fromkeys(hooks) if one not in HOOKS]
    misplaced = [one for one in paths if not TASK_FILE.fullmatch(one)]
    files = [*paths, *(task_file(path, "", WORKLOADS) for path in paths)]
    missing = [one for one in files if not exists(one)]
    if misplaced or missing:
        sentences = ["Nothing was drained, because of what stands in mig_drain_hooks (mig_partition_drain)."]
        if misplaced:
            names = ", ".join(HOOKS)
            sentences.append(f"Neither one of {names} nor the absolute path of a .yml file: {', '.join(misplaced)}.")
        if missing:
            sentences.append(f"No such file on the controller: {', '.join(missing)}.")
        raise MigError(" ".join([*sentences, "A task file NAME.yml drains, and NAME_restore.yml beside it restores."]))
    return hooks
