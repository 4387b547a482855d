# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What Slurm's own commands tell of the jobs that are in the way."""

from __future__ import annotations

import re
import shutil

from ..errors import MigError
from ..model import SlurmJob
from ..visible import visible
from .commands import output_of

SECONDS = 5


def with_slurm(blockers, run_command):
    """The Blockers, a list, with the Slurm job of each process and its name, as far as Slurm is here and answers.

    The cgroup of a process tells its job where Slurm uses cgroups; elsewhere scontrol knows it.
    """
    if not shutil.which("scontrol"):
        return blockers
    processes = [process for blocker in blockers for process in blocker.processes]
    jobs = {process.pid: process.slurm_job for process in processes if process.slurm_job}
    if any(not process.slurm_job for process in processes):
        jobs = {**jobs_by_pid(_output(["scontrol", "listpids"], run_command)), **jobs}
    names = _names(sorted({jobs[process.pid].id for process in processes if process.pid in jobs}), run_command)

    def known(process):
        job = jobs.get(process.pid)
        return process._replace(slurm_job=job and job._replace(name=names.get(job.id)))

    return [blocker._replace(processes=tuple(map(known, blocker.processes))) for blocker in blockers]


def _names(ids, run_command):
    """{job id: its name}, for people, as far as Slurm answers.

    A name is asked for alone and decides nothing: whoever submits a job writes it, line ends and all.
    """
    # Not --json: its shape differs from release to release, and many builds come without it.
    squeue = ["squeue", "--noheader", "--states=all"]
    names = {}
    for job in ids:
        # The id of an array's last task stands for the whole array.
        rows = _output([*squeue, f"--jobs={job}", "--format=%A|%i"], run_command).split("\n")
        task = next((row.partition("|")[2] for row in rows if re.fullmatch(rf"{job}\|[0-9_+]+", row)), str(job))
        name = _output([*squeue, f"--jobs={task}", "--format=%j"], run_command)
        if not name:
            break  # who does not answer now is not waited for once more for each job
        names[job] = visible(name.rstrip("\n"))
    return names


def jobs_by_pid(text):
    """{pid: SlurmJob} of what ``scontrol listpids`` prints: PID JOBID STEPID LOCALID GLOBALID. Pure."""
    rows = re.findall(r"^([0-9]+) +([0-9]+) +(\S+) ", text, re.MULTILINE)
    return {int(pid): SlurmJob(int(job), step) for pid, job, step in rows}


def _output(command, run_command):
    """What a command prints, "" where it fails or does not end."""
    try:
        return output_of(command, run_command, seconds=SECONDS)
    except MigError:
        return ""
