# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MIG mode: current and pending, what a reset, a reboot, a reload of the driver and pass-through do to it."""

from __future__ import annotations

import pynvml as n
import pytest
from mig_calls import create, possible, spanning


@pytest.mark.parametrize("model", ["A100-SXM4-40GB", "H100-SXM5-80GB"])
def test_mode_of_an_idle_gpu_changes_at_once(nvml, model):
    gpu = nvml(model)
    assert n.nvmlDeviceGetMigMode(gpu) == [0, 0]
    assert n.nvmlDeviceGetMaxMigDeviceCount(gpu) == 0
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_SUCCESS
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]
    assert n.nvmlDeviceGetMaxMigDeviceCount(gpu) == 7
    assert n.nvmlDeviceSetMigMode(gpu, 0) == n.NVML_SUCCESS
    assert n.nvmlDeviceGetMigMode(gpu) == [0, 0]


@pytest.mark.parametrize("use", [("run", "--device", "0"), ("hold", "--gpu", "0")])
def test_mode_of_a_gpu_in_use_stays_pending_and_can_be_taken_back(nvml, host, use):
    gpu = nvml("A100-SXM4-40GB")
    client = host.client(*use)
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_ERROR_IN_USE
    assert n.nvmlDeviceGetMigMode(gpu) == [0, 1]
    assert len(n.nvmlDeviceGetComputeRunningProcesses(gpu)) == (use[0] == "run")
    assert n.nvmlDeviceSetMigMode(gpu, 0) == n.NVML_SUCCESS
    assert n.nvmlDeviceGetMigMode(gpu) == [0, 0]
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_ERROR_IN_USE
    client.end()
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_SUCCESS
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]


def test_mode_with_instances_is_in_use_and_nothing_changes(nvml, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance, _unused = create(gpu, 19)
    refused(n.NVML_ERROR_IN_USE, n.nvmlDeviceSetMigMode, gpu, 0)
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]
    n.nvmlGpuInstanceDestroy(instance)
    assert n.nvmlDeviceSetMigMode(gpu, 0) == n.NVML_SUCCESS


def test_passthrough_needs_a_reboot_on_ampere_only(nvml, host):
    gpu = nvml("A100-SXM4-40GB", "H100-SXM5-80GB")
    host.command("passthrough", "on")
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_ERROR_RESET_REQUIRED
    assert n.nvmlDeviceSetMigMode(n.nvmlDeviceGetHandleByIndex(1), 1) == n.NVML_SUCCESS
    assert n.nvmlDeviceGetMigMode(gpu) == [0, 1]
    host.command("reboot")
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]


@pytest.mark.parametrize("again", ["reboot", "reload-driver"])
def test_ampere_keeps_its_mode_and_hopper_loses_it(nvml, host, again):
    gpus = ["A100-SXM4-40GB", "H100-SXM5-80GB", "B200-SXM6-180GB"]
    nvml("--mig", *gpus)
    handles = [n.nvmlDeviceGetHandleByIndex(index) for index in range(3)]
    for gpu in handles:
        spanning(gpu, 19)
    host.command(again)
    assert [n.nvmlDeviceGetMigMode(gpu)[0] for gpu in handles] == [1, 0, 0]
    assert [gpu["instances"] for gpu in host.show()["gpus"]] == [[], [], []]


def test_reload_of_a_driver_in_use_is_refused_and_a_reboot_forgets_clients(nvml, host):
    gpu = nvml("A100-SXM4-40GB")
    host.client("hold", "--gpu", "0")
    assert "in use" in host.command("reload-driver", status=1).stderr
    host.command("reboot")
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_SUCCESS


def test_a_gpu_without_mig_supports_nothing_of_it(nvml, refused):
    gpu = nvml("L40S-48GB")
    for function, *arguments in (
        (n.nvmlDeviceGetMigMode,),
        (n.nvmlDeviceSetMigMode, 1),
        (n.nvmlDeviceGetMigDeviceHandleByIndex, 0),
        (n.nvmlDeviceGetGpuInstanceProfileInfo, 0),
        (n.nvmlDeviceCreateGpuInstance, 19),
        (n.nvmlDeviceGetGpuInstanceRemainingCapacity, 19),
        (n.nvmlDeviceGetGpuInstanceById, 1),
    ):
        refused(n.NVML_ERROR_NOT_SUPPORTED, function, gpu, *arguments)
    assert n.nvmlDeviceIsMigDeviceHandle(gpu).value == 0
    assert n.nvmlDeviceGetMaxMigDeviceCount(gpu) == 0


@pytest.mark.parametrize(
    ("options", "answers"),
    [
        (["A100-SXM4-40GB"], True),
        (["H100-SXM5-80GB"], True),
        (["--driver", "550.90.07", "A100-SXM4-40GB"], True),
        (["--driver", "545.29.03", "A100-SXM4-40GB"], False),
        (["--driver", "545.29.03", "H100-SXM5-80GB"], False),
        (["--strange", "mig-off-profiles=refuse", "H100-SXM5-80GB"], False),
        (["--strange", "mig-off-profiles=architecture", "A100-SXM4-40GB"], False),
    ],
)
def test_profile_questions_with_mig_off(nvml, refused, options, answers):
    gpu = nvml(*options)
    if answers:
        assert n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, 0).id == 19
        assert possible(gpu, 9) == [(0, 4), (4, 4)]
    else:
        refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetGpuInstanceProfileInfo, gpu, 0)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetGpuInstanceRemainingCapacity, gpu, 19)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceCreateGpuInstance, gpu, 19)


def test_on_nvswitches_a_mode_of_ampere_needs_the_reset_of_all_or_fabric_manager(nvml, host):
    gpu = nvml("--nvswitch", "A100-SXM4-40GB:2", "H100-SXM5-80GB", "A30-24GB")
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_ERROR_RESET_REQUIRED
    assert n.nvmlDeviceGetMigMode(gpu) == [0, 1]
    for other in (2, 3):  # Hopper needs no reset, and an A30 is on no NVSwitch
        assert n.nvmlDeviceSetMigMode(n.nvmlDeviceGetHandleByIndex(other), 1) == n.NVML_SUCCESS
    host.command("fabric-manager", "on")
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_SUCCESS
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]
