# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: the administrator all, readers of the capability file everything but the mode."""

from __future__ import annotations

import ctypes
import os

import pynvml as n
import pytest
from mig_calls import create, mig_devices, possible, spanning

SOMEBODY_ELSE = str(os.geteuid() + 4242)


@pytest.fixture
def capability(host):
    return host.state.with_name("state.proc") / "driver/nvidia/capabilities/mig/config"


def test_the_files_beside_the_state_are_those_of_the_driver(host, capability):
    host.command("init", "--driver", "535.183.01", "A100-SXM4-40GB:2")
    driver = host.state.with_name("state.proc") / "driver"
    assert capability.stat().st_mode & 0o777 == 0o400
    assert capability.stat().st_uid == os.geteuid()
    assert "535.183.01" in (driver / "nvidia/version").read_text()
    monitor = driver / "nvidia/capabilities/mig/monitor"
    assert (monitor.stat().st_mode & 0o777, monitor.read_text().split()[1]) == (0o444, "2")
    assert (driver / "nvidia-caps/nvlink-minors").read_text() == "fabric-mgmt 0\n"
    assert (driver / "nvidia-caps/sys-minors").read_text() == "fabric-imex-mgmt 4323\n"
    minors = dict(line.split() for line in (driver / "nvidia-caps/mig-minors").read_text().splitlines())
    assert (minors["config"], minors["monitor"]) == ("1", "2")
    assert (minors["gpu0/gi0/access"], minors["gpu0/gi0/ci0/access"], minors["gpu0/gi1/access"]) == ("3", "4", "12")
    assert minors["gpu1/gi0/access"] == "138"
    assert len(set(minors.values())) == len(minors) == 2 + 32 * 15 * 9  # of 32 GPUs, whether they are there or not


def test_instances_have_files_while_they_are_there(nvml, host):
    gpu = nvml("--mig", "H100-SXM5-80GB:2")
    capabilities = host.state.with_name("state.proc") / "driver/nvidia/capabilities"

    def shown():
        return sorted(str(path.relative_to(capabilities)) for path in capabilities.glob("gpu*/**/access"))

    _unused, compute, _unused = spanning(n.nvmlDeviceGetHandleByIndex(1), 9, 0, 4)
    create(gpu, 19, 6, 1)
    assert shown() == ["gpu0/mig/gi13/access", "gpu1/mig/gi1/access", "gpu1/mig/gi1/ci0/access"]
    file = capabilities / "gpu1/mig/gi1/ci0/access"
    assert file.read_text() == "DeviceFileModify: 1\nDeviceFileMinor: 148\nDeviceFileMode: 292\n"
    assert file.stat().st_mode & 0o777 == 0o444
    n.nvmlComputeInstanceDestroy(compute)
    assert shown() == ["gpu0/mig/gi13/access", "gpu1/mig/gi1/access"]
    host.command("reboot")
    assert shown() == []
    n.nvmlDeviceSetMigMode(gpu, 1)
    create(gpu, 19)
    host.command("init", "A100-SXM4-40GB")
    assert shown() == []


def test_without_permission_instances_are_neither_changed_nor_seen(nvml, host, refused):
    nvml("--admin-uid", SOMEBODY_ELSE, "--mig", "H100-SXM5-80GB", "A100-SXM4-40GB")
    gpu = n.nvmlDeviceGetHandleByIndex(0)
    for function, *arguments in (
        (n.nvmlDeviceSetMigMode, 0),
        (n.nvmlDeviceCreateGpuInstance, 19),
        (n.nvmlDeviceGetGpuInstances, 19, (n.c_nvmlGpuInstance_t * 7)(), ctypes.byref(ctypes.c_uint())),
        (n.nvmlDeviceGetGpuInstanceById, 1),
        (n.nvmlDeviceGetGpuInstanceRemainingCapacity, 19),
        (possible, 19),
        (n.nvmlDeviceGetComputeRunningProcesses,),
    ):
        refused(n.NVML_ERROR_NO_PERMISSION, function, gpu, *arguments)
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]
    assert n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, 0).id == 19
    assert mig_devices(gpu) == {}


def test_the_capability_file_opens_instances_but_not_the_mode(nvml, host, capability, refused):
    gpu = nvml("--admin-uid", SOMEBODY_ELSE, "--mig", "A100-SXM4-40GB")
    refused(n.NVML_ERROR_NO_PERMISSION, create, gpu, 19)
    os.chmod(capability, 0o444)
    instance, compute, device = spanning(gpu, 19)
    assert n.nvmlDeviceGetComputeRunningProcesses(gpu) == []
    refused(n.NVML_ERROR_NO_PERMISSION, n.nvmlDeviceSetMigMode, gpu, 0)
    os.chmod(capability, 0o000)
    refused(n.NVML_ERROR_NO_PERMISSION, n.nvmlComputeInstanceDestroy, compute)
    refused(n.NVML_ERROR_NO_PERMISSION, n.nvmlGpuInstanceDestroy, instance)
    refused(n.NVML_ERROR_NO_PERMISSION, n.nvmlGpuInstanceCreateComputeInstance, instance, 0)
    assert len(mig_devices(gpu)) == 1
    assert n.nvmlDeviceGetComputeRunningProcesses(device) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_reads_and_is_a_client_but_does_not_change(nvml, host):
    nvml("--mig", "A100-SXM4-40GB")
    host.python("nvmlGpuInstanceCreateComputeInstance(nvmlDeviceCreateGpuInstance(gpu, 9), 2)")
    host.open_to_other_users()
    as_nobody = (
        "import os\nos.setresgid(65534, 65534, 65534)\nos.setresuid(65534, 65534, 65534)\nnvmlShutdown()\nnvmlInit()\n"
        "gpu = nvmlDeviceGetHandleByIndex(0)\n"
        "print(nvmlDeviceGetUUID(nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)))\n"
        "try:\n    nvmlDeviceCreateGpuInstance(gpu, 19)\n"
        "except NVMLError_NoPermission:\n    print('no permission')\n"
    )
    done = host.python(as_nobody)
    uuid = host.show()["gpus"][0]["instances"][0]["compute_instances"][0]["uuid"]
    assert done.stdout.split("\n")[:2] == [uuid, "no permission"], done.stderr
