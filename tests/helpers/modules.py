# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of one module in a process of its own on a simulated host, as Ansible runs it, without ansible-playbook around.

A module reads its arguments as JSON and prints one JSON object and nothing else; every run here asserts that.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pynvml
from ansible.module_utils import _internal, basic
from ansible.module_utils.common import warnings
from paths import COLLECTIONS, SIMULATOR

MODULES = "ansible_collections.gpufleet.mig.plugins.modules."
WITHOUT_STATE_DIR = ("mig_assignment_info", "mig_facts", "slurm_node", "slurm_node_info")
SERVED = ("mig_assignment_info", "mig_check", "mig_facts", "mig_instances", "mig_journal_info", "mig_mode")
SERVED += ("slurm_device_record",)


class ModuleRun(NamedTuple):
    """What a run left: its exit status (negative: a signal ended it) and its result, None where it was killed."""

    status: int
    result: dict

    def ok(self):
        """The result of a run that must have succeeded."""
        assert self.status == 0, self.result
        return self.result

    def failed(self):
        """The result of a run that must have failed in good order."""
        assert self.status == 1, (self.status, self.result)
        assert self.result["failed"]
        assert self.result["msg"]
        return self.result


def arguments(host, params, check=False, diff=False):
    """What Ansible hands to a module on its standard input."""
    internal = {
        "_ansible_check_mode": check,
        "_ansible_diff": diff,
        "_ansible_remote_tmp": str(host.directory / "tmp"),
        "_ansible_keep_remote_files": False,
    }
    return json.dumps({"ANSIBLE_MODULE_ARGS": {**internal, **params}})


def changing(host, params):
    """Parameters of a changing module, with the host's own state_dir."""
    return {"state_dir": str(host.state_dir), **params}


def run_module(
    host, name, params, *, check=False, diff=False, interpreter=(sys.executable,), through=(), environment=None
):
    """Run a module in a fresh process: a ModuleRun.

    ``interpreter`` and ``through`` are parts of a command line, say of another Python or through another user.
    """
    answer = subprocess.run(
        [*through, *interpreter, "-m", MODULES + name],
        env={**os.environ, **host.environment, "PYTHONPATH": str(COLLECTIONS), **(environment or {})},
        input=arguments(host, params if name in WITHOUT_STATE_DIR else changing(host, params), check, diff),
        capture_output=True,
        text=True,
        check=False,
    )
    return parsed(answer.returncode, answer.stdout, answer.stderr)


def parsed(status, stdout, stderr):
    """A ModuleRun from what a process left; nothing but the result may have been printed."""
    assert stderr == "", stderr
    if status < 0:
        assert stdout == ""
        return ModuleRun(status, None)
    result = json.loads(stdout)
    assert len(stdout.strip().splitlines()) == 1, stdout
    assert "Traceback" not in stdout, stdout
    assert "exception" not in result, result
    return ModuleRun(status, result)


SERVER = """
import gc, importlib, json, os, sys
import pynvml
from ansible_collections.gpufleet.mig.plugins.module_utils.apply import execution
execution.BUSY_AFTER_DESTROY_SECONDS = 1
execution.ACTIVATION_SECONDS, execution.ACTIVATION_POLL_SECONDS = 1, 0.01
prefix, *names = sys.argv.pop().split()
modules = {name: importlib.import_module(prefix + name) for name in names}
directory = sys.argv.pop()
gc.freeze()  # a process that collects what it was forked with copies all its memory
for request in sys.stdin:
    request = json.loads(request)
    pid = os.fork()
    if pid == 0:
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(os.path.join(directory, name), flags, 0o600), number)
        sys.stdin = open(0, closefd=False)
        os.environ["MIG_SIMULATOR_STATE"] = request["state"]
        try:
            modules[request["module"]].main()
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code or 0)
        os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(json.dumps(status), flush=True)
"""


class ModuleServer:
    """Runs modules in processes forked from one that has loaded them already, which saves most of their cost.

    Each is a process of its own with standard input, output and NVML session of its own; a context manager. What is
    busy just after a destruction is retried for one second only: simulated GPUs do not take longer.
    """

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="gpufleet-mig-")
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, self._directory.name, f"{MODULES} {' '.join(SERVED)}"],
            env={
                **os.environ,
                "PYTHONPATH": str(COLLECTIONS),
                "LD_LIBRARY_PATH": str(SIMULATOR),
                "PATH": f"{SIMULATOR}:{os.environ['PATH']}",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *exception):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._directory.cleanup()

    def run(self, host, name, params, *, check=False, diff=False):
        """Run a module, as run_module does."""
        directory = Path(self._directory.name)
        params = params if name in WITHOUT_STATE_DIR else changing(host, params)
        (directory / "stdin").write_text(arguments(host, params, check, diff), encoding="utf-8")
        print(json.dumps({"module": name, "state": str(host.state)}), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        return parsed(status, *((directory / name).read_text(encoding="utf-8") for name in ("stdout", "stderr")))


class ModulesHere:
    """Runs modules in this very process, which costs least: for thousands of runs that kill nobody."""

    def __init__(self):
        # By its path first: nvidia-ml-py then gets the library of this name that is loaded.
        ctypes.CDLL(str(SIMULATOR / "libnvidia-ml.so.1"))
        self._modules = {name: importlib.import_module(MODULES + name) for name in SERVED}

    def run(self, host, name, params, *, check=False, diff=False):
        """Run a module, as run_module does."""
        params = params if name in WITHOUT_STATE_DIR else changing(host, params)
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = arguments(host, params, check, diff).encode(), "legacy"
        for told in (warnings._global_warnings, warnings._global_deprecations):
            told.clear()
        self._forget_functions()
        stdout, stderr, status = io.StringIO(), io.StringIO(), 99
        here = mock.patch.dict(os.environ, host.environment)
        # Where another test has loaded Ansible's controller, warnings of modules would be printed.
        module = mock.patch.object(_internal, "is_controller", False)
        with here, module, contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            try:
                self._modules[name].main()
            except SystemExit as end:
                status = end.code or 0
        return parsed(status, stdout.getvalue(), stderr.getvalue())

    @staticmethod
    def _forget_functions():
        """Another host's driver may lack what this one has; pynvml and ctypes keep what they have found."""
        pynvml._nvmlGetFunctionPointer_cache.clear()
        for name in [name for name in vars(pynvml.nvmlLib or object) if name.startswith("nvml")]:
            delattr(pynvml.nvmlLib, name)
