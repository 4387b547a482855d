# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_driver on hosts that have nvidia-ml-py, with the oldest and the newest ansible-core."""

from __future__ import annotations

import re

import yaml
from paths import ROOT

from ansible_collections.gpufleet.mig.plugins.module_utils.nvml import binding

LAYOUT = [{"product": "*A100*", "instances": {"1g.10gb": 4}}, {"product": "*H100*", "instances": {"1g.10gb": 7}}]
TASKS = [
    {"ansible.builtin.include_role": {"name": "gpufleet.mig.mig_driver"}},
    {"ansible.builtin.debug": {"var": "mig_driver_check"}},
]


def test_the_result_is_data_and_errors_fail_the_host(run_playbook, simulated_host, edge_environment):
    old = simulated_host("--mig", "--driver", "470.57.02", "A100-SXM4-40GB:2", name="old")
    new = simulated_host("H100-SXM5-80GB", "L40S-48GB", name="new")
    none = simulated_host(name="none").without_driver()
    variables = {"mig_driver_layout": LAYOUT, "mig_driver_minimum": "470.0"}
    plays = [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": TASKS}]
    for check in (True, False):
        run = run_playbook(plays, [old, new, none], environment=edge_environment, check=check).failed()
        assert not [one for one in run.results() if one["result"].get("changed")]
        assert {one["host"] for one in run.results() if one["status"] == "failed"} == {"old"}
        said = "1g.10gb on A100 40GB needs 525.60.13 or later."
        assert said in run.result("gpufleet.mig.mig_driver_check", "old")["msg"]
        results = {one["host"]: one["result"].get("mig_driver_check") for one in run.results("ansible.builtin.debug")}
        assert "old" not in results
        assert (results["none"]["ok"], results["none"]["reached"], results["none"]["findings"]) == (True, True, [])
        assert results["new"]["plan"][0]["action"] == "set_mig_mode"


def test_the_example_of_its_readme_and_the_checks_alone(run_playbook, simulated_host):
    readme = (ROOT / "roles" / "mig_driver" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    host = simulated_host("--mig", "A100-SXM4-40GB:2", name="gpu_hosts")
    for tags in ((), ("check",)):
        run = run_playbook(yaml.safe_load(example), [host], extra_vars={"ansible_become": False}, tags=tags).ok()
        result = run.result("gpufleet.mig.mig_driver_check")
        assert [step["profile"] for step in result["plan"]] == ["1g.5gb"] * 28


def test_the_role_and_the_modules_agree():
    variables = yaml.safe_load((ROOT / "roles" / "mig_driver" / "vars" / "main.yml").read_text(encoding="utf-8"))
    assert variables["__mig_driver_directory"] == binding.PRIVATE_DIRECTORY
    assert f"nvidia-ml-py>={variables['__mig_driver_version']}" == binding.REQUIREMENT
