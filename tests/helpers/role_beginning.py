# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first task of a role as ansible-core runs it, given variables at each place at which a user may give them.

As a program it begins a role for each line of its input, on whatever ansible-core its Python has. A line and its answer
are JSON: {"folder": ..., "role": ..., "given": {place: {name: value}}, "facts": ..., "set_facts": ...}, and
{"refusal": ..., "options": ..., "warnings": [...]}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

# Entry points of roles that ansible-core has soon read.
VERIFY, RESTORE = ("gpufleet.mig.mig_partition", "verify"), ("gpufleet.mig.mig_drain", "restore")
FILES = {
    "host_vars": "inventory/host_vars/gpu-1.json",
    "group_vars": "inventory/group_vars/gpus.json",
    "all_vars": "inventory/group_vars/all.json",
    "play_host_vars": "play/host_vars/gpu-1.json",
    "play_group_vars": "play/group_vars/gpus.json",
    "vars_files": "play/files.json",
}


class Beginnings:
    """Such a program, of one environment."""

    def __init__(self, environment, collections):
        self._process = subprocess.Popen(
            [environment.bin / "python", __file__],
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, folder, given, role=VERIFY, facts=None, set_facts=None):
        """The answer for these variables, in a folder of its own."""
        case = {"folder": str(folder), "role": role, "given": given, "facts": facts or {}, "set_facts": set_facts or {}}
        print(json.dumps(case), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _write(path, variables):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(variables), encoding="utf-8")
    return str(path)


def _first(block):
    """The first task of what an import has become."""
    return _first(block.block[0]) if hasattr(block, "block") else block


def template(text):
    """A text that may be templated, which ansible-core 2.19 and later have to be told."""
    try:
        from ansible.template import trust_as_template
    except ImportError:
        return text
    return trust_as_template(text)


def _begin(case, loader):
    """The answer to a line. The loader keeps what it has read of the roles."""
    from ansible.inventory.manager import InventoryManager
    from ansible.playbook.play import Play
    from ansible.playbook.play_context import PlayContext
    from ansible.plugins.loader import action_loader
    from ansible.template import Templar
    from ansible.utils.display import Display
    from ansible.vars.manager import VariableManager

    given, folder = case["given"], Path(case["folder"])
    role = {"name": case["role"][0], "tasks_from": case["role"][1], "rolespec_validate": False}
    gpus = {"hosts": {"gpu-1": given.get("host", {})}, "vars": given.get("group", {})}
    site = {"children": {"gpus": gpus}, "vars": given.get("parent", {})}
    inventory = _write(
        folder / "inventory" / "hosts.json", {"all": {"children": {"site": site}, "vars": given.get("all", {})}}
    )
    for place, path in FILES.items():
        if place in given:
            _write(folder / path, given[place])
    loader.set_basedir(str(folder / "play"))
    hosts = InventoryManager(loader, [inventory])
    manager = VariableManager(loader, hosts)
    manager._extra_vars = given.get("-e", {})
    manager.set_nonpersistent_facts("gpu-1", case["set_facts"])
    manager.set_host_facts("gpu-1", case["facts"])
    data = {
        "name": "Partition",
        "hosts": "gpu-1",
        "gather_facts": False,
        "vars": given.get("play", {}),
        "vars_files": [str(folder / FILES["vars_files"])] if "vars_files" in given else [],
        "tasks": [{"import_role": role, "vars": given.get("role", {})}],
    }
    block = Play.load(data, manager, loader).tasks[0]
    play, task = block._play, _first(block)
    variables = manager.get_vars(play=play, host=hosts.get_host("gpu-1"), task=task)
    warnings = []
    Display.warning = lambda _self, text, *_arguments, **_options: warnings.append(text)
    plugin = action_loader.get(
        task.action,
        task=task,
        connection=SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere")),  # it contacts no host
        play_context=PlayContext(),
        loader=loader,
        templar=Templar(loader=loader, variables=variables),
        shared_loader_obj=None,
    )
    result = plugin.run(task_vars=variables)
    # As a playbook reads it.
    refusal = Templar(loader=loader, variables={"failed": result}).template(template("{{ failed.msg | default('') }}"))
    return {"refusal": refusal, "options": result.get("options", {}), "warnings": warnings}


def main():
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()
    loader = DataLoader()
    for line in sys.stdin:
        print(json.dumps(_begin(json.loads(line), loader)), flush=True)


if __name__ == "__main__":
    main()
