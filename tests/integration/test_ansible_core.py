# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An ansible-core that is too old ends the run with one message, before a role has done anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from paths import COLLECTIONS

# What ansible-core says of itself before anything else of it is loaded.
CALLS_ITSELF = "from ansible import release; release.__version__ = '{}'; from ansible.cli.playbook import main; main()"


def play(version, playbook, tmp_path):
    """A run of the playbook on two hosts by an ansible-core that calls itself so."""
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = tmp_path / "inventory.json"
    variables = {"mig_state_dir": str(tmp_path / "state")}
    inventory.write_text(json.dumps({"all": {"hosts": {"gpu-1": host, "gpu-2": host}, "vars": variables}}))
    return subprocess.run(
        [sys.executable, "-c", CALLS_ITSELF.format(version), "-i", str(inventory), playbook],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOME": str(tmp_path / "ansible")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("playbook", ["gpufleet.mig.partition", "gpufleet.mig.rollback"])
def test_an_older_one_ends_the_run_with_one_message(playbook, tmp_path):
    run = play("2.16.19", playbook, tmp_path)
    assert run.returncode == 1
    said = " ".join((run.stdout + run.stderr).split())
    wanted = "gpufleet.mig needs ansible-core >=2.17.0 on the controller, and this is 2.16.19. So the run ends before"
    assert said.count(wanted) == 1
    assert "Traceback" not in said
    assert "Claim the host" not in said
    assert "PLAY RECAP" not in said
    assert not (tmp_path / "state").exists()


def test_a_release_candidate_counts_as_its_release(tmp_path):
    run = play("2.17.0rc1", "gpufleet.mig.verify", tmp_path)
    assert "needs ansible-core" not in run.stdout + run.stderr
    assert "PLAY RECAP" in run.stdout
