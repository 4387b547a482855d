# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files of roles say, and which variables of ours they read."""

from __future__ import annotations

import re
from functools import cache

import yaml
from paths import ROOT

ROLES = {path.name: path for path in sorted((ROOT / "roles").iterdir())}
# A variable of ours in an expression: no attribute, and no option of a filter (name=).
NAME = re.compile(r"(?<![\w.])_*mig_\w+(?!\w|=[^=])")
TEMPLATE = re.compile(r"{[{%](.*?)[%}]}", re.DOTALL)
LITERAL = re.compile(r"\"[^\"]*\"|'[^']*'")
# What stands under these keys is an expression as it is.
CONDITIONS = {"when", "that", "until", "failed_when", "changed_when"}


def names_in(text):
    """The variables of ours in the templates of a text."""
    return {name for one in TEMPLATE.findall(text) for name in NAME.findall(LITERAL.sub("", one))}


def names_read(node, key=None):
    """The variables of ours that this part of a YAML file reads."""
    if isinstance(node, dict):
        return {name for one, value in node.items() for name in names_read(value, one)}
    if isinstance(node, list):
        return {name for value in node for name in names_read(value, key)}
    return names_in(f"{{{{ {node} }}}}" if key in CONDITIONS else node) if isinstance(node, str) else set()


def names_of(path):
    """The variables of ours that a file of a role reads."""
    return names_read(tasks_of(path)) if path.suffix == ".yml" else names_in(path.read_text(encoding="utf-8"))


@cache
def tasks_of(path):
    """What a YAML file says."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) or []


def values(node, key):
    """What stands under that key, at any depth."""
    if isinstance(node, dict):
        found = [node[key]] if key in node else []
        return found + [one for value in node.values() for one in values(value, key)]
    return [one for value in node for one in values(value, key)] if isinstance(node, list) else []
