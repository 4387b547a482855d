# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook that are forked from a server differ in nothing from those that are executed."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import types
from pathlib import Path

import playbook
import playbook_server

SEEN = """
{{ ansible_playbook_python }} {{ lookup("env", "RESULTS_FILE") }}
{{ lookup("config", "CALLBACKS_ENABLED", "CONFIG_FILE", "DEFAULT_LOCAL_TMP", "DEFAULT_MODULE_UTILS_PATH") }}
{{ lookup("pipe", "pwd; env | cut -d= -f1 | sort; env | grep -E '^(ANSIBLE|GPUFLEET|KILL|PYT|RESULTS)' | sort") }}
{{ lookup("pipe", "umask; grep -E 'Sig(Ign|Cgt)' /proc/$PPID/status; ls /proc/$PPID/fd") }}
"""


def test_a_forked_run_is_like_one_that_is_executed(edge_environment, simulated_host, run_playbook, monkeypatch):
    tasks = [{"ansible.builtin.debug": {"msg": SEEN}}, {"ansible.builtin.debug": {"msg": "{{ nothing.there }}"}}]
    plays = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]

    def start():
        return run_playbook(plays, [simulated_host()], environment=edge_environment).failed()

    forked = start()
    assert isinstance(forked.process, playbook_server.ServedProcess)
    monkeypatch.setattr(playbook, "server_of", lambda *_arguments: types.SimpleNamespace(ready=False))
    executed = start()
    assert isinstance(executed.process, subprocess.Popen)
    assert told(forked) == told(executed)


def told(run):
    """The output and the results of a run without what differs from run to run."""
    texts = run.output, repr([{**one, "at": None} for one in run.results()])
    texts = [text.replace(str(run.results_file.parent), "FOLDER") for text in texts]
    return [re.sub(r"ansible-local-\w+", "LOCAL", text) for text in texts]


def test_a_run_has_its_own_environment(simulated_host, run_playbook, monkeypatch):
    tasks = [{"ansible.builtin.debug": {"msg": "timeout {{ lookup('config', 'DEFAULT_TIMEOUT') }}"}}]
    plays = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    host = simulated_host()
    assert "timeout 10" in run_playbook(plays, [host]).ok().output
    monkeypatch.setenv("ANSIBLE_TIMEOUT", "77")
    assert "timeout 77" in run_playbook(plays, [host]).ok().output


OWNER = """
import os, signal, sys
from pathlib import Path
from playbook_server import PlaybookServer
server = PlaybookServer(Path(sys.argv[1]), dict(os.environ))
print(server.process.pid, flush=True)
signal.pause()
"""


def test_the_server_ends_with_its_tests(main_environment):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, main_environment.bin / "ansible-playbook"],
        cwd=Path(playbook_server.__file__).parent,
        stdout=subprocess.PIPE,
    ) as owner:
        server = os.pidfd_open(int(owner.stdout.readline()))
        owner.kill()
    # Readable when that process has ended.
    assert select.select([server], [], [], 60)[0]
    os.close(server)
