# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How NVIDIA's device plugin is deployed on a node, and why its configuration could not reach it. Pure.

By the DaemonSets of the GPU Operator (v26.7.0, assets/ and controllers/object_controls.go) and of the plugin's Helm
chart (k8s-device-plugin v0.19.0, deployments/helm). Containers have the names that these give them.
"""

from __future__ import annotations

from ..cluster_node import no_node
from .sharing import CONFIG_PREFIX, Refused

CONTAINERS = {
    "nvidia-device-plugin": "plugin",
    "nvidia-device-plugin-ctr": "plugin",
    "gpu-feature-discovery": "feature_discovery",
    "gpu-feature-discovery-ctr": "feature_discovery",
    "mps-control-daemon-ctr": "mps",
    "nvidia-mig-manager": "mig_manager",
}
MANAGED_BY = "app.kubernetes.io/managed-by"
OURS = "gpufleet.mig"  # who manages our own DaemonSets
CONFIGS = "/available-configs"  # where the ConfigMap is mounted
MIG_CONFIG = "nvidia.com/mig.config"  # the label that names a configuration of nvidia-mig-parted
PAUSED = "paused-for-mig-change"  # what a drain makes of a label that is true
WAYS = {"gpu_operator": "the GPU Operator", "helm": "Helm", "daemonset": "this role"}


def deployment(daemon_sets, cluster_policies, node, strategy, wanted=None, config_maps=(), config_name=None):
    """How the plugin is deployed on a node: {kind, namespace, config_map, default, fallbacks, parts, refusal}.

    ``kind`` is gpu_operator, helm or daemonset (our own, there or still to come, without the next four); ``default``
    and ``fallbacks`` are by what config-manager chooses for a node without a label; ``parts`` is {plugin,
    feature_discovery, mps: name of the DaemonSet} of those that select the node. ``refusal`` is None or a sentence.
    With ``config_maps``, the ConfigMap where there is one, it also says why ``config_name`` may not be put into it.

    Rule: NVIDIA's pods on a node
    """
    try:
        refusal = mig_manager_refusal(daemon_sets, node)
        if refusal:
            raise Refused(refusal)
        found = _deployment(daemon_sets, cluster_policies, node, strategy, wanted)
        for one in config_maps:
            check_config_map(found, one.get("data") or {}, config_name)
        return {**found, "refusal": None}
    except Refused as error:
        return {"kind": None, "refusal": str(error)}


def mig_manager_refusal(daemon_sets, node):
    """Why no layout of ours can stay on a node, by the DaemonSets of its cluster: None, or a sentence."""
    name = node["metadata"]["name"]
    if not any(part == "mig_manager" and _selects(found, node) for part, found in _parts(daemon_sets)):
        return None
    return (
        f"NVIDIA's MIG Manager runs on node {name} and would undo what this role's layouts bring. Keep it off the"
        f" node: kubectl label node {name} nvidia.com/gpu.deploy.mig-manager=false --overwrite"
    )


def node_refusal(nodes, name, host):
    """Why these, the nodes that a cluster has by that name, are not the one node of a host: None, or a sentence.

    Its name goes into selectors of the API server, of which a comma would make two.
    """
    if [one["metadata"]["name"] for one in nodes] == [name]:
        return None
    return no_node(name, host, "mig_device_plugin_kubernetes_node")


def request(nodes, daemon_sets, name, host):
    """Which configuration of nvidia-mig-parted the node of a host asks for by its label: {config, refusal}.

    ``config`` is "" where it asks for none; ``refusal`` says why it may have none, else it is None.
    """
    refusal = node_refusal(nodes, name, host) or mig_manager_refusal(daemon_sets, nodes[0])
    return {"config": "" if refusal else labels_of(nodes[0]).get(MIG_CONFIG, ""), "refusal": refusal}


def label_changes(node, labels):
    """Those of these labels, {name: value or None for one that should not be there}, that a node has otherwise."""
    there = labels_of(node)
    return {name: value for name, value in labels.items() if there.get(name) != value}


def labels_of(one):
    """The labels of a node or DaemonSet."""
    return one["metadata"].get("labels") or {}


def _deployment(daemon_sets, cluster_policies, node, strategy, wanted):
    name = node["metadata"]["name"]
    parts = _parts(daemon_sets)
    here = [(part, found) for part, found in parts if _selects(found, node)]
    policies = [one for one in cluster_policies if one["spec"].get("devicePlugin", {}).get("enabled", True)]
    others = [found for part, found in parts if part == "plugin" and labels_of(found).get(MANAGED_BY) != OURS]
    kind = "gpu_operator" if policies else "helm" if others else "daemonset"
    if wanted and wanted != kind:
        there = "no device plugin" if kind == "daemonset" else f"one that {WAYS[kind]} has deployed, {_listed(others)}"
        raise Refused(
            f"mig_device_plugin_deployment is {wanted}, but the cluster has {there}. Two device plugins would fight for"
            " a node; leave mig_device_plugin_deployment out to use what is there."
        )
    if kind == "daemonset":
        return {"kind": kind, "parts": {}}
    plugins = [found for part, found in here if part == "plugin"]
    if len(plugins) != 1:
        problem = (
            f"{_listed(plugins)} both run on node {name}, and would fight for it. Keep one of them off it."
            if plugins
            else f"Node {name} has no device plugin: {_listed(others) or 'no DaemonSet'} selects it."
            if not others
            else f"Node {name} has no device plugin: {_listed(others)} does not select it, by"
            f" {_listed_selectors(others)}. Label the node so that it does."
        )
        raise Refused(problem)
    (plugin,) = plugins
    found = _operators(policies[0], plugin) if kind == "gpu_operator" else _charts(plugin)
    _check_strategy(found, plugin, strategy)
    settings = _environment(plugin, "CONFIG_FILE_SRCDIR")
    return {
        **found,
        "default": settings.get("DEFAULT_CONFIG") or "",
        "fallbacks": [one for one in (settings.get("FALLBACK_STRATEGIES") or "").split(",") if one],
        "parts": {part: one["metadata"]["name"] for part, one in here},
    }


def _operators(policy, plugin):
    name, namespace = policy["metadata"]["name"], plugin["metadata"]["namespace"]
    config_map = (policy["spec"].get("devicePlugin", {}).get("config") or {}).get("name")
    patch = f"kubectl patch clusterpolicies.nvidia.com {name} --type merge --patch"
    if not config_map:
        raise Refused(
            f"ClusterPolicy {name} names no ConfigMap for the configurations of the device plugin. Make one and name"
            f" it: kubectl create configmap device-plugin-configs --namespace {namespace}"
            f" --from-literal 'default=version: v1' && {patch}"
            ' \'{"spec": {"devicePlugin": {"config": {"name": "device-plugin-configs"}}}}\''
        )
    return {
        "kind": "gpu_operator",
        "namespace": namespace,
        "config_map": config_map,
        # An empty strategy leaves it to the configurations of the nodes.
        "change_strategy": f'{patch} \'{{"spec": {{"mig": {{"strategy": null}}}}}}\'',
        "change_default": f'{patch} \'{{"spec": {{"devicePlugin": {{"config": {{"default": "NAME"}}}}}}}}\'',
    }


def _charts(plugin):
    labels, namespace = labels_of(plugin), plugin["metadata"]["namespace"]
    mounted = [
        mount["name"]
        for one in _containers(plugin)
        for mount in one.get("volumeMounts") or ()
        if mount["mountPath"] == CONFIGS
    ]
    volumes = plugin["spec"]["template"]["spec"].get("volumes") or ()
    names = [one["configMap"]["name"] for one in volumes if one["name"] in mounted and "configMap" in one]
    helm = labels.get(MANAGED_BY) == "Helm"
    upgrade = (
        f"helm upgrade {labels.get('app.kubernetes.io/instance', 'RELEASE')} nvdp/nvidia-device-plugin --namespace"
        f" {namespace} --reuse-values"
    )
    if not names:
        raise Refused(
            f"DaemonSet {_listed([plugin])} has no ConfigMap for the configurations of the device plugin. "
            + (
                f"Give it one: {upgrade} --set-string config.map.default='version: v1'"
                if helm
                else "Neither the GPU Operator nor Helm has deployed it. Remove it, and this role deploys one that has."
            )
        )
    return {
        "kind": "helm",
        "namespace": namespace,
        "config_map": names[0],
        "change_strategy": f"{upgrade} --set migStrategy=null",
        "change_default": f"{upgrade} --set config.default=NAME",
    }


def _check_strategy(found, plugin, strategy):
    """A variable of the container has precedence over the configuration file."""
    fixed = _environment(plugin, "MIG_STRATEGY").get("MIG_STRATEGY")
    if fixed and fixed != strategy:
        raise Refused(
            f"{WAYS[found['kind']].capitalize() if found['kind'] == 'helm' else 'The GPU Operator'} sets the MIG"
            f" strategy {fixed} for all nodes, which has precedence over the configuration of this node,"
            f" mig_device_plugin_strategy: {strategy}. Set that to {fixed}, or leave it to the nodes, of which those"
            f" without a configuration then have the strategy none: {found['change_strategy']}"
        )


def check_config_map(found, data, config_name):
    """Refuse to make the choice of nodes without a label impossible: raises Refused.

    config-manager takes the only configuration for a node that names none. A second one would end that, and with it the
    plugin on nodes that have nothing to do with this host.
    """
    theirs = [name for name in data if not name.startswith(CONFIG_PREFIX)]
    before = _chosen([*data], found.get("default"), found.get("fallbacks"))
    after = _chosen([*{**data, config_name: ""}], found.get("default"), found.get("fallbacks"))
    if not theirs or before in ("", after):
        return
    raise Refused(
        f"Nodes that name no configuration use {before} of ConfigMap {found['namespace']}/{found['config_map']} because"
        f" it is the only one; with a second one their device plugin would not start. Make it their default first:"
        f" {found['change_default'].replace('NAME', before)}"
    )


def _chosen(names, default, fallbacks):
    """What config-manager takes for a node without a label (cmd/config-manager/main.go, updateConfigName); "": none."""
    if default:
        return default
    for fallback in fallbacks or ():
        if fallback == "named" and "default" in names:
            return "default"
        if fallback == "single" and len(names) == 1:
            return names[0]
        if fallback == "empty":
            return ""
    return ""


def _parts(daemon_sets):
    """[(what it is, DaemonSet)] of those that are NVIDIA's."""
    return [
        (CONTAINERS[one["name"]], found)
        for found in daemon_sets
        for one in _containers(found)
        if one["name"] in CONTAINERS
    ]


def _selects(daemon_set, node):
    labels = {name: "true" if value == PAUSED else value for name, value in labels_of(node).items()}
    selector = daemon_set["spec"]["template"]["spec"].get("nodeSelector") or {}
    return all(labels.get(name) == value for name, value in selector.items())


def _containers(daemon_set):
    return daemon_set["spec"]["template"]["spec"]["containers"]


def _environment(daemon_set, name):
    """The variables of the first container that has this one."""
    for container in _containers(daemon_set):
        variables = {one["name"]: one.get("value") for one in container.get("env") or ()}
        if name in variables:
            return variables
    return {}


def _listed(daemon_sets):
    return ", ".join(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in daemon_sets)


def _listed_selectors(daemon_sets):
    selectors = [one["spec"]["template"]["spec"].get("nodeSelector") or {} for one in daemon_sets]
    return ", ".join(sorted({f"{name}={value}" for selector in selectors for name, value in selector.items()}))
