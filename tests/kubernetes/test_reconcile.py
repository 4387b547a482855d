# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gpufleet.mig.reconcile: nodes that ask for their layout by a label, as NVIDIA's MIG Manager takes it."""

from __future__ import annotations

import pytest
from device_plugin_manifests import daemon_set
from drain_hooks import tasks_file
from layouts import profiles
from paths import ROOT

RECONCILE = "gpufleet.mig.reconcile"
CONFIG, STATE, MANAGER = "nvidia.com/mig.config", "nvidia.com/mig.config.state", "nvidia.com/gpu.deploy.mig-manager"
CONFIGURATIONS = """
version: v1
mig-configs:
  all-disabled:
    - {devices: all, mig-enabled: false}
  all-1g.10gb:
    - {devices: all, mig-enabled: true, mig-devices: {1g.10gb: 7}}
  all-balanced:
    - {devices: all, mig-enabled: true, mig-devices: {1g.10gb: 2, 2g.20gb: 1, 3g.40gb: 1}}
  of-another-gpu:
    - {devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}
"""
BALANCED = {"3g.40gb": 1, "2g.20gb": 1, "1g.10gb": 2}
# What the cluster says of a node at the moment before its GPU changes.
WATCH = [
    {
        "name": "Read the label",
        "kubernetes.core.k8s_info": {
            "kind": "Node",
            "name": "{{ inventory_hostname }}",
            "kubeconfig": "{{ mig_drain_kubernetes_kubeconfig }}",
        },
        "delegate_to": "localhost",
    }
]


class Nodes:
    """Three nodes with a GPU each, and what the cluster says of them."""

    def __init__(self, cluster, hosts):
        self.cluster = cluster
        self.hosts = hosts

    def ask(self, number, config, **labels):
        """Label that node, as an administrator does."""
        words = [f"{key}={value}" for key, value in {CONFIG: config, **labels}.items()]
        self.cluster.kubectl("label", "--overwrite", "node", self.hosts[number].name, *words)

    def labels(self, number):
        """(nvidia.com/mig.config, its state) of that node, None where it has none."""
        labels = self.cluster.get("node", self.hosts[number].name)["metadata"]["labels"]
        return labels.get(CONFIG), labels.get(STATE)


def reason(run, host):
    """With which message that host failed."""
    return [one["result"]["msg"] for one in run.results(host=host) if one["status"] == "failed"][-1]


@pytest.fixture(scope="module")
def rights(kubernetes_cluster):
    """The kubeconfig of the ServiceAccount of docs/kubernetes-rbac.yml."""
    kubernetes_cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gpu-operator"}})
    kubernetes_cluster.kubectl("apply", f"--filename={ROOT / 'docs' / 'kubernetes-rbac.yml'}")
    role, account = "--clusterrole=gpufleet-mig-configurations", "--serviceaccount=gpufleet-mig:mig-drain"
    kubernetes_cluster.kubectl("create", "rolebinding", "gpufleet-mig", "--namespace=gpu-operator", role, account)
    return kubernetes_cluster.service_account("mig-drain", "gpufleet-mig")


@pytest.fixture
def nodes(kubernetes_cluster, rights, simulated_host):
    names = ["first", "second", "third"]
    kubernetes_cluster.kubectl("delete", "nodes", "--all")
    kubernetes_cluster.add_nodes(*names)
    metadata = {"name": "default-mig-parted-config", "namespace": "gpu-operator"}
    kubernetes_cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config.yaml": CONFIGURATIONS}},
    )
    hosts = [simulated_host("H100-SXM5-80GB", name=name) for name in names]
    for host in hosts:
        host.more_variables = {
            "mig_drain_kubernetes_kubeconfig": str(rights),
            "mig_partition_drain": ["kubernetes"],
        }
    return Nodes(kubernetes_cluster, hosts)


def test_each_node_gets_what_its_label_names(nodes, run_playbook, tmp_path):
    nodes.ask(0, "all-balanced", **{MANAGER: "true"})  # the GPU Operator labels it so, with a MIG Manager or without
    nodes.ask(1, "all-1g.10gb", **{STATE: "success"})  # of a time before its reboot
    run_playbook(RECONCILE, nodes.hosts, check=True).ok()
    assert [profiles(host) for host in nodes.hosts] == [[None]] * 3
    assert [nodes.labels(number) for number in range(3)] == [
        ("all-balanced", None),
        ("all-1g.10gb", "success"),
        (None, None),
    ]

    watch = tasks_file(tmp_path / "watch.yml", WATCH)
    run = run_playbook(RECONCILE, nodes.hosts, extra_vars={"mig_partition_tasks": {"before_mode": watch}}).ok()
    watched = [one["result"]["resources"][0] for one in run.results() if one["task"].endswith("Read the label")]
    assert [node["metadata"]["labels"][STATE] for node in watched] == ["pending", "pending"]
    assert [profiles(host) for host in nodes.hosts] == [[BALANCED], [{"1g.10gb": 7}], [None]]
    assert [nodes.labels(number) for number in range(3)] == [
        ("all-balanced", "success"),
        ("all-1g.10gb", "success"),
        (None, None),
    ]
    assert "MIG: 2 changed\n" in run.output


@pytest.mark.prove
def test_without_the_operators_config_map_a_file_says_what_the_names_mean(nodes, run_playbook, tmp_path):
    nodes.ask(0, "all-balanced")
    nodes.cluster.kubectl("delete", "configmap", "--namespace=gpu-operator", "default-mig-parted-config")
    path = tmp_path / "configurations.yaml"
    path.write_text(CONFIGURATIONS, encoding="utf-8")
    file = {"mig_partition_mig_parted_config": str(path)}
    run_playbook(RECONCILE, nodes.hosts, extra_vars=file).ok()
    assert [profiles(host) for host in nodes.hosts] == [[BALANCED], [None], [None]]
    assert nodes.labels(0) == ("all-balanced", "success")
    again = run_playbook(RECONCILE, nodes.hosts, extra_vars=file).ok()
    assert not [one for one in again.results() if one["result"].get("changed")], again.output
    message = reason(run_playbook(RECONCILE, nodes.hosts, limit="first").failed(), "first")
    assert "no ConfigMap gpu-operator/default-mig-parted-config" in message
    assert "mig_device_plugin_mig_config_map" in message
    assert nodes.labels(0) == ("all-balanced", "failed")


@pytest.mark.prove
def test_what_cannot_be_is_said_by_the_label_too(nodes, run_playbook):
    manager = "nvidia-mig-manager"
    nodes.cluster.apply(daemon_set(manager, "gpu-operator", manager, {MANAGER: "true"}))
    nodes.ask(0, "all-balance")
    nodes.ask(1, "of-another-gpu")
    nodes.ask(2, "all-balanced", **{MANAGER: "true", STATE: "success"})
    before = [host.show() for host in nodes.hosts]
    run = run_playbook(RECONCILE, nodes.hosts).failed()
    asks = "Node first is to have nvidia.com/mig.config=all-balance: "
    assert asks in reason(run, "first")
    assert "it has all-1g.10gb, all-balanced, all-disabled, of-another-gpu" in reason(run, "first")
    assert "1g.5gb" in reason(run, "second")
    assert "NVIDIA's MIG Manager runs on node third" in reason(run, "third")
    assert "nvidia.com/gpu.deploy.mig-manager=false" in reason(run, "third")
    assert [host.show() for host in nodes.hosts] == before
    assert [nodes.labels(number)[1] for number in range(3)] == ["failed", "failed", "success"]
    # What is refused disturbs nobody.
    assert not [one for one in nodes.cluster.get("nodes")["items"] if one["spec"].get("unschedulable")]
