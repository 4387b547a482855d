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
    argument_specs,
    begins_like_an_option,
    controller_refusal,
    converted,
    meant,
    option_names,
    planted,
    planted_refusal,
    strategy_refusal,
)
from ansible_collections.gpufleet.mig.plugins.plugin_utils.variable_places import place_of, places

# ansible-core loads this before it forks the first task: what is said here is said once, and ends the run.
if (_refusal := controller_refusal()) is not None:
    raise AnsibleError(_refusal)

# Asked once, before tasks are forked.
connection_variables()
option_names()

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
            argument_spec={
                "entry_point": {"type": "str"},
                "together": {"type": "bool", "default": False},
                "one_of": {"type": "list", "elements": "str", "default": []},
            }
        )
        names = planted(task_vars.get("ansible_facts") or {})
        if names:
            raise AnsibleActionFail(planted_refusal(task_vars["inventory_hostname"], names))
        if arguments["together"]:
            refusal = strategy_refusal(task_vars["inventory_hostname"], self._task.get_play().strategy)
            if refusal:
                raise AnsibleActionFail(refusal)
        found = places(self._task, task_vars["inventory_hostname"], self._loader)
        self._refuse_what_is_misspelt(found, task_vars)
        options = self._options(arguments["entry_point"], task_vars) if arguments["entry_point"] else {}
        self._refuse_two(arguments["one_of"], options, found, task_vars)
        # What is templated once is not to be templated again where it is used.
        return dict(result, changed=False, options=wrap_var(options))

    def _refuse_what_is_misspelt(self, found, task_vars):
        """Variables that were given and are none of any role of the collection: refused where it is plain which was
        meant, else warned of where one may have been, with the same words for every host."""
        options, spoken_of = option_names()
        unknown = {}
        for place, variables in found:
            for name in variables:
                if name.startswith("mig_") and name not in options and name not in spoken_of:
                    unknown.setdefault(name, place)
        for name, place in unknown.items():
            option = meant(name)
            if option:
                raise AnsibleActionFail(
                    f"Nothing was done for {task_vars['inventory_hostname']}: gpufleet.mig has no variable {name},"
                    f" which was given {place}. Did you mean {option}?"
                )
            if begins_like_an_option(name):
                self._display.warning(f"{name} was given, and no role of gpufleet.mig takes a variable of that name.")

    def _refuse_two(self, names, options, found, task_vars):
        """Of these options the first that has a value counts. Given at one place, another is a contradiction."""
        winner, *others = [name for name in names if options.get(name)] or [None]
        for name in others:
            place, other = (place_of(found, one, task_vars[one]) for one in (winner, name))
            if place and place == other:
                raise AnsibleActionFail(
                    f"Nothing was done for {task_vars['inventory_hostname']}: {winner} and {name} were both given"
                    f" {place}. Only one can count: leave the other out there, or empty."
                )
            self._display.warning(
                f"{name} ({options[name]}) is passed over where {winner} is given, too, at another place."
            )

    def _options(self, entry_point, task_vars):
        """The options of that entry point of the role that this task belongs to, by the names of their variables."""
        if "role_path" not in task_vars:
            raise AnsibleActionFail("entry_point needs a role: this task belongs to none.")
        role = os.path.realpath(task_vars["role_path"])
        entry_points = argument_specs(role)
        if entry_point not in entry_points:
            raise AnsibleActionFail(f"{role} has no entry point {entry_point}; it has {', '.join(entry_points)}.")
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
