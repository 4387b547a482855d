# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the restore at boot costs beyond the hardware's own time: a table, no verdict. 8 GPUs with 7 instances each.

CPU seconds are those of the program that gpufleet-mig.service runs, the median of ROUNDS; the interpreter alone is a
row of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from kept_host import KeptHost
from modules import run_module
from simulated_host import SimulatedHost

ROUNDS = 11
SLICES = {"A100-SXM4-40GB": "1g.5gb", "H100-SXM5-80GB": "1g.10gb"}


def main():
    """Print the table."""
    print(f"\nRestore of 8 GPUs x 7 instances at boot, Python {sys.version.split()[0]}, median of {ROUNDS} runs\n")
    print("| GPUs | what is there | CPU s | NVML calls |")
    print("|---|---|---:|---:|")
    interpreter = statistics.median(cpu([sys.executable, "-I", "-c", "pass"], os.environ) for _round in range(ROUNDS))
    print(f"| | the interpreter alone | {interpreter:.2f} | |")
    for model, profile in SLICES.items():
        with tempfile.TemporaryDirectory(prefix="gpufleet-mig-bench-") as directory:
            host = save(SimulatedHost(model, Path(directory) / "host"), model, profile)
            for title, reboots in (("nothing, as after a boot", True), ("all of it", False)):
                seconds, calls = measure(host, reboots)
                print(f"| {model} | {title} | {seconds:.2f} | {calls} |")


def save(host, model, profile):
    """A KeptHost with that layout saved."""
    host.simulator("init", "--mig", f"{model}:8")
    run_module(host, "mig_instances", {"instances": {profile: 7}}).ok()
    gpus = run_module(host, "mig_facts", {}).ok()["ansible_facts"]["mig"]["gpus"]
    kept = KeptHost(host)
    kept.run({"layout": [gpu["layout"] for gpu in gpus]}).ok()
    return kept


def measure(kept, reboots):
    """(CPU seconds, NVML calls) of a restore, after a reboot or where everything is there."""
    samples = []
    for _round in range(ROUNDS):
        if reboots:
            kept.host.simulator("reboot")
        kept.host.simulator("calls", "--reset")
        command = [sys.executable, "-I", kept.program, kept.layout, "--state-dir", kept.host.state_dir]
        samples.append(cpu(command, {**os.environ, **kept.host.environment}))
    return statistics.median(samples), json.loads(kept.host.simulator("calls", "--json").stdout)["total"]


def cpu(command, environment):
    """CPU seconds of a program that must succeed."""
    process = subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
