# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The one module that imports pynvml: finding nvidia-ml-py, and whether it fits the driver."""

from __future__ import annotations

import os
import re
import sys
from ctypes import CDLL

from ..errors import BindingMissing, LibraryMissing

LIBRARY = "libnvidia-ml.so.1"
# 12.550.52 is the first release that has all of: versioned profile info, compute instance placements, and process lists
# v2 beside v3, without which drivers before R510 cannot tell who is busy.
REQUIREMENT = "nvidia-ml-py>=12.550.52"
REQUIRED_FUNCTIONS = ("nvmlGpuInstanceCreateComputeInstanceWithPlacement", "nvmlDeviceGetMPSComputeRunningProcesses_v2")
METADATA = re.compile(r"nvidia_ml_py-([0-9]+(?:\.[0-9]+)*)(?:-py[0-9.]+)?\.(?:dist|egg)-info")
# Where the role mig_driver puts nvidia-ml-py on a host whose interpreter has none: no other program looks there.
PRIVATE_DIRECTORY = "/usr/local/lib/gpufleet-mig/python"
DRIVER_CODES = ("DRIVER_NOT_LOADED", "LIB_RM_VERSION_MISMATCH", "GPU_NOT_FOUND")


def import_binding():
    """Import pynvml and return it: the interpreter's own, or one in PRIVATE_DIRECTORY where that is missing or too old.

    Raises BindingMissing, or LibraryMissing where there is no NVML library to bind.
    """
    pynvml = _imported()
    if not _fit(pynvml):
        sys.modules.pop("pynvml", None)
        sys.path.insert(0, PRIVATE_DIRECTORY)
        try:
            pynvml = _imported() or pynvml
        finally:
            sys.path.remove(PRIVATE_DIRECTORY)
    if _fit(pynvml):
        return pynvml
    try:
        CDLL(LIBRARY)
    except OSError:
        raise LibraryMissing() from None
    raise BindingMissing(REQUIREMENT, sys.executable, pynvml and (binding_version(pynvml), pynvml.__file__))


def _imported():
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


def _fit(pynvml):
    return all(hasattr(pynvml, function) for function in REQUIRED_FUNCTIONS)


def binding_of():
    """Version and path of the nvidia-ml-py that import_binding has found, None where it found no fit one."""
    pynvml = sys.modules.get("pynvml")
    return {"version": binding_version(pynvml), "path": pynvml.__file__} if _fit(pynvml) else None


def binding_version(pynvml):
    """The version of nvidia-ml-py, by the name of the metadata beside it: importlib.metadata takes far longer."""
    for name in os.listdir(os.path.dirname(pynvml.__file__)):
        found = METADATA.match(name)
        if found:
            return found.group(1)
    return "unknown"
