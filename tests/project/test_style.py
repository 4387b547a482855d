# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The linters find nothing."""

from __future__ import annotations

import os
import subprocess

import pytest
from paths import BIN, BUILD, COLLECTIONS, ROOT

# ansible-lint keeps its caches where it is told, and finds the collection by its full name.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
    "ANSIBLE_HOME": str(BUILD / "ansible-lint"),
}


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check"),
        ("yamllint", "--strict", "."),
        ("ansible-lint", "--nocolor", "-q", "roles", "playbooks"),
        # Of everything, the tests and the documents too: twice as long.
        pytest.param(("ansible-lint", "--nocolor", "-q"), marks=pytest.mark.prove),
    ],
    ids=" ".join,
)
def test_linter_finds_nothing(command):
    answer = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
