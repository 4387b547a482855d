# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps on a GPU in few words; for processes of nvml_process.py, so importable on every Python that modules run on."""

from __future__ import annotations

import os
import subprocess

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError, NvmlError
from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    CREATE_COMPUTE_INSTANCE,
    CREATE_GPU_INSTANCE,
    DESTROY_COMPUTE_INSTANCE,
    DESTROY_GPU_INSTANCE,
    RESET_GPU,
    SET_MIG_MODE,
    Placement,
    Step,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.session import Session
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import by_name

__all__ = [
    "MigError",
    "NvmlError",
    "Placement",
    "Session",
    "create",
    "destroy",
    "mode",
    "refusal",
    "reset",
    "run_command",
]


def run_command(command, environ_update=None):
    """What AnsibleModule.run_command gives, (status, output, errors), for code that runs without an AnsibleModule."""
    environment = dict(os.environ, **(environ_update or {}))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def create(session, gpu, profile, start, *computes):
    """Create a GPU instance at a memory slice, in it compute instances, each (profile, start): what execute said."""
    (found,) = (known for known in gpu.profiles if known.name == profile)
    placement = next((place for place in found.placements if place.start == start), Placement(start, found.slices))
    done = [session.execute(Step(CREATE_GPU_INSTANCE, gpu, profile, found.id, placement))]
    inside = by_name(session.read_gpu(gpu).compute_profiles[profile]) if computes else {}
    for name, at in computes:
        places = inside[name].placements
        place = next((place for place in places if place.start == at), Placement(at, inside[name].slices))
        step = Step(CREATE_COMPUTE_INSTANCE, gpu, name, inside[name].id, place, gpu_instance=placement)
        done.append(session.execute(step))
    return done


def destroy(session, gpu, instance, device=None):
    """Destroy a GpuInstance, or one of its ComputeInstances."""
    if device is None:
        step = Step(DESTROY_GPU_INSTANCE, gpu, instance.profile, None, instance.placement, gpu_instance_id=instance.id)
    else:
        step = Step(
            DESTROY_COMPUTE_INSTANCE,
            gpu,
            device.profile,
            placement=device.placement,
            gpu_instance=instance.placement,
            gpu_instance_id=instance.id,
            compute_instance_id=device.id,
        )
    return session.execute(step)


def mode(session, gpu, enabled):
    """Set a GPU's MIG mode: the activation status."""
    return session.execute(Step(SET_MIG_MODE, gpu, mig_enabled=enabled))["activation"]


def reset(session, gpu):
    """Reset a GPU."""
    return session.execute(Step(RESET_GPU, gpu))


def refusal(call, *arguments):
    """(code, kind) of the NvmlError that a call must raise."""
    try:
        call(*arguments)
    except NvmlError as error:
        return error.code, error.kind
    raise AssertionError("no error")
