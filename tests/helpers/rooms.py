# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which modules of module_utils and plugin_utils import which, read from their sources."""

from __future__ import annotations

import ast

from paths import ROOT

PLUGINS = ROOT / "plugins"
PREFIX = "ansible_collections.gpufleet.mig.plugins."
# {module_utils.plan.gpu: its file}
MODULES = {
    ".".join(path.relative_to(PLUGINS).with_suffix("").parts): path
    for house in ("module_utils", "plugin_utils")
    for path in sorted((PLUGINS / house).rglob("*.py"))
    if path.name != "__init__.py"
}


def imports(name):
    """The modules of MODULES that one of them imports, wherever in it, but for what only a type checker would run."""
    here = name.split(".")
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    never_run = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    skipped = {id(one) for node in never_run for one in ast.walk(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in skipped:
            continue
        if node.level:
            base = ".".join([*here[: -node.level], *filter(None, [node.module])])
        elif (node.module or "").startswith(PREFIX):
            base = node.module[len(PREFIX) :]
        else:
            continue
        for alias in node.names:
            found = base if base in MODULES else f"{base}.{alias.name}"
            if found in MODULES:
                yield found
