# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Slurm's commands tell of jobs in the way."""

from __future__ import annotations

import pytest
from model_gpu import A100, gpu

from ansible_collections.gpufleet.mig.plugins.module_utils import slurm
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Blocker, Process, SlurmJob
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm import with_slurm

PIDS = """PID      JOBID    STEPID   LOCALID GLOBALID
-1       123      extern   0       0
801      123      batch    0       0
802      124      0        -       -
"""


@pytest.fixture
def commands(monkeypatch):
    """commands[program] = (exit status, output); commands["run"] are the command lines so far."""
    answers = {"scontrol": (0, PIDS), "squeue": (0, "123 train a model\n124 x\n"), "run": []}
    monkeypatch.setattr(slurm.shutil, "which", answers.get)

    def run_command(command, environ_update=None):
        answers["run"].append(command)
        return (*answers[command[2]], "")

    answers["run_command"] = run_command
    return answers


def jobs(commands, *processes):
    blocker = Blocker(gpu(A100), "busy", processes=processes)
    (known,) = with_slurm([blocker], commands["run_command"])
    return [process.slurm_job for process in known.processes]


def test_the_cgroup_tells_the_job_and_squeue_its_name(commands):
    assert jobs(commands, Process(801, slurm_job=SlurmJob(123, "0"))) == [SlurmJob(123, "0", "train a model")]
    (command,) = commands["run"]
    assert command[:3] == ["timeout", "5", "squeue"]
    assert command[-1] == "--jobs=123"


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
