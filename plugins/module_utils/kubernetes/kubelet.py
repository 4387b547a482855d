# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the kubelet of this host knows: which pod has which device, and what a pod is called."""

from __future__ import annotations

import json
import os
import re

from ..model import Pod, with_devices
from ..visible import visible

DIRECTORY = "/var/lib/kubelet"
LOGS = "/var/log/pods"  # one directory a pod, NAMESPACE_NAME_UID: the only place on a host that has all three
SECONDS = 5
# A device plugin calls a device by its UUID; a shared one has a number behind it for each replica.
DEVICE = re.compile(r"((?:GPU|MIG)-.+?)(?:::[0-9]+)?$")


def allocations(directory=DIRECTORY, logs=LOGS):
    """What the kubelet has given away: ({UUID of a GPU or MIG device: tuple of Pod}, None or why it is not known).

    A pod has its devices from its admission on, before its images are there and before any process runs.

    Rule: devices of pods
    """
    try:
        os.stat(f"{directory}/device-plugins")
    except FileNotFoundError:
        return {}, None  # no kubelet here
    except OSError as error:
        return {}, str(error)
    names = pod_names(logs)
    try:
        from .pod_resources import listed

        found = _of_socket(listed(f"{directory}/pod-resources/kubelet.sock", SECONDS), names, directory)
    except (OSError, ValueError):
        try:
            found = _of_checkpoint(directory, names)
        except FileNotFoundError:
            return {}, None  # written with the first allocation
        except (OSError, ValueError) as error:
            return {}, str(error)
    allocated = {}
    for device, pod in found:
        uuid = DEVICE.match(device)
        if uuid:
            allocated.setdefault(uuid.group(1), set()).add(pod)
    return {uuid: tuple(sorted(pods, key=str)) for uuid, pods in allocated.items()}, None


def with_allocations(snapshot, allocated):
    """The Snapshot in which each GPU and MIG device has its pods of ``allocated``, {UUID: tuple of Pod}. Pure."""

    def of_device(device):
        return device._replace(allocated_to=allocated.get(device.uuid, ()))

    gpus = [with_devices(gpu, of_device)._replace(allocated_to=allocated.get(gpu.uuid, ())) for gpu in snapshot.gpus]
    return snapshot._replace(gpus=tuple(gpus))


def _of_socket(entries, names, directory):
    """[(device id, Pod)]; the service knows no UIDs.

    Logs have those of pods that have begun, the checkpoint has the others. The UID of a Pod is None where there is not
    exactly one that it can be.
    """
    here = [pod for pod in names.values() if os.path.isdir(f"{directory}/pods/{pod.uid}")]
    try:
        given = _of_checkpoint(directory, names)
    except (OSError, ValueError):
        given = []
    found = []
    for namespace, name, device in entries:
        uids = {pod.uid for pod in here if pod[1:] == (namespace, name)}
        of_device = {pod.uid for one, pod in given if one == device and pod[1:] in ((None, None), (namespace, name))}
        uids = (uids & of_device or uids) if uids else of_device
        found.append((device, Pod(uids.pop() if len(uids) == 1 else None, namespace, name)))
    return found


def _of_checkpoint(directory, names):
    """[(device id, Pod)] of pods that are here.

    The entry of a deleted pod stays until the next allocation; the pod's own directory goes with the pod. One that has
    finished and is not deleted counts as one that is here.
    """
    with open(f"{directory}/device-plugins/kubelet_internal_checkpoint", encoding="utf-8") as file:
        entries = checkpoint_entries(file.read())
    return [(device, names.get(uid, Pod(uid))) for device, uid in entries if os.path.isdir(f"{directory}/pods/{uid}")]


def checkpoint_entries(text):
    """[(device id, pod UID)] of a kubelet_internal_checkpoint. Raises ValueError where it is none. Pure."""
    try:
        found = []
        for entry in json.loads(text)["Data"]["PodDeviceEntries"] or ():
            devices = entry["DeviceIDs"]  # by NUMA node; before Kubernetes 1.20 one list
            lists = devices.values() if isinstance(devices, dict) else [devices or ()]
            found += [(str(device), str(entry["PodUID"])) for one in lists for device in one]
        return found
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"kubelet_internal_checkpoint is not as expected: {error!r}") from None


def pod_names(logs=LOGS):
    """{UID: Pod} of the pods of this host whose containers were started, as far as their logs may be listed."""
    try:
        entries = [name.split("_") for name in os.listdir(logs)]
    except OSError:
        return {}
    return {parts[2]: Pod(*map(visible, (parts[2], *parts[:2]))) for parts in entries if len(parts) == 3}
