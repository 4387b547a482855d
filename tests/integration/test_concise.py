# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run prints with the callback gpufleet.mig.concise."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

PARTITION = "gpufleet.mig.partition"
A100 = "A100-SXM4-40GB"
SEVEN = {"mig_partition_layout": [{"instances": {"1g.5gb": 7}}], "mig_partition_persistence": False}


@pytest.fixture(autouse=True)
def concise(monkeypatch):
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "gpufleet.mig.concise")


def alias(host, name, directory):
    """The same host by another name, for runs that change nothing."""
    return SimpleNamespace(
        name=name, variables=lambda: {**host.variables(), "mig_partition_state_dir": str(directory / name)}
    )


def printed(run):
    """The lines that say something."""
    return [line for line in run.output.splitlines() if line]


def test_a_change_is_a_screen_and_a_fleet_with_nothing_to_do_too(
    simulated_host, run_playbook, edge_environment, tmp_path
):
    host = simulated_host("--mig", A100, name="gpu-0")
    lines = printed(run_playbook(PARTITION, [host], extra_vars=SEVEN, diff=True, environment=edge_environment).ok())
    assert len(lines) <= 30
    assert "Stage instances: gpu-0" in lines
    assert "mig_partition : Set GPU instances and compute instances: changed gpu-0" in lines
    assert lines[-1] == "Hosts: 1 changed"
    assert len([line for line in lines if line.startswith("+  slice")]) == 7

    # All of them are that host under other names.
    fleet = [alias(host, f"gpu-{number}", tmp_path) for number in range(30)]
    lines = printed(run_playbook(PARTITION, fleet, extra_vars=SEVEN, environment=edge_environment).ok())
    assert len(lines) <= 10
    assert lines[0] == "PLAY [Partition GPUs with MIG, all: 30 hosts (no -e target=, no -l)]"
    assert lines[-3:] == ["MIG: 30 as wanted", "as wanted: 30 hosts", "Hosts: 30 ok"]
    assert " ".join(lines).count("nvidia-persistenced does not run") == 1


def test_one_failure_is_one_message_and_v_shows_the_rest(simulated_host, run_playbook, monkeypatch, tmp_path):
    host = simulated_host("--mig", A100, name="gpu-0")
    other = alias(host, "gpu-1", tmp_path)
    run = run_playbook(PARTITION, [host, other]).failed()
    assert run.output.count("No layout for") == 1
    lines = printed(run)
    assert len(lines) <= 30
    assert "mig_partition : Fail: FAILED gpu-0, gpu-1" in lines
    assert lines[-1] == "Hosts: 2 failed"
    monkeypatch.setenv("ANSIBLE_VERBOSITY", "1")
    assert "TASK [gpufleet.mig.mig_partition : Conclude]" in run_playbook(PARTITION, [host]).failed().output


def test_some_hosts_at_a_time(simulated_host, run_playbook):
    hosts = [simulated_host("L40S-48GB", name=name) for name in ("gpu-0", "gpu-1")]
    run = run_playbook("gpufleet.mig.verify", hosts, limit="gpu-0,gpu-1", extra_vars={"mig_serial": 1}).ok()
    assert [line for line in printed(run) if line.startswith(("PLAY", "MIG"))] == [
        *("PLAY [Compare GPUs with their layout]", "MIG: 1 no MIG-capable GPU"),
        *("PLAY [Compare GPUs with their layout]", "MIG: 2 no MIG-capable GPU"),
    ]
