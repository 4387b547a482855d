# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The golden table is what NVIDIA's device plugin serves on simulated GPUs, or says why not, row by row."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading

import pytest
from go_programs import kubernetes_programs
from golden_table import ROWS
from kubernetes_node import nvidia_programs

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.sharing import config

# Where the plugin looks: the simulated driver's files, and its sockets in a folder that is seen from outside.
ISOLATED = """
mount --bind "$1" /proc/driver
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/kubelet/device-plugins
mount --bind "$2" /var/lib/kubelet/device-plugins
export PATH="$PATH:$4"
exec "$3"
"""
DEADLINE = 20  # seconds that the plugin has to serve what the row says
# What the plugin asks for MPS before it serves.
MPS_CONTROL = "#!/bin/sh\ncat > /dev/null; echo 100.0\n"


@pytest.fixture
def served(tmp_path):
    """served(host, configuration, count): what the plugin serves, {resource: [device ids]}, and all that it has said.

    It serves ``count`` resources when they are read, or has ended.
    """
    if os.geteuid():
        pytest.skip("the device plugin needs root for its mounts")
    running = []

    def start(host, text, count):
        sockets, programs = tmp_path / "sockets", tmp_path / "programs"
        for folder in (sockets, programs):
            folder.mkdir()
        (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
        control = programs / "nvidia-cuda-mps-control"
        control.write_text(MPS_CONTROL, encoding="utf-8")
        control.chmod(0o755)
        command = ["unshare", "--mount", "sh", "-euc", ISOLATED, "sh", f"{host.state}.proc/driver", sockets]
        process = subprocess.Popen(
            [*command, nvidia_programs()["nvidia-device-plugin"], programs],
            env={
                **os.environ,
                **host.environment,
                "CONFIG_FILE": str(tmp_path / "config.yaml"),
                "MPS_ROOT": str(tmp_path / "mps"),
                "KUBELET_SOCKET": "",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # One that serves less ends then, and what it has said tells the rest.
        deadline = threading.Timer(DEADLINE, process.terminate)
        deadline.start()
        running.append((process, deadline))
        said, serving = [], 0
        while serving < count or not count:
            line = process.stdout.readline()
            said.append(line)
            serving += "Starting to serve" in line
            if not line or "No devices found" in line:
                break
        show = [kubernetes_programs() / "device-plugins"]
        shown = subprocess.run(show, cwd=sockets, stdout=subprocess.PIPE, text=True, check=True).stdout
        # It takes signals once it has started all that it serves.
        process.send_signal(signal.SIGTERM)
        said.append(process.communicate()[0])
        found = {f"nvidia.com/{name.removeprefix('nvidia-')}": ids for name, ids in json.loads(shown).items()}
        return found, "".join(said)

    yield start
    for process, deadline in running:
        deadline.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_plugin_serves_the_resources_of_the_row(row, table_hosts, served):
    if row.refusal and not row.plugin:
        return  # refused for the sake of users
    found, said = served(table_hosts(row.layout), config(row.strategy, **row.shared)[1], len(row.resources or ()))
    if row.refusal:
        assert row.plugin in said
        return
    assert {name: len(ids) for name, ids in found.items()} == row.resources, said
    assert set(re.findall(r"Starting to serve '(\S+)'", said)) == set(row.resources)


def test_a_part_of_a_gpu_instance_is_served_as_if_it_were_the_whole(table_hosts, served):
    """Which is why the role refuses it."""
    found, said = served(table_hosts("compute instances"), config("mixed")[1], 2)
    assert {name: len(ids) for name, ids in found.items()} == {
        "nvidia.com/mig-3g.20gb": 2,
        "nvidia.com/mig-1g.5gb": 1,
    }, said
