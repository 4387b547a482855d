# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts with a systemd of their own, reached by SSH, whose GPUs the role mig_simulator has made the system's."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import machines
from paths import SIMULATOR
from playbook import Run

COMPILED_ONCE = """
mkdir /var/cache/made-once
cd /usr/lib/python3/dist-packages
cat > compiled_once.py
echo import compiled_once > compiled_once.pth
"""


class SystemdHost:
    """One of the hosts in ``folder`` (machines.py). Ansible reaches it as a user with sudo: ``variables()``."""

    def __init__(self, folder, name, reached):
        self.name = name
        self._folder = folder
        self._reached = reached
        self._jobs = []

    def variables(self):
        """What an inventory says of this host."""
        # A connection that Ansible keeps open does not outlive the cable by long: what it waits for would come late.
        alive = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"
        return {**self._reached, "ansible_become": True, "ansible_ssh_extra_args": alive}

    def controller_address(self):
        """Where this machine is, seen from there."""
        return self.run("echo $SSH_CONNECTION", sudo=False).stdout.split()[0]

    def ssh(self, *command):
        """The command line that runs this command there, as the user without sudo."""
        return [*machines.ssh_command(self._reached), *command]

    def run(self, command, *, check=True, sudo=True, text=None):
        """Run this line in the host's shell, as root or (sudo=False) as the user: the completed process."""
        shell = ["sudo", "sh", "-c"] if sudo else ["sh", "-c"]
        answer = subprocess.run(
            self.ssh(*shell, shlex.quote(command)), input=text, capture_output=True, text=True, check=False
        )
        if check and answer.returncode:
            raise AssertionError(
                f"{self.name}: {command}: exit status {answer.returncode}\n{answer.stdout}{answer.stderr}"
            )
        return answer

    def simulator(self, arguments, check=True):
        """Run a command of mig-simulator, as root."""
        return self.run(f"mig-simulator {arguments}", check=check)

    def show(self):
        """What `mig-simulator show --json` says, as data."""
        return json.loads(self.simulator("show --json").stdout)

    def boot_id(self):
        """Which boot this is."""
        return self.run("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def reboot(self):
        """Reboot it in an orderly way and wait until it is up again."""
        boot = self.boot_id()
        # The answer may get lost with the connection.
        self.run("systemctl reboot", check=False)
        self.wait_until_up(boot)

    def power_cut(self, *, wait=True):
        """Kill everything on it at once; it starts again, and is up when this returns (unless told not to wait)."""
        boot = self.boot_id()
        machines.cut_power(self._folder, self.name)
        if wait:
            self.wait_until_up(boot)

    def unplug(self):
        """Take its network cable out: connections hang, new ones find nobody."""
        machines.plug(self._folder, self.name, "down")

    def plug_in(self):
        """Put the cable in again, and wait until the host has taken up its address."""
        machines.plug(self._folder, self.name, "up")
        self.wait_until_up()

    def wait_until_up(self, after_boot=None):
        """Wait until it has finished its boot, and another one than ``after_boot``."""
        machines.wait_until_up(self._reached, boot_after=after_boot)

    def job(self, device):
        """Start a process that uses a GPU or MIG device, and wait until it does: the Popen. close() ends it."""
        return self._start(f"run --device {device}")

    def hold(self, gpu):
        """Start a process that holds a GPU without being listed, and wait until it does: the Popen. close() ends it."""
        return self._start(f"hold --gpu {gpu}")

    def _start(self, verb):
        # What cat echoes it has read: by then it runs under its own name. It ends with the connection.
        job = subprocess.Popen(
            self.ssh(f"sudo mig-simulator {verb} -- cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._jobs.append(job)
        print("up", file=job.stdin, flush=True)
        if job.stdout.readline() != "up\n":
            raise AssertionError(f"{self.name}: mig-simulator {verb}: exit status {job.wait()}")
        return job

    def end_job(self, job):
        """End a job and wait until it has ended on the host."""
        self._jobs.remove(job)
        job.stdin.close()
        job.stdout.close()
        job.wait()

    def close(self):
        """End the jobs that this object has started."""
        for job in list(self._jobs):
            self.end_job(job)


def start_hosts(folder, gpus, environment):
    """Start hosts {name: [{model, count}]} in that new folder and give them these GPUs: [SystemdHost] in this order.

    They end with this process at the latest; machines.down(folder) ends them.
    """
    # bookworm-slurm-1 is not only a bookworm-1.
    longest_first = sorted(machines.SYSTEMS, key=len, reverse=True)
    systems = {name: next((one for one in longest_first if name.startswith(one)), "bookworm") for name in gpus}
    reached = machines.up(folder, systems, owner=os.getpid())
    hosts = [SystemdHost(folder, name, reached[name]) for name in gpus]
    for host in hosts:
        host.run(COMPILED_ONCE, text=(Path(__file__).parent / "compiled_once" / "sitecustomize.py").read_text("utf-8"))
    simulated = [host for host in hosts if gpus[host.name]]
    role = {
        "role": "gpufleet.mig.mig_simulator",
        "mig_simulator_gpus": "{{ gpus_of[inventory_hostname] }}",
        "mig_simulator_build_on": "controller",
        "mig_simulator_build_directory": str(SIMULATOR),
        "mig_simulator_system": True,
    }
    if simulated:
        play = {"hosts": "all", "gather_facts": False, "vars": {"gpus_of": gpus}, "roles": [role]}
        Run(folder / "mig_simulator", environment, [play], simulated, forks=len(simulated)).ok()
    return hosts
