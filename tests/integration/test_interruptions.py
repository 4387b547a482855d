# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two runs on one host at once, runs that are killed, and runs in which a call goes wrong: as Ansible does them."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter

import pytest
from faults import layout_of
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


@pytest.mark.prove
def test_a_killed_run_is_finished_by_running_again(run_playbook, simulated_host):
    prepared = simulated_host("--mig", "A100-SXM4-40GB:8", name="prepared")
    run_playbook(plays(OTHER), [prepared]).ok()
    # Slow as on hardware, so that most of a run is the change itself.
    for function in ("nvmlGpuInstanceDestroy", "nvmlDeviceCreateGpuInstanceWithPlacement"):
        prepared.simulator("fault", function, "--times", "0", "--delay", "40")
    started = time.monotonic()
    run_playbook(plays(ONE), [simulated_host(name="undisturbed").become(prepared)]).ok()
    whole = time.monotonic() - started
    moments = random.Random(1)
    found = Counter()
    for number in range(6):
        host = simulated_host(name=f"host{number}").become(prepared)
        run = run_playbook(plays(ONE), [host])
        try:
            run.process.wait(timeout=whole * moments.uniform(0.3, 1.0))
        except subprocess.TimeoutExpired:
            run.kill()
        found["before" if profiles(host) == [OTHER] * 8 else "after" if profiles(host) == [ONE] * 8 else "between"] += 1
        run_playbook(plays(ONE), [host]).ok()
        assert profiles(host) == [ONE] * 8
    print(f"The killed runs left the host {dict(found)} the change")


FAULTS = {
    "destroying-fails": ("nvmlComputeInstanceDestroy", "--nth", "2", "--return", "IN_USE"),
    "creating-fails": ("nvmlDeviceCreateGpuInstanceWithPlacement", "--nth", "3", "--return", "INSUFFICIENT_RESOURCES"),
    "goes-on-failing": ("nvmlGpuInstanceCreateComputeInstanceWithPlacement", "--times", "0", "--return", "UNKNOWN"),
    "lies": ("nvmlGpuInstanceDestroy", "--times", "0", "--lie"),
    "is-lost": ("any", "--nth", "150", "--times", "0", "--return", "GPU_IS_LOST"),
    "killed-before": ("nvmlGpuInstanceDestroy", "--nth", "2", "--kill", "before"),
    "killed-after": ("nvmlDeviceCreateGpuInstanceWithPlacement", "--nth", "2", "--kill", "after"),
}


def test_whatever_goes_wrong_is_told_and_mended_by_running_again(run_playbook, simulated_host):
    prepared = simulated_host("--mig", "A100-SXM4-40GB", name="prepared")
    run_playbook(plays(OTHER), [prepared]).ok()
    (before,) = prepared.show()["gpus"]
    hosts = [simulated_host(name=name).become(prepared) for name in FAULTS]
    for host in hosts:
        host.simulator("fault", *FAULTS[host.name])
    run = run_playbook(plays(ONE), hosts).failed()
    for host in hosts:
        host.simulator("fault", "--clear")
        ((after,), (one,)) = host.show()["gpus"], run.results("gpufleet.mig.mig_instances", host.name)
        assert one["status"] == "failed", host.name
        assert one["result"]["msg"]
        if not host.name.startswith("killed"):
            left = one["result"]["left"]
            assert bool(left) == (host.name in ("goes-on-failing", "is-lost")), (host.name, left)
            assert left or layout_of(after) == layout_of(before), host.name
    again = run_playbook(plays(ONE), hosts).ok()
    for host in hosts:
        assert profiles(host) == [ONE]
        (one,) = again.results("gpufleet.mig.mig_instances", host.name)
        assert any("was cut short" in text for text in one["result"].get("warnings", [])) == host.name.startswith(
            "killed"
        )


@pytest.mark.parametrize(
    "kill_at, there",
    [
        (("Touch b", "start"), "a"),
        (("Touch b", "end"), "ab"),
        (("Touch", "end", 2), "abde"),
        (("Touch", "start"), "ab"),
    ],
)
def test_a_run_is_killed_where_the_test_says(run_playbook, simulated_host, edge_environment, tmp_path, kill_at, there):
    host = simulated_host("A100-SXM4-40GB")
    names = {"a": "Touch a", "b": "Touch b", "d": "Touch", "e": "Touch", "f": "Touch f"}
    tasks = [
        {"name": name, "ansible.builtin.copy": {"content": "", "dest": f"{tmp_path}/touched-{file}"}}
        for file, name in names.items()
    ]
    play = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    run_playbook(play, [host], environment=edge_environment, kill_at=kill_at).killed()
    assert "".join(sorted(path.name[-1] for path in tmp_path.glob("touched-*"))) == there
