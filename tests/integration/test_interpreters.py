# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules under each Python that a GPU host may have."""

from __future__ import annotations

import shutil
from pathlib import Path

import environments
import pynvml
import pytest
from layouts import profiles

INSTANCES = {"3g.40gb": 1, "1g.10gb": 2}
CHANGE = {"layout": [{"instances": INSTANCES}], "state_dir": "{{ mig_state_dir }}"}
PLAYS = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"gpufleet.mig.mig_mode": CHANGE},
            {"gpufleet.mig.mig_instances": CHANGE},
            {"gpufleet.mig.mig_facts": {}},
            {"gpufleet.mig.mig_check": CHANGE},
        ],
    }
]
# ansible-core with these runs modules on Python 3.8; later releases do not.
CORES_WITH_3_8 = ("2.17", "2.19")


def controller_for(version):
    """The environment whose ansible-core runs modules on that Python, or None."""
    environment = environments.main_environment()
    if version != "3.8" or environment.core in CORES_WITH_3_8:
        return environment
    oldest = environments.pair("oldest")
    return environments.environment(*oldest) if oldest and oldest[0] in CORES_WITH_3_8 else None


@pytest.mark.parametrize("version", environments.TARGET_PYTHONS)
def test_this_machine_has_python(version):
    if version not in environments.interpreters() or not controller_for(version):
        pytest.skip(f"no Python {version}, or no ansible-core that runs modules on it")
    assert environments.interpreters()[version].exists()


@pytest.fixture
def nvidia_ml_py(tmp_path):
    """A folder with nvidia-ml-py, which is plain Python, and nothing else: what PYTHONPATH may name."""
    folder = tmp_path / "nvidia-ml-py"
    folder.mkdir()
    shutil.copy(pynvml.__file__, folder)
    (metadata,) = Path(pynvml.__file__).parent.glob("nvidia_ml_py-*.dist-info")
    shutil.copytree(metadata, folder / metadata.name)
    return folder


# The oldest and the newest tell of most of what the others would.
@pytest.mark.parametrize(
    "versions",
    [
        environments.TARGET_PYTHONS[:: len(environments.TARGET_PYTHONS) - 1],
        pytest.param(environments.TARGET_PYTHONS, marks=pytest.mark.prove),
    ],
    ids=["edges", "all"],
)
def test_modules_run_on_the_pythons_of_this_machine(run_playbook, simulated_host, nvidia_ml_py, versions):
    fleets = {}
    for version in versions:
        environment = controller_for(version)
        if version in environments.interpreters() and environment:
            host = simulated_host("H100-SXM5-80GB", name=version)
            host.use_interpreter(environments.interpreters()[version], PYTHONPATH=str(nvidia_ml_py))
            fleets.setdefault(environment, []).append(host)
    assert fleets
    for environment, hosts in fleets.items():
        for check, changed in ((True, True), (False, True), (False, False)):
            run = run_playbook(PLAYS, hosts, environment=environment, check=check).ok()
            for action in ("gpufleet.mig.mig_mode", "gpufleet.mig.mig_instances"):
                assert {one["host"]: one["result"]["changed"] for one in run.results(action)} == {
                    host.name: changed for host in hosts
                }
        assert {host.name: profiles(host) for host in hosts} == {host.name: [INSTANCES] for host in hosts}
        assert all(one["result"]["reached"] for one in run.results("gpufleet.mig.mig_check"))
        facts = {one["host"]: one["result"]["ansible_facts"]["mig"] for one in run.results("gpufleet.mig.mig_facts")}
        assert {name: len(mig["gpus"][0]["instances"]) for name, mig in facts.items()} == {
            host.name: 3 for host in hosts
        }
