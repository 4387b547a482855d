# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a GpuState is read from NVML: what else about a GPU may stand in the way of a change."""

from __future__ import annotations

from ctypes import byref

from ..errors import NvmlError
from ..model import GpuState

# nvmlGpuVirtualizationMode_t and NVML_GPU_FABRIC_STATE_* of nvml.h
VIRTUALIZATION = {0: "none", 1: "pass-through", 2: "vgpu", 3: "host_vgpu", 4: "host_vsga"}
FABRIC = {0: None, 1: "not_started", 2: "in_progress", 3: "completed"}


def read_state(nvml, handle):
    """The GpuState of the GPU with this handle; ``nvml`` is a Session. Nothing here is worth failing for."""

    def ask(function, *arguments):
        try:
            return nvml.call(function, handle, *arguments)
        except NvmlError:
            return None

    ecc = ask("nvmlDeviceGetEccMode") or (None, None)
    fabric = nvml.ctype("c_nvmlGpuFabricInfo_t")()
    return GpuState(
        *(_flag(mode) for mode in ecc),
        _flag(ask("nvmlDeviceGetPersistenceMode")),
        _word(VIRTUALIZATION, ask("nvmlDeviceGetVirtualizationMode")),
        _word(FABRIC, None if ask("nvmlDeviceGetGpuFabricInfo", byref(fabric)) is None else fabric.state),
    )


def _word(words, value):
    """The word for a value of an enum, None for None; a value that nvml.h did not have is shown as its number."""
    return None if value is None else words.get(value, f"unknown_{value}")


def _flag(value):
    return None if value is None else bool(value)
