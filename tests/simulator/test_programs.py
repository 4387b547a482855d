# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C clients: everything read under sanitizers and under valgrind, and what reading costs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HEADERS = Path(__file__).parents[2] / "roles/mig_simulator/files"
FILL = "for _ in range(7):\n    nvmlGpuInstanceCreateComputeInstance(nvmlDeviceCreateGpuInstance(gpu, 19), 0)\n"


@pytest.fixture
def full_host(host):
    """Two GPUs full of MIG devices, one of them busy, and a GPU without MIG."""
    host.command("init", "--mig", "A100-SXM4-40GB:2", "L40S-48GB")
    for index in range(2):
        done = host.python(f"gpu = nvmlDeviceGetHandleByIndex({index})\n{FILL}")
        assert done.returncode == 0, done.stderr
    uuid = host.show()["gpus"][0]["instances"][3]["compute_instances"][0]["uuid"]
    host.client("run", "--device", uuid)
    return host


def test_everything_is_read_under_sanitizers(full_host, sanitized):
    done = full_host.program(sanitized("read_everything"), "2")
    assert done.stdout.startswith("14 MIG devices"), done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
def test_everything_is_read_under_valgrind(full_host, plain):
    done = full_host.program(
        "valgrind", "--quiet", "--error-exitcode=3", "--leak-check=full", plain("read_everything"), "2"
    )
    assert done.returncode == 0, done.stderr


def test_a_program_linked_against_the_library_runs(full_host, simulator_build, tmp_path):
    source = Path(__file__).parent / "programs" / "read_everything.c"
    command = ["cc", f"-I{HEADERS}", "-o", tmp_path / "linked", source, simulator_build / "libnvidia-ml.so.1"]
    subprocess.run(command, check=True)
    done = full_host.program(tmp_path / "linked")
    assert done.stdout.startswith("14 MIG devices"), done.stdout + done.stderr


def test_what_reading_eight_full_gpus_costs(host, plain, capsys):
    """Printed, not judged."""
    host.command("init", "--mig", "A100-SXM4-40GB:8")
    for index in range(8):
        host.python(f"gpu = nvmlDeviceGetHandleByIndex({index})\n{FILL}")
    done = host.program(plain("read_everything"), "50")
    assert done.stdout.startswith("56 MIG devices"), done.stderr
    with capsys.disabled():
        print(f"\n{done.stdout.strip()}")
