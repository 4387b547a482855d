# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the exact planner costs, and what the usual ways cost instead: tables, no pass or fail. Times are CPU time.

One usual way clears the GPU and makes everything anew, as nvidia-mig-parted does. The others keep what is wanted
and there and destroy the rest. All put what is missing at the lowest start that is free, in the order of the names
(left to right) or the largest first (first fit decreasing). None looks at what is busy before it destroys.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from model_gpu import A30, A100, H100, RTX, gpu, legal
from planner_proof import BUSY, present, sampled_pairs

from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    DESTROY_COMPUTE_INSTANCE,
    GpuInstance,
    GpuLayout,
    Refusal,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.geometry import Geometry
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.gpu import plan_instances

PAIRS = 20000
IMPORT = """
import time
import ansible.module_utils.basic
started = time.process_time()
import ansible_collections.gpufleet.mig.plugins.module_utils.plan.gpu
print(1000 * (time.process_time() - started))
"""


def import_time():
    """Milliseconds, the median of 11 fresh processes that compile it from source, as a module on a host does."""
    command = [sys.executable, "-B", "-c", IMPORT]
    times = [float(subprocess.run(command, capture_output=True, check=True).stdout) for _time in range(11)]
    return statistics.median(times)


def layout(wanted):
    return GpuLayout(counts=tuple(sorted(wanted.items())))


def speed(model):
    """(set-up, median, 99th percentile, maximum) in milliseconds over the sampled pairs."""
    setups = []
    for _time in range(20):
        started = time.process_time()
        Geometry(gpu(model).profiles)
        setups.append(time.process_time() - started)
    taken = []
    for placed, marks, wanted in sampled_pairs(model, "bench", PAIRS):
        now, goal = gpu(model, present(placed, marks)), layout(wanted)
        started = time.process_time()
        plan_instances(now, goal)
        taken.append(time.process_time() - started)
    taken.sort()
    figures = (statistics.median(setups), taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1])
    return [1000 * figure for figure in figures]


def usual_way(now, wanted, order, clear):
    """(destroyed GpuInstances, whether all found a place) of a planner that never moves and never looks ahead."""
    left, stays, goes = dict(wanted), [], []
    for instance in now.instances:
        if left.get(instance.profile) and not clear:
            left[instance.profile] -= 1
            stays.append(instance)
        else:
            goes.append(instance)
    if not goes and not any(left.values()):
        return [], True
    missing = sorted((profile for profile in now.profiles for _one in range(left.get(profile.name, 0))), key=order)
    for profile in missing:
        made = (GpuInstance(0, profile.name, placement) for placement in profile.placements)
        first = next((one for one in made if legal(now, [*stays, one])), None)
        if first is None:
            return goes, False
        stays.append(first)
    return goes, True


def by_name(profile):
    return profile.name


def largest_first(profile):
    return -profile.placements[0].size, profile.name


WAYS = {
    "clear, left to right": (by_name, True),
    "keep, left to right": (by_name, False),
    "keep, first fit decreasing": (largest_first, False),
}


def comparison(model, order, clear):
    """Of the sampled situations that the exact planner solves without harm:

    (how many, those with no place found, those that destroy a busy instance, compute instances destroyed needlessly
    in the rest).
    """
    feasible = stuck = harmful = excess = 0
    for placed, marks, wanted in sampled_pairs(model, "bench", PAIRS):
        now = gpu(model, present(placed, marks))
        exact = plan_instances(now, layout(wanted))
        if isinstance(exact, Refusal):
            continue
        feasible += 1
        goes, fits = usual_way(now, wanted, order, clear and exact.steps)
        if any(mark == BUSY and instance in goes for instance, mark in zip(now.instances, marks, strict=True)):
            harmful += 1
        elif not fits:
            stuck += 1
        else:
            excess += sum(len(instance.compute_instances) for instance in goes)
            excess -= sum(step.action == DESTROY_COMPUTE_INSTANCE for step in exact.steps)
    return feasible, stuck, harmful, excess


def main():
    models = (A100, A30, H100, RTX)
    print(f"\nPlanner, {PAIRS} situations a model; import beyond AnsibleModule {import_time():.1f} ms")
    print(f"{'model':<30}{'set-up ms':>11}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for model in models:
        print(f"{model:<30}" + "{:>11.2f}{:>9.2f}{:>9.2f}{:>9.2f}".format(*speed(model)))
    print("\nThe usual ways on the situations that the exact planner solves without harm")
    print(f"{'model':<30}{'way':<28}{'solvable':>9}{'harm':>8}{'stuck':>8}{'excess':>8}")
    for model in models:
        for way, (order, clear) in WAYS.items():
            feasible, stuck, harmful, excess = comparison(model, order, clear)
            print(f"{model:<30}{way:<28}{feasible:>9}{harmful / feasible:>8.1%}{stuck / feasible:>8.1%}{excess:>8}")


if __name__ == "__main__":
    main()
