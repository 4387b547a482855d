# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A test host (systemd_hosts.py) as a node: a real kubelet, pods whose processes use GPUs, NVIDIA's programs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from go_programs import kubernetes_programs

NAMES = ("kubelet", "container-runtime")
# NVIDIA's programs, and by which variable another one than that of the module takes its place.
NVIDIA = {
    "nvidia-device-plugin": "NVIDIA_DEVICE_PLUGIN",
    "gpu-feature-discovery": "GPU_FEATURE_DISCOVERY",
    "config-manager": "NVIDIA_CONFIG_MANAGER",
}
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
Environment=KUBERNETES_SERVICE_HOST={host} KUBERNETES_SERVICE_PORT={port}
ExecStart=/usr/local/bin/container-runtime /run/container-runtime.sock
"""
# A driver takes its time. NVIDIA's plugin initialises NVML when it is signalled, between its end and its new start;
# where that takes no time the kubelet may take the new one for the old (kubernetes/kubernetes#121994), and keep or lose
# a resource: without this, after one signal in fifteen.
INITIALISATION = "mig-simulator fault nvmlInit_v2 --times 0 --delay 200"
KUBELET_UNIT = """
[Unit]
Wants=container-runtime.service
After=container-runtime.service

[Service]
Type=exec
RuntimeDirectory=kubelet
WorkingDirectory=/run/kubelet
# What it mounts for containers is to be seen outside: no namespace of mounts of its own.
ExecStartPre=/bin/sh -ec 'cd {copies}; for name in {sysctls}; do mount --bind $name /proc/sys/$name; done'
# It wants to read of the kernel's out-of-memory kills.
ExecStartPre=/bin/sh -ec '[ -e /dev/kmsg ] || touch /dev/kmsg; mount --bind /dev/null /dev/kmsg'
ExecStart=/usr/local/bin/kubelet --config=/etc/kubernetes/kubelet.json --kubeconfig=/etc/kubernetes/kubeconfig \\
    --hostname-override={name} --node-ip={address}

[Install]
WantedBy=multi-user.target
"""


def join(host, cluster):
    """Make this host a node of the cluster, without a device plugin (kubernetes_nvidia.py has those).

    The container of a pod there is its command, a process of the host that sees its own mounts over the host's files;
    one with a device is a client of it.
    """
    host.run(INITIALISATION)
    address = host.variables()["ansible_host"]
    # The host has an overlay of its own: what it needs is copied.
    for name, program in {"kubernetes": kubernetes_programs() / "kubernetes", **nvidia_programs()}.items():
        with open(program, "rb") as content:
            path = f"/usr/local/bin/{name}"
            command = f"cat > {path} && chmod +x {path}"
            subprocess.run(host.ssh("sudo", "sh", "-c", shlex.quote(command)), stdin=content, check=True)
    host.run(
        f"cd /usr/local/bin && for name in {' '.join(NAMES)}; do ln -s kubernetes $name; done"
        " && mkdir -p /etc/kubernetes/manifests"
        f" && cd /proc/sys && mkdir {COPIES} && cp --parents {' '.join(SYSCTLS)} {COPIES}"
    )
    unit = KUBELET_UNIT.format(name=host.name, address=address, copies=COPIES, sysctls=" ".join(SYSCTLS))
    server = urlsplit(cluster.url)
    files = {
        "/etc/kubernetes/kubeconfig": cluster.portable_kubeconfig(),
        "/etc/kubernetes/kubelet.json": json.dumps(KUBELET),
        "/etc/systemd/system/container-runtime.service": RUNTIME_UNIT.format(host=server.hostname, port=server.port),
        "/etc/systemd/system/kubelet.service": unit,
    }
    for path, text in files.items():
        host.run(f"cat > {path}", text=text)
    host.run("systemctl daemon-reload && systemctl enable --now kubelet.service")
    cluster.wait("create", f"node/{host.name}")
    cluster.wait("condition=Ready", f"node/{host.name}")


def nvidia_programs():
    """{name: path} of NVIDIA's programs."""
    return {name: Path(os.environ.get(variable) or kubernetes_programs() / name) for name, variable in NVIDIA.items()}


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
