# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of every module run as they stand."""

from __future__ import annotations

import importlib

import pytest
import yaml
from paths import ROOT

MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("mig_*.py"))


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
@pytest.mark.parametrize("name", MODULES)
def test_examples_run(run_playbook, simulated_host, name, check):
    module = importlib.import_module(f"ansible_collections.gpufleet.mig.plugins.modules.{name}")
    host = simulated_host("--mig", "A100-SXM4-40GB:4")
    own = {"state_dir": str(host.state_dir)}
    tasks = yaml.safe_load(module.EXAMPLES)
    play = {
        "hosts": "all",
        "gather_facts": False,
        "module_defaults": {"gpufleet.mig.mig_instances": own, "gpufleet.mig.mig_mode": own},
        "tasks": tasks,
    }
    run = run_playbook([play], [host], check=check).ok()
    assert {task["name"] for task in tasks} <= {result["task"] for result in run.results()}
