# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NVIDIA's device plugin and GPU feature discovery on a cluster, as the GPU Operator or the plugin's chart leaves them.

Names, labels, volumes and variables are those of gpu-operator's assets/state-device-plugin and
assets/gpu-feature-discovery, with what controllers/object_controls.go makes of them, and of k8s-device-plugin's
deployments/helm/nvidia-device-plugin. The programs are the real ones; neither the operator itself nor Helm is there.
"""

from __future__ import annotations

import json

from device_plugin_manifests import CLUSTER_POLICY, DEFINITION
from go_programs import kubernetes_programs

IMAGE = "nvidia/k8s-device-plugin:v0.19.0"  # its programs are the host's, whatever it is called
CONFIG_LABEL = "nvidia.com/device-plugin.config"
# Configurations that a node's label may name: the strategies, and one whose small slices are each for two pods.
CONFIGS = {name: {"version": "v1", "flags": {"migStrategy": name}} for name in ("none", "single", "mixed")}
CONFIGS["shared"] = {
    **CONFIGS["mixed"],
    "sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/mig-1g.5gb", "replicas": 2}]}},
}
PLUGIN, DISCOVERY = "nvidia-device-plugin", "gpu-feature-discovery"
TOLERATIONS = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
READ_NODES = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}
WRITE_FEATURES = [
    {
        "apiGroups": ["nfd.k8s-sigs.io"],
        "resources": ["nodefeatures"],
        "verbs": ["get", "list", "watch", "create", "update"],
    },
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
]


class _Deployed:
    """The programs as one of the two leaves them: its namespace, DaemonSets, and labels by which these choose nodes."""

    namespace: str
    plugin: str
    discovery: str
    labels: dict

    def __init__(self, cluster, configs, default, strategy):
        self._cluster = cluster
        self._configs = configs
        self._default = default
        self._strategy = strategy

    def install(self, *nodes):
        """Leave it on the cluster, and have its pods on these nodes: they are ready when this returns."""
        discover_features(self._cluster)
        self._cluster.apply(*self.manifests())
        for node in nodes:
            _label(self._cluster, node, self.labels)
        if nodes:
            self.wait(len(nodes))

    def wait(self, count):
        """Wait until so many pods of each DaemonSet are ready."""
        daemonsets = (f"daemonset/{name}" for name in (self.plugin, self.discovery))
        self._cluster.wait(f"jsonpath={{.status.numberReady}}={count}", *daemonsets, namespace=self.namespace)

    def remove(self):
        """Take it away again, and its labels; the pods have ended when this returns."""
        where = [f"--namespace={self.namespace}", "--cascade=foreground"]
        self._cluster.kubectl("delete", *where, "daemonset", self.plugin, self.discovery)
        self._cluster.kubectl("delete", "namespace", self.namespace)
        self._cluster.kubectl("label", "nodes", "--all", *(f"{name}-" for name in self.labels))


class GpuOperator(_Deployed):
    """What NVIDIA's GPU Operator has made of its ClusterPolicy, in the namespace gpu-operator.

    ``configs`` are the plugin's configurations by name, in the ConfigMap device-plugin-config that the policy names;
    ``default`` is the one for nodes without a label nvidia.com/device-plugin.config. With None as ``configs`` the
    policy names none, and there is no config-manager. ``strategy`` is the policy's mig.strategy: it is above what a
    configuration says, and leaves it to them where it is empty.
    """

    namespace = "gpu-operator"
    config_map = "device-plugin-config"
    # The DaemonSets, and the labels by which they choose nodes.
    plugin, discovery = "nvidia-device-plugin-daemonset", DISCOVERY
    labels = {  # noqa: RUF012
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.deploy.device-plugin": "true",
        "nvidia.com/gpu.deploy.gpu-feature-discovery": "true",
    }

    def __init__(self, cluster, *, configs=CONFIGS, default="mixed", strategy=""):
        super().__init__(cluster, configs, default if configs else "", strategy)

    def install(self, *nodes):
        """As any other, with the definition of its policies."""
        self._cluster.apply(DEFINITION)
        self._cluster.wait("condition=Established", f"crd/{CLUSTER_POLICY}")
        super().install(*nodes)

    def remove(self):
        """As any other, with the definition of its policies."""
        super().remove()
        self._cluster.kubectl("delete", "crd", CLUSTER_POLICY)

    def manifests(self):
        """All there is of it."""
        plugin = {
            "PASS_DEVICE_SPECS": "true",
            "FAIL_ON_INIT_ERROR": "true",
            "DEVICE_LIST_STRATEGY": "envvar",
            "DEVICE_ID_STRATEGY": "uuid",
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": "all",
            "MPS_ROOT": "/run/nvidia/mps",
        }
        discovery = {"GFD_SLEEP_INTERVAL": "60s", "GFD_FAIL_ON_INIT_ERROR": "true"}
        return [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}},
            self._policy(),
            *([_config_map(self.config_map, self.namespace, {}, self._configs)] if self._configs else []),
            *_rights(self.namespace, "nvidia-device-plugin", [READ_NODES]),
            *_rights(self.namespace, "nvidia-gpu-feature-discovery", [READ_NODES, *WRITE_FEATURES]),
            self._daemonset(self.plugin, PLUGIN, "nvidia-device-plugin", "device-plugin", plugin),
            self._daemonset(self.discovery, DISCOVERY, "nvidia-gpu-feature-discovery", DISCOVERY, discovery),
        ]

    def _policy(self):
        spec = {
            "devicePlugin": {
                "enabled": True,
                "config": {"name": self.config_map if self._configs else "", "default": self._default},
            },
            "gfd": {"enabled": True},
            "mig": {"strategy": self._strategy} if self._strategy else {},
            "migManager": {"enabled": False},
        }
        return {
            "apiVersion": "nvidia.com/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": "cluster-policy"},
            "spec": spec,
            "status": {"namespace": self.namespace, "state": "ready"},
        }

    def _daemonset(self, name, program, account, deploy, variables):
        variables = {**variables, **({"MIG_STRATEGY": self._strategy} if self._strategy else {})}
        if self._strategy != "none":
            variables["NVIDIA_MIG_MONITOR_DEVICES"] = "all"
        manager = {
            "names": ("config-manager-init", "config-manager"),
            "DEFAULT_CONFIG": self._default,
            "FALLBACK_STRATEGIES": "empty",
        }
        spec = _pod(program, program, variables, self._configs and self.config_map, self.config_map, manager)
        spec["nodeSelector"] = {f"nvidia.com/gpu.deploy.{deploy}": "true"}
        return _daemonset(name, self.namespace, {"app": name}, {"app": name}, {**spec, "serviceAccountName": account})


class PluginChart(_Deployed):
    """What ``helm upgrade --install nvdp nvidia-device-plugin`` leaves, with gfd.enabled, in the chart's namespace.

    ``configs`` are the plugin's configurations by name, which are the chart's own ConfigMap; ``default`` is the one for
    nodes without a label nvidia.com/device-plugin.config ("": the one called default, or the only one). With None as
    ``configs`` the chart's values have no config, and there is no config-manager. ``strategy`` is the chart's
    migStrategy, above what a configuration says.
    """

    namespace = "nvidia-device-plugin"
    plugin = "nvdp-nvidia-device-plugin"
    discovery = f"{plugin}-gpu-feature-discovery"
    config_map = f"{plugin}-configs"
    # The pods of both DaemonSets have these labels, and the chart has no others for its selectors.
    selector = {"app.kubernetes.io/name": "nvidia-device-plugin", "app.kubernetes.io/instance": "nvdp"}  # noqa: RUF012
    # Node feature discovery's worker has given the node this one, for its PCI devices.
    labels = {"feature.node.kubernetes.io/pci-10de.present": "true"}  # noqa: RUF012

    def __init__(self, cluster, *, configs=CONFIGS, default="mixed", strategy=""):
        super().__init__(cluster, configs, default, strategy)
        self._labels = {
            "helm.sh/chart": "nvidia-device-plugin-0.19.0",
            **self.selector,
            "app.kubernetes.io/version": "0.19.0",
            "app.kubernetes.io/managed-by": "Helm",
        }

    def manifests(self):
        """All there is of it."""
        account = f"{self.plugin}-service-account"
        strategy = {"MIG_STRATEGY": self._strategy} if self._strategy else {}
        monitor = {} if self._strategy == "none" else {"NVIDIA_MIG_MONITOR_DEVICES": "all"}
        plugin = {
            "MPS_ROOT": "/run/nvidia/mps",
            **strategy,
            **monitor,
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        }
        return [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}},
            *([_config_map(self.config_map, self.namespace, self._labels, self._configs)] if self._configs else []),
            *_rights(self.namespace, account, [READ_NODES, *WRITE_FEATURES], self._labels),
            self._daemonset(self.plugin, PLUGIN, account, plugin),
            self._daemonset(self.discovery, DISCOVERY, account, {**strategy, **monitor}),
        ]

    def _daemonset(self, name, program, account, variables):
        manager = {
            "names": (f"{program}-init", f"{program}-sidecar"),
            "DEFAULT_CONFIG": self._default,
            "FALLBACK_STRATEGIES": "named,single",
        }
        spec = _pod(
            f"{program}-ctr", program, variables, self._configs and self.config_map, "available-configs", manager
        )
        present = [
            {"matchExpressions": [{"key": label, "operator": "In", "values": ["true"]}]}
            for label in ("feature.node.kubernetes.io/pci-10de.present", "nvidia.com/gpu.present")
        ]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": present}}
        spec = {**spec, "affinity": {"nodeAffinity": required}, "serviceAccountName": account}
        return _daemonset(name, self.namespace, self._labels, self.selector, spec)


def discover_features(cluster):
    """Node Feature Discovery's master beside the cluster: what NodeFeature objects say become labels of nodes."""
    if cluster.kubectl("get", "crd", "nodefeatures.nfd.k8s-sigs.io", check=False).returncode:
        cluster.kubectl("apply", f"--filename={kubernetes_programs() / 'nfd-api-crds.yaml'}")
        cluster.wait("condition=Established", "crd/nodefeatures.nfd.k8s-sigs.io")
        # It writes to the node that it runs on: any.
        cluster.start("nfd-master", NODE_NAME=cluster.get("nodes")["items"][0]["metadata"]["name"])


def _config_map(name, namespace, labels, configs):
    """The plugin's configurations, each a file of that name."""
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    data = {one: json.dumps(config, indent=2) for one, config in configs.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _rights(namespace, name, rules, labels=None):
    """A ServiceAccount that may do that on the whole cluster."""
    group = "rbac.authorization.k8s.io"
    metadata = {"name": name, "labels": labels or {}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**metadata, "namespace": namespace}},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def _pod(name, program, variables, config_map, volume, manager):
    """The pod of that program; with a ConfigMap a config-manager chooses the configuration and signals each change."""
    own = [] if program == PLUGIN else ["NAMESPACE=metadata.namespace", "POD_NAME=metadata.name"]
    container = {
        "name": name,
        "image": IMAGE,
        "command": [program],
        "env": [*_variables(variables), *map(_field, ["NODE_NAME=spec.nodeName", *own])],
        "securityContext": {"privileged": True},
        "volumeMounts": [],
    }
    paths = {
        PLUGIN: {
            "device-plugin": ("/var/lib/kubelet/device-plugins", "/var/lib/kubelet/device-plugins"),
            "cdi-root": ("/var/run/cdi", "/var/run/cdi"),
            "mps-root": ("/run/nvidia/mps", "/mps"),
            "mps-shm": ("/run/nvidia/mps/shm", "/dev/shm"),
        },
        DISCOVERY: {
            "output-dir": ("/etc/kubernetes/node-feature-discovery/features.d",) * 2,
            "host-sys": ("/sys", "/sys"),
        },
    }[program]
    volumes = [
        {"name": one, "hostPath": {"path": host, "type": "DirectoryOrCreate"}} for one, (host, _inside) in paths.items()
    ]
    container["volumeMounts"] += [{"name": one, "mountPath": inside} for one, (_host, inside) in paths.items()]
    spec = {"containers": [container], "volumes": volumes, "tolerations": TOLERATIONS}
    spec["priorityClassName"] = "system-node-critical"
    if not config_map:
        return spec
    volumes += [{"name": volume, "configMap": {"name": config_map}}, {"name": "config", "emptyDir": {}}]
    mounts = [{"name": volume, "mountPath": "/available-configs"}, {"name": "config", "mountPath": "/config"}]
    container["volumeMounts"] += mounts
    container["env"] += _variables({"CONFIG_FILE": "/config/config.yaml"})
    (first, beside), chosen = manager["names"], {key: value for key, value in manager.items() if key != "names"}
    once = {"ONESHOT": "true", "SEND_SIGNAL": "false", "SIGNAL": "", "PROCESS_TO_SIGNAL": ""}
    always = {"ONESHOT": "false", "SEND_SIGNAL": "true", "SIGNAL": "1", "PROCESS_TO_SIGNAL": program}
    init, sidecar = (
        {
            "name": one,
            "image": IMAGE,
            "command": ["config-manager"],
            "env": [
                *_variables({"KUBECONFIG": "", "NODE_LABEL": CONFIG_LABEL, **chosen, **when}),
                *_variables({"CONFIG_FILE_SRCDIR": "/available-configs", "CONFIG_FILE_DST": "/config/config.yaml"}),
                _field("NODE_NAME=spec.nodeName"),
            ],
            "volumeMounts": mounts,
        }
        for one, when in ((first, once), (beside, always))
    )
    return {
        **spec,
        "shareProcessNamespace": True,
        "initContainers": [init],
        "containers": [sidecar, container],
    }


def _variables(variables):
    return [{"name": name, "value": value} for name, value in variables.items()]


def _field(variable):
    name, path = variable.split("=")
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _daemonset(name, namespace, labels, selector, spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": selector}, "spec": spec},
        },
    }


def _label(cluster, node, labels):
    cluster.kubectl("label", "--overwrite", "node", node, *(f"{name}={value}" for name, value in labels.items()))
