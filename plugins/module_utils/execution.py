# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Executing one step of a plan on an NVML port, and reading a GPU again after it."""

from __future__ import annotations

import time
from typing import NamedTuple

from .errors import NvmlError
from .model import DESTROY_COMPUTE_INSTANCE, DESTROY_GPU_INSTANCE, RESET_GPU, Step

# A GPU instance may still be IN_USE for a moment after its compute instance went (seen on hardware); nothing else
# is retried.
BUSY_AFTER_DESTROY_SECONDS = 15
POLL_SECONDS = 0.2


class Done(NamedTuple):
    """A step that was executed, with the ids and UUIDs of what it created."""

    step: Step
    created: dict


def execute(port, step, done):
    """Execute a step; one reset serves all peers, so where ``done`` has it, it is not done again.

    A GPU instance whose compute instance this run has just destroyed may be busy for a moment.
    """
    for one in done:
        if step.peers and one.step.action == RESET_GPU:
            return one.created
    emptied = any(
        one.step.action == DESTROY_COMPUTE_INSTANCE and one.step.gpu_instance_id == step.gpu_instance_id for one in done
    )
    deadline = time.monotonic() + BUSY_AFTER_DESTROY_SECONDS
    while True:
        try:
            return port.execute(step)
        except NvmlError as error:
            retry = error.kind == "busy" and step.action == DESTROY_GPU_INSTANCE and emptied
            if not retry or time.monotonic() >= deadline:
                raise
        time.sleep(POLL_SECONDS)


def reread(port, gpu):
    """(Gpu, None), or (None, the NvmlError) where it could not be read."""
    try:
        return port.read_gpu(gpu), None
    except NvmlError as error:
        return None, error


def done_on(gpu, done):
    """Those of the Dones that are one GPU's."""
    return tuple(one for one in done if one.step.gpu.uuid == gpu.uuid)
