# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run costs beside ansible.builtin.ping: mig_facts, and others with nothing to do.

mig_partition is the role without mig_persistence, which takes a systemd and would be one more module execution.

Tables, no verdict. Each figure is the median of ROUNDS runs of ansible-playbook with one task on each host, 10 forks;
the tasks take turns. CPU seconds are those of ansible-playbook with all its children. Each host has 8 A100 with 7
instances each.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from environments import main_environment
from playbook import Run
from simulated_host import SimulatedHost

HOSTS = (1, 10, 50)
FORKS = 10
ROUNDS = 5
LAYOUT = {"layout": [{"instances": {"1g.5gb": 7}}]}
TASKS = {
    "ping": {"ansible.builtin.ping": {}},
    "mig_facts": {"gpufleet.mig.mig_facts": {}},
    "mig_check": {"gpufleet.mig.mig_check": {**LAYOUT, "state_dir": "{{ mig_state_dir }}"}},
    "mig_instances": {"gpufleet.mig.mig_instances": {**LAYOUT, "state_dir": "{{ mig_state_dir }}"}},
    "mig_partition": {
        "ansible.builtin.import_role": {"name": "gpufleet.mig.mig_partition"},
        "vars": {"mig_partition_layout": LAYOUT["layout"]},
    },
}


def main():
    """Print the tables."""
    environment = main_environment()
    with tempfile.TemporaryDirectory(prefix="gpufleet-mig-bench-") as directory:
        hosts = make_hosts(Path(directory), environment)
        print(f"{environment.name}, {FORKS} forks, 8 GPUs x 7 instances a host, median of {ROUNDS} runs\n")
        print("| hosts | task | CPU s | CPU / ping | wall s | wall / ping |")
        print("|---:|---|---:|---:|---:|---:|")
        for count in HOSTS:
            costs = measure(Path(directory), environment, hosts[:count])
            for task, (cpu, wall) in costs.items():
                ping_cpu, ping_wall = costs["ping"]
                print(f"| {count} | {task} | {cpu:.2f} | {cpu / ping_cpu:.2f} | {wall:.2f} | {wall / ping_wall:.2f} |")
        print("\nNVML calls of one run on one host\n")
        for task in ("mig_facts", "mig_check", "mig_instances"):
            hosts[0].simulator("calls", "--reset")
            play(Path(directory), environment, hosts[:1], task)
            print(f"{task}:\n{hosts[0].simulator('calls').stdout}")


def make_hosts(directory, environment):
    """Fifty hosts with the same GPUs and instances: the first is partitioned, the others are copies of it."""
    first = SimulatedHost("host0", directory / "host0")
    first.simulator("init", "--mig", "A100-SXM4-40GB:8")
    tasks = [{"gpufleet.mig.mig_instances": {**LAYOUT, "state_dir": str(first.state_dir)}}]
    run = Run(directory / "setup", environment, [{"hosts": "all", "gather_facts": False, "tasks": tasks}], [first])
    run.ok()
    hosts = [first]
    for number in range(1, max(HOSTS)):
        host = SimulatedHost(f"host{number}", directory / f"host{number}")
        hosts.append(host.become(first))
    return hosts


def measure(directory, environment, hosts):
    """{task: (CPU seconds, wall seconds)} of a run on these hosts."""
    samples = {task: [] for task in TASKS}
    for _round in range(ROUNDS):
        for task in TASKS:
            samples[task].append(play(directory, environment, hosts, task))
    return {task: tuple(map(statistics.median, zip(*runs, strict=True))) for task, runs in samples.items()}


def play(directory, environment, hosts, task):
    """(CPU seconds, wall seconds) of one run of one task on these hosts, in which nothing may change."""
    folder = Path(tempfile.mkdtemp(dir=directory)) / "run"
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [TASKS[task]]}]
    run = Run(folder, environment, plays, hosts, forks=FORKS)
    costs = run.measured()
    if run.returncode or any(
        one["status"] not in ("ok", "skipped") or one["result"].get("changed") for one in run.results()
    ):
        raise SystemExit(run.output)
    return costs


if __name__ == "__main__":
    main()
