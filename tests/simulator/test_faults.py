# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults ordered for NVML calls, and the count of calls."""

from __future__ import annotations

import json
import signal
import time

import pynvml as n
import pytest
from mig_calls import create


def codes(function, *arguments, times=5):
    """The return code of each of so many calls."""
    found = []
    for _unused in range(times):
        try:
            function(*arguments)
            found.append(n.NVML_SUCCESS)
        except n.NVMLError as error:
            found.append(error.value)
    return found


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ([], [19, 0, 0, 0, 0]),
        (["--nth", "2"], [0, 19, 0, 0, 0]),
        (["--nth", "2", "--times", "3"], [0, 19, 19, 19, 0]),
        (["--nth", "4", "--times", "0"], [0, 0, 0, 19, 19]),
    ],
)
@pytest.mark.parametrize("code", ["IN_USE", "NVML_ERROR_IN_USE", "19"])
def test_a_call_fails_when_it_is_to(nvml, host, options, want, code):
    gpu = nvml("A100-SXM4-40GB")
    n.nvmlDeviceGetName(gpu)  # calls before the fault was set do not count
    host.command("fault", "nvmlDeviceGetName", *options, "--return", code)
    assert codes(n.nvmlDeviceGetName, gpu) == want


def test_a_failing_call_has_no_effect_and_a_gpu_instance_can_stay_in_use(nvml, host):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance, _unused = create(gpu, 9)
    host.command("fault", "nvmlGpuInstanceDestroy", "--return", "IN_USE", "--times", "2")
    assert codes(n.nvmlGpuInstanceDestroy, instance, times=4) == [19, 19, 0, n.NVML_ERROR_NOT_FOUND]


def test_any_counts_the_calls_of_all_functions_together(nvml, host):
    gpu = nvml("A100-SXM4-40GB")
    host.command("fault", "any", "--nth", "3", "--return", "GPU_IS_LOST")
    assert codes(n.nvmlDeviceGetName, gpu, times=2) == [0, 0]
    assert codes(n.nvmlDeviceGetUUID, gpu, times=2) == [n.NVML_ERROR_GPU_IS_LOST, 0]


def test_a_lie_is_success_without_effect(nvml, host):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance, info = create(gpu, 9)
    host.command("fault", "nvmlGpuInstanceDestroy", "--lie")
    n.nvmlGpuInstanceDestroy(instance)
    assert n.nvmlGpuInstanceGetInfo(instance).id == info.id
    n.nvmlGpuInstanceDestroy(instance)
    assert host.show()["gpus"][0]["instances"] == []


@pytest.mark.parametrize(("when", "instances"), [("before", 0), ("after", 1)])
def test_the_caller_is_killed_before_or_after_the_effect(host, when, instances):
    host.command("init", "--mig", "A100-SXM4-40GB")
    host.command("fault", "nvmlDeviceCreateGpuInstance", "--kill", when)
    assert host.python("nvmlDeviceCreateGpuInstance(gpu, 9)").returncode == -signal.SIGKILL
    assert len(host.show()["gpus"][0]["instances"]) == instances
    assert host.python("nvmlDeviceCreateGpuInstance(gpu, 19)").returncode == 0


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlShutdown"])
def test_a_session_can_be_killed_at_its_ends(host, function):
    host.command("init", "A100-SXM4-40GB")
    host.command("fault", function, "--kill", "after")
    assert host.python("nvmlShutdown()").returncode == -signal.SIGKILL


def test_a_slow_call_is_slow_and_leaves_other_processes_alone(nvml, host):
    gpu = nvml("A100-SXM4-40GB")
    host.command("fault", "nvmlDeviceGetName", "--delay", "200")
    begin = time.monotonic()
    assert n.nvmlDeviceGetName(gpu) == "NVIDIA A100-SXM4-40GB"
    assert time.monotonic() - begin >= 0.2


def test_initialisation_can_fail_and_leaves_no_session(nvml, host):
    nvml("A100-SXM4-40GB")
    n.nvmlShutdown()
    host.command("fault", "nvmlInitWithFlags", "--return", "DRIVER_NOT_LOADED")
    assert codes(n.nvmlInit, times=1) == [n.NVML_ERROR_DRIVER_NOT_LOADED]
    assert codes(n.nvmlDeviceGetCount, times=1) == [n.NVML_ERROR_UNINITIALIZED]
    n.nvmlInit()
    assert n.nvmlDeviceGetCount() == 1


def test_faults_are_listed_and_taken_away(nvml, host):
    gpu = nvml("A100-SXM4-40GB")
    host.command("fault", "nvmlDeviceGetName", "--return", "NO_DATA", "--times", "0")
    host.command("fault", "nvmlDeviceGetUUID", "--nth", "2", "--kill", "before")
    assert host.command("fault", "--list").stdout.splitlines() == [
        "Fault  nvmlDeviceGetName --nth 1 --times 0 --return NVML_ERROR_NO_DATA",
        "Fault  nvmlDeviceGetUUID --nth 2 --times 1 --kill before",
    ]
    assert [fault["function"] for fault in host.show()["faults"]] == ["nvmlDeviceGetName", "nvmlDeviceGetUUID"]
    host.command("fault", "--clear", "nvmlDeviceGetName")
    assert codes(n.nvmlDeviceGetName, gpu, times=1) == [0]
    assert len(host.show()["faults"]) == 1
    host.command("fault", "--clear")
    assert host.show()["faults"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nvmlDeviceGetNam", "--lie"], "no NVML function nvmlDeviceGetNam: did you mean nvmlDeviceGetName"),
        (["nvmlDeviceGetName", "--return", "INUSE"], "no NVML return code INUSE: did you mean IN_USE?"),
        (["nvmlDeviceGetName", "--kill", "now"], "expected before or after"),
        (["nvmlDeviceGetName", "--nth", "0", "--lie"], "--nth 0: expected a number of at least 1"),
        (["nvmlDeviceGetName", "--delay", "-5"], "--delay -5: expected a number"),
        (["nvmlDeviceGetName"], "fault needs a function and one of"),
        (["nvmlDeviceGetName", "--lie", "--kill", "after"], "fault needs a function and one of"),
        (["--lie"], "fault needs a function and one of"),
        (["--list", "--clear"], "fault needs a function and one of"),
        (["nvmlDeviceGetName", "nvmlDeviceGetUUID", "--lie"], "one function at a time, not nvmlDeviceGetUUID too"),
    ],
)
def test_a_wrong_order_is_explained_and_sets_nothing(host, arguments, message):
    host.command("init", "A100-SXM4-40GB")
    error = host.command("fault", *arguments, status=2).stderr
    assert message in error
    assert error.count("\n") == 1
    assert host.show()["faults"] == []


def test_there_is_room_for_32_faults(host):
    host.command("init", "A100-SXM4-40GB")
    for _unused in range(32):
        host.command("fault", "any", "--nth", "1000", "--lie")
    assert "at most 32 faults" in host.command("fault", "any", "--lie", status=1).stderr


def test_calls_and_sessions_are_counted_for_all_processes(nvml, host):
    nvml("A100-SXM4-40GB")
    n.nvmlShutdown()
    host.command("calls", "--reset")
    for _unused in range(2):
        assert host.python("nvmlDeviceGetName(gpu)\nnvmlInit()\nnvmlShutdown()\n").returncode == 0
    counted = json.loads(host.command("calls", "--json").stdout)
    assert counted["sessions"] == 2
    assert counted["calls"] == {
        "nvmlInitWithFlags": 4, "nvmlShutdown": 2, "nvmlDeviceGetHandleByIndex_v2": 2, "nvmlDeviceGetName": 2,
    }  # fmt: skip
    assert counted["total"] == 10
    assert "       2  nvmlDeviceGetName\n" in host.command("calls", "--reset").stdout
    assert json.loads(host.command("calls", "--json").stdout) == {"sessions": 0, "total": 0, "calls": {}}
