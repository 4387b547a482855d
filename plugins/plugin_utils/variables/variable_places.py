# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a variable was given: by -e, with the role, in the play, for the host or one of its groups.

ansible-core says what a variable is and not whence. Facts, what tasks register or set, and include_vars are no places.
"""

from __future__ import annotations

from ansible.errors import AnsibleError
from ansible.inventory.helpers import sort_groups
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path


def places(task, host, loader):
    """[(what a message calls the place, {name: value})], what outranks others first, as far as it can be told.

    The values are as they are written. The order is that of VariableManager.get_vars; a group's variables in the
    inventory and in files are one place, though files of all groups outrank the inventory.

    :param task: what runs
    :param host: the name of the host
    :param loader: the DataLoader of the run
    """
    try:
        return _places(task, host, loader)
    except AttributeError:
        return []  # a later ansible-core has other names for what it keeps


def _places(task, host, loader):
    manager = task.get_variable_manager()
    if manager is None:
        return []
    found = [("by -e", manager.extra_vars)]
    if task._role:
        # A role that includes another may give it what that has for itself.
        own = task._role._role_vars
        given = {**task._role.vars, **task._role._role_params}
        found.append(("with the role", {name: value for name, value in given.items() if name not in own}))
    play = task.get_play()
    found += [(f"in {file}", variables) for file, variables in reversed(_vars_files(play, loader))]
    found.append((f"in the play {play.get_name()}", play.get_vars()))
    inventory = manager._inventory
    known = inventory.get_host(host)
    if known is not None:
        groups = list(reversed(sort_groups(known.get_groups())))
        found += [
            (f"for {kind} {one.name}", _given(one, inventory, loader))
            for kind, some in (("host", [known]), ("group", groups))
            for one in some
        ]
    return found


def place_of(found, name, value):
    """The first of these places at which the name has this value, or None where that cannot be told."""
    return next((what for what, variables in found if name in variables and variables[name] == value), None)


def _given(entity, inventory, loader):
    """The variables of a host or group, in the inventory and in the files beside it and beside the playbook."""
    return {
        **entity.vars,
        **get_vars_from_inventory_sources(loader, inventory._sources, [entity], "task"),
        **get_vars_from_path(loader, loader.get_basedir(), [entity], "task"),
    }


def _vars_files(play, loader):
    """[(path, {name: value})] of the play's vars_files that are named without a template, in their order."""
    found = []
    for one in play.get_vars_files():
        for file in one if isinstance(one, list) else [one]:
            if not isinstance(file, str) or "{{" in file:
                break
            try:
                path = loader.path_dwim_relative_stack(play.get_search_path(), "vars", file)
                variables = loader.load_from_file(path)
            except AnsibleError:
                continue  # ansible-core takes the first that is there, and has said if there is none
            if isinstance(variables, dict):
                found.append((path, variables))
            break
    return found
