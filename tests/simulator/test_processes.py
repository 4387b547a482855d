# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients are real processes: listed and busy for as long as they live."""

from __future__ import annotations

import ctypes
import os
import signal

import pynvml as n
import pytest
from mig_calls import spanning


def lists(device, version=""):
    """Type of client -> its pids on a device."""
    suffix = f"RunningProcesses{version}"
    return {
        kind: [process.pid for process in getattr(n, f"nvmlDeviceGet{kind}{suffix}")(device)]
        for kind in ("Compute", "Graphics", "MPSCompute")
    }


@pytest.mark.parametrize("version", ["_v2", "_v3"])
def test_each_type_of_client_is_on_its_list_until_it_ends(nvml, host, version):
    gpu = nvml("A100-SXM4-40GB:2")
    uuid = n.nvmlDeviceGetUUID(gpu)
    compute = host.client("run", "--device", uuid)
    graphics = host.client("run", "--device", "0", "--type", "graphics")
    mps = host.client("run", "--device", "0", "--type", "mps")
    host.client("hold", "--gpu", "0")
    assert lists(gpu, version) == {"Compute": [compute.pid], "Graphics": [graphics.pid], "MPSCompute": [mps.pid]}
    assert lists(n.nvmlDeviceGetHandleByIndex(1), version) == {"Compute": [], "Graphics": [], "MPSCompute": []}
    compute.end()
    assert lists(gpu, version)["Compute"] == []


def test_a_killed_client_is_gone(nvml, host, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    _unused, compute, device = spanning(gpu, 9)
    client = host.client("run", "--device", n.nvmlDeviceGetUUID(device))
    refused(n.NVML_ERROR_IN_USE, n.nvmlComputeInstanceDestroy, compute)
    os.kill(client.pid, signal.SIGKILL)
    os.waitid(os.P_PID, client.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie still
    assert lists(device)["Compute"] == []
    n.nvmlComputeInstanceDestroy(compute)


def test_a_later_process_of_the_same_pid_is_no_client(nvml, host, plain):
    gpu = nvml("A100-SXM4-40GB")
    assert host.program(plain("earlier_process"), host.state, str(os.getpid())).returncode == 0
    assert lists(gpu)["Compute"] == []
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_SUCCESS


def test_whole_gpu_lists_carry_the_instances_ids(nvml, host):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    _unused, _unused, first = spanning(gpu, 9)
    _unused, _unused, second = spanning(gpu, 9)
    clients = [host.client("run", "--device", n.nvmlDeviceGetUUID(device)) for device in (first, second)]
    want = {
        (client.pid, n.nvmlDeviceGetGpuInstanceId(device), n.nvmlDeviceGetComputeInstanceId(device))
        for client, device in zip(clients, (first, second), strict=True)
    }
    found = n.nvmlDeviceGetComputeRunningProcesses(gpu)
    assert {(process.pid, process.gpuInstanceId, process.computeInstanceId) for process in found} == want
    assert lists(first)["Compute"] == [clients[0].pid]
    assert all(process.usedGpuMemory > 0 for process in found)


def test_lists_follow_the_two_call_protocol(nvml, host):
    gpu = nvml("A100-SXM4-40GB")
    function = n._nvmlGetFunctionPointer("nvmlDeviceGetComputeRunningProcesses")
    count = ctypes.c_uint(0)
    assert function(gpu, ctypes.byref(count), None) == n.NVML_SUCCESS
    client = host.client("run", "--device", "0")
    assert function(gpu, ctypes.byref(count), None) == n.NVML_ERROR_INSUFFICIENT_SIZE
    assert count.value == 1
    assert function(gpu, ctypes.byref(count), None) == n.NVML_ERROR_INVALID_ARGUMENT
    entries = (ctypes.c_ulonglong * 4)()  # of the first version: pid, memory
    assert function(gpu, ctypes.byref(count), entries) == n.NVML_SUCCESS
    assert entries[0] & 0xFFFFFFFF == client.pid
    assert list(entries[2:]) == [0, 0]
    assert function(gpu, None, None) == n.NVML_ERROR_INVALID_ARGUMENT


def test_a_gpu_in_mig_mode_takes_no_client_of_its_own_but_empty(nvml, host):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    host.command("run", "--device", "0", "--", "true")
    spanning(gpu, 9)
    assert "MIG mode" in host.command("run", "--device", "0", "--", "true", status=1).stderr
    assert "no device" in host.command("run", "--device", "1", "--", "true", status=1).stderr
    assert "no device" in host.command("run", "--device", "MIG-x", "--", "true", status=1).stderr


def test_a_command_that_cannot_start_leaves_no_client(nvml, host):
    gpu = nvml("A100-SXM4-40GB")
    assert "No such file" in host.command("run", "--device", "0", "--", "/no/such", status=1).stderr
    assert lists(gpu)["Compute"] == []
