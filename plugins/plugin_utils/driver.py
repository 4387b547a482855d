# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role mig_driver makes of the result of mig_check, and where it can have nvidia-ml-py from. Pure."""

from __future__ import annotations

import re

from ansible_collections.gpufleet.mig.plugins.module_utils.driver_releases import is_older

from .host_words import path_refusal
from .report.host import failure_message

# What apt-get would install: one line for each package, of which one is to be this, with its version.
WOULD_INSTALL = re.compile(r"^Inst (?:python3-pynvml \(([0-9.]{1,40}))?", re.MULTILINE)


def driver_check(result, host, check_mode):
    """What follows from ``result``, which mig_check returned on ``host``, or the failure with which it did not: a dict.

    ``message``, what there is to say, "" where nothing is, and whether the host has ``failed`` with it. ``no_python``,
    why its Python is not one to which nvidia-ml-py could be brought, else ""; ``would_bring``, that a run would do so.
    """
    if "findings" not in result:
        message, failed = failure_message(result), True
    else:
        message = " ".join(filter(None, [result.get("problem"), result.get("advice")])) if result["findings"] else ""
        errors = {one.get("check") for one in result["findings"] if one.get("severity") == "error"}
        # In check mode a host that would get nvidia-ml-py is not at fault for lacking it.
        failed = bool(errors - ({"nvidia_ml_py"} if check_mode else set()))
    would_bring = [f"nvidia-ml-py would be brought to {host}."]
    if result.get("nvidia_ml_py") == "missing":
        would_bring.append(
            "Until it is there, nothing that NVML tells can be checked or rehearsed: the driver's version, and mode,"
            " instances and processes of the GPUs."
        )
    python = (result.get("evidence") or {}).get("python")
    return {
        "message": message,
        "failed": failed,
        "no_python": path_refusal(python, "The Python of the modules") or "",
        "would_bring": " ".join(would_bring),
    }


def pynvml_offered(printed, minimum):
    """Whether apt-get would install python3-pynvml of that version or later, and nothing else.

    ``printed`` is what it says in a simulation. With another package an NVML library may come.
    """
    offered = WOULD_INSTALL.findall(printed)
    return len(offered) == 1 and bool(offered[0]) and not is_older(offered[0], minimum)
