# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C clients: everything read under sanitizers and valgrind, every function with any arguments, and what reading costs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEADERS = Path(__file__).parents[2] / "roles/mig_simulator/files"
FILL = "for _ in range(7):\n    nvmlGpuInstanceCreateComputeInstance(nvmlDeviceCreateGpuInstance(gpu, 19), 0)\n"

# Functions with structs that hold pointers of the caller's: what they point to cannot be made up.
POINTERS_INSIDE = {"nvmlDeviceGetRunningProcessDetailList", "nvmlDeviceGetProcessesUtilizationInfo", "nvmlGpmMetricsGet"}
# They wait for as long as they are told to.
WAITING = {"nvmlEventSetWait", "nvmlEventSetWait_v2"}

CALL_ALL = r"""
import ctypes, random, sys
functions, library, seed, rounds = eval(sys.argv[1]), ctypes.CDLL("libnvidia-ml.so.1"), int(sys.argv[2]), int(sys.argv[3])
random.seed(seed)
library.nvmlErrorString.restype = ctypes.c_char_p
def handles():
    made = ctypes.c_void_p()
    for index in range(3):
        library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(made))
        yield made.value
        for position in range(2):
            if library.nvmlDeviceGetMigDeviceHandleByIndex(ctypes.c_void_p(made.value), position, ctypes.byref(made)) == 0:
                yield made.value
def argument(kind, known):
    if kind == "handle":
        return ctypes.c_void_p(random.choice(known) if random.random() < 0.8 else random.choice([0, random.getrandbits(64)]))
    if kind == "number":
        return ctypes.c_uint64(random.choice([0, 1, 2, 3, 64, 2**31, 2**32 - 1]))
    if random.random() < 0.2:
        return ctypes.c_void_p(0)
    buffer = ctypes.create_string_buffer(1 << 16)
    if random.random() < 0.5:
        buffer[0:8] = random.choice([b"\1\0\0\0", b"\x28\0\0\2", b"\xff\xff\xff\xff", b"GPU-"]).ljust(8, b"\0")
    return buffer
assert library.nvmlInit_v2() == 0
known = list(handles())
for name, kinds in functions.items():
    code = getattr(library, name)(*[ctypes.c_void_p(0) for _ in kinds])
    assert code != 0 or "pointer" not in kinds, f"{name} succeeds without its pointers"
for _ in range(rounds):
    for name, kinds in functions.items():
        code = getattr(library, name)(*[argument(kind, known) for kind in kinds])
        assert library.nvmlErrorString(code) != b"Unknown Error" or code == 999, f"{name} returns {code}"
"""


def functions():
    """Name -> kinds of its parameters, for every function but those that begin, end or wait."""
    text = (HEADERS / "nvml_functions.h").read_text()
    found = {}
    for name, parameters in re.findall(r"^NVML_FUNCTION\(\d+, (nvml\w+),\s*\((.*?)\)\)", text, re.MULTILINE | re.DOTALL):
        if name.startswith(("nvmlInit", "nvmlShutdown")) or name in POINTERS_INSIDE | WAITING:
            continue
        kinds = []
        for parameter in parameters.split(","):
            if parameter.strip() == "void":
                continue
            handle = re.search(r"nvml(Device|GpuInstance|ComputeInstance|EventSet|GpmSample)_t \w", parameter)
            kinds.append("pointer" if "*" in parameter else "handle" if handle else "number")
        found[name] = kinds
    return found


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
    done = subprocess.run([sanitized("read_everything"), "2"], env=full_host.environment, capture_output=True, text=True)
    assert done.stdout.startswith("14 MIG devices"), done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
def test_everything_is_read_under_valgrind(full_host, plain):
    command = ["valgrind", "--quiet", "--error-exitcode=3", "--leak-check=full", plain("read_everything"), "2"]
    done = subprocess.run(command, env=full_host.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", [1, 2])
def test_no_arguments_crash_any_function(full_host, sanitized_build, seed):
    preload = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    environment = {
        **full_host.environment,
        "LD_PRELOAD": preload,
        "LD_LIBRARY_PATH": str(sanitized_build),
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    command = [sys.executable, "-c", CALL_ALL, repr(functions()), str(seed), "15"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_program_linked_against_the_library_runs(full_host, simulator_build, tmp_path):
    source = Path(__file__).parent / "programs" / "read_everything.c"
    command = ["cc", f"-I{HEADERS}", "-o", tmp_path / "linked", source, simulator_build / "libnvidia-ml.so.1"]
    subprocess.run(command, check=True)
    done = subprocess.run([tmp_path / "linked"], env=full_host.environment, capture_output=True, text=True)
    assert done.stdout.startswith("14 MIG devices"), done.stdout + done.stderr


def test_what_reading_eight_full_gpus_costs(host, plain, capsys):
    """Printed, not judged."""
    host.command("init", "--mig", "A100-SXM4-40GB:8")
    for index in range(8):
        host.python(f"gpu = nvmlDeviceGetHandleByIndex({index})\n{FILL}")
    done = subprocess.run([plain("read_everything"), "50"], env=host.environment, capture_output=True, text=True)
    assert done.stdout.startswith("56 MIG devices"), done.stderr
    with capsys.disabled():
        print(f"\n{done.stdout.strip()}")
