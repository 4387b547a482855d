# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated host whose root is an attacker: what its modules answer holds facts that they did not give."""

from __future__ import annotations

import json
import sys

# Ansible runs a module with the host's Python; this Python changes what the module prints. It may be run by any
# interpreter, twice at once not.
WRAPPER = """\
import json, os, subprocess, sys
plan = json.load(open({plan!r}))
program = sys.argv[1] if len(sys.argv) > 1 else ""
answer = subprocess.run([{python!r}, *sys.argv[1:]], stdout=subprocess.PIPE)
text = answer.stdout
if "AnsiballZ_" in program:
    number = int(open({count!r}).read()) + 1 if os.path.exists({count!r}) else 1
    open({count!r}, "w").write(str(number))
    module = os.path.basename(program)[len("AnsiballZ_"):-len(".py")]
    with open({log!r}, "a") as log:
        log.write(module + "\\n")
    if plan["module"] in (None, module) and number in (plan["number"] or [number]):
        try:
            data = json.loads(text)
        except ValueError:
            data = None
        if isinstance(data, dict):
            data.setdefault("ansible_facts", {{}}).update(plan["facts"])
            text = json.dumps(data).encode() + b"\\n"
sys.stdout.buffer.write(text)
sys.exit(answer.returncode)
"""


class HostileAnswers:
    """Has ``host`` answer with ``facts`` from now on: in each module's answer, the ``number``-th, or that ``module``'s.

    ``modules()`` are the modules that it was asked to run.
    """

    def __init__(self, host, facts, *, number=None, module=None):
        self._log = host.directory / "modules"
        self._log.write_text("", encoding="utf-8")
        files = {name: str(host.directory / f"hostile-{name}") for name in ("plan", "count")}
        plan = {"facts": facts, "number": [number] if number else None, "module": module}
        (host.directory / "hostile-plan").write_text(json.dumps(plan), encoding="utf-8")
        (host.directory / "hostile-count").unlink(missing_ok=True)
        program = host.directory / "hostile.py"
        program.write_text(WRAPPER.format(**files, log=str(self._log), python=sys.executable), encoding="utf-8")
        script = host.python.read_text(encoding="utf-8")
        host.python.write_text(script.replace('"$@"', f"'{program}' \"$@\""), encoding="utf-8")

    def modules(self):
        return self._log.read_text(encoding="utf-8").splitlines()
