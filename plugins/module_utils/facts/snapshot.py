# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What mig_facts returns: a Snapshot as plain data. Pure."""

from __future__ import annotations

from ..layout.written import layout_of
from ..plan.geometry import geometry_of
from ..results.data import gpu_data, mode_word, placement_data, pods_data, process_data


def facts_of(snapshot, gather, owners=None):
    """The dict that becomes ``ansible_facts.mig``; what ``gather`` leaves out is None in it.

    With ``owners``, {UUID: service}, each MIG device has the service to which the role mig_assign has given it.
    """
    tables = {}  # of equal profiles, which most GPUs of a host share: one name
    gpus = [_gpu(gpu, gather, tables) for gpu in snapshot.gpus]
    facts = {
        "driver_version": snapshot.driver_version,
        "nvml_version": snapshot.nvml_version,
        "cuda_version": snapshot.cuda_version,
        "profile_tables": {name: list(map(_profile, profiles)) for profiles, name in tables.items()},
        "gpus": gpus,
        "incomplete": list(snapshot.incomplete),
        "reason": snapshot.reason,
    }
    if owners is not None:
        for gpu in facts["gpus"]:
            for instance in gpu["instances"] or ():
                for device in instance["compute_instances"]:
                    device["assigned_to"] = owners.get(device["uuid"])
    return facts


def _gpu(gpu, gather, tables):
    data = gpu_data(gpu)
    data["product"] = gpu.product or None
    data["pci_device_id"] = None if gpu.pci_device_id is None else f"0x{gpu.pci_device_id:08X}"
    data["minor"] = gpu.minor
    data["memory_mib"] = gpu.memory_mib
    data["mig_capable"] = None if gpu.problem else gpu.mig_capable
    data["mig_mode"] = mode_word(gpu.mig_mode)
    data["mig_mode_pending"] = mode_word(gpu.mig_mode_pending)
    data["slices"] = {"memory": gpu.memory_slices or None, "compute": gpu.compute_slices or None}
    for key in ("profile_table", "instances", "layout", "free", "processes", "allocated_to", "handles"):
        data[key] = None
    data["problem"] = gpu.problem
    if gpu.problem:
        return data
    if "profiles" in gather:
        data["profile_table"] = tables.setdefault(gpu.profiles, str(gpu.index))
    wants_processes = "processes" in gather
    if wants_processes and (not gpu.mig_mode or gpu.instances == ()):
        data["processes"] = _processes(gpu.processes)
    if wants_processes:
        data["allocated_to"] = pods_data(gpu.allocated_to)
    data["handles"] = _processes(gpu.handles)
    if "instances" in gather or wants_processes:
        instances = gpu.visible_instances if gpu.instances is None else gpu.instances
        data["instances"] = [_instance(instance, wants_processes) for instance in instances]
        data["layout"] = layout_of(gpu)
        data["free"] = _free(gpu)
    return data


def _profile(profile):
    return {
        "name": profile.name,
        "driver_name": profile.told or profile.name,
        "id": profile.id,
        "slices": profile.slices,
        "memory_mib": profile.memory_mib,
        "multiprocessors": profile.multiprocessors,
        "engines": dict(profile.engines._asdict()),
        "placements": [placement_data(placement) for placement in profile.placements] or None,
        "max": profile.max,
    }


def _instance(instance, wants_processes):
    """A GpuInstance; ``processes`` are those of all its compute instances."""
    inside = [
        {
            "id": device.id,
            "profile": device.profile,
            "driver_name": device.told,
            "placement": placement_data(device.placement),
            "uuid": device.uuid,
            "index": device.index,
            "memory_mib": device.memory_mib,
            "processes": _processes(device.processes) if wants_processes else None,
            "allocated_to": pods_data(device.allocated_to) if wants_processes else None,
        }
        for device in instance.compute_instances
    ]
    lists = [device["processes"] for device in inside]
    return {
        "id": instance.id,
        "profile": instance.profile,
        "profile_id": instance.profile_id,
        "placement": placement_data(instance.placement),
        "compute_instances": inside,
        "processes": None if None in lists or not wants_processes else [one for each in lists for one in each],
    }


def _processes(processes):
    return None if processes is None else [process_data(process) for process in processes]


def _free(gpu):
    """{profile name: how many more fit}, None where the instances or the profiles' placements are not known.

    It is the smaller of our count and the driver's: neither knows all that the other does.
    Rule: free
    """
    if not gpu.mig_mode:
        return {}
    if gpu.instances is None or not all(profile.placements for profile in gpu.profiles):
        return None
    free = geometry_of(gpu.profiles, gpu.instances).free(gpu.instances)
    return {name: min(count, (gpu.remaining or free).get(name, count)) for name, count in free.items()}
