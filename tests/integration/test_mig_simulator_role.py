# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_simulator: built on the host and on the controller, the same again unchanged, other GPUs replaced."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from paths import BIN


class Host:
    """A host that Ansible reaches locally, with the role's files in a folder of the test's own."""

    def __init__(self, directory):
        self.name = "simulated"
        self.programs = directory / "programs"
        self.state = directory / "state-folder" / "state"

    def variables(self):
        """What an inventory says of this host."""
        return {"ansible_connection": "local", "ansible_python_interpreter": str(BIN / "python")}

    def show(self):
        """What the installed command says of the host."""
        answer = subprocess.run(
            [self.programs / "mig-simulator", "show", "--json"],
            env={**os.environ, "MIG_SIMULATOR_STATE": str(self.state)},
            capture_output=True,
            check=True,
        )
        return json.loads(answer.stdout)

    def plays(self, **variables):
        """A play with the role."""
        role = {
            "role": "gpufleet.mig.mig_simulator",
            "mig_simulator_directory": str(self.programs),
            "mig_simulator_state": str(self.state),
            "mig_simulator_build_directory": str(self.programs.parent / "built"),
            **variables,
        }
        # A build on the host takes its python3, which has PyYAML here.
        path = {"PATH": f"{BIN}:{os.environ['PATH']}"}
        return [{"hosts": "all", "gather_facts": False, "environment": path, "roles": [role]}]


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def changed(run):
    """The tasks of the run that changed something."""
    return [one["task"] for one in run.ok().results() if one["result"].get("changed")]


@pytest.mark.prove
@pytest.mark.parametrize("build_on", ["host", "controller"])
def test_runs_again_unchanged_replaces_other_gpus_refuses_unknown_ones(run_playbook, host, build_on):
    options = {"mig_simulator_build_on": build_on, "mig_simulator_mig": True}
    gpus = [{"model": "A100-SXM4-40GB", "count": 2}, {"model": "L40S-48GB"}]
    assert changed(run_playbook(host.plays(mig_simulator_gpus=gpus, **options), [host]))
    there = host.show()
    assert [gpu["model"] for gpu in there["gpus"]] == ["A100-SXM4-40GB", "A100-SXM4-40GB", "L40S-48GB"]
    assert [gpu["mig_mode"] for gpu in there["gpus"]] == [True, True, False]

    assert changed(run_playbook(host.plays(mig_simulator_gpus=gpus, **options), [host])) == []
    assert host.show() == there

    options["mig_simulator_driver_version"] = "550.90.07"
    other = [{"model": "H100-SXM5-80GB"}]
    assert len(changed(run_playbook(host.plays(mig_simulator_gpus=other, **options), [host]))) == 1
    assert host.show()["driver_version"] == "550.90.07"
    assert [gpu["model"] for gpu in host.show()["gpus"]] == ["H100-SXM5-80GB"]

    unknown = [{"model": "H100-SXM5-81GB"}]
    refused = run_playbook(host.plays(mig_simulator_gpus=unknown, **options), [host]).failed()
    assert "no GPU model H100-SXM5-81GB" in refused.output
    assert "H100-SXM5-80GB" in refused.output
    assert [gpu["model"] for gpu in host.show()["gpus"]] == ["H100-SXM5-80GB"]
