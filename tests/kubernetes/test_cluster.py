# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The test cluster is a real one where the drain hooks meet it: eviction, budgets, RBAC, an API server that is away."""

from __future__ import annotations

import pytest
from kubernetes_cluster import KubernetesCluster, pod

BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "all-of-them", "namespace": "default"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}},
}


@pytest.fixture(scope="module")
def cluster(kubernetes_cluster):
    kubernetes_cluster.add_nodes("kwok-0", "kwok-1")
    return kubernetes_cluster


def test_an_evicted_pod_goes_and_the_others_stay(cluster):
    cluster.apply(pod("goes", nodeName="kwok-0"), pod("stays", nodeName="kwok-0"), pod("scheduled"))
    cluster.wait("condition=Ready", "pod/goes", "pod/stays", "pod/scheduled")
    before = cluster.get("pod", "stays")["metadata"]["uid"]
    assert cluster.evict("goes").returncode == 0
    cluster.wait("delete", "pod/goes")
    assert cluster.get("pod", "stays")["metadata"]["uid"] == before
    assert cluster.get("pod", "scheduled")["spec"]["nodeName"] in ("kwok-0", "kwok-1")


def test_a_budget_refuses_an_eviction(cluster):
    cluster.apply(BUDGET, pod("guarded", labels={"app": "guarded"}))
    cluster.wait("condition=Ready", "pod/guarded")
    # The disruption controller has seen the pod.
    cluster.wait("jsonpath={.status.currentHealthy}=1", "pdb/all-of-them")
    refused = cluster.evict("guarded")
    assert refused.returncode
    assert "TooManyRequests" in refused.stderr
    assert "would violate the pod's disruption budget" in refused.stderr
    cluster.kubectl("delete", "pdb", "all-of-them")
    assert cluster.evict("guarded").returncode == 0


def test_a_service_account_may_do_what_its_role_says(cluster):
    cluster.kubectl("create", "serviceaccount", "drainer")
    cluster.kubectl("create", "clusterrole", "see-nodes", "--verb=get", "--resource=nodes")
    cluster.kubectl(
        "create", "clusterrolebinding", "drainer", "--clusterrole=see-nodes", "--serviceaccount=default:drainer"
    )
    drainer = cluster.service_account("drainer")
    assert cluster.kubectl("get", "node", "kwok-0", "--output=name", kubeconfig=drainer).stdout == "node/kwok-0\n"
    refused = cluster.kubectl("cordon", "kwok-0", check=False, kubeconfig=drainer)
    assert 'cannot patch resource "nodes"' in refused.stderr


@pytest.mark.prove
def test_an_api_server_that_was_away_knows_what_it_knew(cluster):
    cluster.kubectl("cordon", "kwok-1")
    cluster.stop("kube-apiserver")
    assert "was refused" in cluster.kubectl("get", "nodes", check=False).stderr
    cluster.start("kube-apiserver")
    assert cluster.get("node", "kwok-1")["spec"]["unschedulable"]
    cluster.kubectl("uncordon", "kwok-1")
    cluster.wait("condition=Ready", "node/kwok-0", "node/kwok-1")


@pytest.mark.prove
def test_a_second_cluster_beside_the_first(cluster, tmp_path):
    with KubernetesCluster(tmp_path / "cluster", address="127.0.0.2") as other:
        other.add_nodes("elsewhere")
        assert [node["metadata"]["name"] for node in other.get("nodes")["items"]] == ["elsewhere"]
        assert "elsewhere" not in cluster.kubectl("get", "nodes").stdout
