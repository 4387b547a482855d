# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The test hosts themselves: GPUs as the system's, reboot and power cut, and nothing left when they end."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def hosts(systemd_hosts):
    a100 = [{"model": "A100-SXM4-40GB", "count": 2}]
    return systemd_hosts({"bookworm-1": a100, "trixie-1": a100})


@pytest.mark.parametrize("place", [0, 1])
def test_every_program_finds_the_gpus_and_a_reboot_ends_their_instances(hosts, place):
    host = hosts[place]
    python = 'import ctypes; ctypes.CDLL("libnvidia-ml.so.1")'
    assert host.run(f"python3 -c '{python}'", sudo=False)
    assert host.run("nvidia-smi -L", sudo=False).stdout.count("A100-SXM4-40GB") == 2
    for change in (host.reboot, host.power_cut):
        host.run("nvidia-smi -mig 1; nvidia-smi mig -cgi 3g.20gb -C")
        assert host.run("nvidia-smi -L").stdout.count("MIG-") == 2
        change()
        assert host.run("nvidia-smi -L", sudo=False).stdout.count("MIG-") == 0
        host.run("ls /dev/nvidia0 /dev/nvidiactl", sudo=False)
        assert host.run("ls /proc/driver/nvidia/gpus", sudo=False).stdout.count("0000:") == 2
