# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role mig_device_plugin does on a host's node, as its options and the cluster have it. Pure.

``options`` are the role's, by their names without mig_device_plugin_; ``found`` is what node_deployment() returns.
"""

from __future__ import annotations

from .deployment import MIG_CONFIG, check_config_map, deployment, label_changes, labels_of, node_refusal
from .expected import expected
from .sharing import Refused, config

CONFIG_LABEL = "nvidia.com/device-plugin.config"  # the label that names a configuration of the device plugin
CONFIG_MAP = "gpufleet-mig-device-plugin"  # of our own deployment
PREFIX = "mig_device_plugin_"


def node_deployment(nodes, daemon_sets, cluster_policies, gpus, options, host, to_come=False):
    """What a host's node should advertise, and how its device plugin is configured for it.

    That is what deployment() returns, and ``wanted`` {resources, labels, config_name, config}: of the GPUs as mig_facts
    has them or, where that is ``to_come``, of the layout in the options. ``named`` says whether the host is to be
    compared with the configuration of nvidia-mig-parted that a label is to name, ``asks_for_discovery`` whether the
    cluster needs Node Feature Discovery. ``refusal`` is None or a sentence.
    """
    given = _given(options)
    refusal = node_refusal(nodes, given["kubernetes_node"], host)
    if refusal:
        return {"kind": None, "refusal": refusal}
    strategy, time_slicing, mps = given["strategy"], given["time_slicing"], given["mps"]
    name, text = config(strategy, time_slicing, mps, given["flags"])
    wanted = expected(gpus, strategy, time_slicing, mps, given["target"] if to_come else [])
    found = deployment(daemon_sets, cluster_policies, nodes[0], strategy, given.get("deployment"))
    refusal = wanted.pop("refusal") or found["refusal"]
    if refusal:
        node = given["kubernetes_node"]
        return {
            "kind": None,
            "refusal": f"Kubernetes node {node} cannot advertise the GPUs of {host}. {refusal}",
        }
    ours = found["kind"] == "daemonset"
    return {
        **found,
        **(_ours(given) if ours else {}),
        "wanted": {**wanted, "config_name": name, "config": text},
        "named": bool(given["mig_config"] and given["mig_parted_config"] and not to_come),
        "asks_for_discovery": ours and given["feature_discovery"],
    }


def _given(options):
    return {name[len(PREFIX) :]: value for name, value in options.items()}


def _ours(given):
    parts = {"plugin": "nvidia-device-plugin"}
    if given["feature_discovery"]:
        parts["feature_discovery"] = "gpu-feature-discovery"
    return {"namespace": given["namespace"], "config_map": CONFIG_MAP, "parts": parts}


def configuration_refusal(found, config_maps, has_discovery, options):
    """Why the configuration would harm other nodes or have no effect: None, or a sentence.

    ``config_maps`` is the ConfigMap that it goes into, if that is there; ``has_discovery`` whether the cluster has Node
    Feature Discovery.
    """
    for one in config_maps:
        try:
            check_config_map(found, one.get("data") or {}, found["wanted"]["config_name"])
        except Refused as refusal:
            return str(refusal)
    if found["kind"] == "daemonset" and _given(options)["mps"]:
        return (
            "The cluster has no device plugin yet, and what this role deploys has no MPS control daemon. For"
            " mig_device_plugin_mps install the plugin with Helm or the GPU Operator."
        )
    if found["asks_for_discovery"] and not has_discovery:
        return (
            "GPU feature discovery makes labels by Node Feature Discovery, which the cluster does not have. Install"
            " that, or set mig_device_plugin_feature_discovery: false for a node without labels."
        )
    return None


def configuration_labels(node, found, options, compared):
    """The labels of a node that have to change, {name: value, None for one that goes}, so that they are true.

    ``compared`` is what mig_check returned for the configuration of nvidia-mig-parted that a label is to name, where it
    was asked.
    """
    name = _given(options)["mig_config"]
    right = bool(name and compared.get("reached", True))
    return label_changes(
        node,
        {
            CONFIG_LABEL: found["wanted"]["config_name"],
            MIG_CONFIG: name if right else None,
            f"{MIG_CONFIG}.state": "success" if right else None,
        },
    )


def restarts(problems, found, pods, node, config_map_changed=False, first=True):
    """What has to read the GPUs or its configuration anew: {pods: [{name, namespace}], needed}.

    The plugin where the kubelet has other devices, feature discovery where labels are wrong, all of them where the
    configuration is new to the node. After a ``first`` attempt only a plugin that runs and that the kubelet has lost.
    ``problems`` is of node_problems(), ``node`` as it was before its labels changed. ``needed`` says whether there is
    anything to restart or to wait for.
    """
    there = labels_of(node).get(CONFIG_LABEL, "")
    parts = set()
    if first and (config_map_changed or there != found["wanted"]["config_name"]):
        parts = {"plugin", "feature_discovery", "mps"}
    if problems["devices"] and (first or not problems["plugin"]):
        parts.add("plugin")
    if first and problems["wrong_labels"]:
        parts.add("feature_discovery")
    names = {name for part, name in found["parts"].items() if part in parts}
    theirs = [
        {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
        for pod in pods
        if pod["metadata"]["namespace"] == found["namespace"]
        and next((owner["name"] for owner in pod["metadata"].get("ownerReferences") or ()), None) in names
    ]
    return {"pods": theirs, "needed": bool(theirs or problems["plugin"] or not problems["registered"])}
