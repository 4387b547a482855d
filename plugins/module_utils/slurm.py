# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What Slurm's own commands tell of the jobs that are in the way."""

from __future__ import annotations

import shutil

from .model import SlurmJob

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
    ids = sorted({jobs[process.pid].id for process in processes if process.pid in jobs})
    if not ids:
        return blockers
    # Not --json: its shape differs from release to release, and many builds come without it.
    command = ["squeue", "--noheader", "--states=all", "--format=%A %j", "--jobs=" + ",".join(map(str, ids))]
    names = job_names(_output(command, run_command))

    def known(process):
        job = jobs.get(process.pid)
        return process._replace(slurm_job=job and job._replace(name=names.get(job.id)))

    return [blocker._replace(processes=tuple(map(known, blocker.processes))) for blocker in blockers]


def jobs_by_pid(text):
    """{pid: SlurmJob} of what ``scontrol listpids`` prints: PID JOBID STEPID LOCALID GLOBALID. Pure."""
    words = [line.split() for line in text.splitlines()]
    return {int(one[0]): SlurmJob(int(one[1]), one[2]) for one in words if len(one) > 2 and (one[0] + one[1]).isdigit()}


def job_names(text):
    """{job id: name} of lines of an id and a name. Pure."""
    words = [line.strip().split(" ", 1) for line in text.splitlines()]
    return {int(one[0]): one[1] for one in words if len(one) == 2 and one[0].isdigit()}


def _output(command, run_command):
    """What a command prints, "" where it fails or does not end: run_command knows no time limit, timeout sets one."""
    status, output, _errors = run_command(["timeout", str(SECONDS), *command], environ_update={"LC_ALL": "C"})
    return "" if status else output
