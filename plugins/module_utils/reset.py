# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Resetting GPUs, for which NVML has no call: nvidia-smi does it."""

from __future__ import annotations

from .errors import CODES, NvmlError
from .visible import said

SECONDS = 300
# The exit statuses of timeout for a command that it had to end, and for one that is not there.
TIMED_OUT, NOT_FOUND = 124, 127


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
    if status:
        raise NvmlError(shown, failure_code(status, words), f"{shown} failed: {words}")


def failure_code(status, words):
    """The NVML code that a failed nvidia-smi means: its words tell more than its exit status, often a general 255.

    Rule: the words of nvidia-smi
    """
    words = words.lower()
    if "reset criterion" in words:
        return "INVALID_STATE"  # peers that must be reset with it were not named; its exit status is a general 2
    if "in use" in words or "being used" in words:
        return "IN_USE"
    if "not supported" in words:
        return "NOT_SUPPORTED"
    if "permission" in words:
        return "NO_PERMISSION"
    return CODES[status] if status < len(CODES) else "UNKNOWN"
