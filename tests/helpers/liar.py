# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated host whose modules and programs answer what whoever is root there wants them to."""

from __future__ import annotations

import json
import sys
from pathlib import Path

SHELL = """#!/bin/sh
{exports}
said=$('{interpreter}' "$@")
status=$?
printf '%s\\n' "$said" | '{interpreter}' '{liar}' '{lies}' "$1"
exit $status
"""


def lie(host, lies, programs=None):
    """Have a SimulatedHost lie.

    ``lies`` are {module: {path of keys with dots: value}}, put into each result of that module; ``programs`` are
    {name: the text of a shell script} that it has on PATH before all others.
    """
    folder = host.directory / "lies"
    folder.mkdir(exist_ok=True)
    for name, text in (programs or {}).items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    (folder / "lies.json").write_text(json.dumps(lies), encoding="utf-8")
    variables = {**host.environment, "PATH": f"{folder}:{host.environment['PATH']}"}
    exports = "\n".join(f"export {name}='{value}'" for name, value in variables.items())
    text = SHELL.format(exports=exports, interpreter=sys.executable, liar=__file__, lies=folder / "lies.json")
    host.python.write_text(text, encoding="utf-8")
    host.python.chmod(0o755)


def main(lies, program):
    """Print what a module has printed, with the lies that are for it."""
    said = sys.stdin.read()
    lies = json.loads(Path(lies).read_text(encoding="utf-8"))
    for module, changes in lies.items():
        if module in Path(program).name:
            result = json.loads(said)
            for path, value in changes.items():
                put(result, path.split("."), value)
            said = json.dumps(result)
    print(said)


def put(inside, keys, value):
    """Put a value into nested dictionaries and lists."""
    for key in keys[:-1]:
        inside = inside[int(key)] if isinstance(inside, list) else inside.setdefault(key, {})
    if isinstance(inside, list):
        inside[int(keys[-1])] = value
    else:
        inside[keys[-1]] = value


if __name__ == "__main__":
    main(*sys.argv[1:])
