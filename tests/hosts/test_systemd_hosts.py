# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The test hosts themselves: GPUs as the system's, reboot and power cut, and nothing left when they end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from pathlib import Path

import machines
import pytest


@pytest.fixture(scope="module")
def hosts(systemd_hosts):
    a100 = [{"model": "A100-SXM4-40GB", "count": 2}]
    return systemd_hosts({"bookworm-1": a100, "trixie-1": a100})


@pytest.mark.prove
@pytest.mark.parametrize("place", [0, 1])
def test_every_program_finds_the_gpus_and_a_reboot_ends_their_instances(hosts, place):
    host = hosts[place]
    assert host.run("nvidia-smi -L", sudo=False).stdout.count("A100-SXM4-40GB") == 2
    for change in (host.reboot, host.power_cut):
        host.run("nvidia-smi -mig 1; nvidia-smi mig -cgi 3g.20gb -C")
        assert host.run("nvidia-smi -L").stdout.count("MIG-") == 2
        change()
        assert host.run("nvidia-smi -L", sudo=False).stdout.count("MIG-") == 0
        host.run("ls /dev/nvidia0 /dev/nvidiactl", sudo=False)
        assert host.run("ls /proc/driver/nvidia/gpus", sudo=False).stdout.count("0000:") == 2


def test_two_runs_at_once_and_what_is_left_of_a_killed_one(tmp_path):
    """Each run has addresses of its own; whatever way it ends, its hosts end, and the next run is not disturbed."""
    if reason := machines.missing():
        pytest.skip(reason)
    owner = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    folders = [tmp_path / name for name in ("killed", "owned", "next")]
    try:
        killed = machines.up(folders[0], {"host": "bookworm"})["host"]
        owned = machines.up(folders[1], {"host": "bookworm"}, owner=owner.pid)["host"]
        assert killed["ansible_host"] != owned["ansible_host"]

        supervisor, machine = (int((folders[0] / name).read_text()) for name in ("supervisor", "host/pid"))
        ends = [os.pidfd_open(machine)]
        os.kill(supervisor, signal.SIGKILL)
        select.select(ends, [], [])
        assert machines.wait_until_up(owned)
        machines.up(folders[2], {"host": "bookworm"})

        ends = [os.pidfd_open(int((folders[1] / "supervisor").read_text()))]
        owner.communicate()
        select.select(ends, [], [])
        bridge = f"/sys/class/net/migbr{owned['ansible_host'].split('.')[2]}"
        assert not os.path.exists(bridge)
    finally:
        owner.kill()
        for folder in folders:
            machines.down(folder)
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
