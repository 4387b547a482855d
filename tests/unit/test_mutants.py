# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mistakes of `make mutants` can be made in this checkout, and the tests that must notice them are there."""

from __future__ import annotations

import ast
from functools import cache

import pytest
import yaml
from paths import ROOT

MUTANTS = yaml.safe_load((ROOT / "tests" / "mutants" / "mutants.yml").read_text(encoding="utf-8"))
MOST_WITH_PLAYBOOKS = 10


@cache
def functions_of(file):
    """{name: the fixtures and parameters of that test} of a file of tests."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {one.name: [argument.arg for argument in one.args.args] for one in functions}


def named_by(mutant):
    """[(file, test)] of the tests that must notice a mutant."""
    parts = [one.partition("::") for one in mutant["tests"].split()]
    return [(file, test.partition("[")[0]) for file, _colons, test in parts]


@pytest.mark.parametrize("number", range(len(MUTANTS)))
def test_a_mutant_can_be_made_and_has_its_tests(number):
    mutant = MUTANTS[number]
    assert sorted(mutant) == ["becomes", "file", "tests", "text"]
    assert mutant["file"].startswith(("plugins/", "roles/"))
    assert (ROOT / mutant["file"]).read_text(encoding="utf-8").count(mutant["text"]) == 1
    assert mutant["becomes"] != mutant["text"]
    assert [one for one in named_by(mutant) if one[1] not in functions_of(one[0])] == []


def test_no_mutant_is_there_twice():
    places = [(mutant["file"], mutant["text"]) for mutant in MUTANTS]
    assert sorted(set(places)) == sorted(places)


def test_most_are_noticed_without_a_playbook():
    slow = [one for one in MUTANTS if any("run_playbook" in functions_of(file)[test] for file, test in named_by(one))]
    assert len(slow) <= MOST_WITH_PLAYBOOKS
