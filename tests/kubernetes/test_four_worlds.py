# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that is a Kubernetes node, a Slurm node, a container host and the home of two services gets other slices.

The tests share the host and go in their order.
"""

from __future__ import annotations

import collections
import contextlib
import re

import container_toolkit
import pytest
from kubernetes_cluster import KubernetesCluster, pod
from kubernetes_node import join, slice_of
from kubernetes_nvidia import GpuOperator
from paths import ROOT
from slurm_cluster import SlurmCluster

PARTITION = "gpufleet.mig.partition"
BEFORE, AFTER = {"1g.5gb": 7}, {"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2}
SERVICES = ("web", "batch")
UNIT = "[Service]\nExecStart=/usr/local/bin/client\n"
# It uses the MIG device that it is given.
CLIENT = """#!/bin/sh
[ -z "$CUDA_VISIBLE_DEVICES" ] || exec mig-simulator run --device "$CUDA_VISIBLE_DEVICES" -- sleep infinity
exec sleep infinity
"""


class Worlds:
    """The host, and who gives its MIG devices to somebody."""

    def __init__(self, slurm, cluster):
        self.host = slurm.node
        self.slurm = slurm
        self.cluster = cluster

    def there(self):
        """{UUID: profile} of the MIG devices that there are."""
        return {
            device["uuid"]: device["profile"]
            for instance in self.host.show()["gpus"][0]["instances"]
            for device in instance["compute_instances"]
        }

    def pods_get(self):
        """{profile: count} of what Kubernetes gives to pods."""
        allocatable = self.cluster.get("node", self.host.name)["status"]["allocatable"]
        return _counts(
            {name.removeprefix("nvidia.com/mig-"): count for name, count in allocatable.items() if "/" in name}
        )

    def labels(self):
        """{profile: count} of what the node's labels say."""
        labels = self.cluster.get("node", self.host.name)["metadata"]["labels"]
        return _counts(
            {
                name.removeprefix("nvidia.com/mig-").removesuffix(".count"): count
                for name, count in labels.items()
                if re.fullmatch(r"nvidia\.com/mig-.*\.count", name)
            }
        )

    def jobs_get(self):
        """{profile: count} of what Slurm gives to jobs."""
        shown = self.slurm.controller.run(f"scontrol show node {self.host.name}").stdout
        return _counts(dict(re.findall(r"gpu:a100_([^:,]+):(\d+)", re.search(r"Gres=(\S*)", shown)[1])))

    def containers_can_name(self):
        """The MIG devices that a container can have by its UUID."""
        names = self.host.run("nvidia-ctk --quiet cdi list").stdout.split()
        return {name.partition("=")[2] for name in names if "=MIG-" in name}

    def services_have(self):
        """{service: CUDA_VISIBLE_DEVICES of its process}."""
        found = {}
        for service in SERVICES:
            pid = self.host.run(f"systemctl show --property=MainPID --value {service}").stdout.strip()
            variables = self.host.run(f"cat /proc/{pid}/environ").stdout.split("\0")
            found[service] = next(one.partition("=")[2] for one in variables if one.startswith("CUDA_VISIBLE_DEVICES="))
        return found

    def started(self):
        """What tells of each start of a daemon, a service, an engine or a pod of NVIDIA's."""
        units = ["slurmd", "kubelet", *SERVICES]
        asked = f"systemctl show --property=InvocationID --value {' '.join(units)}"
        pods = self.cluster.get("pods", namespace=GpuOperator.namespace)["items"]
        return [
            self.host.run(asked).stdout.split(),
            self.slurm.controller.run("systemctl show --property=InvocationID --value slurmctld").stdout,
            self.host.run("cat /var/log/docker").stdout,
            sorted(one["metadata"]["uid"] for one in pods),
            [state["restartCount"] for one in pods for state in one["status"]["containerStatuses"]],
        ]

    def restart_plugin(self):
        """Have the DaemonSet make the plugin's pod anew."""
        selector = f"--selector=app={GpuOperator.plugin}"
        self.cluster.kubectl("delete", "pod", f"--namespace={GpuOperator.namespace}", selector)

    def assert_agreement(self):
        """Assert that all of them have what is there."""
        there = self.there()
        counts = collections.Counter(there.values())
        assert self.pods_get() == counts
        assert self.labels() == counts
        assert self.jobs_get() == counts
        self.slurm.wait_until_idle()
        assert self.containers_can_name() == set(there)
        uuids = self.services_have().values()
        assert [there[uuid] for uuid in uuids] == ["1g.5gb"] * 2
        assert len(set(uuids)) == 2


def _counts(found):
    return {name: int(count) for name, count in found.items() if int(count)}


@pytest.fixture(scope="module")
def worlds(systemd_hosts, tmp_path_factory):
    gpus = {"bookworm-slurm-controller": [], "bookworm-slurm-gpu": [{"model": "A100-SXM4-40GB", "count": 1}]}
    slurm = SlurmCluster(*systemd_hosts(gpus))
    slurm.start(BEFORE)
    host = slurm.node
    # What stays leaves holes in the indexes of MIG devices, and then gres.conf has to name them: Slurm's NVML plugin
    # stops at the first hole. The role does that where jobs see nothing but their own devices.
    host.run("echo ConstrainDevices=yes > /etc/slurm/cgroup.conf")
    container_toolkit.install(host)
    host.run("cat > /usr/local/bin/client && chmod 755 /usr/local/bin/client", text=CLIENT)
    for service in SERVICES:
        host.run(f"cat > /etc/systemd/system/{service}.service", text=UNIT)
    # containerd's unit would be the kubelet's engine; this host has another one for its pods.
    host.run("rm /etc/systemd/system/containerd.service; systemctl daemon-reload; systemctl start docker web batch")
    folder = tmp_path_factory.mktemp("kubernetes") / "cluster"
    with KubernetesCluster(folder, host.controller_address()) as cluster:
        join(host, cluster)
        GpuOperator(cluster).install(host.name)
        cluster.kubectl("apply", f"--filename={ROOT / 'docs' / 'kubernetes-rbac.yml'}")
        role, account = "--clusterrole=gpufleet-mig-configurations", "--serviceaccount=gpufleet-mig:mig-drain"
        cluster.kubectl("create", "rolebinding", "gpufleet-mig", f"--namespace={GpuOperator.namespace}", role, account)
        yield Worlds(slurm, cluster)


@pytest.fixture
def partition(worlds, run_playbook):
    """Start the run on the host alone, by default for AFTER: partition(profiles, …)."""
    rights = worlds.cluster.service_account("mig-drain", "gpufleet-mig")

    def start(profiles=None, **options):
        variables = {
            "mig_partition_layout": [{"instances": profiles or AFTER}],
            "mig_partition_drain": ["kubernetes", "slurm", "systemd"],
            "mig_partition_expose": ["device_plugin", "container_runtime", "slurm", "assign"],
            "mig_drain_deadline": 60,
            "mig_drain_kubernetes_kubeconfig": str(rights),
            "mig_device_plugin_deadline": 90,
            "mig_drain_slurm_host": worlds.slurm.controller.name,
            "mig_slurm_types": {"NVIDIA A100*": "a100"},
            "mig_assign_services": [{"name": name, "profile": "1g.5gb"} for name in SERVICES],
        }
        hosts = [worlds.slurm.controller, worlds.host]
        return run_playbook(
            PARTITION,
            hosts,
            limit=worlds.host.name,
            extra_vars={**variables, **options.pop("variables", {})},
            **options,
        )

    return start


def test_four_worlds_follow_the_gpu(worlds, partition):
    partition(BEFORE).ok()
    worlds.assert_agreement()
    had = worlds.services_have()
    before = worlds.started()[0][2:]
    template = pod("train", labels={"app": "train"}, container=slice_of("1g.5gb"))
    template = {key: template[key] for key in ("metadata", "spec")}
    spec = {"selector": {"matchLabels": {"app": "train"}}, "template": template}
    worlds.cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "train", "namespace": "default"},
            "spec": spec,
        }
    )
    worlds.cluster.wait("jsonpath={.status.readyReplicas}=1", "replicaset/train")

    assert partition().ok().outcome(worlds.host)["state"] == "changed"
    assert collections.Counter(worlds.there().values()) == AFTER
    worlds.assert_agreement()
    # The services could keep what they have, and run on; the pod was evicted, and another one is there.
    assert worlds.services_have() == had
    assert worlds.started()[0][2:] == before
    worlds.cluster.wait("jsonpath={.status.readyReplicas}=1", "replicaset/train")


@pytest.mark.prove
def test_check_mode_changes_nothing(worlds, partition):
    partition(BEFORE, check=True, diff=True).ok()
    worlds.assert_agreement()
    assert collections.Counter(worlds.there().values()) == AFTER


@pytest.mark.prove
def test_a_second_run_changes_and_restarts_nothing(worlds, partition):
    before = worlds.started()
    again = partition().ok()
    assert again.outcome(worlds.host)["state"] == "unchanged"
    assert not [one for one in again.results() if one["result"].get("changed")], again.output
    assert worlds.started() == before
    worlds.assert_agreement()


@contextlib.contextmanager
def plugin_that_does_not_start(worlds):
    """NVIDIA's device plugin ends at once."""
    program = "/usr/local/bin/nvidia-device-plugin"
    worlds.host.run(f"mv {program} /root && ln -s /bin/false {program}")
    try:
        worlds.restart_plugin()
        yield {"mig_device_plugin_deadline": 10}
    finally:
        worlds.host.run(f"rm {program} && mv /root/nvidia-device-plugin {program}")
        worlds.restart_plugin()


@contextlib.contextmanager
def toolkit_that_lies(worlds):
    """nvidia-ctk generates a specification with a device that is not there."""
    uuid, *_others = worlds.there()
    worlds.host.run(
        "mv /usr/bin/nvidia-ctk /usr/bin/nvidia-ctk.real; cat > /usr/bin/nvidia-ctk; chmod 755 /usr/bin/nvidia-ctk",
        text=f"""#!/bin/sh
/usr/bin/nvidia-ctk.real "$@" || exit
for word; do case $word in --output=*) sed -i s/{uuid}/MIG-gone/ "${{word#--output=}}";; esac; done
""",
    )
    try:
        yield {}
    finally:
        worlds.host.run("mv /usr/bin/nvidia-ctk.real /usr/bin/nvidia-ctk")


@contextlib.contextmanager
def gres_of_somebody_else(worlds):
    """The first 3g.20gb in gres.conf is none."""
    line = f"NodeName={worlds.host.name} Name=gpu Type=a100_3g.20gb File=/dev/null"
    for host in (worlds.slurm.controller, worlds.host):
        host.run(f"cp -p /etc/slurm/gres.conf /root && sed -i '1i {line}' /etc/slurm/gres.conf")
    try:
        yield {}
    finally:
        for host in (worlds.slurm.controller, worlds.host):
            host.run("mv /root/gres.conf /etc/slurm")


@contextlib.contextmanager
def service_with_its_own_mind(worlds):
    """A drop-in of the administrator has another device than the service's."""
    path = "/etc/systemd/system/web.service.d/99-mine.conf"
    (other,) = (uuid for uuid, profile in worlds.there().items() if profile == "3g.20gb")
    worlds.host.run("cat > /root/mine", text=f"CUDA_VISIBLE_DEVICES={other}\n")
    worlds.host.run(f"cat > {path}", text="[Service]\nEnvironmentFile=/root/mine\n")
    worlds.host.run("systemctl daemon-reload; systemctl restart web")
    try:
        yield {}
    finally:
        worlds.host.run(f"rm {path}; systemctl daemon-reload; systemctl restart web")


@pytest.mark.prove  # of each of these its role's own tests tell as well
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (
            plugin_that_does_not_start,
            # What the kubelet has then is not certain: it may miss the end of a plugin.
            [
                "Kubernetes node bookworm-slurm-gpu",
                "No pod of DaemonSet nvidia-device-plugin-daemonset is ready",
                "Container nvidia-device-plugin of pod gpu-operator/",
                "exit status 1",
            ],
        ),
        (
            toolkit_that_lies,
            [
                "The CDI specification of bookworm-slurm-gpu",
                "Missing: nvidia.com/gpu=MIG-",
                "Named, but not there: nvidia.com/gpu=MIG-gone",
            ],
        ),
        (
            gres_of_somebody_else,
            ["Slurm: slurmd of bookworm-slurm-gpu", "It lacks gpu:a100_3g.20gb (the 3g.20gb MIG-", "slurmd says: "],
        ),
        (
            service_with_its_own_mind,
            ["web.service runs with CUDA_VISIBLE_DEVICES=MIG-", "expected MIG-", "its 1g.5gb on GPU 0"],
        ),
    ],
)
def test_a_broken_world_is_named(worlds, partition, broken, says):
    if collections.Counter(worlds.there().values()) != AFTER:
        partition().ok()
    with broken(worlds) as variables:
        run = partition(variables=variables).failed()
    message = run.outcome(worlds.host)["message"]
    assert [one for one in says if one not in message] == [], message
    assert run.outcome(worlds.host)["stage"] == "expose"
    assert collections.Counter(worlds.there().values()) == AFTER


@pytest.mark.prove
def test_mended_they_agree_again(worlds, partition):
    partition().ok()
    worlds.assert_agreement()
