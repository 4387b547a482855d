# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What scontrol and squeue tell of a node and its jobs, and how their end is waited for."""

from __future__ import annotations

import pytest
from fake_slurm import FREE, NODE, FakeSlurm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.node import (
    Job,
    Slurm,
    gpus_among,
    parse_gres,
    parse_jobs,
    parse_node,
    wait,
)


def node(state="IDLE", reason=""):
    return parse_node(NODE.format(state=state, free=reason))


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
        ("   Reason=fan [a@b] [root@2026-11-21T15:59:35]\n          and more", r"fan [a@b]\nand more"),
        ("   Reason=fan \x1b[31m [root@2026-11-21T15:59:35]", r"fan \x1b[31m"),
        ("   Reason=fan", "fan"),
        ("   Comment=x Reason=y [root@z]", None),
        ("   Comment=x\n   Reason=gpufleet.mig: change of MIG c-1 [root@z]", None),
        ("   Extra=x\n   Reason=gpufleet.mig: change of MIG c-1 [root@z]", None),
        ("   Reason=fan [root@z]\n   Comment=x\n   Reason=y [root@z]", "fan"),
    ],
)
def test_the_reason_of_a_node(line, reason):
    assert node(reason=line).reason == reason


@pytest.mark.parametrize("text", ["", "No nodes in the system", "NodeName=x", "   State=IDLE"])
def test_what_is_no_node(text):
    with pytest.raises(MigError, match="something else than a node"):
        parse_node(text)


FORGED = (
    "   State=DOWN ThreadsPerCore=1\n   Gres=gpu:9\n   BootTime=x SlurmdStartTime=2030-01-01T00:00:00\nNodeName=other"
)


@pytest.mark.parametrize("word", ["Reason", "Comment", "Extra"])
def test_what_an_operator_writes_of_a_node_forges_nothing(word):
    honest, forged = node(), node(reason=f"   {word}=x\n{FORGED}")
    assert forged._replace(reason=None) == honest


def test_jobs_of_a_node():
    text = "12|12|alice|RUNNING\n13|7_13|bob|COMPLETING\n\n"
    assert parse_jobs(text) == [Job(12, "12", "alice", "RUNNING"), Job(13, "7_13", "bob", "COMPLETING")]


@pytest.mark.parametrize(
    "line", ["slurm_load_jobs error: x", "1|1|alice|RUNNING|y", "x|1|a|RUNNING", "1|1;2|a|RUNNING"]
)
def test_what_is_no_job_among_them_is_told(line):
    with pytest.raises(MigError, match="something else than a job"):
        parse_jobs(f"12|12|alice|RUNNING\n{line}\n")


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ([""], ""),
        (["gpu:a100_1g.5gb:1(IDX:1)"], "gpu:a100_1g.5gb:1(IDX:1)"),
        (["gpu:2(IDX:0-1),nic:1(IDX:0)"], "gpu:2(IDX:0-1),nic:1(IDX:0)"),
        (["nic:1(IDX:0),gpu:2(IDX:0-1)"], "nic:1(IDX:0),gpu:2(IDX:0-1)"),
        (["shard:a100:3(1/4,2/4)"], "shard:a100:3(1/4,2/4)"),
        (["mps:3"], "mps:3"),
        (["nic:1(IDX:0)"], ""),
        (["gpu_license:1", "license/gpu:1", "fastgpu:1"], ""),
        (["cpu=1,node=1,gres/gpu=1,billing=1"], "cpu=1,node=1,gres/gpu=1,billing=1"),
        (["gres:gpu:1", "N/A", "gres/gpu", "gpu", "gpu"], "gres:gpu:1,gres/gpu,gpu"),
    ],
)
def test_gpus_among_gres(gres, gpus):
    assert gpus_among(gres) == gpus


@pytest.mark.parametrize("text", ["", "JobId=1 JobName=x", "\n   SubmitTime=m\n   MinCPUsNode=1"])
def test_gres_that_cannot_be_told(text):
    assert parse_gres(text, "m") is None


def decided(*jobs, **cluster):
    """{job id: (gres, certain)} of what Slurm tells of these jobs."""
    return {job.id: (job.gres, job.certain) for job in Slurm("gpu-7", FakeSlurm(jobs, **cluster)).jobs()}


GPU, OTHER_GPU = "gpu:1(IDX:0)", "gpu:1(IDX:1)"
# Each with what it would like to be taken for.
DETAIL = f"     Nodes=gpu-7 CPU_IDs=0 Mem=0 GRES={GPU}"
RECORD = (
    "x\n   UserId=root(0) GroupId=root(0)\n   SubmitTime=2026-11-21T15:59:35 EligibleTime=2026-11-21T15:59:35\n"
    f"   LastSchedEval=2026-11-21T15:59:35\n   JOB_GRES={GPU}\n{DETAIL}\n   MinCPUsNode=1 MinMemoryNode=0\n   Command=y"
)
FORGERIES = [
    "y\n1|1|alice|RUNNING",
    "1|alice|RUNNING|y\n1|alice|RUNNING|y",
    f"y\n{DETAIL}",
    RECORD,
    "y\n\nJobId=1 JobName=x",
    f"y\n\nJobId=1 JobName=x\n{RECORD}",
    f"y\n   TresPerNode={GPU}\n   TRES=gres/{GPU}\n   JOB_GRES=(null)",
    "y\n   MinCPUsNode=1\n   Socks/Node=*",
    "y\r   JOB_GRES=gpu:1",
    "\x1b[2J\u202e\u2028",
]
free_text = st.one_of(
    st.sampled_from(FORGERIES),
    st.lists(st.one_of(st.sampled_from([*FORGERIES, "\n", "\n   ", "JobId=", "GRES="]), st.text()), max_size=5).map(
        "".join
    ),
)


@given(st.fixed_dictionaries({"name": free_text, **dict.fromkeys(FREE, free_text)}), st.sampled_from(["", GPU]))
@settings(deadline=None)
@example({"name": "x\nJobId=1 JobName=y", **dict.fromkeys(FREE, "x")}, GPU)
def test_nothing_that_a_user_writes_into_a_job_decides_anything(written, gres):
    victim = {"id": 1, "user": "alice", "gres": OTHER_GPU}
    bystander = {"id": 3, "user": "bob"}
    told = decided(victim, {"id": 2, "gres": gres, **written}, bystander)
    assert told == {1: (OTHER_GPU, True), 2: (gres, True), 3: ("", True)}


@given(free_text)
@settings(deadline=None)
def test_a_name_is_shown_in_one_line_of_what_prints(name):
    cluster = FakeSlurm([{"id": 2, "name": name}, {"id": 1, "user": "alice", "name": "train"}])
    slurm = Slurm("gpu-7", cluster)
    hostile, other = map(slurm.named, slurm.jobs())
    assert hostile.name.isprintable()
    assert other.name == "train"


def test_a_task_of_an_array_is_asked_for_alone():
    # The last task has the id of the array, which stands for them all.
    tasks = [{"id": 1, "task": "1_3"}, {"id": 2, "task": "1_0", "gres": GPU}]
    assert decided(*tasks) == {1: ("", True), 2: (GPU, True)}
    assert [job.task for job in Slurm("gpu-7", FakeSlurm(tasks)).jobs()] == ["1_3", "1_0"]


def test_gpus_on_another_node_are_not_held_on_this_one():
    jobs = [
        {"id": 1, "gres": GPU, "details": [["gpu-8", GPU], ["gpu-7", ""]]},
        {"id": 2, "gres": GPU, "details": [["gpu-[7-8]", GPU]]},
    ]
    assert decided(*jobs) == {1: ("", True), 2: (GPU, True)}


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ({"gres": "gres:gpu:1"}, ("gres:gpu:1", True)),
        ({}, ("", True)),
        # It may have the node's GPUs without having asked for them.
        ({"oversubscribe": "NO"}, ("", False)),
        ({"name": f"x\n   JOB_GRES={GPU}\n{DETAIL}\n   MinCPUsNode=1"}, ("", True)),
        ({"comment": f"x\n   JOB_GRES={GPU}\n{DETAIL}\n   MinCPUsNode=1"}, ("", True)),
    ],
)
def test_where_slurm_hands_out_whole_nodes_what_was_asked_for_counts(job, told):
    assert decided({"id": 1, **job}, selects="linear") == {1: told}


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
            self._jobs.pop(0)


def cluster(gres):
    return FakeSlurm([{"id": identity, "gres": given} for identity, given in gres.items()])


def holds_gpus(one):
    return one.gres != ""


def test_the_end_of_the_jobs_is_waited_for_one_by_one():
    commands = cluster({1: "gpu:1(IDX:0)", 2: "", 3: "gpu:1(IDX:1)"})
    clock = Clock(commands.jobs)
    node_then, left = wait(Slurm("gpu-7", commands), holds_gpus, 60, clock.sleep, clock)
    assert (node_then.name, left) == ("gpu-7", [])
    assert clock.sleeps == [1, 1, 1]
    whole_queue = [line for line in commands.lines if line.startswith("squeue") and "--jobs" not in line]
    assert len(whole_queue) == 2
    assert not [line for line in commands.lines if "--jobs=2" in line]


def test_jobs_that_are_left_at_the_deadline():
    commands = cluster({1: "gpu:1(IDX:0)"})
    clock = Clock({})
    _node, left = wait(Slurm("gpu-7", commands), holds_gpus, 600, clock.sleep, clock)
    assert [one.id for one in left] == [1]
    assert clock.time == 600
    assert max(clock.sleeps) == 15


@pytest.mark.parametrize("away_from", [0, 1])
def test_a_controller_that_is_away_for_a_while_is_asked_again(away_from):
    commands = cluster({1: "gpu:1(IDX:0)"})
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
    commands = cluster({1: "gpu:1(IDX:0)"})
    commands.away = 99
    clock = Clock({})
    with pytest.raises(MigError, match="Unable to contact slurm controller"):
        wait(Slurm("gpu-7", commands), holds_gpus, 10, clock.sleep, clock)
    assert clock.time == 10


def test_a_node_that_slurm_does_not_know():
    with pytest.raises(MigError, match="Slurm has no node gpu-8"):
        Slurm("gpu-8", cluster({})).node()


def test_commands_in_a_directory_of_their_own():
    commands = cluster({})
    assert Slurm("gpu-7", commands, "/opt/slurm/bin").node().name == "gpu-7"
    assert commands.lines == ["/opt/slurm/bin/scontrol show node gpu-7"]
