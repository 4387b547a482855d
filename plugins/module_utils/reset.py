# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Resetting a GPU, for which NVML has no call: nvidia-smi does it."""

from __future__ import annotations

import os
import subprocess

from .errors import CODES, NvmlError

SECONDS = 300


def reset_gpu(pci_address):
    """Reset the GPU at a PCI address and nothing else. Raises NvmlError, busy where something holds the GPU."""
    command = ["nvidia-smi", "--gpu-reset", "-i", pci_address]
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            env=dict(os.environ, LC_ALL="C"),
            check=False,
        )
    except FileNotFoundError:
        said = f"{shown} could not be run: there is no nvidia-smi on PATH."
        raise NvmlError(shown, "LIBRARY_NOT_FOUND", said) from None
    except subprocess.TimeoutExpired:
        raise NvmlError(shown, "TIMEOUT", f"{shown} did not end within {SECONDS} seconds.") from None
    except OSError as error:
        raise NvmlError(shown, "OPERATING_SYSTEM", f"{shown} could not be run: {error}.") from None
    if done.returncode:
        said = " ".join(done.stdout.decode(errors="replace").split())
        raise NvmlError(shown, failure_code(done.returncode, said), f"{shown} failed: {said}")


def failure_code(status, said):
    """The NVML code that a failed nvidia-smi means: its words tell more than its exit status, often a general 255."""
    words = said.lower()
    if "in use" in words or "being used" in words:
        return "IN_USE"
    if "not supported" in words:
        return "NOT_SUPPORTED"
    if "permission" in words:
        return "NO_PERMISSION"
    return CODES[status] if status < len(CODES) else "UNKNOWN"
