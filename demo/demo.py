# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo: `demo.py up` makes a fleet of simulated hosts in build/demo and partitions it; `demo.py down` ends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen, run

from jobs import end_jobs, start_job

ROOT = Path(__file__).resolve().parent.parent
FLEET = ROOT / "build" / "demo"
SIMULATOR = ROOT / "build" / "simulator"
BIN = ROOT / "build" / "venv" / "bin"

HOSTS = {
    "gpu-a100": ["--mig", "A100-SXM4-40GB:8"],
    "gpu-h100": ["--mig", "H100-SXM5-80GB:4"],
    "gpu-h200": ["H200-SXM5-141GB:2"],
    "gpu-l40s": ["L40S-48GB"],
}
# What gpu-h100 has from before, GPU by GPU; a name says which job runs in that instance.
H100_BEFORE = [
    [("3g.40gb", 4, "train"), ("1g.10gb", 0, None), ("1g.10gb", 1, None), ("1g.10gb", 2, None)],
    [("2g.20gb", 2, "serve"), ("1g.10gb", 0, None), ("2g.20gb", 4, None)],
]
PYTHON = """\
#!/bin/sh
# The Python of a simulated host: sees its GPUs.
export LD_LIBRARY_PATH='{simulator}' PATH='{simulator}':"$PATH" MIG_SIMULATOR_STATE='{state}'
exec '{python}' "$@"
"""
ANSIBLE_CFG = """\
[defaults]
inventory = {fleet}/inventory.yml
collections_path = {root}/build/collections
callbacks_enabled = gpufleet.mig.picture
host_key_checking = false
localhost_warning = false
inject_facts_as_vars = false
"""
ACTIVATE = """\
# . build/demo/activate   puts ansible-playbook and the simulated GPUs' commands on PATH
export ANSIBLE_CONFIG='{fleet}/ansible.cfg' ANSIBLE_HOME='{fleet}/ansible' PATH='{bin}':'{simulator}':"$PATH"
"""


def main():
    """Run the command that the first argument names."""
    commands = {"up": up, "down": down}
    if sys.argv[1:2] == [] or sys.argv[1] not in commands:
        sys.exit("usage: demo.py up|down")
    commands[sys.argv[1]]()


def up():
    """Make the fleet and partition it: check mode, for real, once more, and a picture."""
    down()
    say("Four hosts: 8 x A100, 4 x H100 with two jobs running, 2 x H200, 1 x L40S, which has no MIG")
    make_fleet()
    playbook("--check", "--diff", title="What would happen")
    playbook(title="For real", picture=FLEET / "picture.txt")
    recap = playbook(title="Once more: nothing is left to do")
    changed = re.findall(r"^(\S+) +: .*?\bchanged=(\d+)", recap, re.MULTILINE)
    if len(changed) != len(HOSTS) or any(count != "0" for _host, count in changed):
        sys.exit(f"The second run should have found nothing to do: {changed}")
    say("The fleet")
    print((FLEET / "picture.txt").read_text(encoding="utf-8"))
    print("It stays up to play with: . build/demo/activate, then see README.md. `make demo-down` ends it.")


def down():
    """End the jobs that the demo has started, and remove the fleet."""
    end_jobs(FLEET / "jobs.json")
    shutil.rmtree(FLEET, ignore_errors=True)


def make_fleet():
    """The four hosts, their inventory and configuration, and what runs on them."""
    FLEET.mkdir(parents=True)
    names = {"fleet": FLEET, "root": ROOT, "bin": BIN, "simulator": SIMULATOR}
    (FLEET / "ansible.cfg").write_text(ANSIBLE_CFG.format(**names), encoding="utf-8")
    (FLEET / "activate").write_text(ACTIVATE.format(**names), encoding="utf-8")
    for name in ("inventory.yml", "mig-parted-config.yaml"):
        shutil.copy(ROOT / "demo" / name, FLEET)
    for host, models in HOSTS.items():
        (FLEET / host).mkdir()
        python = FLEET / host / "python"
        python.write_text(
            PYTHON.format(simulator=SIMULATOR, state=FLEET / host / "state", python=BIN / "python"), encoding="utf-8"
        )
        python.chmod(0o755)
        run([SIMULATOR / "mig-simulator", "init", *models], env=host_environment(host), check=True, stdout=DEVNULL)
    layout = [
        {"gpus": [gpu], "instances": [{"profile": profile, "placement": start} for profile, start, _job in instances]}
        for gpu, instances in enumerate(H100_BEFORE)
    ]
    arguments = json.dumps({"layout": layout, "state_dir": str(FLEET / "gpu-h100" / "state_dir")})
    command = [BIN / "ansible", "gpu-h100", "-m", "gpufleet.mig.mig_instances", "-a", arguments, "-o"]
    plain = {**ansible_environment(), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
    answer = run(command, env=plain, check=True, stdout=PIPE, text=True).stdout
    created = json.loads(answer[answer.index("{") :])["done"]
    for gpu, instances in enumerate(H100_BEFORE):
        for profile, start, job in instances:
            if job:
                device = device_of(created, gpu, profile, start)
                start_job(FLEET / "jobs.json", job, device, host_environment("gpu-h100"))


def device_of(created, gpu, profile, start):
    """The UUID of the MIG device that was created on that GPU with that profile at that start."""
    for step in created:
        place = step.get("gpu_instance") or {}
        if step["gpu"]["index"] == gpu and step["profile"] == profile and place.get("start") == start:
            return step["uuid"]
    raise SystemExit(f"{profile} at {start} of GPU {gpu} was not created: {created}")


def playbook(*options, title, picture=os.devnull):
    """Run gpufleet.mig.partition on the fleet, its picture going to a file: what it printed, without colours."""
    say(title, "ansible-playbook", "gpufleet.mig.partition", *options)
    command = [BIN / "ansible-playbook", "gpufleet.mig.partition", *options]
    environment = ansible_environment(GPUFLEET_MIG_PICTURE_FILE=str(picture))
    output = []
    with Popen(command, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            output.append(line)
    if process.returncode:
        sys.exit(process.returncode)
    return re.sub(r"\033\[[0-9;]*m", "", "".join(output))


def ansible_environment(**more):
    """What build/demo/activate sets, and colours where this program's own output is a terminal."""
    colours = {"ANSIBLE_FORCE_COLOR": "1"} if sys.stdout.isatty() and "NO_COLOR" not in os.environ else {}
    fleet = {"ANSIBLE_CONFIG": str(FLEET / "ansible.cfg"), "ANSIBLE_HOME": str(FLEET / "ansible")}
    return {**os.environ, **colours, **fleet, **more}


def host_environment(host):
    """The environment of a process on that simulated host."""
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(SIMULATOR),
        "MIG_SIMULATOR_STATE": str(FLEET / host / "state"),
        "PATH": f"{SIMULATOR}:{os.environ['PATH']}",
    }


def say(title, *command):
    """A heading, and the command that a user would type."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}== {title}{plain}")
    if command:
        print("$", *command)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
