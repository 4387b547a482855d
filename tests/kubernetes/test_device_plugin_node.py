# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_device_plugin on a real kubelet with NVIDIA's own programs: what pods can have is what is there."""

from __future__ import annotations

import pytest
from kubernetes_nvidia import GpuOperator, discover_features
from paths import ROOT

# Every day test_four_worlds.py does the most of this.
pytestmark = pytest.mark.prove
KUBELET = "gpufleet.mig.kubelet_devices_info"
TIME_SLICING = {
    "mig_device_plugin_time_slicing": {
        "resources": [{"name": "nvidia.com/mig-1g.5gb", "replicas": 3}],
        "renameByDefault": True,
    }
}
SINGLE = {"mig_device_plugin_strategy": "single"}


class Node:
    """The test host that is the cluster's one node, and runs of the role there."""

    def __init__(self, host, cluster, run_playbook, rights):
        self.host = host
        self.cluster = cluster
        self._run_playbook = run_playbook
        self._rights = rights

    def expose(self, *, check=False, **variables):
        """Run the role alone."""
        play = {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {"ansible.builtin.include_role": {"name": f"gpufleet.mig.{name}"}}
                for name in ("mig_driver", "mig_device_plugin")
            ],
        }
        return self._run([play], check=check, **variables)

    def partition(self, instances, **variables):
        """Run the whole change."""
        layout = {"mig_partition_layout": [{"instances": instances}], "mig_partition_expose": ["device_plugin"]}
        return self._run("gpufleet.mig.partition", **layout, **variables)

    def _run(self, playbook, check=False, **variables):
        reached = {"mig_drain_kubernetes_kubeconfig": str(self._rights), "mig_device_plugin_deadline": 90}
        return self._run_playbook(playbook, [self.host], check=check, extra_vars={**reached, **variables})

    def node(self):
        return self.cluster.get("node", self.host.name)

    def allocatable(self):
        """{resource of NVIDIA: how many} of those of which there are any."""
        there = self.node()["status"]["allocatable"]
        return {name: int(count) for name, count in there.items() if name.startswith("nvidia.com/") and count != "0"}

    def labels(self, *names):
        there = self.node()["metadata"]["labels"]
        return [there.get(f"nvidia.com/{name}") for name in names]

    def uuids(self):
        """The MIG devices that there are."""
        return {
            device["uuid"]
            for gpu in self.host.show()["gpus"]
            for instance in gpu["instances"]
            for device in instance["compute_instances"]
        }

    def pods(self):
        """{name of the DaemonSet: UID of its pod}."""
        found = self.cluster.get("pods", "--all-namespaces")["items"]
        return {
            one["metadata"]["ownerReferences"][0]["name"]: one["metadata"]["uid"]
            for one in found
            if one["metadata"].get("ownerReferences") and "deletionTimestamp" not in one["metadata"]
        }


def advertised(run):
    """The UUIDs that the kubelet had at the end of a run."""
    devices = run.results(KUBELET)[-1]["result"]["devices"]
    return {one.partition("::")[0] for ids in devices.values() for one in ids}


def changed(run):
    return [one["task"] for one in run.results() if one["status"] == "changed" or one["result"].get("changed")]


def message(run):
    return run.results("ansible.builtin.assert")[-1]["result"]["msg"]


@pytest.fixture(scope="module")
def operator(bare_gpu_node):
    """What the GPU Operator leaves, with a configuration of others, and the kubeconfig of the documented rights."""
    host, cluster = bare_gpu_node
    one = GpuOperator(cluster)
    one.install(host.name)
    cluster.kubectl("apply", f"--filename={ROOT / 'docs' / 'kubernetes-rbac.yml'}")
    bind = ["create", "rolebinding", "gpufleet-mig", "--clusterrole=gpufleet-mig-configurations"]
    cluster.kubectl(*bind, "--serviceaccount=gpufleet-mig:mig-drain", f"--namespace={one.namespace}")
    return cluster.service_account("mig-drain", "gpufleet-mig")


@pytest.fixture
def theirs(bare_gpu_node, operator, run_playbook):
    host, cluster = bare_gpu_node
    return Node(host, cluster, run_playbook, operator)


def test_time_slicing_with_the_gpu_operator_and_a_second_run(theirs):
    before = theirs.pods()
    run = theirs.expose(**TIME_SLICING).ok()
    assert theirs.allocatable() == {
        "nvidia.com/mig-3g.20gb": 1,
        "nvidia.com/mig-2g.10gb": 1,
        "nvidia.com/mig-1g.5gb.shared": 6,
    }
    assert theirs.labels("mig.strategy", "mig-1g.5gb.count", "mig-1g.5gb.replicas") == ["mixed", "2", "3"]
    assert advertised(run) == theirs.uuids()
    first = theirs.pods()
    assert not set(first.values()) & set(before.values())

    again = theirs.expose(**TIME_SLICING).ok()
    assert changed(again) == []
    assert theirs.pods() == first


def test_devices_that_were_made_anew_are_advertised_though_their_number_is_the_same(theirs):
    """The 2g.10gb and the 1g.5gb change places: all counts are right, and pods would get UUIDs that are gone."""
    before, pods, counts = theirs.uuids(), theirs.pods(), theirs.allocatable()
    (gpu,) = theirs.host.show()["gpus"]
    place = {one["profile"]: one["placement"]["start"] for one in gpu["instances"]}["2g.10gb"]
    for one in gpu["instances"]:
        if one["profile"] != "3g.20gb":
            theirs.host.run(f"nvidia-smi mig -i 0 -gi {one['id']} -dci && nvidia-smi mig -i 0 -gi {one['id']} -dgi")
    places = f"2g.10gb:{2 - place},1g.5gb:{place},1g.5gb:{place + 1}"
    theirs.host.run(f"nvidia-smi mig -i 0 -cgi {places} -C")
    assert theirs.uuids() != before
    run = theirs.expose(**TIME_SLICING).ok()
    assert advertised(run) == theirs.uuids()
    assert theirs.allocatable() == counts
    # Labels speak of counts alone: they were right, and who makes them was left alone.
    now = theirs.pods()
    assert {name for name, uid in now.items() if uid != pods[name]} == {GpuOperator.plugin}


def test_the_whole_change_to_one_profile_with_the_strategy_single(theirs):
    run = theirs.partition({"1g.5gb": 5}, **SINGLE, mig_partition_drain=["kubernetes"]).ok()
    assert run.outcome(theirs.host)["state"] == "changed"
    assert theirs.allocatable() == {"nvidia.com/gpu": 5}
    labels = theirs.labels("mig.strategy", "gpu.count", "gpu.product", "mig-1g.5gb.count", "mig-3g.20gb.count")
    assert labels == ["single", "5", "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", None, None]
    assert advertised(run) == theirs.uuids()


def test_a_plugin_that_cannot_start_fails_the_run_with_the_difference(theirs):
    host, count = theirs.host, len(theirs.uuids())
    host.run("mv /usr/local/bin/nvidia-device-plugin /usr/local/bin/away")
    try:
        run = theirs.expose(mig_device_plugin_deadline=10).failed()
    finally:
        host.run("mv /usr/local/bin/away /usr/local/bin/nvidia-device-plugin")
    said = message(run)
    assert f"Kubernetes node {host.name} does not advertise the devices that are there." in said
    assert f"nvidia.com/mig-1g.5gb should be {count} (MIG-" in said
    assert f"nvidia.com/mig-1g.5gb should be {count} in status.allocatable; it is 0." in said
    assert "Container nvidia-device-plugin of pod gpu-operator/nvidia-device-plugin-daemonset-" in said
    assert "exit status 127" in said
    again = theirs.expose().ok()
    assert advertised(again) == theirs.uuids()
    assert theirs.allocatable() == {"nvidia.com/mig-1g.5gb": count}


def test_a_plugin_of_our_own_where_there_is_none(bare_gpu_node, run_playbook):
    host, cluster = bare_gpu_node
    ours = Node(host, cluster, run_playbook, cluster.kubeconfig)
    if GpuOperator.plugin in ours.pods():
        GpuOperator(cluster).remove()
    discover_features(cluster)
    run = ours.expose().ok()
    assert ours.allocatable() == {"nvidia.com/mig-1g.5gb": 5}
    assert ours.labels("mig.strategy", "mig-1g.5gb.count", "gpu.replicas") == ["mixed", "5", "0"]
    assert advertised(run) == ours.uuids()
    pods = ours.pods()
    assert pods.keys() == {"nvidia-device-plugin", "gpu-feature-discovery"}
    again = ours.expose().ok()
    assert (changed(again), ours.pods()) == ([], pods)
