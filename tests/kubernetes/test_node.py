# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real kubelet and NVIDIA's plugin on a test host: pods get MIG devices, and the collection names them as holders.

The tests share the host and go in their order: the last ones have the plugin in other forms than the GPU Operator's.
"""

from __future__ import annotations

import pytest
from kubernetes_cluster import pod
from kubernetes_node import resources, slice_of, wait_for_devices
from kubernetes_nvidia import CONFIG_LABEL, GpuOperator, PluginChart

# Every day test_four_worlds.py does the most of this.
pytestmark = pytest.mark.prove
FACTS = "gpufleet.mig.mig_facts"
PLAY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.include_role": {"name": "gpufleet.mig.mig_driver"}},
            {FACTS: {"gather": ["instances", "processes"]}},
        ],
    }
]


@pytest.fixture(scope="module")
def host(gpu_node):
    return gpu_node[0]


@pytest.fixture(scope="module")
def cluster(gpu_node):
    return gpu_node[1]


@pytest.fixture
def devices(host, run_playbook):
    """devices() reads {profile: the MIG devices of that profile} as mig_facts has them."""

    def read():
        run = run_playbook(PLAY, [host]).ok()
        found = {}
        for gpu in run.result(FACTS)["ansible_facts"]["mig"]["gpus"]:
            for instance in gpu["instances"]:
                for device in instance["compute_instances"]:
                    found.setdefault(device["profile"], []).append(device)
        return found

    return read


def holder(manifest, cluster):
    """How facts name this pod."""
    metadata = manifest["metadata"]
    found = cluster.get("pod", metadata["name"], namespace=metadata["namespace"])["metadata"]
    return {"uid": found["uid"], "namespace": found["namespace"], "name": found["name"]}


def environment_of(host, pid):
    """The environment variables of a process there."""
    lines = host.run(f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def lives(cluster, *names):
    """[(UID, how often its container was started again)] of pods that run."""
    pods = [cluster.get("pod", name) for name in names]
    return [(one["metadata"]["uid"], one["status"]["containerStatuses"][0]["restartCount"]) for one in pods]


def test_each_pod_holds_its_own_mig_device(host, cluster, devices):
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    pods = {
        "3g.20gb": pod("train", container=slice_of("3g.20gb")),
        "2g.10gb": pod("notebook", namespace="team", container=slice_of("2g.10gb")),
        "1g.5gb": pod("service", container=slice_of("1g.5gb")),
    }
    cluster.apply(*pods.values())
    cluster.wait("condition=Ready", "pod/train", "pod/service")
    cluster.wait("condition=Ready", "pod/notebook", namespace="team")
    found = devices()
    for profile, manifest in pods.items():
        wanted = holder(manifest, cluster)
        (device,) = [one for one in found[profile] if one["allocated_to"]]
        assert device["allocated_to"] == [wanted]
        (process,) = device["processes"]
        assert process["pod"] == wanted
        assert process["name"] == "sleep"
        assert environment_of(host, process["pid"])["NVIDIA_VISIBLE_DEVICES"] == device["uuid"]
        # The kubelet's socket gives what its checkpoint has.
        checkpoint = host.run("cat /var/lib/kubelet/device-plugins/kubelet_internal_checkpoint").stdout
        assert device["uuid"] in checkpoint
    free = [device for device in found["1g.5gb"] if not device["allocated_to"]]
    assert [device["processes"] for device in free] == [[]]


def test_an_evicted_pod_ends_and_the_others_stay(cluster, devices):
    before = lives(cluster, "train", "service")
    assert cluster.evict("notebook", namespace="team").returncode == 0
    cluster.wait("delete", "pod/notebook", namespace="team")
    (device,) = devices()["2g.10gb"]
    assert (device["allocated_to"], device["processes"]) == ([], [])
    assert lives(cluster, "train", "service") == before


def test_a_pod_that_ignores_sigterm_lives_until_its_grace_ends(host, cluster, devices):
    command = ["sh", "-c", "trap 'touch /tmp/asked' TERM; while :; do sleep 1; done"]
    stubborn = pod("stubborn", container={"command": command, **slice_of("2g.10gb")}, terminationGracePeriodSeconds=3)
    cluster.apply(stubborn)
    cluster.wait("condition=Ready", "pod/stubborn")
    cluster.evict("stubborn")
    cluster.wait("delete", "pod/stubborn")
    host.run("rm /tmp/asked")
    (device,) = devices()["2g.10gb"]
    assert (device["allocated_to"], device["processes"]) == ([], [])


def test_a_container_that_is_killed_is_started_again(host, cluster, devices):
    (device,) = devices()["3g.20gb"]
    (process,) = device["processes"]
    ((uid, restarts),) = lives(cluster, "train")
    host.run(f"kill -KILL {process['pid']}")
    cluster.wait(f"jsonpath={{.status.containerStatuses[0].restartCount}}={restarts + 1}", "pod/train")
    cluster.wait("condition=Ready", "pod/train")
    assert lives(cluster, "train") == [(uid, restarts + 1)]
    (again,) = devices()["3g.20gb"]
    assert again["processes"][0]["pod"] == process["pod"]
    assert again["processes"][0]["pid"] != process["pid"]


def wait_for_label(cluster, node, name, value):
    cluster.wait(f"jsonpath={{.metadata.labels.{name.replace('.', chr(92) + '.')}}}={value}", f"node/{node}")


def plugin_pods(cluster, form):
    """[(UID, restarts of each container)] of the plugin and of feature discovery."""
    pods = cluster.get("pods", namespace=form.namespace)["items"]
    return [
        (pod["metadata"]["uid"], [one["restartCount"] for one in pod["status"]["containerStatuses"]]) for pod in pods
    ]


@pytest.mark.parametrize("form", [GpuOperator, PluginChart])
def test_a_label_gives_the_plugin_another_configuration(host, cluster, form):
    if form is PluginChart:
        GpuOperator(cluster).remove()
        PluginChart(cluster).install(host.name)
    for resource, count in resources(host).items():
        wait_for_devices(cluster, host.name, resource, count)
    wait_for_label(cluster, host.name, "nvidia.com/mig-1g.5gb.product", "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb")
    before = plugin_pods(cluster, form)
    cluster.kubectl("label", "node", host.name, f"{CONFIG_LABEL}=shared")
    wait_for_devices(cluster, host.name, "nvidia.com/mig-1g.5gb", 4)
    wait_for_label(cluster, host.name, "nvidia.com/mig-1g.5gb.product", "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb-SHARED")
    cluster.kubectl("label", "node", host.name, f"{CONFIG_LABEL}-")
    wait_for_devices(cluster, host.name, "nvidia.com/mig-1g.5gb", 2)
    # They were told so by a signal.
    assert plugin_pods(cluster, form) == before


def test_a_pod_gets_its_device_by_cdi(host, cluster):
    """The plugin names the device to the kubelet, and the kubelet to the runtime."""
    PluginChart(cluster).remove()
    version = host.show()["driver_version"]
    # A CDI specification has the driver's libraries, which are found by its version.
    host.run(
        "library=$(ldconfig -p | awk '/libnvidia-ml.so.1 / {print $NF; exit}') && cd /usr/lib/x86_64-linux-gnu"
        f" && for name in libnvidia-ml libcuda; do cp $library $name.so.{version}; done && ldconfig"
    )
    variables = {"MIG_STRATEGY": "mixed", "DEVICE_LIST_STRATEGY": "cdi-cri", "DRIVER_ROOT_CTR_PATH": "/"}
    options = " ".join(f"--setenv={name}={value}" for name, value in variables.items())
    host.run(f"systemd-run --unit=nvidia-device-plugin {options} /usr/local/bin/nvidia-device-plugin")
    wait_for_devices(cluster, host.name, "nvidia.com/mig-2g.10gb", 1)
    cluster.apply(pod("by-cdi", container=slice_of("2g.10gb")))
    cluster.wait("condition=Ready", "pod/by-cdi")
    used = [
        (device["profile"], environment_of(host, client["pid"]).get("NVIDIA_VISIBLE_DEVICES"))
        for instance in host.show()["gpus"][0]["instances"]
        for device in instance["compute_instances"]
        for client in device["clients"]
    ]
    assert ("2g.10gb", None) in used
