# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rooms of plugins/: which may import which, how large a door is, and the map of them in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter

import pytest
from paths import ROOT
from rooms import MODULES, PLUGINS, imports

HOUSES = ("module_utils", "plugin_utils")
DOOR = 60
IMPORTS = {name: sorted(set(imports(name))) for name in MODULES}


def room(name):
    """module_utils.plan of module_utils.plan.gpu; a module of no room is one of its own."""
    return ".".join(name.split(".")[:2])


def test_rooms_stand_one_above_the_other():
    below = {}
    for name, found in IMPORTS.items():
        below.setdefault(room(name), set()).update(room(one) for one in found if room(one) != room(name))
    TopologicalSorter(below).prepare()


def test_no_modules_import_each_other():
    TopologicalSorter(IMPORTS).prepare()


def may_not(name, found):
    """Why a module may not import another, or None."""
    mine, other = room(name), room(found)
    if {mine, other} == {"module_utils.plan", "module_utils.nvml"}:
        return "a plan is made without a driver, and the driver is asked without a plan"
    if name == "module_utils.apply.transaction" and other == "module_utils.nvml":
        return "the transaction runs on any port"
    if mine.startswith("module_utils") and other.startswith("plugin_utils"):
        return "plugin_utils are the controller's"
    opens = name.rpartition(".")[2] in ("run", "restore")
    if found == "module_utils.nvml.session" and mine != other and not opens:
        return "a session is opened by a run, or by the program that restores a layout"
    return None


def test_no_module_imports_what_it_must_not_know():
    broken = [(name, found, may_not(name, found)) for name, all_found in IMPORTS.items() for found in all_found]
    assert [one for one in broken if one[2]] == []


@pytest.mark.parametrize("kind", HOUSES)
def test_packages_are_empty(kind):
    packages = {path.parent for path in (PLUGINS / kind).rglob("*.py")} - {PLUGINS / kind}
    assert [str(one) for one in packages if (one / "__init__.py").read_bytes() != b""] == []


def test_a_module_is_a_door():
    long = {}
    for path in sorted((PLUGINS / "modules").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        documentation = [
            range(node.lineno, node.end_lineno + 1)
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and node.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN")
        ]
        code = [
            line
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.startswith("#") and not any(number in lines for lines in documentation)
        ]
        if len(code) > DOOR:
            long[path.name] = len(code)
    assert long == {}


def test_the_map_names_every_module_in_its_room():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn, house, where = [], None, None
    for line in text.split("```\nplugins/\n")[1].split("```")[0].splitlines():
        if found := re.match(r"  (\w+)/", line):
            house = found[1]
        elif house not in HOUSES:
            continue
        elif found := re.match(r"    (\w+)/", line):
            where = f"{house}.{found[1]}"
        elif found := re.match(r"    (\w+\.py(?:, \w+\.py)*)", line):
            drawn += [f"{house}.{name[:-3]}" for name in found[1].split(", ")]
        elif re.match(r" {21}\w+(, \w+)*,?$", line):
            drawn += [f"{where}.{name}" for name in re.findall(r"\w+", line)]
    assert sorted(drawn) == sorted(MODULES)


def test_unit_tests_lie_where_their_room_lies():
    unit = ROOT / "tests" / "unit" / "plugins"
    folders = {path.parent.relative_to(unit) for path in unit.rglob("test_*.py")}
    assert [str(one) for one in folders if not (PLUGINS / one).is_dir()] == []
