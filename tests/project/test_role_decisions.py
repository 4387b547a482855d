# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles decide nothing in templates: a value is a constant, a name, or what one filter returns, and that is Python."""

from __future__ import annotations

import re

import pytest
import yaml
from paths import ROOT

ROLES = {path.name: path for path in sorted((ROOT / "roles").iterdir())}
# Nothing in plugins/ is about simulated GPUs, so its two decisions stay.
DECIDES = "mig_simulator"
EXPRESSION = re.compile(r"{{(.*?)}}", re.DOTALL)
LITERAL = re.compile(r"\"[^\"]*\"|'[^']*'")
# What is taken where a value is missing is no decision.
DEFAULT = re.compile(r"\|\s*default\((?:\w+|''|{}|\[[^\]]*\])\)")
# What stands under these keys is an expression as it is.
CONDITIONS = ("when", "that", "until", "failed_when", "changed_when")


def decisions(text):
    """What a template has that belongs into Python."""
    found = re.findall(r"{%.*?%}", text)
    for expression in EXPRESSION.findall(text):
        found += too_much(expression)
    return found


def too_much(expression):
    """The expression, in a list, where it has a condition or more than one filter."""
    plain = DEFAULT.sub("", LITERAL.sub("''", expression))
    return [expression.strip()] if plain.count("|") > 1 or re.search(r"\bif\b", plain) else []


def strings(node, key=None):
    """(key, string) of all strings at any depth, each with the key that it stands under."""
    if isinstance(node, dict):
        return [one for inner, value in node.items() for one in strings(value, inner)]
    if isinstance(node, list):
        return [one for value in node for one in strings(value, key)]
    return [(key, node)] if isinstance(node, str) else []


def in_file(path):
    """What of a YAML file's templates belongs into Python."""
    found = []
    for key, text in strings(yaml.safe_load(path.read_text(encoding="utf-8")) or []):
        if key in CONDITIONS:
            found += [one for part in re.split(r"\band\b|\bor\b", text) for one in too_much(part)]
        else:
            found += decisions(text)
    return found


def files(folder):
    """{name: path} of the roles' YAML files there."""
    return {
        str(path.relative_to(ROOT / "roles")): path for path in sorted((ROOT / "roles").glob(f"*/{folder}/**/*.yml"))
    }


@pytest.mark.parametrize("name", files("vars"))
def test_variables_are_constants_or_what_a_filter_returns(name):
    assert in_file(files("vars")[name]) == []


@pytest.mark.parametrize("name", [name for name in files("tasks") if name.partition("/")[0] != DECIDES])
def test_tasks_decide_nothing(name):
    assert in_file(files("tasks")[name]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ a | default({}) }}{{ b | f(c | default([])) }} text | text", 0),
        ("{{ a.b | default('') | f(c, 'x | y if z') }}", 0),
        ("{{ a | b | c }}", 1),
        ("{{ a if b else c }}", 1),
        ("{% for a in b %}{{ a }}{% endfor %}", 2),
        ("{{ a | f(b | g) }}", 1),
    ],
)
def test_what_a_decision_is(text, found):
    assert len(decisions(text)) == found
