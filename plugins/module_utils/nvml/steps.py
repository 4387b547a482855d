# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Each step of a plan as calls of NVML, and of nvidia-smi for a reset. They go through a Session."""

from __future__ import annotations

from contextlib import suppress
from ctypes import byref

from ..errors import NvmlError, code_name
from ..model import (
    CREATE_COMPUTE_INSTANCE,
    CREATE_GPU_INSTANCE,
    DESTROY_COMPUTE_INSTANCE,
    DESTROY_GPU_INSTANCE,
    RESET_GPU,
    SET_MIG_MODE,
)
from .reading import as_placement


def _set_mig_mode(session, step):
    status = session.call("nvmlDeviceSetMigMode", session.reader.handle(step.gpu), int(step.mig_enabled))
    return {"activation": code_name(status)}


def _reset_gpu(session, step):
    from .reset import reset_gpus

    for gpu in (step.gpu, *step.peers):
        if not gpu.pci_address:
            text = f"{gpu.name} has no PCI address, by which a GPU is reset, so it was not reset."
            raise NvmlError("nvidia-smi --gpu-reset", "NOT_SUPPORTED", text)
    session.close()  # an open session is itself a client that holds the GPU
    reset_gpus([gpu.pci_address for gpu in (step.gpu, *step.peers)], session.run_command)
    return {}


def _destroy_compute_instance(session, step):
    gpu_instance = gpu_instance_of(session, step)
    instance = session.call("nvmlGpuInstanceGetComputeInstanceById", gpu_instance, step.compute_instance_id)
    session.call("nvmlComputeInstanceDestroy", instance)
    return {}


def _destroy_gpu_instance(session, step):
    session.call("nvmlGpuInstanceDestroy", gpu_instance_of(session, step))
    return {}


def _create_gpu_instance(session, step):
    placement = session.ctype("c_nvmlGpuInstancePlacement_t")(*step.placement)
    function = "nvmlDeviceCreateGpuInstanceWithPlacement"
    instance = session.call(function, session.reader.handle(step.gpu), step.profile_id, byref(placement))
    created = {}
    with suppress(NvmlError):  # it is there all the same; reading the GPU again proves it
        created["gpu_instance_id"] = session.call("nvmlGpuInstanceGetInfo", instance).id
    return created


def _create_compute_instance(session, step):
    gpu_instance = gpu_instance_of(session, step)
    if session.places_compute_instances:
        placement = session.ctype("c_nvmlComputeInstancePlacement_t")(*step.placement)
        function = "nvmlGpuInstanceCreateComputeInstanceWithPlacement"
        instance = session.call(function, gpu_instance, step.profile_id, byref(placement))
    else:
        instance = session.call("nvmlGpuInstanceCreateComputeInstance", gpu_instance, step.profile_id)
    created = {}
    with suppress(NvmlError):  # as above
        created["gpu_instance_id"] = session.call("nvmlGpuInstanceGetInfo", gpu_instance).id
        info = session.reader.compute_instance_info(instance)
        created["compute_instance_id"] = info.id
        created["uuid"] = session.reader.uuid_of(session.reader.handle(step.gpu), *created.values())
        if info.placement.size:
            created["placement"] = as_placement(info.placement)
    return created


def gpu_instance_of(session, step):
    """The handle of the GPU instance that a step acts on or in: by its id, or before that is known by its start."""
    if step.gpu_instance_id is not None:
        return session.call("nvmlDeviceGetGpuInstanceById", session.reader.handle(step.gpu), step.gpu_instance_id)
    placement = step.gpu_instance or step.placement
    for instance, info, _profile in session.reader.gpu_instances(step.gpu):
        if info.placement.start == placement.start:
            return instance
    raise NvmlError(
        "nvmlDeviceGetGpuInstances",
        "NOT_FOUND",
        f"{step.gpu.name} has no GPU instance at slice {placement.start}.",
    )


ACTIONS = {
    SET_MIG_MODE: _set_mig_mode,
    RESET_GPU: _reset_gpu,
    DESTROY_COMPUTE_INSTANCE: _destroy_compute_instance,
    DESTROY_GPU_INSTANCE: _destroy_gpu_instance,
    CREATE_GPU_INSTANCE: _create_gpu_instance,
    CREATE_COMPUTE_INSTANCE: _create_compute_instance,
}
