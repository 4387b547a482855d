# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same change of 8 GPUs by this collection and by the usual way: a table, no verdict.

The usual way is a playbook that copies the configuration file to the host, lets nvidia-mig-parted apply it, and lets it
compare once more. NVIDIA_MIG_PARTED names its binary; without it, without root, or without /proc/modules that can be
mounted over, that row says so. A row with ansible.builtin.ping instead shows what ansible-playbook itself costs.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from environments import main_environment
from paths import ROOT
from pci_devices import write_pci_devices
from playbook import Run
from simulated_host import SimulatedHost

ROUNDS = 5
FILE = {
    "version": "v1",
    "mig-configs": {
        "before": [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.5gb": 7}}],
        "after": [{"devices": "all", "mig-enabled": True, "mig-devices": {"1g.5gb": 3, "3g.20gb": 1}}],
    },
}
# nvidia-mig-parted asks /proc/modules for the driver and /proc/driver for its folder.
ON_DRIVER_HOST = str(ROOT / "tests/simulator/clients/on_driver_host.sh")


def ping(_host, _config, _label):
    return [{"ansible.builtin.ping": {}}]


def ours(host, config, label):
    layout = f"{{{{ lookup('ansible.builtin.file', '{config}') | gpufleet.mig.from_mig_parted('{label}') }}}}"
    return [{"gpufleet.mig.mig_instances": {"layout": layout, "state_dir": str(host.state_dir)}}]


def usual(host, config, label):
    proc = host.directory / "proc"
    proc.mkdir()
    pci = write_pci_devices(host.directory / "pci", host.show()["gpus"])
    installed = str(host.directory / "mig-parted.yaml")
    binary = [str(Path(os.environ["NVIDIA_MIG_PARTED"]).resolve())]
    driver_host = ["unshare", "--mount", ON_DRIVER_HOST, str(proc), f"{host.state}.proc/driver", str(pci)]

    def mig_parted(verb):
        return [*driver_host, *binary, verb, "-f", installed, "-c", label]

    return [
        {"ansible.builtin.copy": {"src": str(config), "dest": installed, "mode": "0644"}},
        {"ansible.builtin.command": {"argv": mig_parted("apply")}, "register": "applied"},
        {"ansible.builtin.command": {"argv": mig_parted("assert")}, "changed_when": False},
    ]


def one_change(folder, environment, way):
    """(CPU seconds, wall seconds, GPU instances destroyed) of one change by a way."""
    host = SimulatedHost("host0", folder / "host0")
    host.simulator("init", "--mig", "A100-SXM4-40GB:8")
    config = folder / "config.json"  # JSON is YAML too
    config.write_text(json.dumps(FILE), encoding="utf-8")
    prepared = Run(folder / "prepare", environment, play(ours(host, config, "before")), [host])
    prepared.ok()
    host.simulator("calls", "--reset")
    run = Run(folder / "run", environment, play(way(host, config, "after")), [host])
    cpu, wall = run.measured()
    if run.returncode or {len(gpu["instances"]) for gpu in host.show()["gpus"]} != {7 if way is ping else 4}:
        raise SystemExit(run.output)
    calls = json.loads(host.simulator("calls", "--json").stdout)["calls"]
    return cpu, wall, calls.get("nvmlGpuInstanceDestroy", 0)


def play(tasks):
    return [{"hosts": "all", "gather_facts": False, "tasks": tasks}]


def main():
    environment = main_environment()
    print("\nEight A100 from 7 x 1g.5gb to 3 x 1g.5gb + 3g.20gb; 4 of the 7 must go, 32 on the host, and 24 can stay\n")
    print("| way | CPU s | wall s | GPU instances destroyed |")
    print("|---|---:|---:|---:|")
    ways = {"no change: ansible.builtin.ping": ping, "this collection": ours}
    if "NVIDIA_MIG_PARTED" in os.environ:
        ways["nvidia-mig-parted in a playbook"] = usual
    for name, way in ways.items():
        samples = []
        for _round in range(ROUNDS):
            with tempfile.TemporaryDirectory(prefix="gpufleet-mig-bench-") as folder:
                samples.append(one_change(Path(folder), environment, way))
        cpu, wall, destroyed = map(statistics.median, zip(*samples, strict=True))
        print(f"| {name} | {cpu:.2f} | {wall:.2f} | {destroyed:.0f} |")
    if usual not in ways.values():
        print("| nvidia-mig-parted in a playbook | skipped: NVIDIA_MIG_PARTED does not name its binary | | |")


if __name__ == "__main__":
    main()
