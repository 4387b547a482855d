# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Slurm's commands tell of jobs in the way."""

from __future__ import annotations

import pytest
from model_gpu import A100, gpu

from ansible_collections.gpufleet.mig.plugins.module_utils.model import Blocker, Process, SlurmJob
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm import jobs as slurm
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.jobs import with_slurm

PIDS = """PID      JOBID    STEPID   LOCALID GLOBALID
-1       123      extern   0       0
801      123      batch    0       0
802      124      0        -       -
"""
# Of an array Slurm keeps what has not begun, and its last task, under the array's own id.
TASKS = {"130": [("131", "130_0"), ("130", "130_1")], "131": [("131", "130_0")]}


@pytest.fixture
def commands(monkeypatch):
    """commands[program] = (exit status, output); commands["run"] are the command lines so far."""
    answers = {"scontrol": (0, PIDS), "squeue": (0, {"123": "train a model", "124": "x"}), "run": []}
    monkeypatch.setattr(slurm.shutil, "which", answers.get)

    def run_command(command, environ_update=None):
        answers["run"].append(command)
        status, answer = answers[command[2]]
        if command[2] == "scontrol" or status:
            return status, answer, ""
        job = command[5].partition("=")[2]
        if command[6] == "--format=%A|%i":
            return 0, "".join(f"{identity}|{task}\n" for identity, task in TASKS.get(job, [(job, job)])), ""
        assert command[6] == "--format=%j"
        return 0, answer[job] + "\n", ""

    answers["run_command"] = run_command
    return answers


def jobs(commands, *processes):
    blocker = Blocker(gpu(A100), "busy", processes=processes)
    (known,) = with_slurm([blocker], commands["run_command"])
    return [process.slurm_job for process in known.processes]


def test_the_cgroup_tells_the_job_and_squeue_its_name(commands):
    assert jobs(commands, Process(801, slurm_job=SlurmJob(123, "0"))) == [SlurmJob(123, "0", "train a model")]
    *_others, command = commands["run"]
    assert command[:3] == ["timeout", "5", "squeue"]
    assert command[-2:] == ["--jobs=123", "--format=%j"]


def test_a_name_is_shown_and_names_no_other_job(commands):
    commands["squeue"] = (0, {"123": "x\n124 evil\n123 \x1b]0;x\x07", "124": "y"})
    hostile, other = jobs(commands, Process(801), Process(802))
    assert hostile == SlurmJob(123, "batch", r"x\n124 evil\n123 \x1b]0;x\x07")
    assert other == SlurmJob(124, "0", "y")


def test_the_name_of_an_arrays_last_task(commands):
    commands["squeue"] = (0, {"130_0": "a", "130_1": "a", "130": "a\na"})
    assert jobs(commands, Process(9, slurm_job=SlurmJob(130, "0"))) == [SlurmJob(130, "0", "a")]


def test_scontrol_knows_jobs_without_cgroups(commands):
    assert jobs(commands, Process(801), Process(802), Process(803)) == [
        SlurmJob(123, "batch", "train a model"),
        SlurmJob(124, "0", "x"),
        None,
    ]


def test_a_controller_that_does_not_answer_leaves_the_numbers(commands):
    commands["squeue"] = (124, "")
    assert jobs(commands, Process(801)) == [SlurmJob(123, "batch")]


def test_nothing_is_run_where_there_is_no_slurm(commands):
    commands["scontrol"] = None
    assert jobs(commands, Process(801, slurm_job=SlurmJob(123, "0"))) == [SlurmJob(123, "0")]
    assert commands["run"] == []


def test_nothing_is_asked_of_the_controller_where_no_job_is_in_the_way(commands):
    assert jobs(commands, Process(900)) == [None]
    assert [command[2] for command in commands["run"]] == ["scontrol"]
