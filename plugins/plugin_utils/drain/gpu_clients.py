# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the operating system's GPU clients, such as DCGM, are stopped for a change. Pure.

They watch GPUs and compute nothing, so no hook is needed to stop them. They are stopped only where they are in the way:
for a change of MIG mode, whatever the architecture; where one of them holds what must be free; and where the driver has
answered IN_USE and one of them has the device file open. Of the units that are listed, none else is ever named.
"""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.module_utils.host.units import KINDS
from ansible_collections.gpufleet.mig.plugins.module_utils.model import RESET_GPU, SET_MIG_MODE

IN_USE = "IN_USE"


def gpu_clients(result, clients):
    """What is to be done about ``clients``, names of units in the order in which they are stopped: a dict.

    :param result: what mig_check returned before a change, or what mig_mode or mig_instances returned
    :returns: ``stop``, those of the clients to stop; ``others``, what of ``must_be_free`` somebody else holds, too
    """
    names = {_full_name(one): one for one in clients}
    if any(step.get("action") in (SET_MIG_MODE, RESET_GPU) for step in result.get("plan") or ()):
        stop = list(clients)
    else:
        holders = [one for free in result.get("must_be_free") or () for one in free.get("processes") or ()]
        if result.get("nvml_code") == IN_USE:
            holders += result.get("blockers") or ()
        units = {_unit(one) for one in holders}
        stop = [name for full, name in names.items() if full in units]
    return {"stop": stop, "others": [one for one in result.get("must_be_free") or () if not _only(one, names)]}


def _only(free, names):
    """Whether nobody but these clients holds something that must be free; what is kept, or not known, is another's."""
    processes = free.get("processes") or ()
    return free.get("because") == "busy" and bool(processes) and all(_unit(one) in names for one in processes)


def _unit(process):
    """The unit of a process of the system's own; one in a container, pod or job is not its unit's."""
    return None if any(process.get(kind) for kind in ("container", "pod", "slurm_job")) else process.get("unit")


def _full_name(name):
    """A unit's name as systemd has it; what is no name of one nothing is called, and whoever stops it refuses it."""
    return name if not isinstance(name, str) or name.endswith(KINDS) else f"{name}.service"
