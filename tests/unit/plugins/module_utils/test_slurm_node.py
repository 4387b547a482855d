# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What scontrol and squeue tell of a node and its jobs, and how their end is waited for."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm_node import (
    Job,
    Slurm,
    gpus_of_job,
    parse_jobs,
    parse_node,
    wait,
)

# Printed by Slurm 22.05.
NODE = """NodeName=gpu-7 Arch=x86_64 CoresPerSocket=1\x20
   CPUAlloc=1 CPUEfctv=1 CPUTot=1 CPULoad=6.79
   Gres=gpu:a100_3g.20gb:1(S:0),gpu:a100_1g.5gb:2(S:0)
   State={state} ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   BootTime=2026-11-21T12:19:27 SlurmdStartTime=2026-11-21T15:59:35
   CurrentWatts=0 AveWatts=0
{reason}
"""
JOB = """JobId={id} {array}JobName={name}
   UserId=ops(1000) GroupId=ops(1000) MCS_label=N/A
   JobState=RUNNING Reason=None Dependency=(null)
   TRES=cpu=1,node=1,billing=1
   JOB_GRES={gres}
     Nodes=gpu-7 CPU_IDs=0 Mem=0 GRES={detail}
   MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0
   {requested}
"""


def node(state="IDLE", reason=""):
    return parse_node(NODE.format(state=state, reason=reason))


def job(identity=1, *, array="", name="train", detail="", requested="Power="):
    return JOB.format(id=identity, array=array, name=name, gres="(null)", detail=detail, requested=requested)


@pytest.mark.parametrize("state", ["IDLE", "MIXED", "ALLOCATED", "IDLE+PLANNED", "IDLE*", "IDLE+CLOUD+POWERED_DOWN"])
def test_a_node_in_service(state):
    assert node(state).in_service


@pytest.mark.parametrize(
    "state",
    ["IDLE+DRAIN", "MIXED*+DRAIN", "DOWN", "DOWN*", "IDLE+MAINT", "ALLOCATED+FAIL", "UNKNOWN+DRAIN+INVALID_REG"],
)
def test_a_node_out_of_service(state):
    assert not node(state).in_service


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", None),
        ("   Reason=fan broken [root@2026-11-21T15:59:35]", "fan broken"),
        ("   Reason=fan [see ticket 7] [root@2026-11-21T15:59:35]\n   Comment=x", "fan [see ticket 7]"),
        ("   Reason=fan [a@b] [root@2026-11-21T15:59:35]\n          and more", "fan [a@b]"),
        ("   Reason=fan", "fan"),
        ("   Comment=x Reason=y [root@z]", None),
    ],
)
def test_the_reason_of_a_node(line, reason):
    assert node(reason=line).reason == reason


@pytest.mark.parametrize("text", ["", "No nodes in the system", "NodeName=x", "   State=IDLE"])
def test_what_is_no_node(text):
    with pytest.raises(MigError, match="something else than a node"):
        parse_node(text)


def test_jobs_of_a_node():
    text = "12|alice|RUNNING|train | more\n13|bob|COMPLETING|\n\nslurm_load_jobs error: x\n"
    assert parse_jobs(text) == [Job(12, "alice", "RUNNING", "train | more"), Job(13, "bob", "COMPLETING", "")]


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        (job(detail=""), ""),
        (job(detail="gpu:a100_1g.5gb:1(IDX:1)"), "gpu:a100_1g.5gb:1(IDX:1)"),
        (job(detail="gpu:2(IDX:0-1),nic:1(IDX:0)"), "gpu:2(IDX:0-1),nic:1(IDX:0)"),
        (job(detail="shard:a100:3(1/4,2/4)"), "shard:a100:3(1/4,2/4)"),
        (job(detail="nic:1(IDX:0)"), ""),
        (job(detail="gpu_license:1"), ""),
        (job(name="gpu GRES=gpu:1"), ""),
        (job(requested="TresPerNode=gres:gpu:1"), "gres:gpu:1"),
        (job(requested="TresPerJob=gres/gpu:1"), "gres/gpu:1"),
        # An array of which task 1 runs and whose last task has the array's id.
        (job(2, array="ArrayJobId=1 ArrayTaskId=0 ", detail="gpu:1(IDX:0)") + "\n" + job(1, array="ArrayJobId=1 "), ""),
        ("", ""),
    ],
)
def test_gpus_of_a_job(text, gpus):
    assert gpus_of_job(text, 1) == gpus


class Commands:
    """Slurm's commands of a cluster in which each look finds one job less."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.lines = []
        self.away = 0

    def __call__(self, command, environ_update=None):
        assert environ_update == {"LC_ALL": "C"}
        assert command[:2] == ["timeout", "60"]
        self.lines.append(" ".join(command[2:]))
        if self.away:
            self.away -= 1
            return 1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
        if command[2].endswith("scontrol"):
            return self._scontrol(command)
        chosen = [int(word.partition("=")[2]) for word in command if word.startswith("--jobs=")]
        if chosen and chosen[0] not in self.jobs:
            return 1, "", "slurm_load_jobs error: Invalid job id specified"
        lines = [f"{one}|ops|RUNNING|train\n" for one in self.jobs if not chosen or one in chosen]
        return 0, "".join(lines), ""

    def _scontrol(self, command):
        if command[3:5] == ["show", "node"]:
            if command[5] != "gpu-7":
                return 1, f"Node {command[5]} not found\n", ""
            return 0, NODE.format(state="IDLE", reason=""), ""
        return 0, job(int(command[-1]), detail=self.jobs[int(command[-1])]), ""


class Clock:
    """A clock that goes on only while somebody sleeps; then a job ends."""

    def __init__(self, jobs):
        self.time = 0
        self.sleeps = []
        self._jobs = jobs

    def __call__(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds
        self.sleeps.append(seconds)
        if self._jobs:
            self._jobs.pop(next(iter(self._jobs)))


def holds_gpus(one):
    return one.gres != ""


def test_the_end_of_the_jobs_is_waited_for_one_by_one():
    commands = Commands({1: "gpu:1(IDX:0)", 2: "", 3: "gpu:1(IDX:1)"})
    clock = Clock(commands.jobs)
    node_then, left = wait(Slurm("gpu-7", commands), holds_gpus, 60, clock.sleep, clock)
    assert (node_then.name, left) == ("gpu-7", [])
    assert clock.sleeps == [1, 1, 1]
    whole_queue = [line for line in commands.lines if line.startswith("squeue") and "--jobs" not in line]
    assert len(whole_queue) == 2
    assert not [line for line in commands.lines if "--jobs=2" in line]


def test_jobs_that_are_left_at_the_deadline():
    commands = Commands({1: "gpu:1(IDX:0)"})
    clock = Clock({})
    _node, left = wait(Slurm("gpu-7", commands), holds_gpus, 600, clock.sleep, clock)
    assert [one.id for one in left] == [1]
    assert clock.time == 600
    assert max(clock.sleeps) == 15


@pytest.mark.parametrize("away_from", [0, 1])
def test_a_controller_that_is_away_for_a_while_is_asked_again(away_from):
    commands = Commands({1: "gpu:1(IDX:0)"})
    commands.away = 2 if away_from == 0 else 0
    clock = Clock({})

    def sleep(seconds):
        clock.sleep(seconds)
        if len(clock.sleeps) == away_from:
            commands.away = 2
        if clock.time > 5:
            commands.jobs.clear()

    assert wait(Slurm("gpu-7", commands), holds_gpus, 60, sleep, clock)[1] == []
    assert commands.away == 0


def test_a_controller_that_stays_away_is_told_at_the_deadline():
    commands = Commands({1: "gpu:1(IDX:0)"})
    commands.away = 99
    clock = Clock({})
    with pytest.raises(MigError, match="Unable to contact slurm controller"):
        wait(Slurm("gpu-7", commands), holds_gpus, 10, clock.sleep, clock)
    assert clock.time == 10


def test_a_node_that_slurm_does_not_know():
    with pytest.raises(MigError, match="Slurm has no node gpu-8"):
        Slurm("gpu-8", Commands({})).node()


def test_commands_in_a_directory_of_their_own():
    commands = Commands({})
    assert Slurm("gpu-7", commands, "/opt/slurm/bin").node().name == "gpu-7"
    assert commands.lines == ["/opt/slurm/bin/scontrol show node gpu-7"]
