# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Units of systemd, through systemctl."""

from __future__ import annotations

from typing import NamedTuple

from .errors import MigError
from .visible import said, visible


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


def systemctl(run_command, *arguments):
    """Run systemctl and return what it prints. Raises MigError with what it says where it fails."""
    status, output, errors = run_command(["systemctl", *arguments], environ_update={"LC_ALL": "C"})
    if status:
        raise MigError(f"systemctl {' '.join(arguments)} failed: {said(output + errors)}")
    return output
