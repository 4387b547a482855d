# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run over many hosts with nothing to do costs the controller, beside two pings: a table, no verdict.

mig_partition is the role without mig_persistence, which takes a systemd. Hosts are simulated, with 8 H100 of 7
instances each, and on the controller itself: their modules' CPU is part of each figure. One run each, FORKS forks;
memory is the most that one process had, and its slope that between the smallest and the largest number of hosts.
BIG=1 in the environment adds 1,000 hosts.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from environments import main_environment
from playbook import Run
from simulated_host import SimulatedHost

HOSTS = (50, 300, *([1000] if os.environ.get("BIG") else []))
FORKS = 20
LAYOUT = [{"instances": {"1g.10gb": 7}}]
PARTITION = {
    "ansible.builtin.import_role": {"name": "gpufleet.mig.mig_partition", "rolespec_validate": False},
    "vars": {"mig_partition_layout": LAYOUT, "mig_partition_persistence": False},
}
RUNS = {"two pings": [{"ansible.builtin.ping": {}}] * 2, "mig_partition": [PARTITION]}


def main():
    """Print the table."""
    environment = main_environment()
    with tempfile.TemporaryDirectory(prefix="gpufleet-mig-bench-") as directory:
        hosts = make_hosts(Path(directory), environment)
        print(f"\nNothing to do on many hosts, {environment.name}, {FORKS} forks, one run each\n")
        print("| hosts | run | tasks a host | CPU s | wall s | wall / two pings | lines of output | memory MiB |")
        print("|---:|---|---:|---:|---:|---:|---:|---:|")
        peaks = {}
        for count in HOSTS:
            walls = {}
            for name, tasks in RUNS.items():
                run, cpu, walls[name] = play(Path(directory), environment, hosts[:count], tasks)
                peaks[name, count] = run.peak
                each, lines = len(run.results(host=hosts[0].name)), len(run.output.splitlines())
                print(
                    f"| {count} | {name} | {each} | {cpu:.1f} | {walls[name]:.1f} "
                    f"| {walls[name] / walls['two pings']:.2f} | {lines} | {run.peak / 2**20:.0f} |"
                )
        least, most = HOSTS[0], HOSTS[-1]
        more = [(peaks[name, most] - peaks[name, least]) / (most - least) / 1000 for name in RUNS]
        print(f"\nMemory of a further host: {more[1] - more[0]:.0f} KB more than two pings ({more[0]:.0f} KB) take")


def make_hosts(directory, environment):
    """Hosts with the same GPUs and instances: the first is partitioned, the others are copies of it."""
    first = SimulatedHost("host0", directory / "host0")
    first.simulator("init", "--mig", "H100-SXM5-80GB:8")
    tasks = [{"gpufleet.mig.mig_instances": {"layout": LAYOUT, "state_dir": str(first.state_dir)}}]
    Run(directory / "setup", environment, [{"hosts": "all", "gather_facts": False, "tasks": tasks}], [first]).ok()
    others = [SimulatedHost(f"host{number}", directory / f"host{number}") for number in range(1, max(HOSTS))]
    return [first, *(host.become(first) for host in others)]


def play(directory, environment, hosts, tasks):
    """(Run, CPU seconds, wall seconds) of a run in which nothing may change."""
    folder = Path(tempfile.mkdtemp(dir=directory)) / "run"
    run = Run(folder, environment, [{"hosts": "all", "gather_facts": False, "tasks": tasks}], hosts, forks=FORKS)
    costs = run.measured()
    if run.returncode or any(one["result"].get("changed") for one in run.results()):
        raise SystemExit(run.output)
    return run, *costs


if __name__ == "__main__":
    main()
