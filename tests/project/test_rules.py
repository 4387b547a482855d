# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/rules.md has a row for each rule of ours: what is computed about a GPU or another program and not asked of it.

Whoever writes such a function says so by a line ``Rule: <name>`` in its docstring, in YAML in a comment.
"""

from __future__ import annotations

import ast
import re

import pytest
from paths import ROOT

MARK = re.compile(r"^\s*(?:# )?Rule: (.+?)\s*$", re.MULTILINE)
# | rule | where | what it says | evidence | when it is wrong |
ROW = re.compile(r"^\| ([^|`]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")


def in_python(source, module):
    """{(rule, room.module.function)} of what a module's docstrings say."""
    found = set()

    def look(node, name):
        for one in ast.iter_child_nodes(node):
            inner = name
            if isinstance(one, (ast.FunctionDef, ast.ClassDef)):
                inner = f"{name}.{one.name}"
                found.update((rule, inner) for rule in MARK.findall(ast.get_docstring(one) or ""))
            look(one, inner)

    look(ast.parse(source), module)
    return found


def in_code():
    found = set()
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT / "plugins").with_suffix("").parts[1:])
        found |= in_python(path.read_text(encoding="utf-8"), name)
    for folder in ("roles", "playbooks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".yml", ".j2"):
                where = str(path.relative_to(ROOT))
                found |= {(rule, where) for rule in MARK.findall(path.read_text(encoding="utf-8"))}
    return found


def in_table():
    rows = [row for row in ROW.findall(PAGE) if "`" in row[1]]
    return {(rule, where) for rule, wheres, *_rest in rows for where in re.findall(r"`([^`]+)`", wheres)}


def test_every_rule_of_the_code_has_a_row_and_every_row_a_rule():
    assert in_code() - in_table() == set(), "add these to docs/rules.md, with their evidence"
    assert in_table() - in_code() == set(), "the code says nothing of these"


def test_a_rule_has_one_row_with_its_evidence_and_what_happens_when_it_is_wrong():
    rows = [row for row in ROW.findall(PAGE) if "`" in row[1]]
    names = [row[0] for row in rows]
    assert len(names) == len(set(names))
    assert [row[0] for row in rows if not all(len(cell.strip()) > 10 for cell in row[2:])] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('def new_rule():\n    """How many fit.\n\n    Rule: nobody wrote it down\n    """\n', "geometry.new_rule"),
        ('class A:\n    def b(self):\n        """Rule: nobody wrote it down"""\n', "geometry.A.b"),
        ("def plain():\n    return 1\n", None),
    ],
)
def test_a_function_that_says_it_is_one_is_found(source, found):
    expected = {("nobody wrote it down", found)} if found else set()
    assert in_python(source, "geometry") == expected
    assert bool(expected - in_table()) is bool(found)
