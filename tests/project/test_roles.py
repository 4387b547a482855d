# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles stand one above the other, and none reads what is another's.

A role gives another its options as the vars of include_role and import_role. What a role's defaults fall back on is
what its users set once for several roles, and is named in its argument spec.
"""

from __future__ import annotations

import re
from graphlib import TopologicalSorter

import pytest
from role_files import ROLES, names_of, tasks_of

PREFIX = "gpufleet.mig."
# Entry points that remain by an earlier name, for one release: each includes the role above that has it now.
EARLIER = {("mig_device_plugin", "reconcile.yml")}
# What a role reads of another: results of which that one's README tells its users.
RESULTS = {"mig_partition": {"mig_drain_done", "mig_driver_check"}}
# The earlier name of mig_<role>_pending, which each has in its vars files for one release.
EARLIER_NAMES = {"mig_expose_pending"}
# A claim within which a role is used: whoever includes it has given it that.
GIVEN = re.compile(r"__(mig_\w+)_within")


def tasks(node):
    """Every task of a task file, those in blocks too."""
    for task in node:
        yield task
        for key in ("block", "rescue", "always"):
            yield from tasks(task.get(key, ()))


def included(role):
    """{(task file, role that it includes)}; a name that is a template stands for every role that it fits."""
    for path in sorted((ROLES[role] / "tasks").glob("*.yml")):
        for task in tasks(tasks_of(path)):
            for key in ("ansible.builtin.include_role", "ansible.builtin.import_role"):
                if key in task:
                    name = re.sub(r"{{.*?}}", "*", task[key]["name"]).removeprefix(PREFIX)
                    fits = re.compile(re.escape(name).replace(r"\*", r"\w+"))
                    for other in ROLES:
                        if fits.fullmatch(other) and ("*" not in name or "check.yml" in files(other)):
                            yield path.name, other


def files(role):
    return {path.name for path in (ROLES[role] / "tasks").glob("*.yml")}


def owner(name):
    """The role whose variable that is, by its name, or None."""
    found = [role for role in ROLES if re.match(rf"_*{role}_", name)]
    return max(found, key=len, default=None)


def test_no_role_includes_one_above_it():
    below = {role: {other for file, other in included(role) if (role, file) not in EARLIER} for role in ROLES}
    assert below["mig_reconcile"] == {"mig_partition"}
    assert below["mig_partition"] >= {"mig_drain", "mig_driver", "mig_device_plugin"}
    TopologicalSorter(below).prepare()


def test_an_earlier_entry_point_is_one_include():
    for role, file in EARLIER:
        (task,) = tasks_of(ROLES[role] / "tasks" / file)
        assert "ansible.builtin.include_role" in task


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_its_own_variables_alone(role):
    path = ROLES[role]
    read = set()
    for file in [*path.glob("tasks/*.yml"), *path.glob("vars/**/*.yml"), *path.glob("templates/*")]:
        read |= names_of(file)
    others = {name for name in read if owner(name) not in (role, None) or name.startswith("mig_expose_")}
    assert {name for name in others - EARLIER_NAMES if not GIVEN.fullmatch(name)} == RESULTS.get(role, set())
