# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Slurm cluster on two test hosts: slurmctld on one, slurmd on the other, whose gres AutoDetect=nvml finds."""

from __future__ import annotations

import shlex

# proctrack/cgroup needs a writable hierarchy, which these hosts have on few machines. Both have the munge key of their
# base system.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={controller.name}({controller_address})
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
MailProg=/bin/true
KillWait=1
NodeName={node.name} NodeAddr={node_address} CPUs=1 Gres={gres}
PartitionName=gpus Nodes=ALL Default=YES OverSubscribe=FORCE:8
"""
# A job's client of the MIG device that Slurm gave it; the job ends when its file goes.
CLIENT = """#!/bin/sh
exec mig-simulator run --device "$CUDA_VISIBLE_DEVICES" -- \\
    sh -c 'touch /tmp/job-$SLURM_JOB_ID; while test -e /tmp/job-$SLURM_JOB_ID; do sleep 0.1; done'
"""


class SlurmCluster:
    """Slurm on two hosts of bookworm-slurm or trixie-slurm: ``controller``, and ``node`` with one A100 in MIG mode."""

    def __init__(self, controller, node):
        self.controller = controller
        self.node = node
        self.users = ["ops"]

    def configuration(self, profiles):
        """slurm.conf for a node that has MIG devices of these profiles, {"1g.5gb": 2}."""
        return CONFIGURATION.format(
            controller=self.controller,
            node=self.node,
            controller_address=self.controller.variables()["ansible_host"],
            node_address=self.node.variables()["ansible_host"],
            gres=",".join(f"gpu:a100_{profile}:{count}" for profile, count in profiles.items()),
        )

    def start(self, profiles):
        """Give the GPU these MIG devices and start Slurm for them; the node is idle then."""
        text = self.configuration(profiles)
        self.node.run("nvidia-smi -mig 1")
        instances = ",".join(profile for profile, count in profiles.items() for _number in range(count))
        self.node.run(f"nvidia-smi mig -cgi {instances} -C")
        # This Slurm knows the library by the name that NVIDIA's installer adds.
        self.node.run("ln -s libnvidia-ml.so.1 /opt/mig-simulator/libnvidia-ml.so && ldconfig")
        for host, daemon in ((self.controller, "slurmctld"), (self.node, "slurmd")):
            host.run("cat > /etc/slurm/slurm.conf && echo AutoDetect=nvml > /etc/slurm/gres.conf", text=text)
            host.run(f"systemctl start munge {daemon}")
        self.wait_until_idle()

    def add_user(self, name, uid):
        """A further user, of both hosts."""
        for host in (self.controller, self.node):
            host.run(f"id {name} 2>/dev/null || useradd --create-home --uid {uid} {name}")
        self.users.append(name)

    def end_all(self):
        """Cancel all jobs and resume the node; it is idle then."""
        for user in self.users:
            self.controller.run(f"scancel --user={user}")
        self.wait('test -z "$(squeue --noheader)"')
        if "DRAIN" in self.node_state()[0]:
            self.update_node("State=RESUME")
        self.wait_until_idle()

    def wait_until_idle(self):
        """Wait until jobs may start on the node; after a restart slurmctld may think it silent till its next ping."""
        self.wait(f"{self._show_node()} | grep -q ' State=IDLE '")

    def _show_node(self):
        return f"scontrol show node {self.node.name}"

    def wait(self, command):
        """Wait until this command succeeds on the controller."""
        self.controller.run(f"timeout 300 sh -c {shlex.quote(f'until {command}; do sleep 0.1; done')}")

    def node_state(self):
        """(its state as scontrol prints it, its reason or None)."""
        lines = [line.strip() for line in self.controller.run(self._show_node()).stdout.splitlines()]
        state = next(line for line in lines if line.startswith("State=")).split()[0].removeprefix("State=")
        reasons = [line.removeprefix("Reason=").rpartition(" [")[0] for line in lines if line.startswith("Reason=")]
        return state, next(iter(reasons), None)

    def update_node(self, *settings):
        """What an administrator does: scontrol update of the node."""
        self.controller.run(shlex.join(["scontrol", "update", f"NodeName={self.node.name}", *settings]))

    def submit(self, profile, name="train", *more, user="ops", program=CLIENT):
        """Submit a job of a user that wants a MIG device of that profile, None for none: its id."""
        options = ["--parsable", "--chdir=/tmp", f"--job-name={name}", *more]
        if profile:
            options.append(f"--gres=gpu:a100_{profile}:1")
        answer = self.controller.run(shlex.join(["sudo", "-u", user, "sbatch", *options]), text=program)
        return int(answer.stdout)

    def run(self, profile, name="train"):
        """Submit such a job and wait until it uses its MIG device: its id."""
        job = self.submit(profile, name)
        self.wait_until_running(job)
        return job

    def wait_until_running(self, job):
        """Wait until the job uses its MIG device."""
        self.node.run(f"timeout 300 sh -c 'until test -e /tmp/job-{job}; do sleep 0.1; done'")

    def wait_until_drained(self):
        """Wait until somebody has drained the node."""
        self.wait(f"{self._show_node()} | grep -q ' State=[A-Z+]*+DRAIN '")

    def wait_until_gone(self, job):
        """Wait until the job has ended."""
        self.wait(f'test -z "$(squeue --noheader --jobs={job} || true)"')

    def end(self, job):
        """Let the job end by itself."""
        self.node.run(f"rm /tmp/job-{job}")

    def state(self, job):
        """The state of a job, such as RUNNING."""
        return self.controller.run(f"squeue --noheader --states=all --format=%T --jobs={job}").stdout.strip()
