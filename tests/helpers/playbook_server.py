# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook that are forked from a process which has imported Ansible already.

Half of what a short play costs is the import of Ansible, and the tests start hundreds. A PlaybookServer imports it once
and forks for each run; the run then executes the program ansible-playbook itself, in its own directory and environment.

Ansible reads its configuration when it is imported. Of the variables that differ from run to run two are of that kind,
ANSIBLE_HOME and ANSIBLE_CALLBACKS_ENABLED: what was made of them is made anew after the fork. All other variables must
be those that the server was started with, see PlaybookServer.serves().

This file is both sides: what the tests use, and the program that an environment's Python runs.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile

# What a run may have as it likes: each is read when it runs, or see configure().
OF_A_RUN = (
    "ANSIBLE_CALLBACKS_ENABLED",
    "ANSIBLE_HOME",
    "GPUFLEET_MIG_PICTURE_FILE",
    "KILL_AT",
    "PYTEST_CURRENT_TEST",
    "RESULTS_FILE",
)
# What a play imports beside ansible.cli.playbook, under the names that the plugin loader would give it.
PLUGINS = (
    "ansible.executor.module_common",
    "ansible.plugins.callback.default",
    "ansible.plugins.connection.local",
    "ansible.plugins.shell.sh",
    "ansible.plugins.strategy.linear",
)


class PlaybookServer:
    """A process that has imported the Ansible of ``program``, an ansible-playbook; it ends with the caller."""

    def __init__(self, program, variables):
        """``variables`` is the environment of the first run."""
        self._variables = lasting(variables)
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8")
        with theirs:
            self._process = subprocess.Popen(
                [str(program.parent / "python"), __file__, str(theirs.fileno()), str(program)],
                cwd="/",
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def _end(self):
        self._channel.close()
        self._process.wait()
        self._said.close()

    def serves(self, variables):
        """Whether a run with this environment may be forked from this server."""
        return lasting(variables) == self._variables

    def start(self, arguments, directory, variables):
        """Start ansible-playbook with these arguments: a ServedProcess."""
        output, its_output = os.pipe()
        report, its_report = os.pipe()
        request = {"arguments": arguments, "directory": str(directory), "variables": variables}
        try:
            socket.send_fds(self._channel, [json.dumps(request).encode()], [its_output, its_report])
        finally:
            os.close(its_output)
            os.close(its_report)
        process = ServedProcess(open(output, encoding="utf-8"), open(report, encoding="utf-8"))
        if process.pid is None:
            self._said.seek(0)
            raise RuntimeError(f"the server of ansible-playbook has ended: {self._said.read()}")
        return process


class ServedProcess:
    """A run that a PlaybookServer has forked: what of subprocess.Popen the tests use, output and errors together."""

    def __init__(self, stdout, report):
        """``report`` gives two lines: the run's process id, and in the end its exit status as Popen has it."""
        self.stdout = stdout
        self.returncode = None
        self._report = report
        line = report.readline()
        self.pid = int(line) if line else None

    def poll(self):
        """The exit status, or None while the run lasts."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=None):
        """Wait for the end of the run: its exit status; subprocess.TimeoutExpired after so many seconds."""
        if self.returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("ansible-playbook", timeout)
            with self._report:
                self.returncode = int(self._report.readline())
        return self.returncode

    def communicate(self):
        """Read the output to its end and wait for the end of the run: (output, None)."""
        with self.stdout:
            output = self.stdout.read()
        self.wait()
        return output, None


def lasting(variables):
    """Those environment variables that all runs of a server have in common."""
    return {name: value for name, value in variables.items() if name not in OF_A_RUN}


def main():
    """The server; each run that it has forked returns from serve() and goes on as ansible-playbook."""
    channel, program = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    sys.path[0] = os.path.dirname(program)
    with tempfile.TemporaryDirectory(prefix="ansible-home-") as home:
        os.environ["ANSIBLE_HOME"] = home
        importlib.import_module("ansible.cli.playbook")
        for name in PLUGINS:
            importlib.import_module(name)
        from ansible.config import manager

        atexit.unregister(manager.cleanup_tmp_file)
    arguments = serve(channel)
    if arguments is not None:
        configure(home)
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")


def serve(channel):
    """Fork a run for each request: its arguments in the run, None in the server when the tests have ended."""
    # A process that collects what it was forked with copies all its memory.
    gc.collect()
    gc.freeze()
    runs = {}
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_signal: None)
    # What a terminal sends to all is for the runs.
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready, _writable, _exceptional = select.select([channel, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            report_ended(runs)
        if channel in ready:
            message, (*descriptors,), _flags, _address = socket.recv_fds(channel, 1 << 20, 2)
            if not message:
                return None
            output, report = descriptors
            if (process := os.fork()) == 0:
                break
            os.close(output)
            runs[process] = report
            tell(report, process)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, interrupted)
    for other in (channel, woken, waker):
        other.close()
    os.dup2(output, 1)
    os.dup2(output, 2)
    for descriptor in (output, report, *runs.values()):
        os.close(descriptor)
    request = json.loads(message)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["variables"])
    return request["arguments"]


def report_ended(runs):
    """Tell the exit status of each of the runs {process id: descriptor} that has ended, and forget it."""
    while runs:
        process, status = os.waitpid(-1, os.WNOHANG)
        if not process:
            return
        report = runs.pop(process)
        tell(report, os.waitstatus_to_exitcode(status))
        os.close(report)


def tell(descriptor, number):
    # A test that has ended does not read it.
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, b"%d\n" % number)


def configure(home):
    """Make anew what Ansible has made of ANSIBLE_HOME, which was ``home``, and of ANSIBLE_CALLBACKS_ENABLED."""
    from ansible import constants
    from ansible.plugins import loader

    for name in constants.config.get_configuration_definitions():
        if name == "CALLBACKS_ENABLED" or home in str(getattr(constants, name)):
            constants.set_constant(name, constants.config.get_config_value(name, variables=vars(constants)))
    for one in vars(loader).values():
        if isinstance(one, loader.PluginLoader):
            one.config = [path.replace(home, constants.ANSIBLE_HOME) for path in one.config]
    # These locks would be those of all runs, and one that is killed may hold them.
    locks = sys.modules.get("ansible.executor.action_write_locks")
    if locks:  # until ansible-core 2.18
        locks.action_write_locks.update(
            {name: locks.multiprocessing_context.Lock() for name in locks.action_write_locks}
        )


if __name__ == "__main__":
    main()
