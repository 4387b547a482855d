# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role mig_driver makes of the check of a host, and where it can have nvidia-ml-py from. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.gpufleet.mig.plugins.module_utils.driver_releases import is_older

from .host_words import path_refusal

PACKAGE = "nvidia_ml_py"
WOULD_INSTALL = re.compile(r"^Inst (?:python3-pynvml \(([0-9.]{1,40}))?", re.MULTILINE)
ODD = (
    "What {} said of its GPUs is nothing that the modules of this collection return, so nothing is done with it. Find "
    "out what answers there before you run again."
)
TEXTS = ("problem", "advice", "refusal", "in_the_way", "nothing_to_compare")
LISTS = ("findings", "before", "plan", "actions", "target", "kept", "disrupted", "must_be_free", "blockers")
OF_MAPPINGS = ("findings", "before", "plan", "target", "must_be_free", "blockers")


def judged(found, host, check_mode, brought):
    """The result of a check, and what follows from it.

    :param found: what the module mig_driver_check returned
    :param host: its name in the inventory
    :param brought: whether nvidia-ml-py has been brought to it since the check before
    :returns: with ``bring``, whether nvidia-ml-py is to be brought, and then ``would_bring``, a sentence for check
        mode, and ``interpreter_refusal``, why it cannot; ``failed`` and ``msg`` where a finding is an error; what else
        was found is among the ``warnings``
    """
    # Nothing that a host answers here sets a variable.
    found = {name: value for name, value in found.items() if name != "ansible_facts"}
    found["settled"] = found.get("settled") is True and found.get("ok") is True
    if "findings" not in found:
        return {**found, "bring": False}
    if not _is_whole(found):
        return {"bring": False, "settled": False, "failed": True, "msg": ODD.format(host)}
    bring = not brought and PACKAGE in found and bool(found["evidence"]["nvidia_devices"])
    if bring:
        found["would_bring"] = _would_bring(host, found[PACKAGE])
        found["interpreter_refusal"] = path_refusal(found["evidence"]["python"], "The Python of the modules")
    found["bring"] = bring
    errors = {one["check"] for one in found["findings"] if one["severity"] == "error"}
    if check_mode:
        # A host that would get nvidia-ml-py is not at fault for lacking it.
        errors.discard(PACKAGE)
    if errors and (check_mode or not bring):
        return {**found, "failed": True, "msg": " ".join(filter(None, (found["problem"], found["advice"])))}
    if found["advice"] and not bring:
        found["warnings"] = [*(found.get("warnings") or ()), f"{host}: {found['advice']}"]
    return found


def _would_bring(host, package):
    words = f"nvidia-ml-py would be brought to {host}."
    if package != "missing":
        return words
    return (
        f"{words} Until it is there, nothing that NVML tells can be checked or rehearsed: the driver's version, and "
        "mode, instances and processes of the GPUs."
    )


def _is_whole(found):
    """Whether what is read of a check has the types that mig_check returns."""
    lists = {name: found.get(name) or [] for name in LISTS}
    return (
        isinstance(found.get("evidence"), Mapping)
        and {"nvidia_devices", "mig_capable", "python"} <= found["evidence"].keys()
        and all(isinstance(found.get(name), (str, type(None))) for name in TEXTS)
        and all(isinstance(value, list) for value in lists.values())
        and all(isinstance(one, Mapping) for name in OF_MAPPINGS for one in lists[name])
        and all(isinstance(one.get(key), str) for one in lists["findings"] for key in ("check", "severity"))
        and all(isinstance(one.get("gpu"), Mapping) and isinstance(one.get("action"), str) for one in lists["plan"])
        and all(isinstance(one["gpu"].get("uuid"), str) for one in lists["plan"])
    )


def pynvml_offered(printed, minimum):
    """Whether apt-get would install python3-pynvml of that version or later, and nothing else.

    ``printed`` is what it says in a simulation. With another package an NVML library may come.
    """
    offered = WOULD_INSTALL.findall(printed)
    return len(offered) == 1 and bool(offered[0]) and not is_older(offered[0], minimum)
