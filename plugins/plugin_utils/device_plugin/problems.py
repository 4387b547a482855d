# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The difference between what a Kubernetes node advertises and what it should, in sentences. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..host_words import shown

# The resources of the device plugin, and not those of other programs of NVIDIA, such as nvidia.com/rdma.
RESOURCE = re.compile(r"nvidia\.com/(gpu|mig-.+)")
LABEL = re.compile(r"nvidia\.com/(mig\.strategy|(gpu|mig-.+)\.(product|count|replicas|sharing-strategy))")


def problems(wanted, devices, node, pods=(), deployment=None, problem=None):
    """What is wrong with what a node advertises: {devices, allocatable, labels, plugin, reasons}, lists of sentences.

    ``wanted`` is of device_plugin; ``devices`` and ``problem`` are what the kubelet answered. With ``deployment`` the
    pods of the device plugin are judged too. Besides, ``wrong_labels`` are those sentences about labels that count,
    because feature discovery is deployed; ``difference`` has all that counts, ``registered``, ``lost`` and
    ``advertised`` say whether the kubelet has the devices, whether a plugin has to register anew, and whether the node
    says so.
    """
    resources, plugin, reasons, parts = wanted["resources"], [], [], {}
    if deployment:
        parts = deployment["parts"]
        pods = [pod for pod in pods if pod["metadata"]["namespace"] == deployment["namespace"]]
        plugin = plugin_problems(pods, parts["plugin"])
        reasons = pod_problems(pods, parts.values()) + (forgotten_problems(resources, devices) if not plugin else [])
    kubelets = device_problems(resources, devices)
    allocatable = allocatable_problems(resources, node.get("status", {}).get("allocatable"))
    labels = label_problems(wanted["labels"], node["metadata"].get("labels"))
    wrong_labels = labels if "feature_discovery" in parts else []
    return {
        "devices": kubelets,
        "allocatable": allocatable,
        "labels": labels,
        "plugin": plugin,
        "reasons": reasons,
        "wrong_labels": wrong_labels,
        "difference": ([f"{problem}."] if problem else kubelets) + allocatable + wrong_labels + plugin,
        "registered": problem is None and not kubelets,
        "lost": bool(kubelets or plugin),
        "advertised": not (allocatable or wrong_labels),
    }


def device_problems(resources, devices):
    """What is wrong with the devices that the kubelet has, {resource: [device id]}: sentences."""
    if not _are_devices(devices):
        return [f"The kubelet's devices are {shown(devices)}, and no lists of device ids by resource."]
    there = {name: ids for name, ids in devices.items() if RESOURCE.fullmatch(name)}
    return [
        f"{name} should be {_counted(resources.get(name, ()))}; the kubelet has {_counted(there.get(name, ()))}."
        for name in sorted(resources.keys() | there.keys())
        if sorted(resources.get(name, ()), key=str) != sorted(there.get(name, ()), key=str)
    ]


def _are_devices(devices):
    """Whether a host's answer has the shape of kubelet_devices_info."""
    return isinstance(devices, Mapping) and all(
        isinstance(ids, (list, tuple)) and all(isinstance(one, str) for one in ids) for ids in devices.values()
    )


def allocatable_problems(resources, allocatable):
    """What is wrong with ``status.allocatable`` of a node: sentences. There "0" means that there is none."""
    # A kubelet may write any quantity there, such as 1k.
    there = {
        name: int(count) if re.fullmatch("[0-9]{1,9}", str(count)) else count
        for name, count in (allocatable or {}).items()
        if RESOURCE.fullmatch(name)
    }
    return [
        f"{name} should be {len(resources.get(name, ()))} in status.allocatable; it is {there.get(name, 0)}."
        for name in sorted(resources.keys() | there.keys())
        if len(resources.get(name, ())) != there.get(name, 0)
    ]


def label_problems(labels, there):
    """What is wrong with the labels of a node that feature discovery makes: sentences."""
    there = {name: value for name, value in (there or {}).items() if LABEL.fullmatch(name)}
    # Of GPUs of several products it is chance which one these are about.
    uncertain = () if any(name.startswith("nvidia.com/gpu.") for name in labels) else ("nvidia.com/gpu.",)
    return [
        f"label {name} should be {labels.get(name, 'absent')}; it is {there.get(name, 'absent')}."
        for name in sorted(labels.keys() | there.keys())
        if labels.get(name) != there.get(name) and not name.startswith(tuple(uncertain))
    ]


def plugin_problems(pods, daemon_set):
    """Why a pod that is given a device could not start, as far as the plugin's DaemonSet is the cause: sentences.

    A kubelet keeps the devices of a plugin whose end it has missed (kubernetes/kubernetes#121994).
    """
    for pod in pods:
        conditions = {one["type"]: one["status"] for one in pod.get("status", {}).get("conditions") or ()}
        if daemon_set in _owners(pod) and conditions.get("Ready") == "True":
            return []
    return [f"No pod of DaemonSet {daemon_set} is ready on the node; without it no pod gets a device."]


def forgotten_problems(resources, devices):
    """What to do about resources that the kubelet has although the plugin that runs does not offer them: sentences."""
    gone = sorted(
        name
        for name in (devices if _are_devices(devices) else ())
        if name not in resources and RESOURCE.fullmatch(name)
    )
    if not gone:
        return []
    return [
        f"No plugin offers {', '.join(gone)} any more. A kubelet that has missed the end of a plugin keeps its devices"
        " until it starts anew: systemctl restart kubelet on the node."
    ]


def pod_problems(pods, daemon_sets=()):
    """Why these DaemonSets do not do their work on a node with these pods, in sentences."""
    found = []
    owners = {name for pod in pods for name in _owners(pod)}
    found += [f"DaemonSet {name} has no pod on the node." for name in sorted(set(daemon_sets) - owners)]
    for pod in pods:
        status = pod.get("status", {})
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        states = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
        for one in states:
            trouble = _trouble(one.get("state") or {}, (one.get("lastState") or {}).get("terminated") or {})
            if trouble:
                found.append(f"Container {one['name']} of pod {name}: {trouble}.")
        if not states and status.get("phase") == "Pending":
            messages = [one["message"] for one in status.get("conditions") or () if one.get("message")]
            found.append(f"Pod {name} is pending{': ' + messages[0] if messages else ''}.")
    return found


def _owners(pod):
    return {one["name"] for one in pod["metadata"].get("ownerReferences") or ()}


def _trouble(state, last):
    """What is wrong with a container, by its state and how it ended before; "" where nothing is."""
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or last
    # An init container that has done its work has ended, too.
    status = f"exit status {ended['exitCode']}" if ended.get("exitCode") else ""
    reason = "" if waiting.get("reason") == "PodInitializing" else waiting.get("reason", "")
    message = waiting.get("message") or (ended.get("message") if status else "") or ""
    return ", ".join(word.strip() for word in (reason, status, message) if word)


def _counted(ids):
    """4 (MIG-a, MIG-b, each 2 times) of device ids; one that is shared has an id for each replica."""
    if not ids:
        return "absent"
    uuids = {}
    for one in ids:
        uuid = str(one).partition("::")[0]
        uuids[uuid] = uuids.get(uuid, 0) + 1
    times = {number for number in uuids.values() if number > 1}
    return f"{len(ids)} ({', '.join(sorted(uuids))}{f', each {max(times)} times' if times else ''})"
