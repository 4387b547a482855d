# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Units of systemd: what they may be called, and what systemctl says of them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import MigError
from ..visible import said, shown, visible

# See systemd.unit(5).
_KINDS = "service socket device mount automount swap target path timer slice scope"
KINDS = tuple(f".{kind}" for kind in _KINDS.split())
# As there, except that none begins with what a command takes for an option or a directory for a hidden file.
NAME = re.compile(r"(?![.@-])[A-Za-z0-9:_.\\@-]+")
NAME_LENGTH = 255  # UNIT_NAME_MAX, with the byte that ends it


class Unit(NamedTuple):
    """What systemd says of a unit; ``stale`` where its files changed since systemd read them."""

    there: bool
    enabled: bool
    active: bool
    stale: bool
    status: str

    def data(self):
        """As plain data."""
        return {"enabled": self.enabled, "active": self.active, "status": self.status or None}


def is_unit(name, kinds):
    """Whether this is the full name of one unit of these kinds, for a command's argument. Pure."""
    return (
        isinstance(name, str)
        and name.endswith(kinds)
        and bool(NAME.fullmatch(name))
        and len(name) <= NAME_LENGTH
        and "@." not in name[-11:]
    )


def unit_name(where, text, kinds=KINDS):
    """The full name of the unit that ``text`` names; one without any of the ``kinds`` at its end is a service.

    Raises MigError, in which ``where`` is how messages call the option, for what no unit is called: what begins like an
    option of a command, holds a slash, a blank or a line's end, is too long, or is a template without an instance.
    """
    name = text if not isinstance(text, str) or text.endswith(kinds) else f"{text}.service"
    if not is_unit(name, KINDS):
        kind = "systemd service" if kinds == (".service",) else "systemd unit"
        raise MigError(f"{where}: got {shown(text)}; expected a {kind} such as train.service")
    return name


def unit_names(where, names):
    """The full names of a list of units, as unit_name has them. Raises MigError."""
    if not isinstance(names, (list, tuple)):
        raise MigError(f"{where}: got {shown(names)}; expected a list of systemd units")
    return [unit_name(f"{where}[{number}]", name) for number, name in enumerate(names)]


def units(run_command, *names):
    """{name: Unit}; ``run_command`` is AnsibleModule's. Raises MigError."""
    properties = "Id,LoadState,UnitFileState,ActiveState,NeedDaemonReload,StatusText"
    answer = systemctl(run_command, "show", f"--property={properties}", *names)
    found = {}
    for block in answer.split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[facts.get("Id")] = Unit(
            there=facts.get("LoadState") != "not-found",
            enabled=facts.get("UnitFileState") == "enabled",
            active=facts.get("ActiveState") == "active",
            stale=facts.get("NeedDaemonReload") == "yes",
            status=visible(facts.get("StatusText", "")),
        )
    return {name: found[name] for name in names}


def properties(run_command, wanted, names):
    """[{property: value}] of ``systemctl show`` for these units, in their order. Raises MigError."""
    answer = systemctl(run_command, "show", f"--property={','.join(wanted)}", "--", *names)
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in answer.strip().split("\n\n")]
    if len(blocks) != len(names):
        raise MigError(f"systemctl show told of {len(blocks)} units instead of {len(names)}: {', '.join(names)}.")
    return blocks


def systemctl(run_command, *arguments):
    """Run systemctl and return what it prints. Raises MigError with what it says where it fails."""
    status, output, errors = run_command(["systemctl", *arguments], environ_update={"LC_ALL": "C"})
    if status:
        raise MigError(f"systemctl {' '.join(arguments)} failed: {said(output + errors)}")
    return output
