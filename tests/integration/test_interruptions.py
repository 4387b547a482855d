# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two runs on one host at once, and runs that are killed."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter

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
