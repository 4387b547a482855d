# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the hook kubernetes does with a node, and how it says so. Pure."""

from __future__ import annotations

from ..cluster_node import no_node


def drain_node(resources, node, host, labels, paused, done=None, evicted=None):
    """What is to be done with a node: a dict.

    :param resources: what the API server has of that name, with a node one of it
    :param node: its name, which is the one of ``host``
    :param labels: those by which the GPU Operator's pods select it
    :param paused: the value that such a label has meanwhile
    :param done: what the hook has done, as it is recorded
    :param evicted: the result of k8s_evict in check mode
    :returns: ``refusal``, why there is nothing to drain, else ""; ``unschedulable``; ``running``, the labels by which
        pods run, and ``pause``, {label: value} to pause them; ``resume``, {label: value} with which those that the hook
        has paused run again, without what somebody else has changed meanwhile; ``would``, what a run would do
    """
    found = resources[0] if len(resources) == 1 else {}
    done = done or {}
    values = {
        label: value for label, value in ((found.get("metadata") or {}).get("labels") or {}).items() if label in labels
    }
    running = [label for label, value in values.items() if value == "true"]
    return {
        "refusal": "" if found else no_node(node, host, "mig_drain_kubernetes_node"),
        "unschedulable": bool((found.get("spec") or {}).get("unschedulable")),
        "running": running,
        "pause": dict.fromkeys(running, paused),
        "resume": {
            label: "true" for label, value in values.items() if value == paused and label in done.get("paused", ())
        },
        "would": _would(node, done.get("cordoned"), running, evicted or {}),
    }


def _would(node, cordoned, running, evicted):
    pods = [f"{pod['namespace']}/{pod['name']}" for pod in evicted.get("pods") or ()]
    held_back = dict.fromkeys((evicted.get("blocked") or {}).values())
    sentences = [
        f"Node {node} would be cordoned." if cordoned else f"Node {node} is cordoned already and would stay so.",
        f"Evicted would be {', '.join(pods)}." if pods else "No pod would be evicted.",
        f"At this moment {', '.join(held_back)}." if held_back else "",
        f"Paused would be what selects the node by {', '.join(running)}." if running else "",
    ]
    return " ".join(filter(None, sentences))


def drain_staying(pods, paused):
    """By which of the ``paused`` labels DaemonSet pods among these still select their node."""
    selectors = [
        (pod.get("spec") or {}).get("nodeSelector") or {}
        for pod in pods
        if ((pod.get("metadata") or {}).get("ownerReferences") or [{}])[0].get("kind") == "DaemonSet"
    ]
    return list(dict.fromkeys(label for selector in selectors for label in selector if label in paused))
