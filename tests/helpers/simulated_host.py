# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated host: a state file, and an environment in which processes see its GPUs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from own_files import opened
from paths import SIMULATOR


def compiled_once():
    """Environment variables with which Python compiles modules once for all tests, see compiled_once/."""
    if "MADE_ONCE" not in os.environ:
        return {}
    paths = [str(Path(__file__).parent / "compiled_once"), os.environ.get("PYTHONPATH")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


class SimulatedHost:
    """One host in ``directory``: its GPUs in the file ``state``, the modules' lock and journal in ``state_dir``.

    ``environment`` is what a process needs to see the GPUs. ``python`` is an interpreter that has it set, which is how
    Ansible reaches the host: any playbook and any ad-hoc command, without knowing that the GPUs are simulated.
    """

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self.state = directory / "state"
        self.state_dir = directory / "state_dir"
        self.python = directory / "python"
        self.environment = {
            "LD_LIBRARY_PATH": str(SIMULATOR),
            "PATH": f"{SIMULATOR}:{os.environ['PATH']}",
            "MIG_SIMULATOR_STATE": str(self.state),
        }
        # Further variables of the inventory.
        self.more_variables = {}
        self._jobs = []
        directory.mkdir(parents=True, exist_ok=True)
        self.use_interpreter(sys.executable)

    def use_interpreter(self, interpreter, **environment):
        """Ansible runs the modules with this interpreter and these further environment variables from now on."""
        variables = {**compiled_once(), **self.environment, **environment}
        # What Ansible was told of modules' paths counts, too.
        further = {"PYTHONPATH": "${PYTHONPATH:+:$PYTHONPATH}"}
        exports = "".join(f"export {name}='{value}'{further.get(name, '')}\n" for name, value in variables.items())
        self.python.write_text(f"#!/bin/sh\n{exports}exec '{interpreter}' \"$@\"\n", encoding="utf-8")
        self.python.chmod(0o755)

    def become(self, other):
        """This host gets the GPUs and instances of that one."""
        shutil.copy(other.state, self.state)
        shutil.copytree(f"{other.state}.proc", f"{self.state}.proc", dirs_exist_ok=True)
        return self

    def without_driver(self):
        """A host on which no NVML library is found."""
        self.environment = {name: value for name, value in self.environment.items() if name == "MIG_SIMULATOR_STATE"}
        self.environment["PATH"] = os.environ["PATH"]
        self.use_interpreter(sys.executable)
        return self

    def run(self, *command, check=True):
        """Run a program in the host's environment: the completed process with its text output."""
        answer = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        if check and answer.returncode:
            raise AssertionError(
                f"{' '.join(map(str, command))}: exit status {answer.returncode}\n{answer.stdout}{answer.stderr}"
            )
        return answer

    def simulator(self, *arguments, check=True):
        """Run a command of mig-simulator."""
        return self.run(str(SIMULATOR / "mig-simulator"), *arguments, check=check)

    def show(self):
        """What `mig-simulator show --json` says, as data."""
        return json.loads(self.simulator("show", "--json").stdout)

    def job(self, device, files=(), kind="compute"):
        """Start a process that uses a GPU or MIG device, and wait until it does: the Popen. close() ends it.

        It also has these files open. ``kind`` is the list that it is on: compute, graphics or mps.
        """
        return self._start("run", "--device", str(device), "--type", kind, files=files)

    def hold(self, gpu, files=(), gpu_instance=None):
        """Start a process that holds a GPU without being listed, and wait until it does: the Popen. close() ends it.

        It also has these files open. With the id of a GPU instance it subscribes to that, as a monitor does.
        """
        subscribes = () if gpu_instance is None else ("--gpu-instance", str(gpu_instance))
        return self._start("hold", "--gpu", str(gpu), *subscribes, files=files)

    def _start(self, *verb, files=()):
        # What cat echoes it has read: by then it runs under its own name. It ends with the test that holds its input.
        with opened(files) as descriptors:
            job = subprocess.Popen(
                [str(SIMULATOR / "mig-simulator"), *verb, "--", "cat"],
                env={**os.environ, **self.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=descriptors,
                text=True,
            )
        self._jobs.append(job)
        with contextlib.suppress(BrokenPipeError):  # where it has ended already
            os.write(job.stdin.fileno(), b"up\n")
        if job.stdout.readline() != "up\n":
            raise AssertionError(f"mig-simulator {' '.join(verb)}: exit status {job.wait()}\n{job.stderr.read()}")
        return job

    def variables(self):
        """What an inventory says of this host."""
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(self.python),
            "ansible_remote_tmp": str(self.directory / "tmp"),
            "mig_state_dir": str(self.state_dir),
            # The machine that the tests run on has no part in it.
            "mig_partition_persistence": False,
            "mig_partition_gpu_clients": [],
            **self.more_variables,
        }

    def close(self):
        """End the jobs that this object has started."""
        while self._jobs:
            job = self._jobs.pop()
            job.kill()
            job.wait()
            job.stdin.close()
            job.stdout.close()
            job.stderr.close()
