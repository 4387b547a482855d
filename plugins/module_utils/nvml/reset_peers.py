# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which GPUs are reset together: those of Ampere on NVSwitches, while Fabric Manager does not run.

With it, on direct links, and from Hopper on each GPU is reset alone (manual of nvidia-smi, --gpu-reset).
"""

from __future__ import annotations

from ..errors import NvmlError
from ..host.evidence import drives_nvswitches, fabric_manager_runs

ROOT = "/"  # where /proc and /sys are looked for
TO_GPU, TO_SWITCH = 0, 2  # NVML_NVLINK_DEVICE_TYPE_GPU and _SWITCH
PASSTHROUGH = 1  # NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH


def with_reset_peers(nvml, handles, gpus):
    """The Gpus with their ``reset_peers``. ``nvml`` is a Session, ``handles`` has those of the GPUs by UUID.

    A virtual machine to which GPUs are passed through resets none of them.

    Rule: reset peers
    """
    linked = [gpu for gpu in gpus if gpu.mode_needs_reset and not gpu.problem]
    if not any(_on_nvswitch(nvml, handles[gpu.uuid]) for gpu in linked) or fabric_manager_runs(ROOT):
        return gpus
    if _told(nvml, "nvmlDeviceGetVirtualizationMode", handles[linked[0].uuid]) == PASSTHROUGH:
        return gpus
    group = [gpu.uuid for gpu in linked if _on_nvswitch(nvml, handles[gpu.uuid])]
    return tuple(
        gpu._replace(reset_peers=tuple(uuid for uuid in group if uuid != gpu.uuid)) if gpu.uuid in group else gpu
        for gpu in gpus
    )


def _on_nvswitch(nvml, handle):
    """Whether a GPU's NVLinks go to NVSwitches.

    What a link that is down tells is not documented: MIG takes those of Ampere down, and until Fabric Manager has run
    they are not up (Fabric Manager User Guide). Then the driver's NVSwitches tell.
    """
    end = _told(nvml, "nvmlDeviceGetNvLinkRemoteDeviceType", handle, 0)
    return end == TO_SWITCH or (end != TO_GPU and drives_nvswitches(ROOT))


def _told(nvml, function, *arguments):
    """What a function returns, None where it fails: a GPU without NVLinks, a driver before R470."""
    try:
        return nvml.call(function, *arguments)
    except NvmlError:
        return None
