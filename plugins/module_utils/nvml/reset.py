# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Resetting GPUs, for which NVML has no call: nvidia-smi does it."""

from __future__ import annotations

from ..errors import NvmlError
from ..visible import said

SECONDS = 300
# The exit statuses of timeout for a command that it had to end, and for one that is not there.
TIMED_OUT, NOT_FOUND = 124, 127
DONE = "was successfully reset"
# What nvidia-smi says, in small letters, and the NVML code that it means; the first counts. Some are nvmlErrorString's.
WORDS = (
    ("reset criterion", "INVALID_STATE"),  # peers that must be reset with it were not named
    ("in use", "IN_USE"),
    ("being used", "IN_USE"),
    ("primary gpu", "NOT_SUPPORTED"),  # it drives the console
    ("not supported", "NOT_SUPPORTED"),
    ("permission", "NO_PERMISSION"),
    ("requires reset", "RESET_REQUIRED"),
    ("gpu is lost", "GPU_IS_LOST"),
    ("fallen off the bus", "GPU_IS_LOST"),
    ("unable to determine the device handle", "GPU_IS_LOST"),
    ("version mismatch", "LIB_RM_VERSION_MISMATCH"),
    ("couldn't communicate with the nvidia driver", "DRIVER_NOT_LOADED"),
    ("driver not loaded", "DRIVER_NOT_LOADED"),
    ("timeout", "TIMEOUT"),
    ("timed out", "TIMEOUT"),
)


def reset_gpus(pci_addresses, run_command):
    """Reset the GPUs at these PCI addresses, at once, and nothing else. Raises NvmlError, busy where one is held.

    ``run_command`` is AnsibleModule's, which knows no time limit: timeout, of every Linux, sets one.
    """
    command = ["nvidia-smi", "--gpu-reset", "-i", ",".join(pci_addresses)]
    shown = " ".join(command)
    status, output, errors = run_command(["timeout", str(SECONDS), *command], environ_update={"LC_ALL": "C"})
    words = said(output + errors)
    if status == NOT_FOUND:
        raise NvmlError(shown, "LIBRARY_NOT_FOUND", f"{shown} could not be run: there is no nvidia-smi on PATH.")
    if status == TIMED_OUT:
        raise NvmlError(shown, "TIMEOUT", f"{shown} did not end within {SECONDS} seconds.")
    code = failure_code(status, output + errors, pci_addresses)
    if code:
        raise NvmlError(shown, code, f"{shown} failed: {words}")


def failure_code(status, text, pci_addresses):
    """The NVML code of a reset that nvidia-smi did not do, by its words; None where it did it. Pure.

    Its exit status is no NVML code: often a general 255, 14 after a reset of a GPU whose infoROM is corrupted, and 0
    beside a GPU that was not reset. It only tells where the words do not.

    Rule: the words of nvidia-smi
    """
    lines = text.lower().splitlines()
    done = [line for line in lines if DONE in line]
    if all(any(address.lower() in line for line in done) for address in pci_addresses):
        return None
    rest = " ".join(line for line in lines if line not in done)
    code = next((code for words, code in WORDS if words in rest), None)
    return code or ("UNKNOWN" if status else None)
