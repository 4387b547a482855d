# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Values of the model as the plain data that modules return. Pure."""

from __future__ import annotations


def gpu_data(gpu):
    """The three names of a GPU."""
    return {"index": gpu.index, "uuid": gpu.uuid or None, "pci_address": gpu.pci_address or None}


def placement_data(placement):
    """A Placement as ``{start, size}``, or None."""
    return placement and {"start": placement.start, "size": placement.size}


def process_data(process):
    """A Process with its container, pod and Slurm job; what is not known is None."""
    data = _belongings(process)
    data["claimed"] = data["claimed"] and _belongings(data["claimed"])
    return data


def _belongings(one):
    """A Process, or what it has Claimed, with its container, pod and Slurm job."""
    data = dict(one._asdict())
    for key in ("container", "pod", "slurm_job"):
        data[key] = data[key] and dict(data[key]._asdict())
    return data


def pods_data(pods):
    """Pods as ``[{uid, namespace, name}]``."""
    return [dict(pod._asdict()) for pod in pods]


def mode_word(mode):
    """A MIG mode in the words of nvidia-smi, None where there is none."""
    return None if mode is None else "enabled" if mode else "disabled"
