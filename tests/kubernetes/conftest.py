# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster of which a test host with simulated GPUs is a node."""

from __future__ import annotations

import pytest
from golden_table import bring
from kubernetes_cluster import KubernetesCluster
from kubernetes_node import join, resources, wait_for_devices
from kubernetes_nvidia import GpuOperator
from simulated_host import SimulatedHost


@pytest.fixture(scope="module")
def bare_gpu_node(systemd_hosts, tmp_path_factory):
    """(host, cluster): the host has an A100 with a 3g.20gb, a 2g.10gb and two 1g.5gb, and is the cluster's one node.

    No device plugin is there; GpuOperator and PluginChart of kubernetes_nvidia.py bring one, and take it away again.
    """
    (host,) = systemd_hosts({"gpu-node": [{"model": "A100-SXM4-40GB", "count": 1}]})
    host.run("nvidia-smi -i 0 -mig 1 && nvidia-smi mig -cgi 3g.20gb,2g.10gb,1g.5gb,1g.5gb -C")
    folder = tmp_path_factory.mktemp("kubernetes") / "cluster"
    with KubernetesCluster(folder, host.controller_address()) as cluster:
        join(host, cluster)
        yield host, cluster


@pytest.fixture(scope="module")
def gpu_node(bare_gpu_node):
    """(host, cluster) as of bare_gpu_node, with what NVIDIA's GPU Operator leaves there, strategy mixed.

    Its MIG devices may be scheduled.
    """
    host, cluster = bare_gpu_node
    GpuOperator(cluster).install(host.name)
    for resource, count in resources(host).items():
        wait_for_devices(cluster, host.name, resource, count)
    return host, cluster


@pytest.fixture(scope="module")
def table_hosts(simulator, tmp_path_factory):
    """table_hosts(layout): a simulated host with that layout of the table."""
    made = {}

    def host(layout):
        if layout not in made:
            made[layout] = SimulatedHost("gpu-host", tmp_path_factory.mktemp("hosts") / "host")
            bring(made[layout], layout)
        return made[layout]

    yield host
    for one in made.values():
        one.close()
