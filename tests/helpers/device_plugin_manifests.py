# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The device plugin as the GPU Operator and as its Helm chart deploy it: what the role mig_device_plugin looks at."""

from __future__ import annotations

OPERATOR, CHART = "gpu-operator", "nvidia-device-plugin-of-helm"
CLUSTER_POLICY = "clusterpolicies.nvidia.com"
CONFIG_MANAGER = {"CONFIG_FILE_SRCDIR": "/available-configs", "DEFAULT_CONFIG": ""}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": CLUSTER_POLICY},
    "spec": {
        "group": "nvidia.com",
        "scope": "Cluster",
        "names": {"kind": "ClusterPolicy", "plural": "clusterpolicies", "singular": "clusterpolicy"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def cluster_policy(config=None, **spec):
    """A ClusterPolicy, with the name of the ConfigMap of configurations."""
    plugin = {"enabled": True, **({"config": {"name": config, "default": ""}} if config else {})}
    spec = {"devicePlugin": plugin, "mig": {}, **spec}
    return {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "cluster-policy"},
        "spec": spec,
    }


def daemon_set(name, where, container, selector, *, labels=None, config_map=None, environment=None, fallbacks="empty"):
    """A DaemonSet with the container that the role knows it by, and config-manager where there is a ConfigMap."""
    pods = {"app": name}
    main = {"name": container, "image": "none", "env": _environment(environment or {})}
    spec = {"nodeSelector": selector, "containers": [main]}
    if config_map:
        sidecar = {
            "name": "config-manager",
            "image": "none",
            "env": _environment({**CONFIG_MANAGER, "FALLBACK_STRATEGIES": fallbacks}),
            "volumeMounts": [{"name": "configs", "mountPath": "/available-configs"}],
        }
        spec["containers"].append(sidecar)
        spec["volumes"] = [{"name": "configs", "configMap": {"name": config_map}}]
        main["volumeMounts"] = sidecar["volumeMounts"]
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": where, "labels": labels or {}},
        "spec": {"selector": {"matchLabels": pods}, "template": {"metadata": {"labels": pods}, "spec": spec}},
    }


def operators(config_map="configs", **options):
    """Its DaemonSets of the device plugin and feature discovery."""
    deploy = "nvidia.com/gpu.deploy."
    return [
        daemon_set(
            name,
            OPERATOR,
            container,
            {deploy + container.removeprefix("nvidia-"): "true"},
            config_map=config_map,
            **options,
        )
        for name, container in (
            ("nvidia-device-plugin-daemonset", "nvidia-device-plugin"),
            ("gpu-feature-discovery", "gpu-feature-discovery"),
        )
    ]


def charts(config_map="release-configs", fallbacks="named,single", **options):
    """Its DaemonSet of the device plugin; feature discovery is not enabled."""
    labels = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "release"}
    more = {"labels": labels, "config_map": config_map, "fallbacks": fallbacks, **options}
    return [daemon_set("release-nvidia-device-plugin", CHART, "nvidia-device-plugin-ctr", {}, **more)]


def _environment(variables):
    return [{"name": name, "value": value} for name, value in variables.items()]
