# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No variable of a role can be a host's word. A host's facts outrank inventory and role defaults, and nothing else.

So each role takes its options with mig_role_options first, reads them from there, and gives each other name a value of
its own before a task may read it.
"""

from __future__ import annotations

import pytest
import yaml
from role_files import ROLES, names_of, names_read, tasks_of, values

SPECS = {
    role: yaml.safe_load((path / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    for role, path in ROLES.items()
}
ENTRIES = [(role, entry) for role, spec in SPECS.items() for entry in spec]
# Read again after the drain, as its description says. It names nothing but MIG devices.
READ_AGAIN = {"mig_partition_keep"}


def variables_of(role):
    """{name: value} of the role's vars files, which outrank facts."""
    files = sorted((ROLES[role] / "vars").rglob("*.yml"))
    return {name: value for file in files for name, value in yaml.safe_load(file.read_text(encoding="utf-8")).items()}


def results_of(role):
    """The names that the role's tasks register or set, in the order of the alphabet."""
    tasks = [tasks_of(path) for path in (ROLES[role] / "tasks").glob("*.yml")]
    return sorted({*values(tasks, "register"), *(n for one in values(tasks, "ansible.builtin.set_fact") for n in one)})


@pytest.mark.parametrize("role", ROLES)
def test_what_tasks_register_or_set_has_a_value_before(role):
    assert [name for name in results_of(role) if name not in variables_of(role)] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_other_name_is_an_option_or_given_by_the_role(role):
    path = ROLES[role]
    tasks = [tasks_of(file) for file in (path / "tasks").glob("*.yml")]
    given = {*variables_of(role), *results_of(role), *values(tasks, "loop_var"), *values(tasks, "index_var")}
    given |= {name for one in values(tasks, "vars") for name in one}
    options = {name for entry in SPECS[role].values() for name in entry["options"]}
    files = [*path.glob("tasks/*.yml"), *path.glob("vars/**/*.yml"), *path.glob("templates/*")]
    assert sorted({name for file in files for name in names_of(file)} - given - options) == []


# Results and hooks' variables that keep their names: the READMEs of the roles tell of them.
NAMED = {
    "mig_assign": {"mig_assign_found"},
    "mig_drain": {"mig_drain_done"},
    "mig_driver": {"mig_driver_check"},
    "mig_partition": {"mig_driver_check", "mig_partition_plan", "mig_partition_result", "mig_partition_target"},
}
TOLD = {name for names in NAMED.values() for name in names}
# What roles that expose MIG devices are given.
EXPOSE = {"mig_expose_pending", "mig_expose_target"}


def given_to_roles(node):
    """The variables that tasks give roles that they include."""
    if isinstance(node, list):
        return {name for one in node for name in given_to_roles(one)}
    if not isinstance(node, dict):
        return set()
    if "ansible.builtin.include_role" in node or "ansible.builtin.import_role" in node:
        return set(node.get("vars", ()))
    return {name for key in ("block", "rescue", "always") for name in given_to_roles(node.get(key, []))}


@pytest.mark.parametrize("role", ROLES)
def test_a_variable_that_is_no_option_is_private_or_told_of(role):
    path = ROLES[role]
    tasks = [tasks_of(file) for file in (path / "tasks").glob("*.yml")]
    given = {*variables_of(role), *results_of(role), *values(tasks, "loop_var"), *values(tasks, "index_var")}
    given |= {name for one in values(tasks, "vars") for name in one if name != "<<"}
    options = {name for entry in SPECS[role].values() for name in entry["options"]}
    # What it gives other roles is theirs.
    given -= {name for task in tasks for name in given_to_roles(task)}
    others = given - options - TOLD - EXPOSE
    assert sorted(name for name in others if not name.startswith(f"__{role}_")) == []
    readme = (path / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(NAMED.get(role, ())) if f"`{name}" not in readme] == []


# Those that do something once for all hosts of a play.
TOGETHER = (("mig_simulator", "main"),)
# Those whose first task does more than to take them.
OWN_ACTION = {
    ("mig_driver", "main"): ("gpufleet.mig.mig_driver_check", None),
    ("mig_partition", "main"): ("gpufleet.mig.mig_partition_request", None),
    ("mig_partition", "verify"): ("gpufleet.mig.mig_partition_request", {"entry_point": "verify"}),
}


@pytest.mark.parametrize(("role", "entry"), ENTRIES)
def test_an_entry_point_takes_its_options_first_and_reads_them_from_there(role, entry):
    first, *others = tasks_of(ROLES[role] / "tasks" / f"{entry}.yml")
    if "ansible.builtin.import_tasks" in first:
        (first,) = tasks_of(ROLES[role] / "tasks" / first["ansible.builtin.import_tasks"])
    together = {"together": True} if (role, entry) in TOGETHER else {}
    action, arguments = OWN_ACTION.get(
        (role, entry), ("gpufleet.mig.mig_role_options", {"entry_point": entry, **together})
    )
    assert first[action] == arguments
    # Where a run is limited to other tags, too: these tasks would read what was not taken.
    assert first["tags"] == (["check"] if role == "mig_driver" and entry == "main" else ["always"])
    files = [*reached(role, f"{entry}.yml"), *(ROLES[role] / "vars").rglob("*.yml")]
    read = {name for file in files for name in names_of(file)}
    # ansible-core 2.17 makes text of a number that comes by a template; the roles read those where they are.
    numbers = {name for name, option in SPECS[role][entry]["options"].items() if option["type"] in ("int", "float")}
    wanted = (SPECS[role][entry]["options"].keys() & read) - numbers - READ_AGAIN
    for task in others:
        reads = wanted if "block" in task or includes(task) else wanted & names_read(without_vars(task))
        pinned = {name: value for name, value in task.get("vars", {}).items() if name in wanted}
        assert sorted(reads - pinned.keys()) == [], task["name"]
        assert pinned == {name: f"{{{{ {first['register']}.options.{name} }}}}" for name in pinned}, task["name"]


def includes(task):
    """What the task includes of this role, if anything."""
    file = task.get("ansible.builtin.include_tasks") or task.get("ansible.builtin.import_tasks") or ""
    return file["file"] if isinstance(file, dict) else file


def without_vars(task):
    return {key: value for key, value in task.items() if key != "vars"}


def reached(role, name, seen=None):
    """That task file and those of the role that it includes, as far as their names are written there."""
    seen = {} if seen is None else seen
    path = ROLES[role] / "tasks" / name
    if name not in seen and path.exists():
        seen[name] = path
        for key in ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks"):
            for one in values(tasks_of(path), key):
                file = one["file"] if isinstance(one, dict) else one
                for other in [p.name for p in path.parent.iterdir()] if "{{" in file else [file]:
                    reached(role, other, seen)
    return list(seen.values())
