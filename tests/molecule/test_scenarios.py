# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every Molecule scenario, as a contributor runs it: molecule test -s NAME."""

from __future__ import annotations

import os
import subprocess

import machines
import pytest
from paths import BIN, ROOT

SCENARIOS = sorted(path.parent.name for path in (ROOT / "extensions" / "molecule").glob("*/molecule.yml"))


# They take minutes each, and what they do tests/hosts does, too.
@pytest.mark.prove
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario, simulator, tmp_path):
    if reason := machines.missing():
        pytest.skip(reason)
    answer = subprocess.run(
        [BIN / "molecule", "test", "--scenario-name", scenario],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"),
            "NO_COLOR": "1",
            # Hosts that a killed Molecule could not remove end with this process.
            "MIG_MACHINES_OWNER": str(os.getpid()),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
