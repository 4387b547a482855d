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


@pytest.fixture
def nvidia_ml_py(tmp_path):
    """A folder with nvidia-ml-py, which is plain Python, and nothing else: what PYTHONPATH may name."""
    installed = Path(pynvml.__file__).parent
    folder = tmp_path / "nvidia-ml-py"
    folder.mkdir()
    shutil.copy(pynvml.__file__, folder)
    (metadata,) = installed.glob("nvidia_ml_py-*.dist-info")
    shutil.copytree(metadata, folder / metadata.name)
    return folder


@pytest.mark.parametrize("version", environments.TARGET_PYTHONS)
def test_modules_run_on(version, run_playbook, simulated_host, main_environment, nvidia_ml_py):
    interpreter = environments.interpreters().get(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} on this machine")
    environment = main_environment
    if version == "3.8" and environment.core not in ("2.17", "2.19"):
        # Later releases of ansible-core do not run modules on Python 3.8.
        oldest = environments.pair("oldest")
        if oldest is None or oldest[0] not in ("2.17", "2.19"):
            pytest.skip("no Python for an ansible-core that runs modules on Python 3.8")
        environment = environments.environment(*oldest)

    host = simulated_host("A100-SXM4-40GB")
    host.use_interpreter(interpreter, PYTHONPATH=str(nvidia_ml_py))
    variables = {"mig_partition_layout": [{"instances": {"3g.20gb": 1, "1g.5gb": 2}}]}
    for check, changed in ((True, True), (False, True), (True, False), (False, False)):
        run = run_playbook(
            "gpufleet.mig.partition", [host], environment=environment, check=check, diff=True, extra_vars=variables
        ).ok()
        assert run.result("gpufleet.mig.mig_instances")["changed"] is changed
    assert profiles(host) == [{"3g.20gb": 1, "1g.5gb": 2}]
