# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two runs on one host at once, and runs that are killed."""

from __future__ import annotations

import random
import subprocess
import time

import pytest
from layouts import profiles

ONE = {"1g.5gb": 7}
OTHER = {"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2}


def plays(instances):
    """A play that gives all GPUs of a host these instances."""
    task = {"gpufleet.mig.mig_instances": {"instances": instances, "state_dir": "{{ mig_state_dir }}"}}
    return [{"hosts": "all", "gather_facts": False, "tasks": [task]}]


def test_two_runs_at_once_leave_one_of_the_two_layouts(run_playbook, simulated_host):
    host = simulated_host("--mig", "A100-SXM4-40GB:4")
    for _round in range(3):
        runs = [run_playbook(plays(instances), [host]) for instances in (ONE, OTHER)]
        for run in runs:
            run.ok()
        assert profiles(host) in ([ONE] * 4, [OTHER] * 4)


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_run_is_finished_by_running_again(run_playbook, simulated_host, seed):
    moment = random.Random(seed)
    host = simulated_host("A100-SXM4-40GB:8")
    variables = {"mig_partition_layout": [{"instances": ONE}]}
    other = {"mig_partition_layout": [{"instances": OTHER}]}
    run_playbook("gpufleet.mig.partition", [host], extra_vars=other).ok()
    started = time.monotonic()
    run_playbook("gpufleet.mig.partition", [host], extra_vars=variables).ok()
    whole = time.monotonic() - started
    run_playbook("gpufleet.mig.partition", [host], extra_vars=other).ok()

    run = run_playbook("gpufleet.mig.partition", [host], extra_vars=variables)
    try:
        run.process.wait(timeout=whole * moment.uniform(0.2, 1.0))
    except subprocess.TimeoutExpired:
        run.kill()

    run_playbook("gpufleet.mig.partition", [host], extra_vars=variables).ok()
    assert profiles(host) == [ONE] * 8
    again = run_playbook("gpufleet.mig.partition", [host], extra_vars=variables).ok()
    assert not any(one["result"].get("changed") for one in again.results())
