# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drain hooks and tasks of a user's own, which write what they do to a log on the host."""

from __future__ import annotations

import json
from pathlib import Path

LOG = "{{ mig_state_dir }}/../log"


def say(words):
    """A task that adds a line to the host's log."""
    command = {"argv": ["sh", "-c", 'echo "$1" >> "$2"', "sh", words, LOG]}
    return {"name": "Say so", "ansible.builtin.command": command}


FAIL = {"name": "Fail on purpose", "ansible.builtin.fail": {"msg": "This fails on purpose."}}
END_JOBS = [
    {
        "name": "End the jobs",
        "ansible.builtin.command": {"argv": ["kill", "{{ item }}"]},
        "loop": "{{ mig_drain_must_be_free | map(attribute='processes') | flatten | map(attribute='pid') }}",
        "changed_when": True,
    },
    {
        "name": "Wait until they are gone",
        "ansible.builtin.wait_for": {"path": "/proc/{{ item }}/exe", "state": "absent", "timeout": 20},
        "loop": "{{ mig_drain_must_be_free | map(attribute='processes') | flatten | map(attribute='pid') }}",
    },
    {
        "name": "Remember what was in the way",
        "ansible.builtin.set_fact": {
            "mig_drain_done": {"freed": "{{ mig_drain_must_be_free | map(attribute='uuid') | list }}"}
        },
    },
]


def hook(directory, name, drain=(), restore=(), clients=None):
    """The path of a drain hook of that name with these further tasks; each of its files says when it runs."""
    directory = Path(directory)
    path = tasks_file(directory / f"{name}.yml", [say(f"drain {name}"), *drain])
    restored = say(f"workloads {name} {{{{ mig_drain_done | to_json }}}}")
    tasks_file(directory / f"{name}_restore.yml", [restored, *restore])
    if clients is not None:
        tasks_file(directory / f"{name}_restore_clients.yml", [say(f"clients {name}"), *clients])
    return path


def tasks_file(path, tasks):
    """The path of a task file with these tasks."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return str(path)


def log(host):
    """The lines of the host's log."""
    path = host.directory / "log"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
