# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for systemctl: it knows what units.json in its folder says, and restart runs what the unit file says.

The arguments are the folder, the path of gpufleet-mig.service, and systemctl's own.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path


def main(folder, unit_file, verb, *words):
    """Obey; returns the exit status."""
    folder, unit_file, name = Path(folder), Path(unit_file), words[-1] if words else None
    with open(folder / "calls", "a", encoding="utf-8") as calls:
        print(verb, *words, file=calls)
    units = json.loads((folder / "units.json").read_text(encoding="utf-8"))
    status = 0
    if verb == "show":
        blocks = [{"Id": one, **units[one]} for one in words[1:]]
        print("\n\n".join("\n".join(f"{key}={value}" for key, value in block.items()) for block in blocks))
    elif verb == "daemon-reload":
        units[unit_file.name]["LoadState"] = "loaded" if unit_file.exists() else "not-found"
    elif verb == "enable":
        units[name]["UnitFileState"] = "enabled"
    elif verb == "disable":
        units[name].update(UnitFileState="disabled", ActiveState="inactive")
    elif verb == "restart":
        status, said = run(unit_file, folder)
        units[name].update(StatusText=said, ActiveState="failed" if status else "active")
    else:
        raise SystemExit(f"no such verb here: {verb}")
    (folder / "units.json").write_text(json.dumps(units), encoding="utf-8")
    if status:
        print(f"Job for {name} failed because the control process exited with error code.", file=sys.stderr)
    return 1 if status else 0


def run(unit_file, folder):
    """Run the ExecStart of a unit file: (exit status, its STATUS=)."""
    os.chdir(folder)
    lines = unit_file.read_text(encoding="utf-8").splitlines()
    (command,) = (line.partition("=")[2] for line in lines if line.startswith("ExecStart="))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind("notify")
        notify.setblocking(False)
        environment = {**os.environ, "NOTIFY_SOCKET": "notify"}
        status = subprocess.run(shlex.split(command), env=environment, stdout=2, check=False).returncode
        said = notify.recv(65536).decode().partition("STATUS=")[2]
    os.unlink("notify")
    return status, said


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
