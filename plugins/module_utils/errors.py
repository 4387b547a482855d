# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Everything that may go wrong outside the planner, with a message fit for an operator.

An NVML return code is turned into a kind here and nowhere else; who must decide what to do next looks at the kind.
"""

from __future__ import annotations

from typing import ClassVar

# The return codes of nvml.h, each at its own number; 999 is UNKNOWN.
_NAMES = """
SUCCESS UNINITIALIZED INVALID_ARGUMENT NOT_SUPPORTED NO_PERMISSION ALREADY_INITIALIZED NOT_FOUND INSUFFICIENT_SIZE
INSUFFICIENT_POWER DRIVER_NOT_LOADED TIMEOUT IRQ_ISSUE LIBRARY_NOT_FOUND FUNCTION_NOT_FOUND CORRUPTED_INFOROM
GPU_IS_LOST RESET_REQUIRED OPERATING_SYSTEM LIB_RM_VERSION_MISMATCH IN_USE MEMORY NO_DATA VGPU_ECC_NOT_SUPPORTED
INSUFFICIENT_RESOURCES FREQ_NOT_SUPPORTED ARGUMENT_VERSION_MISMATCH DEPRECATED NOT_READY GPU_NOT_FOUND INVALID_STATE
RESET_TYPE_NOT_SUPPORTED
"""
CODES = _NAMES.split()

KINDS = {
    "IN_USE": "busy",
    "NO_PERMISSION": "permission",
    "NOT_SUPPORTED": "unsupported",
    "FUNCTION_NOT_FOUND": "unsupported",
    "RESET_TYPE_NOT_SUPPORTED": "unsupported",
    "RESET_REQUIRED": "reset_required",
    "GPU_IS_LOST": "lost",
    "GPU_NOT_FOUND": "lost",
    "INSUFFICIENT_RESOURCES": "insufficient_resources",
    "NOT_FOUND": "not_found",
    "DRIVER_NOT_LOADED": "driver",
    "LIB_RM_VERSION_MISMATCH": "driver",
    "LIBRARY_NOT_FOUND": "library",
    "UNINITIALIZED": "bug",
    "INVALID_ARGUMENT": "bug",
    "ALREADY_INITIALIZED": "bug",
    "INSUFFICIENT_SIZE": "bug",
    "ARGUMENT_VERSION_MISMATCH": "bug",
}

WHAT_TO_DO = {
    "busy": "End what uses the device, or drain it first, and run again.",
    "permission": "Run as root (become: true), or give this user read access to "
    "/proc/driver/nvidia/capabilities/mig/config; the MIG mode itself is always root's to change.",
    "unsupported": "This GPU or this driver does not offer it; a newer driver may.",
    "reset_required": "Reset the GPU, or reboot the host where the GPU is passed through to a virtual machine.",
    "lost": "The GPU does not answer: look for NVRM Xid messages in the kernel log, then reset the GPU or reboot.",
    "insufficient_resources": "The placement is taken: something else changed this GPU in the meantime. Run again.",
    "not_found": "It is gone: something else changed this GPU in the meantime. Run again.",
    "driver": "Load the NVIDIA kernel modules that belong to the installed driver, or reboot; then nvidia-smi works.",
    "library": "Install the NVIDIA driver on this host: libnvidia-ml.so.1 and nvidia-smi come with it.",
    "failed": "The driver failed: look for NVRM messages in the kernel log. Running again is safe.",
    "bug": "This should not happen: please report it with this message and the driver version.",
}


def kind_of(code):
    """The kind of a return code's name (``IN_USE`` is ``busy``); what has no better name is ``failed``.

    Rule: codes of NVML
    """
    return KINDS.get(code, "failed")


def what_to_do(kind):
    """One sentence that tells an operator what to do about an error of this kind."""
    return WHAT_TO_DO[kind]


class MigError(Exception):
    """An error whose text is a complete message for the operator; ``result`` is what a module returns beside it."""

    result: ClassVar[dict] = {}


class NvmlError(MigError):
    """A call that the driver refused: ``function``, ``code`` (``IN_USE``) and ``kind`` (``busy``).

    ``text`` says what happened, where that is more than the function and its return code.
    """

    def __init__(self, function, code, text=None):
        self.function = function
        self.code = code
        self.kind = kind_of(code)
        self.text = text or f"{function} answered NVML_ERROR_{code}."
        super().__init__(f"{self.text} {what_to_do(self.kind)}")


class DriverMissing(MigError):
    """NVML is there and does not start: no driver is loaded, or one of another version."""

    def __init__(self, code):
        self.code = code
        super().__init__(f"The NVIDIA driver does not answer (NVML_ERROR_{code}). {what_to_do('driver')}")


class LibraryMissing(MigError):
    """There is no libnvidia-ml.so.1 that can be loaded."""

    def __init__(self):
        super().__init__(f"libnvidia-ml.so.1, the NVML library, was not found. {what_to_do('library')}")


class BindingMissing(MigError):
    """The Python package nvidia-ml-py is missing or too old; ``found`` is None or (version, path).

    The action plugins run a module that returns ``result`` again with the controller's nvidia-ml-py.
    """

    result: ClassVar[dict] = {"nvidia_ml_py": "missing"}

    def __init__(self, requirement, executable, found=None):
        self.requirement = requirement
        self.found = found
        problem = f"found version {found[0]} in {found[1]}, which is too old" if found else "found no module pynvml"
        super().__init__(
            f"The Python package {requirement} is needed on this host: {problem}. "
            "The role gpufleet.mig.mig_driver brings it, also without pip and internet; "
            f"or install it, for instance with {executable} -m pip install '{requirement}'."
        )


class LayoutError(MigError):
    """What a user wrote cannot be meant; the message names the place, what was expected and what to do."""


def code_name(value):
    """The name of a return code without NVML_ERROR_; a number that nvml.h did not know reads UNKNOWN_123."""
    if 0 <= value < len(CODES):
        return CODES[value]
    return "UNKNOWN" if value == 999 else f"UNKNOWN_{value}"
