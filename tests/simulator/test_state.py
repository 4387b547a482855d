# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state file: never torn, and where it is damaged a clear error."""

from __future__ import annotations

import os
import subprocess
import sys

import pynvml as n
import pytest
from mig_calls import create


def test_writers_killed_at_any_moment_leave_no_torn_state(plain, tmp_path):
    subprocess.run([plain("torn_state"), tmp_path / "state", "200", "1"], check=True)


def test_changes_of_many_processes_at_once_are_all_there(host):
    host.command("init", "--mig", "A100-SXM4-40GB:7")
    code = (
        "import sys\ngpu = nvmlDeviceGetHandleByIndex(int(sys.argv[1]))\n"
        "for _ in range(7):\n    nvmlGpuInstanceCreateComputeInstance(nvmlDeviceCreateGpuInstance(gpu, 19), 0)\n"
    )
    begin = "from pynvml import *\nnvmlInit()\n"
    started = [
        subprocess.Popen([sys.executable, "-c", begin + code, str(index)], env=host.environment) for index in range(7)
    ]
    assert [process.wait() for process in started] == [0] * 7
    gpus = host.show()["gpus"]
    assert [len(gpu["instances"]) for gpu in gpus] == [7] * 7
    uuids = [gi["compute_instances"][0]["uuid"] for gpu in gpus for gi in gpu["instances"]]
    assert len(set(uuids)) == 49


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message", "code"),
    [
        (lambda content: content[:-1], "is damaged; make it anew", n.NVML_ERROR_UNKNOWN),
        (lambda content: content + b"\0", "is damaged; make it anew", n.NVML_ERROR_UNKNOWN),
        (lambda content: content[:4096], "is damaged; make it anew", n.NVML_ERROR_UNKNOWN),
        (lambda content: b"", "is not a state file", n.NVML_ERROR_UNKNOWN),
        (lambda content: b"#!/bin/sh\n" * 100, "is not a state file", n.NVML_ERROR_UNKNOWN),
        (
            lambda content: content[:8] + bytes(8) + content[16:],
            "was made by another build of the simulator",
            n.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        ),
        (lambda content: content.replace(b"580.95.05", b"580.95.06"), "is damaged", n.NVML_ERROR_UNKNOWN),
    ],
)
def test_a_damaged_file_is_a_clear_error(nvml, host, refused, damage, message, code):
    host.command("init", "A100-SXM4-40GB")
    replace(host.state, damage(host.state.read_bytes()))
    assert message in host.command("show", status=1).stderr
    refused(code, n.nvmlInit)
    host.command("init", "A100-SXM4-40GB")
    nvml()


def test_what_is_no_file_is_a_clear_error(host, nvml, refused):
    host.state.mkdir()
    assert "is not a state file" in host.command("show", status=1).stderr
    assert "is there and not a file" in host.command("init", "A100-SXM4-40GB", status=1).stderr
    refused(n.NVML_ERROR_UNKNOWN, n.nvmlInit)


def test_without_a_host_the_driver_is_not_loaded(nvml, refused):
    refused(n.NVML_ERROR_DRIVER_NOT_LOADED, n.nvmlInit)
    refused(n.NVML_ERROR_UNINITIALIZED, n.nvmlDeviceGetCount)


def test_sessions_are_counted_by_reference(nvml, refused):
    nvml("A100-SXM4-40GB")
    n.nvmlInit()
    n.nvmlShutdown()
    assert n.nvmlDeviceGetCount() == 1
    n.nvmlShutdown()
    refused(n.NVML_ERROR_UNINITIALIZED, n.nvmlDeviceGetCount)
    refused(n.NVML_ERROR_UNINITIALIZED, n.nvmlShutdown)


def test_one_process_visits_several_hosts(nvml, host, monkeypatch, tmp_path):
    nvml("A100-SXM4-40GB")
    monkeypatch.setitem(host.environment, "MIG_SIMULATOR_STATE", str(tmp_path / "other"))
    monkeypatch.setenv("MIG_SIMULATOR_STATE", str(tmp_path / "other"))
    assert n.nvmlDeviceGetCount() == 1  # a session stays on its host
    nvml("H100-SXM5-80GB:2")
    assert n.nvmlDeviceGetCount() == 2
    monkeypatch.setenv("MIG_SIMULATOR_STATE", str(host.state))
    assert n.nvmlDeviceGetName(nvml()) == "NVIDIA A100-SXM4-40GB"


def test_the_library_is_loaded_and_closed_again_and_leaves_nothing(host):
    host.command("init", "A100-SXM4-40GB")
    code = (
        "import _ctypes, ctypes\n"
        "for _ in range(20):\n"
        "    library = ctypes.CDLL('libnvidia-ml.so.1')\n"
        "    assert library.nvmlInit_v2() == 0\n"
        "    _ctypes.dlclose(library._handle)\n"
        f"print(open('/proc/self/maps').read().count({str(host.state)!r}))\n"
    )
    assert host.program(sys.executable, "-c", code).stdout == "0\n"


def test_a_session_sees_what_others_do_at_once(nvml, host):
    gpu = nvml("A100-SXM4-40GB")
    assert host.python("nvmlDeviceSetMigMode(gpu, 1)").returncode == 0
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]


def test_a_host_that_was_replaced_is_lost_to_open_sessions(nvml, host, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    host.command("init", "--mig", "A100-SXM4-40GB")
    refused(n.NVML_ERROR_GPU_IS_LOST, n.nvmlDeviceCreateGpuInstance, gpu, 19)
    create(nvml(), 19)
    assert len(host.show()["gpus"][0]["instances"]) == 1


def test_the_machine_rebooted_when_its_boot_id_is_another(host, plain, tmp_path):
    host.command("init", "--mig", "A100-SXM4-40GB", "H100-SXM5-80GB")
    assert host.python("nvmlDeviceCreateGpuInstance(gpu, 9)").returncode == 0
    subprocess.run([plain("another_boot"), host.state], check=True)
    gpus = host.show()["gpus"]
    assert [gpu["mig_mode"] for gpu in gpus] == [True, False]
    assert gpus[0]["instances"] == []
    assert host.python("nvmlDeviceCreateGpuInstance(gpu, 9)").returncode == 0
    assert len(host.show()["gpus"][0]["instances"]) == 1  # it reboots once


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_who_may_not_write_the_state_still_reads(host):
    host.command("init", "--mig", "A100-SXM4-40GB")
    host.open_to_other_users()
    host.state.chmod(0o644)
    code = (
        "import os, subprocess\nnvmlShutdown()\nos.setresuid(65534, 65534, 65534)\nnvmlInit()\n"
        "gpu = nvmlDeviceGetHandleByIndex(0)\n"
        "print(nvmlDeviceGetMigMode(gpu), flush=True)\ninput()\nprint(nvmlDeviceGetMigMode(gpu))\n"
    )
    begin = "from pynvml import *\nnvmlInit()\n"
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", begin + code]
    with subprocess.Popen(command, env=host.environment, stdin=pipe, stdout=pipe, text=True) as reader:
        assert reader.stdout.readline() == "[1, 1]\n"
        assert host.python("nvmlDeviceSetMigMode(gpu, 0)").returncode == 0
        assert reader.communicate("\n")[0] == "[0, 0]\n"


@pytest.mark.parametrize("seed", [1, 2])
def test_any_content_of_the_file_is_survived(host, sanitized, seed):
    host.command("init", "--mig", "A100-SXM4-40GB:3")
    subprocess.run([sanitized("fuzz_state"), host.state, "600", str(seed)], check=True)


@pytest.mark.parametrize(("seed", "strange"), [(1, "gi-ids=scattered"), (2, "random:1"), (3, "random:2")])
def test_any_calls_of_the_api_leave_a_host_that_holds(host, sanitized, seed, strange):
    host.command("init", "--mig", "--strange", strange, "A100-SXM4-40GB", "H100-SXM5-80GB", "L40S-48GB")
    subprocess.run([sanitized("fuzz_api"), host.state, "80", str(seed)], check=True)
