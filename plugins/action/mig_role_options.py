# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes the variables of a role once, before anything is done; plugins/modules/mig_role_options.py documents it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re

from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.gpufleet.mig.plugins import filter as filters
from ansible_collections.gpufleet.mig.plugins.plugin_utils.connection_variables import connection_variables
from ansible_collections.gpufleet.mig.plugins.plugin_utils.role_options import (
    converted,
    planted,
    planted_refusal,
    strategy_refusal,
)

# Asked of ansible-core once, before tasks are forked.
connection_variables()

# To find a filter ansible-core imports the files of its collection one by one, anew in the process of each task of each
# host. This file it imports before it forks them, and with it, then, all filters once.
for _found in pkgutil.iter_modules(filters.__path__, f"{filters.__name__}."):
    importlib.import_module(_found.name)

PINNED = re.compile(r"\{\{ __mig_\w+_options\.options\.\w+ \}\}")


class ActionModule(ActionBase):
    """Runs on the controller alone, and contacts no host."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(
            argument_spec={"entry_point": {"type": "str"}, "together": {"type": "bool", "default": False}}
        )
        names = planted(task_vars.get("ansible_facts") or {})
        if names:
            raise AnsibleActionFail(planted_refusal(task_vars["inventory_hostname"], names))
        if arguments["together"]:
            refusal = strategy_refusal(task_vars["inventory_hostname"], self._task.get_play().strategy)
            if refusal:
                raise AnsibleActionFail(refusal)
        options = self._options(arguments["entry_point"], task_vars) if arguments["entry_point"] else {}
        # What is templated once is not to be templated again where it is used.
        return dict(result, changed=False, options=wrap_var(options))

    def _options(self, entry_point, task_vars):
        """The options of that entry point of the role that this task belongs to, by the names of their variables."""
        if "role_path" not in task_vars:
            raise AnsibleActionFail("entry_point needs a role: this task belongs to none.")
        file = os.path.join(task_vars["role_path"], "meta", "argument_specs.yml")
        entry_points = self._loader.load_from_file(file)["argument_specs"]
        if entry_point not in entry_points:
            raise AnsibleActionFail(f"{file} has no entry point {entry_point}; it has {', '.join(entry_points)}.")
        spec = entry_points[entry_point].get("options") or {}
        values = {}
        for name in spec:
            if name in task_vars:
                values.update(self._templated(name, task_vars[name], task_vars))
        options, problems = converted(spec, values)
        if problems:
            raise AnsibleActionFail(f"Nothing was done for {task_vars['inventory_hostname']}: {'; '.join(problems)}.")
        return options

    def _templated(self, name, value, task_vars):
        """{name: what the value says}, or {} where it says omit."""
        try:
            # Inside a container, because ansible-core 2.19 and later take an omitted value out of it.
            values = self._templar.template({name: value})
        except AnsibleError as error:
            # An option without a value, as an entry point around this one has pinned it.
            if (
                isinstance(error, AnsibleUndefinedVariable)
                and isinstance(value, str)
                and PINNED.fullmatch(value.strip())
            ):
                return {}
            raise AnsibleActionFail(
                f"Nothing was done for {task_vars['inventory_hostname']}: the variable {name} has no value: {error}"
            ) from error
        # Before, omit is a word that stands for it.
        return {} if name in values and values[name] == task_vars.get("omit") else dict(values)
