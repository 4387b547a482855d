# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated hosts for the tests of the simulated GPUs, and the C programs that go with them."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pynvml
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "roles" / "mig_simulator" / "files"
PROGRAMS = Path(__file__).parent / "programs"
SANITIZERS = ["-fsanitize=address", "-fsanitize=undefined", "-fno-sanitize-recover=all"]


def built(name: str, *variables: str) -> Path:
    """Return the folder build/NAME with the library and commands made by the role's Makefile, up to date."""
    folder = ROOT / "build" / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = ["make", "-s", "-j2", "-C", str(SOURCES), f"BUILD={folder}", f"PYTHON={sys.executable}", *variables]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
    return folder


def compiled(program: str, folder: Path, target: Path, *options: str) -> Path:
    """Compile PROGRAM.c of tests/simulator/programs against the objects of a build, all of NVML inside."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler (cc)")
    objects = [path for path in (folder / "objects").glob("*.o") if not path.name.startswith(("command", "smi_"))]
    command = [compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]
    command += [*options, f"-I{SOURCES}", "-o", target / program, PROGRAMS / f"{program}.c", *objects]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return target / program


@pytest.fixture(scope="session")
def simulator_build() -> Path:
    """The folder with the simulated GPUs as users have them."""
    return built("simulator")


@pytest.fixture(scope="session")
def sanitized_build() -> Path:
    """The same under AddressSanitizer and UndefinedBehaviorSanitizer."""
    return built("simulator-sanitized", "SANITIZE=1", "CFLAGS=-O1 -g")


@pytest.fixture(scope="session")
def sanitized(sanitized_build, tmp_path_factory):
    """Compile a C program under sanitizers: sanitized('fuzz_api') gives its path."""
    folder = tmp_path_factory.mktemp("programs")
    return lambda program: compiled(program, sanitized_build, folder, *SANITIZERS)


@pytest.fixture(scope="session")
def plain(simulator_build, tmp_path_factory):
    """Compile a C program without sanitizers."""
    folder = tmp_path_factory.mktemp("programs")
    return lambda program: compiled(program, simulator_build, folder)


class Client:
    """A running `mig-simulator run` or `hold`; its command waits until end() is called."""

    def __init__(self, host: Host, *arguments: str):
        command = [host.simulator, *arguments, "--", "sh", "-c", "echo ready; read _"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=host.environment, stdin=pipe, stdout=pipe, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def end(self) -> None:
        if self.process.returncode is None:
            self.process.communicate()


class Host:
    """A simulated host in a folder of its own."""

    def __init__(self, folder: Path, build: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.state = folder / "state"
        self.simulator = str(build / "mig-simulator")
        self.environment = {**os.environ, "MIG_SIMULATOR_STATE": str(self.state), "LD_LIBRARY_PATH": str(build)}
        self.clients: list[Client] = []

    def command(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run mig-simulator and expect this exit status."""
        done = self.program(self.simulator, *arguments)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def open_to_other_users(self) -> None:
        """Let every user reach the state file: pytest's own folders are for its user only."""
        for folder in self.state.parents:
            if "pytest" in str(folder):
                folder.chmod(folder.stat().st_mode | 0o711)

    def program(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program that sees the host."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def show(self) -> dict:
        return json.loads(self.command("show", "--json").stdout)

    def client(self, *arguments: str) -> Client:
        """Start a process that uses a GPU: client('run', '--device', '0') or client('hold', '--gpu', '0')."""
        self.clients.append(Client(self, *arguments))
        return self.clients[-1]

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run Python code, with NVML initialised and `gpu` the handle of GPU 0, in a process of its own."""
        code = f"from pynvml import *\nnvmlInit()\ngpu = nvmlDeviceGetHandleByIndex(0)\n{code}"
        return self.program(sys.executable, "-c", code)


@pytest.fixture
def host(simulator_build, tmp_path):
    host = Host(tmp_path / "host", simulator_build)
    yield host
    for client in host.clients:
        client.end()


@pytest.fixture
def nvml(host, simulator_build, monkeypatch):
    """nvidia-ml-py in this process, on the host: nvml('--mig', 'A100-SXM4-40GB') makes the host and returns GPU 0."""
    # By its path first: nvidia-ml-py then gets the library of this name that is loaded.
    ctypes.CDLL(str(simulator_build / "libnvidia-ml.so.1"))
    monkeypatch.setenv("MIG_SIMULATOR_STATE", str(host.state))

    def start(*arguments):
        stop()
        if arguments:
            host.command("init", *arguments)
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByIndex(0)

    def stop():
        try:
            while True:
                pynvml.nvmlShutdown()
        except pynvml.NVMLError_Uninitialized:
            pynvml._nvmlGetFunctionPointer_cache.clear()  # another host's driver may lack what this one has

    yield start
    stop()


@pytest.fixture
def refused():
    """refused(pynvml.NVML_ERROR_IN_USE, function, ...): the call must fail with exactly that code."""

    def check(code, function, *arguments, **options):
        with pytest.raises(pynvml.NVMLError) as caught:
            function(*arguments, **options)
        assert caught.value.value == code, f"{function.__name__}: {caught.value}"

    return check
