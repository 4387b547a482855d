# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole story on a real kubelet: a GPU is partitioned anew while pods work on it, and only one of them notices."""

from __future__ import annotations

import pytest
from drain_hooks import FAIL, tasks_file
from kubernetes_cluster import pod
from kubernetes_node import slice_of, wait_for_devices
from layouts import profiles
from paths import ROOT

# Every day test_four_worlds.py does the most of this.
pytestmark = pytest.mark.prove
PARTITION = "gpufleet.mig.partition"
# The fixture's node has 3g.20gb, 2g.10gb and two 1g.5gb: the second is in the way of two more of the last.
LAYOUT = [{"instances": {"3g.20gb": 1, "1g.5gb": 4}}]
# Told to end it works on: what it holds is free when its grace has ended, and not before.
STUBBORN = ["sh", "-c", "trap 'touch /tmp/asked' TERM; while :; do sleep 1; done"]


def deployment(name, profile, **spec):
    """The manifest of one pod that is replaced when it goes, with one MIG device."""
    container = {**slice_of(profile), **spec.pop("container", {})}
    template = pod(name, labels={"app": name}, container=container, **spec)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": template["metadata"], "spec": template["spec"]},
        },
    }


class Story:
    """The node, the cluster it is in, and runs of the playbook with the documented rights."""

    def __init__(self, host, cluster, run_playbook, rights):
        self.host = host
        self.cluster = cluster
        self._run_playbook = run_playbook
        self._rights = rights

    def partition(self, **variables):
        """Start the run."""
        variables = {
            "mig_partition_layout": LAYOUT,
            "mig_partition_drain": ["kubernetes"],
            "mig_drain_kubernetes_kubeconfig": str(self._rights),
            "mig_drain_deadline": 60,
            **variables,
        }
        return self._run_playbook(PARTITION, [self.host], extra_vars=variables)

    def pods(self, *apps):
        """What there is to notice: [(UID, restarts)] of the pods of these deployments."""
        return [
            (one["metadata"]["uid"], [state["restartCount"] for state in one["status"].get("containerStatuses", [])])
            for app in apps
            for one in self.cluster.get("pods", f"--selector=app={app}")["items"]
        ]

    def clients(self):
        """{profile: the processes on MIG devices of that profile, each with its device}."""
        found = {}
        for instance in self.host.show()["gpus"][0]["instances"]:
            for device in instance["compute_instances"]:
                used = [(device["uuid"], client["pid"]) for client in device["clients"]]
                found.setdefault(device["profile"], []).extend(used)
        return found

    def schedulable(self):
        """Whether the node takes pods."""
        return not self.cluster.get("node", self.host.name)["spec"].get("unschedulable", False)


@pytest.fixture
def story(gpu_node, run_playbook):
    host, cluster = gpu_node
    cluster.kubectl("apply", f"--filename={ROOT / 'docs' / 'kubernetes-rbac.yml'}")
    return Story(host, cluster, run_playbook, cluster.service_account("mig-drain", "gpufleet-mig"))


def test_one_pod_is_moved_and_the_others_never_notice(story):
    cluster = story.cluster
    stubborn = {"container": {"command": STUBBORN}, "terminationGracePeriodSeconds": 3}
    cluster.apply(
        deployment("train", "3g.20gb"), deployment("notebook", "2g.10gb", **stubborn), deployment("service", "1g.5gb")
    )
    cluster.wait("condition=Available", *(f"deployment/{name}" for name in ("train", "notebook", "service")))
    stay, (notebook,), clients = story.pods("train", "service"), story.pods("notebook"), story.clients()
    assert [len(clients[profile]) for profile in ("3g.20gb", "2g.10gb", "1g.5gb")] == [1, 1, 1]

    run = story.partition().ok()
    assert story.host.run("cat /tmp/asked", check=False).returncode == 0
    assert run.outcome(story.host)["state"] == "changed"
    assert profiles(story.host) == [LAYOUT[0]["instances"]]
    # The same pods, containers, processes and MIG devices.
    assert story.pods("train", "service") == stay
    assert story.clients() == {profile: clients[profile] for profile in ("3g.20gb", "1g.5gb")}
    assert story.schedulable()
    # The one that was evicted waits for a MIG device that no node has any longer.
    ((waiting, _restarts),) = story.pods("notebook")
    assert waiting != notebook[0]
    # And the new ones have come to the scheduler.
    wait_for_devices(cluster, story.host.name, "nvidia.com/mig-1g.5gb", 4)
    cluster.kubectl("scale", "deployment/service", "--replicas=4")
    cluster.wait("jsonpath={.status.availableReplicas}=4", "deployment/service")
    assert len({device for device, _pid in story.clients()["1g.5gb"]}) == 4


def test_a_hook_that_fails_brings_back_what_those_before_it_have_drained(story, tmp_path):
    host = story.host
    host.run("systemd-run --unit=unrelated sleep infinity")
    host.run("cat > /etc/systemd/system/monitor.service", text="[Service]\nExecStart=/bin/sleep infinity\n")
    host.run("systemctl start monitor")
    started = host.run("systemctl show --property=InvocationID monitor unrelated").stdout.split()
    fails = tasks_file(tmp_path / "fails.yml", [FAIL])
    tasks_file(tmp_path / "fails_restore.yml", [])
    before = story.pods("train"), story.host.show()["gpus"][0]["instances"][0]

    run = story.partition(
        mig_partition_layout=[{"instances": {"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2}}],
        mig_partition_drain=["kubernetes", "systemd", fails],
        mig_drain_systemd_units=["monitor.service"],
    ).failed()
    assert run.outcome(host)["message"] == "This fails on purpose."
    assert run.outcome(host)["hooks"] == ["kubernetes", "systemd", fails]
    assert story.schedulable()
    again = host.run("systemctl show --property=InvocationID monitor unrelated").stdout.split()
    assert again[0] != started[0]  # it was stopped, and runs again
    assert again[1] == started[1]
    assert host.run("systemctl is-active monitor").stdout == "active\n"
    assert not host.run("ls /var/lib/gpufleet-mig/drain.json", check=False).stdout
    assert (story.pods("train"), story.host.show()["gpus"][0]["instances"][0]) == before
    assert profiles(host) == [LAYOUT[0]["instances"]]


def test_a_budget_keeps_the_gpu_as_it_is(story):
    cluster = story.cluster
    guard = {"minAvailable": 1, "selector": {"matchLabels": {"app": "train"}}}
    metadata = {"name": "always-one", "namespace": "default"}
    cluster.apply({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": guard})
    cluster.wait("jsonpath={.status.currentHealthy}=1", "pdb/always-one")
    before = story.pods("train", "service"), story.clients(), story.host.show()["gpus"]

    # Everybody is in the way of that.
    run = story.partition(mig_partition_layout=[{"instances": {"7g.40gb": 1}}], mig_drain_deadline=3).failed()
    message = run.outcome(story.host)["message"]
    assert "always-one" in message
    assert "default/train-" in message
    assert (story.pods("train", "service"), story.clients(), story.host.show()["gpus"]) == before
    assert story.schedulable()


def test_with_nothing_to_change_the_api_server_is_not_asked(story):
    before = story.clients()
    story.cluster.stop("kube-apiserver")
    run = story.partition().ok()
    assert run.outcome(story.host)["state"] == "unchanged"
    assert story.clients() == before
    story.cluster.start("kube-apiserver")
    assert story.schedulable()
