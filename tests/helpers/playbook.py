# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook on simulated hosts, with the results as data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from paths import COLLECTIONS
from playbook_server import lasting, server_of
from process_tree import kill_tree
from simulated_host import compiled_once


def start(program, arguments, directory, variables):
    """Start this ansible-playbook in ``directory`` with that environment: its process, output and errors in one pipe.

    Tests fork it from a server. Benchmarks, which measure what users see, execute it.
    """
    if "MADE_ONCE" in os.environ:
        server = server_of(program, frozenset(lasting(variables).items()))
        if server.ready:
            return server.start(arguments, directory, variables)
    return subprocess.Popen(
        [str(program), *arguments],
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Run:
    """A run of ansible-playbook in ``directory``: start it, finish() it, ask for its results."""

    def __init__(
        self,
        directory,
        environment,
        playbook,
        hosts,
        *,
        check=False,
        diff=False,
        forks=5,
        limit=None,
        tags=(),
        extra_vars=None,
        kill_at=None,
    ):
        """``playbook`` is a name like gpufleet.mig.facts or a list of plays; ``environment`` one of environments.py.

        ``kill_at`` is (task name, "start" or "end"[, which time[, how]]): the run kills itself there as kill() would,
        see killed(), or with the signal that ``how`` names.
        """
        self._started = time.monotonic()
        directory.mkdir(parents=True)
        self.results_file = directory / "results.jsonl"
        self.picture_file = directory / "picture.txt"
        inventory = directory / "inventory.json"
        inventory.write_text(
            json.dumps({"all": {"hosts": {host.name: host.variables() for host in hosts}}}), encoding="utf-8"
        )
        if not isinstance(playbook, str):
            path = directory / "playbook.json"
            path.write_text(json.dumps(playbook), encoding="utf-8")
            playbook = str(path)
        arguments = [playbook, "-i", str(inventory), "-f", str(forks)]
        arguments += ["--check"] * check + ["--diff"] * diff
        arguments += [f"--limit={limit}"] * bool(limit)
        arguments += [f"--tags={','.join(tags)}"] * bool(tags)
        if extra_vars:
            arguments += ["-e", json.dumps(extra_vars)]
        self.process = start(
            environment.bin / "ansible-playbook",
            arguments,
            directory,
            {
                **os.environ,
                **compiled_once(),
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback_plugins"),
                "ANSIBLE_CALLBACKS_ENABLED": "results,gpufleet.mig.picture" + ",kill_at" * bool(kill_at),
                "KILL_AT": json.dumps([*kill_at, *(1, "tree")[len(kill_at) - 2 :]] if kill_at else None),
                "GPUFLEET_MIG_PICTURE_FILE": str(self.picture_file),
                "RESULTS_FILE": str(self.results_file),
                "ANSIBLE_HOME": str(directory / "ansible"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOCALHOST_WARNING": "0",
                "ANSIBLE_RETRY_FILES_ENABLED": "0",
            },
        )
        self.output = ""
        self.returncode = None

    def finish(self):
        """Wait for the end of the run, whatever its outcome."""
        self.output = self.process.communicate()[0]
        self.returncode = self.process.returncode
        return self

    def measured(self):
        """Wait for the end of the run, whatever its outcome: (CPU seconds of it and its children, wall seconds).

        ``peak`` is then the most memory that one of its processes had, in bytes.
        """
        self.output = self.process.stdout.read()
        _pid, status, usage = os.wait4(self.process.pid, 0)
        self.returncode = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.peak = usage.ru_maxrss * 1024
        return usage.ru_utime + usage.ru_stime, time.monotonic() - self._started

    def ok(self):
        """Wait for the end of the run, which must be a success."""
        self.finish()
        assert self.returncode == 0, self.output
        return self

    def failed(self):
        """Wait for the end of the run, which must be an orderly failure of a host."""
        self.finish()
        assert self.returncode == 2, self.output
        assert "Traceback" not in self.output, self.output
        return self

    def kill(self):
        """End the run with SIGKILL, and with it all its workers and the modules that they run, as a power cut would."""
        if self.process.poll() is None:
            kill_tree(self.process.pid)
        self.finish()

    def killed(self):
        """Wait for the end of a run that was to be killed (``kill_at``), which must have got there."""
        self.finish()
        assert self.returncode == -signal.SIGKILL, self.output
        return self

    def results(self, action=None, host=None):
        """The task results, in order: [{host, task, action, status, result}], of one action or host if named."""
        with open(self.results_file, encoding="utf-8") as lines:
            everything = [json.loads(line) for line in lines]
        return [one for one in everything if action in (None, one["action"]) and host in (None, one["host"])]

    def outcome(self, host):
        """The host's fact mig_partition_result when the run left it."""
        facts = [one["result"].get("ansible_facts", {}) for one in self.results("ansible.builtin.set_fact", host.name)]
        return [one["mig_partition_result"] for one in facts if "mig_partition_result" in one][-1]

    def picture(self):
        """The lines of the picture at the end of the run."""
        return self.picture_file.read_text(encoding="utf-8").splitlines()

    def result(self, action, host=None):
        """The result of the one task with this action."""
        found = self.results(action, host)
        assert len(found) == 1, f"{len(found)} results of {action}\n{self.output}"
        return found[0]["result"]
