# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes the variables of a role once, before anything is done; plugins/modules/mig_role_options.py documents it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re

from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.gpufleet.mig.plugins import filter as filters
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError

from .connection_variables import connection_variables
from .role_options import (
    ROLES,
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
from .variable_places import place_of, places

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


class Refused(Exception):
    """Why the role cannot begin, as its text: nothing but that is for the user."""

    def result(self):
        """The result of the action, which fails with it."""
        # ansible-core 2.17 would template what is raised when it is looked at, a host's words within it, too.
        return {"failed": True, "msg": wrap_var(str(self))}


def _wrong_layout(error):
    """What is wrong with a layout, or a file of nvidia-mig-parted, because of which a variable has no value; or None.

    That says where to look. The variable may be one that nobody has set.
    """
    while error and not isinstance(error, LayoutError):
        error = error.__cause__ or error.__context__
    return error and f"{error}."


class RoleAction(ActionBase):
    """An action that takes the variables of the role that its task belongs to."""

    def take(self, task_vars, entry_point=None, together=False, one_of=(), fail=True):
        """The variables of an entry point, as mig_role_options returns them: (options, refusal). Raises Refused.

        Its options have the same names.
        """
        names = planted(task_vars.get("ansible_facts") or {})
        if names:
            raise Refused(planted_refusal(task_vars["inventory_hostname"], names))
        if together:
            refusal = strategy_refusal(task_vars["inventory_hostname"], self._task.get_play().strategy)
            if refusal:
                raise Refused(refusal)
        found = places(self._task, task_vars["inventory_hostname"], self._loader)
        options, wrong = self._options(entry_point, task_vars) if entry_point else ({}, [])
        wrong = [*self._misspelt(found), *wrong, *self._contradictions(one_of, options, found, task_vars)]
        refusal = f"Nothing was done for {task_vars['inventory_hostname']}: {' '.join(wrong)}" if wrong else None
        if refusal and fail:
            raise Refused(refusal)
        # What is templated once is not to be templated again where it is used.
        return wrap_var(options), wrap_var(refusal)

    def others_options(self, role, entry_point, task_vars):
        """The options of an entry point of another role of the collection, with what its spec has where none is given.

        Raises Refused.
        """
        spec = argument_specs(str(ROLES / role))[entry_point]["options"]
        values = {name: option["default"] for name, option in spec.items() if "default" in option}
        for name in spec:
            if name in task_vars:
                values.update(self._templated(name, task_vars[name], task_vars))
        options, problems = converted(spec, values)
        if problems:
            raise Refused(f"Nothing was done for {task_vars['inventory_hostname']}: {'; '.join(problems)}.")
        return wrap_var(options)

    def given(self, name, task_vars):
        """The value of a private variable, which whoever includes a role may give it; None without. Raises Refused."""
        return self._templated(name, task_vars[name], task_vars).get(name) if name in task_vars else None

    def _misspelt(self, found):
        """Sentences about variables that were given and are none of any role of the collection, where it is plain which
        was meant. A warning, with the same words for every host, where one may have been."""
        options, spoken_of = option_names()
        unknown = {}
        for place, variables in found:
            for name in variables:
                if name.startswith("mig_") and name not in options and name not in spoken_of:
                    unknown.setdefault(name, place)
        sentences = []
        for name, place in unknown.items():
            option = meant(name)
            if option:
                sentences.append(
                    f"gpufleet.mig has no variable {name}, which was given {place}. Did you mean {option}?"
                )
            elif begins_like_an_option(name):
                self._display.warning(f"{name} was given, and no role of gpufleet.mig takes a variable of that name.")
        return sentences

    def _contradictions(self, names, options, found, task_vars):
        """Of these options the first that has a value counts. Given at one place, another is a contradiction."""
        winner, *others = [name for name in names if options.get(name)] or [None]
        for name in others:
            place, other = (place_of(found, one, task_vars[one]) for one in (winner, name))
            if place and place == other:
                yield (
                    f"{winner} and {name} were both given {place}. Only one can count: leave the other out there, or"
                    " empty."
                )
            else:
                self._display.warning(
                    f"{name} ({options[name]}) is passed over where {winner} is given, too, at another place."
                )

    def _options(self, entry_point, task_vars):
        """({option of that entry point of the role that this task belongs to: its value}, sentences about the others).

        An option is called as its variable.
        """
        if "role_path" not in task_vars:
            raise Refused("entry_point needs a role: this task belongs to none.")
        role = os.path.realpath(task_vars["role_path"])
        entry_points = argument_specs(role)
        if entry_point not in entry_points:
            raise Refused(f"{role} has no entry point {entry_point}; it has {', '.join(entry_points)}.")
        spec = entry_points[entry_point].get("options") or {}
        values, wrong = {}, []
        for name in spec:
            if name in task_vars:
                try:
                    values.update(self._templated(name, task_vars[name], task_vars))
                except Refused as error:
                    wrong.append(str(error))
        options, problems = converted(spec, values)
        if problems:
            # What is right may still be used to tell of the rest.
            right = {name: converted({name: spec[name]}, {name: value}) for name, value in values.items()}
            options = {name: one[name] for name, (one, why) in right.items() if not why}
            wrong.append(f"{'; '.join(problems)}.")
        return options, wrong

    def _templated(self, name, value, task_vars):
        """{name: what the value says}, or {} where it says omit. Refused where it says nothing."""
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
            raise Refused(_wrong_layout(error) or f"the variable {name} has no value: {error}") from error
        # Before, omit is a word that stands for it.
        return {} if name in values and values[name] == task_vars.get("omit") else dict(values)
