# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A test host (systemd_hosts.py) as a node: a real kubelet, a device plugin, pods whose processes use GPUs."""

from __future__ import annotations

import json
import shlex
import subprocess

from go_programs import kubernetes_programs

PROGRAM = "/usr/local/bin/kubernetes"
NAMES = ("kubelet", "container-runtime", "nvidia-device-plugin")
DEPLOY = "nvidia.com/gpu.deploy.device-plugin"
KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "containerRuntimeEndpoint": "unix:///run/container-runtime.sock",
    "staticPodPath": "/etc/kubernetes/manifests",
    "address": "127.0.0.1",
    "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "nodeStatusUpdateFrequency": "1s",  # so that new devices are there to schedule onto
    # A test host has no cgroup controllers and no own file system, and shares memory and disk with all others.
    "cgroupDriver": "cgroupfs",
    "cgroupsPerQOS": False,
    "enforceNodeAllocatable": [],
    "failCgroupV1": False,
    "failSwapOn": False,
    "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
    "imageGCHighThresholdPercent": 100,
    "makeIPTablesUtilChains": False,
    "resolvConf": "",
}
# What the kubelet sets for the whole kernel: here it sets copies.
SYSCTLS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
)
COPIES = "/var/lib/kubelet-sysctl"
RUNTIME_UNIT = """
[Service]
Type=exec
ExecStart=/usr/local/bin/container-runtime /run/container-runtime.sock
"""
KUBELET_UNIT = """
[Unit]
Wants=container-runtime.service
After=container-runtime.service

[Service]
Type=exec
RuntimeDirectory=kubelet
WorkingDirectory=/run/kubelet
# It wants to read of the kernel's out-of-memory kills.
BindPaths=/dev/null:/dev/kmsg
BindPaths={sysctls}
ExecStart=/usr/local/bin/kubelet --config=/etc/kubernetes/kubelet.json --kubeconfig=/etc/kubernetes/kubeconfig \\
    --hostname-override={name} --node-ip={address}

[Install]
WantedBy=multi-user.target
"""
# Where it is and what it is called in NVIDIA's operator, whose labels say where it runs.
NAMESPACE = "gpu-operator"
DEVICE_PLUGIN = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "nvidia-device-plugin-daemonset", "namespace": NAMESPACE},
    "spec": {
        "selector": {"matchLabels": {"app": "nvidia-device-plugin-daemonset"}},
        "template": {
            "metadata": {"labels": {"app": "nvidia-device-plugin-daemonset"}},
            "spec": {
                "nodeSelector": {DEPLOY: "true"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                "containers": [{"name": "main", "image": "none", "command": ["nvidia-device-plugin"]}],
            },
        },
    },
}


def join(host, cluster):
    """Make this host a node of the cluster, whose devices may be scheduled when this returns.

    The container of a pod there is its command, a process of the host; one with a device is a client of it.
    """
    address = host.variables()["ansible_host"]
    # The host has an overlay of its own: what it needs is copied.
    with open(kubernetes_programs() / "kubernetes", "rb") as program:
        command = f"cat > {PROGRAM} && chmod +x {PROGRAM}"
        subprocess.run(host.ssh("sudo", "sh", "-c", shlex.quote(command)), stdin=program, check=True)
    host.run(
        f"cd /usr/local/bin && for name in {' '.join(NAMES)}; do ln -s kubernetes $name; done"
        " && mkdir -p /etc/kubernetes/manifests"
        f" && cd /proc/sys && mkdir {COPIES} && cp --parents {' '.join(SYSCTLS)} {COPIES}"
    )
    sysctls = " ".join(f"{COPIES}/{name}:/proc/sys/{name}" for name in SYSCTLS)
    files = {
        "/etc/kubernetes/kubeconfig": cluster.portable_kubeconfig(),
        "/etc/kubernetes/kubelet.json": json.dumps(KUBELET),
        "/etc/systemd/system/container-runtime.service": RUNTIME_UNIT,
        "/etc/systemd/system/kubelet.service": KUBELET_UNIT.format(name=host.name, address=address, sysctls=sysctls),
    }
    for path, text in files.items():
        host.run(f"cat > {path}", text=text)
    host.run("systemctl daemon-reload && systemctl enable --now kubelet.service")
    cluster.wait("create", f"node/{host.name}")
    cluster.wait("condition=Ready", f"node/{host.name}")
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, DEVICE_PLUGIN)
    cluster.kubectl("label", "node", host.name, f"{DEPLOY}=true")
    for resource, count in resources(host).items():
        wait_for_devices(cluster, host.name, resource, count)


def resources(host):
    """{name of the resource: how many of them a kubelet there has} of the host's devices."""
    names = [
        "nvidia.com/mig-" + device["profile"].replace("+", ".")
        for gpu in host.show()["gpus"]
        for instance in gpu["instances"]
        for device in instance["compute_instances"]
    ]
    return {name: names.count(name) for name in names}


def wait_for_devices(cluster, node, resource, count):
    """Wait until so many devices of that resource may be scheduled on the node."""
    path = resource.replace(".", r"\.")
    cluster.wait(f"jsonpath={{.status.allocatable.{path}}}={count}", f"node/{node}")


def slice_of(profile, count=1):
    """What a container's manifest says to get MIG devices of that profile."""
    return {"resources": {"limits": {"nvidia.com/mig-" + profile.replace("+", "."): count}}}
