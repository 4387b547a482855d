# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do with MIG, in calls of nvidia-ml-py."""

from __future__ import annotations

import ctypes

import pynvml as n


def create(gpu, profile, start=None, size=None):
    """Create a GPU instance and return it with its info; without `start` the driver chooses."""
    if start is None:
        instance = n.nvmlDeviceCreateGpuInstance(gpu, profile)
    else:
        placement = n.c_nvmlGpuInstancePlacement_t(start, size)
        instance = n.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, profile, ctypes.byref(placement))
    return instance, n.nvmlGpuInstanceGetInfo(instance)


def spanning(gpu, profile, start=None, size=None):
    """Create a GPU instance and a compute instance that spans it; return both and the MIG device."""
    instance, info = create(gpu, profile, start, size)
    for compute_profile in (7, 4, 3, 2, 1, 0):
        try:
            compute = n.nvmlGpuInstanceCreateComputeInstance(instance, compute_profile)
            break
        except n.NVMLError_NotSupported:
            continue
    for device in mig_devices(gpu).values():
        if n.nvmlDeviceGetGpuInstanceId(device) == info.id:
            return instance, compute, device
    raise AssertionError("no MIG device for the compute instance")


def mig_devices(gpu):
    """Index -> handle of every MIG device of a GPU."""
    found = {}
    for index in range(n.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            found[index] = n.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)
        except n.NVMLError_NotFound:
            continue
    return found


def possible(gpu, profile):
    """All placements of a GPU instance profile, asked for as nvidia-smi does: without an array first."""
    count = ctypes.c_uint(0)
    n.nvmlDeviceGetGpuInstancePossiblePlacements(gpu, profile, None, ctypes.byref(count))
    array = (n.c_nvmlGpuInstancePlacement_t * count.value)()
    n.nvmlDeviceGetGpuInstancePossiblePlacements(gpu, profile, array, ctypes.byref(count))
    return [(placement.start, placement.size) for placement in array]
