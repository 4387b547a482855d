# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_partition on test hosts, through SSH and sudo: tables, no verdict. 8 GPUs a host.

CPU seconds are those of ansible-playbook and its children on the controller. The hosts share its machine, so they slow
each other down as those of a fleet would not; the simulated hardware itself takes no time.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "extensions" / "molecule"))

import machines
from environments import main_environment
from playbook import Run
from systemd_hosts import start_hosts

HOSTS, ROUNDS = 6, 5
GPUS = [{"model": "H100-SXM5-80GB", "count": 8}]
FULL = [{"instances": {"1g.10gb": 7}}]
# What runs on the controller alone.
LOCAL = {
    "set_fact",
    "assert",
    "include_tasks",
    "include_role",
    "fail",
    "debug",
    "validate_argument_spec",
    "mig_partition_request",
    "mig_role_options",
    "mig_summary",
}


def main():
    """Print the tables."""
    if reason := machines.missing():
        print(f"\nmig_partition on test hosts: not measured, {reason}")
        return
    environment = main_environment()
    with tempfile.TemporaryDirectory(prefix="gpufleet-mig-bench-") as directory:
        folder = Path(directory)
        try:
            hosts = start_hosts(folder / "machines", {f"host{number}": GPUS for number in range(HOSTS)}, environment)
            print_change(run(folder, environment, hosts, partition(FULL)))
            print_nothing_to_do(folder, environment, hosts)
            for host in hosts:
                host.close()
        finally:
            machines.down(folder / "machines")


def partition(layout):
    """The task of a host's whole change."""
    return {
        # As the playbook does: the role takes its variables itself.
        "ansible.builtin.import_role": {"name": "gpufleet.mig.mig_partition", "rolespec_validate": False},
        "vars": {"mig_partition_layout": layout},
    }


def print_change(measured):
    """Where the first change of all hosts, mode and instances, spends its time."""
    done, _cpu, wall = measured
    print(f"\nMIG mode and 56 instances on each of {HOSTS} hosts: {wall:.1f} s. The tasks that take most of it:\n")
    print("| task | runs on | s | share |")
    print("|---|---|---:|---:|")
    seconds, began = {}, None
    for one in done.results():
        began = began or one["at"] - 1e-9
        key = (one["task"].rpartition(" : ")[2], "the controller" if is_local(one) else "the hosts")
        seconds[key] = seconds.get(key, 0) + one["at"] - began
        began = one["at"]
    for (task, place), spent in sorted(seconds.items(), key=lambda one: -one[1])[:8]:
        print(f"| {task} | {place} | {spent:.1f} | {spent / wall:.0%} |")
    for place in ("the hosts", "the controller"):
        spent = sum(value for key, value in seconds.items() if key[1] == place)
        print(f"| all tasks | {place} | {spent:.1f} | {spent / wall:.0%} |")


def print_nothing_to_do(folder, environment, hosts):
    """What a run costs with nothing to do, persistence included, beside a ping."""
    tasks = {"ping": {"ansible.builtin.ping": {}}, "mig_partition": partition(FULL)}
    print(f"\nNothing to do, the layout kept over a reboot, median of {ROUNDS} runs\n")
    print("| hosts | task | tasks a host | modules run on a host | CPU s | CPU / ping | wall s | wall / ping |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    for count in (1, HOSTS):
        samples = {name: [] for name in tasks}
        for _round in range(ROUNDS):
            for name, task in tasks.items():
                samples[name].append(run(folder, environment, hosts[:count], task))
        costs = {
            name: (statistics.median(one[1] for one in runs), statistics.median(one[2] for one in runs))
            for name, runs in samples.items()
        }
        for name, (cpu, wall) in costs.items():
            results = samples[name][-1][0].results(host=hosts[0].name)
            if any(one["result"].get("changed") for one in results):
                raise SystemExit("a run with nothing to do changed something")
            remote = sum(not is_local(one) and one["status"] == "ok" for one in results)
            ping = costs["ping"]
            print(
                f"| {count} | {name} | {len(results)} | {remote} | {cpu:.2f} | {cpu / ping[0]:.2f} | {wall:.2f} "
                f"| {wall / ping[1]:.2f} |"
            )


def is_local(one):
    """Whether this task's result came without a module on the host."""
    return one["action"].rpartition(".")[2] in LOCAL


def run(folder, environment, hosts, task):
    """(Run, CPU seconds, wall seconds) of a play with this task."""
    directory = Path(tempfile.mkdtemp(dir=folder)) / "run"
    done = Run(directory, environment, [{"hosts": "all", "gather_facts": False, "tasks": [task]}], hosts, forks=HOSTS)
    costs = done.measured()
    if done.returncode:
        raise SystemExit(done.output)
    return done, *costs


if __name__ == "__main__":
    main()
