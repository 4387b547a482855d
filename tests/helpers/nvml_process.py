# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NVML sessions in processes that see a simulated host, on any interpreter."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pynvml
from paths import COLLECTIONS

PRELUDE = """
import pickle, sys
from nvml_steps import *
values = pickle.load(sys.stdin.buffer)
with Session(run_command) as session:
    exec(values.pop("code"), globals(), values)
pickle.dump(values.get("result"), sys.stdout.buffer)
"""


def in_session(host, code, interpreter=sys.executable, through=(), **values):
    """Run Python code with an open ``session`` and these values in a process on ``host``: what it leaves as ``result``.

    The code finds what nvml_steps.py has. ``through`` is a command that runs the interpreter, say as another user.
    """
    path = os.pathsep.join(map(str, [COLLECTIONS, Path(__file__).parent, Path(pynvml.__file__).parent]))
    answer = subprocess.run(
        [*through, interpreter, "-S", "-c", PRELUDE],
        env={**os.environ, **host.environment, "PYTHONPATH": path},
        input=pickle.dumps(dict(values, code=code), protocol=4),
        capture_output=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr.decode()
    return pickle.loads(answer.stdout)
