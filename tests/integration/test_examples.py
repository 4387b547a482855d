# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The EXAMPLES of every module and filter run as they are printed, on a simulated host of their own."""

from __future__ import annotations

import importlib

import pytest
import yaml
from layouts import profiles
from paths import ROOT

# Those need a host with systemd or NVIDIA's programs, a Kubernetes cluster, Slurm or a role; what they do is tested in
# tests/hosts and tests/kubernetes.
ELSEWHERE = (
    "k8s_evict", "kubelet_devices_info", "mig_assignment_info", "mig_claim", "mig_device_files", "mig_driver_check",
    "mig_partition_request", "mig_persistence", "slurm_device_record", "slurm_node", "slurm_node_gres",
    "slurm_node_info", "slurm_reconfigure", "systemd_start_units", "systemd_stop_units",
)  # fmt: skip
PLUGINS = [
    (kind, path.stem)
    for kind in ("modules", "filter")
    for path in sorted((ROOT / "plugins" / kind).glob("[!_]*.py"))
    if path.stem not in ELSEWHERE
]


@pytest.fixture(scope="module")
def examples():
    """{plugin: its example tasks}."""
    found = {}
    for kind, name in PLUGINS:
        module = importlib.import_module(f"ansible_collections.gpufleet.mig.plugins.{kind}.{name}")
        found[name] = yaml.safe_load(module.EXAMPLES)
    return found


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_all_examples_run(run_playbook, simulated_host, examples, check):
    assert all(examples.values())
    # Each example of mig_instances begins with MIG on, each of mig_mode with whatever the one before it left.
    hosts = {
        name: simulated_host(*["--mig"] * (name != "mig_mode"), "A100-SXM4-40GB:2", name=name) for name in examples
    }
    hosts["mig_facts"].run("nvidia-smi", "mig", "-cgi", "9", "-C")
    with_state = ("mig_check", "mig_drain_record", "mig_mode", "mig_instances", "mig_journal_info")
    defaults = {f"gpufleet.mig.{name}": {"state_dir": "{{ mig_state_dir }}"} for name in with_state}
    plays = [
        {"hosts": name, "gather_facts": False, "module_defaults": defaults, "tasks": tasks}
        for name, tasks in examples.items()
    ]
    run = run_playbook(plays, list(hosts.values()), check=check).ok()
    for name, tasks in examples.items():
        names = [one["task"] for one in run.results(host=name) if one["status"] == "ok"]
        assert names == [task["name"] for task in tasks]
    if check:
        return
    assert profiles(hosts["mig_mode"]) == [None, {}]
    assert profiles(hosts["mig_instances"]) == [{"1c.3g.20gb": 1, "2c.3g.20gb": 1, "1g.5gb": 1}, {"2g.10gb": 3}]
    rehearsal = run.results("gpufleet.mig.mig_instances")[-1]["result"]
    assert rehearsal["plan"]
    assert not rehearsal["changed"]
