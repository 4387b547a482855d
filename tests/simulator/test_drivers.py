# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Driver versions: which functions, profiles and struct versions each has."""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from pathlib import Path

import pynvml as n
import pytest
from mig_calls import create, spanning

HEADERS = Path(__file__).parents[2] / "roles/mig_simulator/files"
SINCE = {
    name: int(branch)
    for header in ("nvml_functions.h", "nvml_unsupported.h")
    for branch, name in re.findall(r"^NVML_\w+\((\d+), (nvml\w+)", (HEADERS / header).read_text(), re.MULTILINE)
}


@pytest.fixture(autouse=True)
def current_driver_afterwards(nvml):
    """Leave this process's library with all of its functions for the tests that follow."""
    yield
    nvml("L40S-48GB")


@pytest.mark.parametrize("version", ["450.80.02", "460.32.03", "470.57.02", "525.85.12", "550.54.14", "580.95.05"])
def test_the_library_has_exactly_the_functions_of_its_driver(host, nvml, version):
    """In a new process, as clients look before nvmlInit, and in one that was on another host before."""
    branch = int(version.split(".")[0])
    want = sorted(name for name, since in SINCE.items() if since <= branch)
    host.command("init", "--driver", version, "A100-SXM4-40GB")
    code = (
        "import ctypes\nlibrary = ctypes.CDLL('libnvidia-ml.so.1')\n"
        f"print(*(name for name in {sorted(SINCE)!r} if hasattr(library, name)))"
    )
    done = host.program(sys.executable, "-c", code)
    assert done.stdout.split() == want, done.stderr
    nvml()
    library = ctypes.CDLL("libnvidia-ml.so.1")
    assert [name for name in sorted(SINCE) if hasattr(library, name)] == want


def test_an_old_driver_has_short_profile_lists_and_no_names(nvml, refused):
    gpu = nvml("--driver", "450.80.02", "--mig", "A100-SXM4-40GB")

    def answer(index):
        try:
            return n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, index, version=1).id
        except n.NVMLError as error:
            return error.value

    assert [answer(index) for index in range(6)] == [19, 14, 9, 5, 0, n.NVML_ERROR_INVALID_ARGUMENT]
    refused(n.NVML_ERROR_FUNCTION_NOT_FOUND, n.nvmlDeviceGetGpuInstanceProfileInfo, gpu, 0)
    with pytest.raises(n.NVMLLibraryMismatchError):
        n.nvmlDeviceGetComputeRunningProcesses(gpu)
    refused(n.NVML_ERROR_FUNCTION_NOT_FOUND, create, gpu, 9, 0, 4)
    spanning(gpu, 9)


@pytest.mark.parametrize(("version", "profiles"), [("450.80.02", 5), ("470.57.02", 6), ("525.60.13", 7)])
def test_profiles_came_with_drivers(nvml, refused, version, profiles):
    gpu = nvml("--driver", version, "--mig", "A100-SXM4-40GB")
    found = set()
    for index in range(5 if version < "470" else 8 if version < "525" else 10):
        with contextlib.suppress(n.NVMLError_NotSupported):
            found.add(n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, index, version=1).id)
    assert len(found) == profiles
    if profiles < 7:
        refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceCreateGpuInstance, gpu, 15)


def test_profile_info_of_a_later_struct_version_is_a_mismatch(nvml, refused):
    info = (ctypes.c_uint * 64)(0x03000098)
    for version, code in (("535.54.03", n.NVML_ERROR_ARGUMENT_VERSION_MISMATCH), ("550.54.14", n.NVML_SUCCESS)):
        gpu = nvml("--driver", version, "--mig", "A100-SXM4-40GB")
        function = n._nvmlGetFunctionPointer("nvmlDeviceGetGpuInstanceProfileInfoV")
        assert function(gpu, 0, info) == code
    assert info[1] == 19
    info[0] = 0x01000098
    assert function(gpu, 0, info) == n.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_mig_uuids_before_r470_name_gpu_and_instances(nvml, host, refused):
    gpu = nvml("--driver", "460.32.03", "--mig", "A100-SXM4-40GB")
    instance, _unused, device = spanning(gpu, 9)
    uuid = n.nvmlDeviceGetUUID(device)
    assert uuid == f"MIG-{n.nvmlDeviceGetUUID(gpu)}/{n.nvmlGpuInstanceGetInfo(instance).id}/0"
    assert n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByUUID(uuid)) == uuid
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlDeviceGetHandleByUUID, uuid + "1")
    host.client("run", "--device", uuid)
    assert host.show()["gpus"][0]["instances"][0]["compute_instances"][0]["clients"]


def test_versions(nvml):
    nvml("--driver", "535.183.01", "A100-SXM4-40GB")
    assert n.nvmlSystemGetDriverVersion() == "535.183.01"
    assert n.nvmlSystemGetNVMLVersion() == "12.535.183.01"
    assert n.nvmlSystemGetCudaDriverVersion() == 12020


def test_a_model_newer_than_the_driver_is_refused(host):
    error = host.command("init", "--driver", "470.57.02", "H100-SXM5-80GB", status=2).stderr
    assert "H100-SXM5-80GB needs driver 525.85.12 or later, not 470.57.02" in error
    assert "450" in host.command("init", "--driver", "440.33.01", "A100-SXM4-40GB", status=2).stderr
    assert not host.state.exists()
