# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mig_persistence on a simulated host without systemd: its files in a folder, and a stand-in for systemctl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from modules import arguments, parsed
from paths import COLLECTIONS

MODULE = """
import os, sys
from ansible_collections.gpufleet.mig.plugins.module_utils.layout import saved_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.persistence import files
from ansible_collections.gpufleet.mig.plugins.modules import mig_persistence
root = sys.argv.pop()
saved_layout.PATH = root + saved_layout.PATH
for name in ("UNIT_PATH", "PROGRAM_PATH", "MIG_MANAGER_CONFIG", "MIG_MANAGER_DROP_IN"):
    setattr(files, name, root + getattr(files, name))
mig_persistence.main()
"""
SYSTEMCTL = Path(__file__).with_name("systemctl.py")
OURS, MIG_MANAGER = "gpufleet-mig.service", "nvidia-mig-manager.service"
ABSENT = {
    "LoadState": "not-found",
    "UnitFileState": "",
    "ActiveState": "inactive",
    "NeedDaemonReload": "no",
    "StatusText": "",
}


class KeptHost:
    """A SimulatedHost with a folder for the module's files and a systemctl on PATH."""

    def __init__(self, host):
        self.host = host
        self.root = host.directory / "root"
        self.bin = host.directory / "bin"
        self.layout = self.root / "etc/gpufleet-mig/layout.json"
        self.program = self.root / "usr/local/lib/gpufleet-mig/restore.pyz"
        self.unit = self.root / "etc/systemd/system" / OURS
        self.bin.mkdir()
        stand_in = f"#!/bin/sh\nexec '{sys.executable}' -I '{SYSTEMCTL}' '{self.bin}' '{self.unit}' \"$@\"\n"
        (self.bin / "systemctl").write_text(stand_in, encoding="utf-8")
        (self.bin / "systemctl").chmod(0o755)
        self.set_units({OURS: ABSENT, MIG_MANAGER: ABSENT})
        host.environment["PATH"] = f"{self.bin}:{host.environment['PATH']}"

    def units(self):
        """What the stand-in for systemd knows."""
        return json.loads((self.bin / "units.json").read_text(encoding="utf-8"))

    def set_units(self, units):
        """Let it know something else."""
        (self.bin / "units.json").write_text(json.dumps(units), encoding="utf-8")

    def calls(self):
        """The calls of systemctl so far that are more than questions, and forget them."""
        log = self.bin / "calls"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("show ")]

    def files(self):
        """{path below the folder: bytes} of all that is there."""
        found = (path for path in self.root.rglob("*") if not path.is_dir())
        return {str(path.relative_to(self.root)): path.read_bytes() for path in sorted(found)}

    def run(self, params, *, check=False, through=()):
        """Run the module: a ModuleRun; ``through`` is the beginning of a command line."""
        answer = subprocess.run(
            [*through, sys.executable, "-c", MODULE, str(self.root)],
            env={**os.environ, **self.host.environment, "PYTHONPATH": str(COLLECTIONS)},
            input=arguments(self.host, {"state_dir": str(self.host.state_dir), "driver_timeout": 0, **params}, check),
            capture_output=True,
            text=True,
            check=False,
        )
        return parsed(answer.returncode, answer.stdout, answer.stderr)

    def boot(self, *options, interpreter=sys.executable, isolated=True, check=True):
        """Run the restore program as the unit does: the completed process."""
        command = [interpreter, *["-I"] * isolated, self.program, self.layout, "--state-dir", self.host.state_dir]
        return self.host.run(*map(str, command), *options, check=check)


def layout_now(host, modules):
    """The entries that mig_facts returns for the host's MIG-capable GPUs."""
    gpus = modules.run(host, "mig_facts", {}).ok()["ansible_facts"]["mig"]["gpus"]
    return [gpu["layout"] for gpu in gpus if gpu["mig_capable"]]
