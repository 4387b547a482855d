# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_device_plugin against a real control plane, as a ServiceAccount with the documented rights alone.

These nodes have no kubelet: what the role writes and refuses is tested here, what comes of it in
test_device_plugin_node.py.
"""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from device_plugin_manifests import (
    CHART,
    CLUSTER_POLICY,
    DEFINITION,
    OPERATOR,
    charts,
    cluster_policy,
    daemon_set,
    namespace,
    operators,
)
from paths import ROOT

LABEL, CONFIG = "nvidia.com/gpu.deploy.", "nvidia.com/device-plugin.config"
SHARED = {"resources": [{"name": "mig-1g.5gb", "replicas": 3}], "renameByDefault": True}
OTHERS = {"default": "version: v1\n"}


def play(tasks_from="main", **variables):
    include = {"name": "gpufleet.mig.mig_device_plugin", "tasks_from": tasks_from}
    tasks = [{"name": "The role", "ansible.builtin.include_role": include, "vars": variables}]
    return [{"name": "Device plugin", "hosts": "all", "gather_facts": False, "tasks": tasks}]


def reason(run):
    """With which message the host failed."""
    return [one["result"]["msg"] for one in run.results() if one["status"] == "failed"][-1]


def changed(run):
    """The kinds of objects that a run changed."""
    found, left = set(), [one["result"] for one in run.results("kubernetes.core.k8s")]
    while left:
        one = left.pop()
        # Of a loop, and of several objects in one task.
        parts = one.get("results") or one.get("result", {}).get("results")
        if parts:
            left += parts
        elif one.get("changed"):
            found.add(one["result"].get("kind") or one["result"]["details"]["kind"])
    return found


@pytest.fixture(scope="module")
def rights(kubernetes_cluster):
    """The kubeconfig of the ServiceAccount of docs/kubernetes-rbac.yml, in the namespaces of the operator and chart."""
    cluster = kubernetes_cluster
    cluster.apply(DEFINITION, namespace(OPERATOR), namespace(CHART))
    cluster.wait("condition=Established", f"crd/{CLUSTER_POLICY}")
    cluster.kubectl("apply", f"--filename={ROOT / 'docs' / 'kubernetes-rbac.yml'}")
    bind = ["create", "rolebinding", "gpufleet-mig", "--clusterrole=gpufleet-mig-configurations"]
    for one in (OPERATOR, CHART):
        cluster.kubectl(*bind, "--serviceaccount=gpufleet-mig:mig-drain", f"--namespace={one}")
    return cluster.service_account("mig-drain", "gpufleet-mig")


class Place:
    """The cluster, with hosts that have a MIG device each, and runs of the role there."""

    def __init__(self, cluster, simulated_host, run_playbook, rights):
        self.cluster = cluster
        self._simulated_host = simulated_host
        self._run_playbook = run_playbook
        self._rights = rights

    def host(self, name, *, mig=("1g.5gb",), **variables):
        """A host, and its node as the GPU Operator labels it."""
        host = self._simulated_host("A100-SXM4-40GB", "--mig", name=name)
        for profile in mig:
            host.run("nvidia-smi", "mig", "-i", "0", "-cgi", profile, "-C")
        host.more_variables = {
            "mig_device_plugin_kubernetes_kubeconfig": str(self._rights),
            "mig_device_plugin_kubelet_directory": str(host.directory / "kubelet"),
            "mig_device_plugin_deadline": 1,
            **variables,
        }
        self.cluster.add_nodes(name)
        self.label(name, **{f"{LABEL}device-plugin": "true", f"{LABEL}gpu-feature-discovery": "true"})
        return host

    def label(self, name, **labels):
        change = json.dumps({"metadata": {"labels": labels}})
        self.cluster.kubectl("patch", f"node/{name}", "--type=merge", f"--patch={change}")

    def labels(self, name):
        return self.cluster.get("node", name)["metadata"]["labels"]

    def run(self, *hosts, check=False, diff=False, tasks_from="main", **variables):
        return self._run_playbook(play(tasks_from, **variables), list(hosts), check=check, diff=diff)

    def deploy(self, where, *objects, configs=None):
        """These objects, and a ConfigMap of that name with these configurations where there are some."""
        self.cluster.apply(*objects)
        if configs:
            name, data = configs
            metadata = {"name": name, "namespace": where}
            self.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    def configs(self, where, name):
        return self.cluster.get("configmap", name, namespace=where)["data"]

    def clear(self):
        """No device plugin, no configuration and no node is left."""
        self.cluster.kubectl("delete", "nodes", "--all")
        self.cluster.kubectl("delete", CLUSTER_POLICY, "--all")
        for one in (OPERATOR, CHART):
            self.cluster.kubectl("delete", "daemonset,configmap", "--all", f"--namespace={one}")


@pytest.fixture
def place(kubernetes_cluster, simulated_host, run_playbook, rights):
    one = Place(kubernetes_cluster, simulated_host, run_playbook, rights)
    yield one
    one.clear()


@pytest.mark.prove
def test_a_configuration_is_added_to_those_of_the_gpu_operator(place):
    host = place.host("operator-1", mig_device_plugin_time_slicing=SHARED)
    place.deploy(OPERATOR, cluster_policy("configs"), *operators(), configs=("configs", OTHERS))
    place.cluster.wait("jsonpath={.status.numberReady}=1", "daemonset/gpu-feature-discovery", namespace=OPERATOR)
    before = place.labels(host.name)

    run = place.run(host, check=True, diff=True).ok()
    assert changed(run) == {"ConfigMap", "Node"}
    assert (place.configs(OPERATOR, "configs"), place.labels(host.name)) == (OTHERS, before)

    run = place.run(host).failed()
    name = place.labels(host.name)[CONFIG]
    configs = place.configs(OPERATOR, "configs")
    assert configs.keys() == {*OTHERS, name}
    assert configs["default"] == OTHERS["default"]
    config = yaml.safe_load(configs[name])
    assert config["flags"] == {"migStrategy": "mixed"}
    assert config["sharing"]["timeSlicing"]["resources"] == [{"name": "nvidia.com/mig-1g.5gb", "replicas": 3}]
    # The new configuration is a reason to restart both; the difference is told.
    assert changed(run) == {"ConfigMap", "Node", "Pod"}
    message = reason(run)
    assert f"Kubernetes node {host.name} does not advertise" in message
    assert "No kubelet answers on" in message
    assert "nvidia.com/mig-1g.5gb.shared should be 3 in status.allocatable; it is 0." in message
    assert "label nvidia.com/mig-1g.5gb.replicas should be 3; it is absent." in message


@pytest.mark.prove
def test_hosts_of_a_play_do_not_disturb_each_other_and_each_has_true_labels(place, tmp_path):
    (tmp_path / "mig-parted.yaml").write_text(
        "version: v1\nmig-configs:\n  small: [{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 1}}]\n"
        "  large: [{devices: all, mig-enabled: true, mig-devices: {7g.40gb: 1}}]\n",
        encoding="utf-8",
    )
    file = {"mig_partition_mig_parted_config": str(tmp_path / "mig-parted.yaml")}
    single = {"mig_device_plugin_strategy": "single"}
    hosts = [
        place.host("shared", mig_device_plugin_time_slicing=SHARED, **file, mig_partition_mig_parted_label="small"),
        # It has another layout than its inventory says.
        place.host("wrong", mig=("2g.10gb",), **single, **file, mig_partition_mig_parted_label="large"),
        # Its layout has no name.
        place.host("unnamed", **single, mig_partition_layout=[{"instances": {"1g.5gb": 1}}]),
    ]
    for host in hosts:
        place.label(host.name, **{"nvidia.com/mig.config": "large", "nvidia.com/mig.config.state": "failed"})
    place.deploy(OPERATOR, cluster_policy("configs"), *operators())
    place.run(*hosts).failed()
    shared, wrong, unnamed = labels = [place.labels(host.name) for host in hosts]
    # What is wanted alike is one configuration.
    assert shared[CONFIG] != wrong[CONFIG] == unnamed[CONFIG]
    assert place.configs(OPERATOR, "configs").keys() == {one[CONFIG] for one in labels}
    assert (shared["nvidia.com/mig.config"], shared["nvidia.com/mig.config.state"]) == ("small", "success")
    assert [name for one in (wrong, unnamed) for name in one if name.startswith("nvidia.com/mig.config")] == []


@pytest.mark.prove
def test_what_it_refuses_for_the_gpu_operator_it_says_how_to_mend(place):
    host = place.host("refused-1")
    place.label(host.name, **{f"{LABEL}mig-manager": "true"})
    manager = daemon_set("nvidia-mig-manager", OPERATOR, "nvidia-mig-manager", {f"{LABEL}mig-manager": "true"})
    place.deploy(OPERATOR, cluster_policy(), *operators(None, environment={"MIG_STRATEGY": "single"}), manager)
    before = place.labels(host.name)
    for words in ("MIG Manager", "names no ConfigMap", "sets the MIG strategy single"):
        message = reason(place.run(host, tasks_from="check", mig_expose_target=[]).failed())
        assert words in message
        # What the message says to do, as it says it.
        commands = (
            message[message.index("kubectl ") :] if "names no" in message else message[message.rindex("kubectl ") :]
        )
        for command in commands.split(" && "):
            place.cluster.kubectl(*shlex.split(command.strip())[1:])
        # Where there is an operator, it follows.
        place.cluster.apply(*operators("device-plugin-configs", environment={"MIG_STRATEGY": "single"}))
    assert CONFIG not in before
    place.cluster.apply(*operators("device-plugin-configs"))
    place.cluster.kubectl("set", "env", "daemonset", "--all", "MIG_STRATEGY-", f"--namespace={OPERATOR}")
    place.run(host, tasks_from="check", mig_expose_target=[]).ok()
    assert CONFIG not in place.labels(host.name)


@pytest.mark.prove
def test_helms_configuration_and_the_nodes_without_one(place):
    host = place.host("helm-1")
    place.deploy(CHART, *charts(), configs=("release-configs", {"theirs": "version: v1\n"}))
    message = reason(place.run(host).failed())
    assert "helm upgrade release nvdp/nvidia-device-plugin" in message
    assert "--set config.default=theirs" in message
    assert place.configs(CHART, "release-configs").keys() == {"theirs"}

    place.deploy(CHART, *charts(fallbacks="empty"))
    run = place.run(host).failed()
    assert place.configs(CHART, "release-configs").keys() == {"theirs", place.labels(host.name)[CONFIG]}
    # It has no feature discovery, so nobody is asked for labels.
    assert "label nvidia.com" not in reason(run)


@pytest.mark.prove
def test_the_layout_to_come_is_judged_before_anybody_is_disturbed(place):
    target = [{"instances": {"3g.20gb": 1, "1g.5gb": 1}}]
    more = {"mig_partition_layout": target, "mig_partition_expose": ["device_plugin"]}
    host = place.host("target-1", mig_device_plugin_strategy="single", **more)
    place.deploy(OPERATOR, cluster_policy("configs"), *operators())
    before = host.show()["gpus"]
    run = place._run_playbook("gpufleet.mig.partition", [host]).failed()
    message = run.outcome(host)["message"]
    assert "The strategy single needs" in message
    assert "mig_device_plugin_strategy: mixed" in message
    assert host.show()["gpus"] == before

    host.more_variables["mig_device_plugin_strategy"] = "mixed"
    run = place._run_playbook("gpufleet.mig.partition", [host], check=True, diff=True).ok()
    assert changed(run) == {"ConfigMap", "Node"}
    assert host.show()["gpus"] == before


@pytest.mark.prove
def test_a_cluster_without_a_device_plugin_gets_one(place):
    admin = str(place.cluster.kubeconfig)
    host = place.host("own-1", mig_device_plugin_kubernetes_kubeconfig=admin, mig_device_plugin_namespace="own-plugin")
    assert "Node Feature Discovery" in reason(place.run(host).failed())
    check = place.run(host, check=True, mig_device_plugin_feature_discovery=False).ok()
    assert changed(check) == {"Namespace", "Node"}
    assert "would be deployed into the new namespace own-plugin" in check.output
    assert CONFIG not in place.labels(host.name)
    run = place.run(host, mig_device_plugin_feature_discovery=False).failed()
    assert "ClusterRoleBinding" in changed(run), run.output
    name = place.labels(host.name)[CONFIG]
    assert place.configs("own-plugin", "gpufleet-mig-device-plugin").keys() == {name}
    place.cluster.wait("jsonpath={.status.numberReady}=1", "daemonset/nvidia-device-plugin", namespace="own-plugin")
    pods = place.cluster.get("pods", namespace="own-plugin")["items"]
    # Only on the nodes that have a configuration.
    assert [pod["spec"]["nodeName"] for pod in pods] == [host.name]
    place.cluster.kubectl("delete", "namespace/own-plugin")
