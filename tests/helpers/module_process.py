# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules run as Ansible runs them on a host: a process of their own, arguments in, one JSON result out."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from paths import COLLECTIONS


def run_module(host, name, through=(), interpreter=sys.executable, **arguments):
    """Run the module gpufleet.mig.NAME on a simulated host: its result.

    ``through`` is a command that runs the interpreter, say as another user.
    """
    module = f"ansible_collections.gpufleet.mig.plugins.modules.{name}"
    answer = subprocess.run(
        [*through, interpreter, "-m", module],
        env={**os.environ, **host.environment, "PYTHONPATH": str(COLLECTIONS)},
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in answer.stderr, answer.stderr
    return json.loads(answer.stdout)
