# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook that are forked from a process which has imported Ansible already.

Half of what a short play costs is the import of Ansible, and the tests start hundreds. A PlaybookServer imports it once
and forks for each run; the run then executes the program ansible-playbook itself, in its own directory and environment.

Ansible reads its configuration when it is imported. Of the variables that differ from run to run two are of that kind,
ANSIBLE_HOME and ANSIBLE_CALLBACKS_ENABLED: what was made of them is made anew after the fork. All other variables are
those that the server was started with; a run with others has another server.

This file is both sides: what the tests use, and the program that an environment's Python runs.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
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
READY = b"ready"
# What a play imports beside ansible.cli.playbook: of these kinds of plugins Ansible imports all that it has. It does so
# of the inventory's, too, but those of ansible-core 2.17 look for plugins in ANSIBLE_HOME when they are imported.
MODULES = ("ansible.executor.module_common", "ansible.plugins.action.normal", "ansible.plugins.strategy.linear")
PLUGINS = ("become", "callback", "connection", "doc_fragments", "shell", "vars")


class PlaybookServer:
    """A process that has imported the Ansible of ``program``, an ansible-playbook; it ends with the caller.

    Where it is not ``ready`` a run is to be executed: it cannot import Ansible, or not without a word.
    """

    def __init__(self, program, variables):
        """``variables`` is the environment that its runs have in common, see lasting()."""
        # What the program itself names as its interpreter, which plays see in ansible_playbook_python.
        python = program.read_text(encoding="utf-8").partition("\n")[0].removeprefix("#!")
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, tempfile.TemporaryFile() as said:
            self.process = subprocess.Popen(
                [python, __file__, str(theirs.fileno()), str(program)],
                cwd="/",
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
            )
            theirs.close()
            # What an import says, each run would have to say.
            self.ready = self._channel.recv(len(READY)) == READY and not os.fstat(said.fileno()).st_size
        atexit.register(self._end)

    def _end(self):
        self._channel.close()
        self.process.wait()

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
        return ServedProcess(os.fdopen(output, encoding="utf-8"), os.fdopen(report, encoding="utf-8"))


class ServedProcess:
    """A run that a PlaybookServer has forked: what of subprocess.Popen the tests use, output and errors together."""

    def __init__(self, stdout, report):
        """``report`` gives two lines: the run's process id, and in the end its exit status as Popen has it."""
        self.stdout = stdout
        self.returncode = None
        self._report = report
        self.pid = self._told()

    def _told(self):
        line = self._report.readline()
        if not line:
            raise RuntimeError("the server that has forked this run of ansible-playbook has ended")
        return int(line)

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
                self.returncode = self._told()
        return self.returncode

    def communicate(self):
        """Read the output to its end and wait for the end of the run: (output, None)."""
        with self.stdout:
            output = self.stdout.read()
        self.wait()
        return output, None


def lasting(variables):
    """Those of a run's environment variables that all runs of its server have in common."""
    return {name: value for name, value in variables.items() if name not in OF_A_RUN}


@functools.cache
def server_of(program, variables):
    """The server of the runs with this program that have these pairs of a lasting environment in common."""
    return PlaybookServer(program, dict(variables))


def main():
    """The server; each run that it has forked returns from serve() and goes on as ansible-playbook."""
    channel, program = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    sys.path[0] = os.path.dirname(program)
    with tempfile.TemporaryDirectory(prefix="ansible-home-") as home:
        os.environ["ANSIBLE_HOME"] = home
        import_ansible()
    channel.send(READY)
    arguments = serve(channel)
    if arguments is not None:
        configure(home)
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")


def import_ansible():
    """Import what a play needs and parse what it parses at any rate."""
    for name in ("ansible.cli.playbook", *MODULES):
        importlib.import_module(name)
    for kind in PLUGINS:
        package = importlib.import_module(f"ansible.plugins.{kind}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    from ansible.config import manager
    from ansible.utils.collection_loader import _collection_finder as finder

    # This would be the directory for temporary files of all runs, see configure().
    atexit.unregister(manager.cleanup_tmp_file)
    # Where the plugins of ansible.builtin are: the largest file that Ansible parses. This is how it lets others do so.
    parse = finder._meta_yml_to_dict
    builtin = ("ansible.builtin", "runtime.yml")
    routing = os.path.join(os.path.dirname(manager.__file__), "ansible_builtin_runtime.yml")
    with open(routing, "rb") as file:
        parsed = parse(file.read(), builtin)
    finder._meta_yml_to_dict = lambda text, identity: parsed if identity == builtin else parse(text, identity)


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

    loaders = [one for one in vars(loader).values() if isinstance(one, loader.PluginLoader)]
    for name in constants.config.get_configuration_definitions():
        before = getattr(constants, name)
        if name == "CALLBACKS_ENABLED" or home in str(before):
            now = constants.config.get_config_value(name, variables=vars(constants))
            constants.set_constant(name, now)
            for one in loaders:
                if one.config is before:
                    one.config = now
    # These locks would be those of all runs, and one that is killed may hold them.
    locks = sys.modules.get("ansible.executor.action_write_locks")
    if locks:  # until ansible-core 2.18
        locks.action_write_locks.update(
            {name: locks.multiprocessing_context.Lock() for name in locks.action_write_locks}
        )


if __name__ == "__main__":
    main()
