# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A node of Slurm and the jobs that hold its GPUs, as scontrol and squeue tell, and the waiting for their end."""

from __future__ import annotations

import os
import re
import time
from typing import NamedTuple, Optional

from .errors import MigError

# A command of Slurm itself gives up after MessageTimeout (10 s), once for each slurmctld that slurm.conf names.
SECONDS = 60
# The words of a node's state with which Slurm starts no jobs there, or only those of a reservation for maintenance.
OUT_OF_SERVICE = {"DOWN", "DRAIN", "DRAINED", "DRAINING", "ERROR", "FAIL", "FAILING", "FUTURE", "MAINT", "MAINTENANCE"}
# Not --json: its shape differs from release to release, and many builds come without it. The name, which may hold
# anything, is the last.
FORMAT = "%A|%u|%T|%j"
# Shares of a GPU are gres of their own (gres.conf(5), "mps" and "shard"). GRES is there only where jobs get cores of a
# node (select/cons_tres).
GRES = re.compile(r"^ +Nodes=\S+ CPU_IDs=\S* Mem=\S* GRES=(\S*)", re.MULTILINE)
REQUESTED = re.compile(r"^ +(?:TresPer[A-Z][a-z]+|TRES|AllocTRES)=(\S*)", re.MULTILINE)
GPU = re.compile(r"\b(?:gpu|mps|shard)\b")


class Node(NamedTuple):
    """A node: the words of its state, the reason that was given for it, its gres, and when its slurmd started."""

    name: str
    states: tuple
    reason: Optional[str]
    gres: str = ""
    slurmd_start: str = ""

    @property
    def in_service(self):
        """Whether Slurm starts any job there."""
        return not OUT_OF_SERVICE & set(self.states)


class Job(NamedTuple):
    """A job on the node; ``gres`` tells the GPUs that it was given."""

    id: int
    user: str
    state: str
    name: str
    gres: str = ""


def parse_node(text):
    """The Node that ``scontrol show node NAME`` prints, else a MigError. Pure."""
    name = re.match(r"NodeName=(\S+)", text)
    state = re.search(r"^ +State=(\S+)", text, re.MULTILINE)
    if not (name and state):
        raise MigError(f"scontrol show node printed something else than a node: {text[:200]!r}")
    # Who gave it, and when, stands behind the reason.
    reason = re.search(r"^ +Reason=(.*?)(?: \[[^\[\]@]*@[^\[\]@]*\])?$", text, re.MULTILINE)
    gres = re.search(r"^ +Gres=(\S+)", text, re.MULTILINE)
    start = re.search(r"\bSlurmdStartTime=(\S+)", text)
    # Older releases put a sign behind a word: IDLE*+DRAIN.
    states = tuple(re.findall("[A-Z_]+", state.group(1)))
    return Node(
        name.group(1),
        states,
        reason and reason.group(1),
        # It prints (null) where there are none.
        gres.group(1) if gres and gres.group(1) != "(null)" else "",
        start.group(1) if start else "",
    )


def parse_jobs(text):
    """The Jobs on a node that squeue prints in ``FORMAT``. Pure."""
    words = [line.split("|", 3) for line in text.splitlines()]
    return [Job(int(one[0]), *one[1:]) for one in words if len(one) == 4 and one[0].isdigit()]


def gpus_of_job(text, job):
    """The gres of GPUs in what ``scontrol --details show job`` prints of that job id, "" where there are none. Pure."""
    # The id of an array is also that of its last task, and stands for all of them.
    blocks = re.split(r"^(?=JobId=)", text, flags=re.MULTILINE)
    own = "".join(block for block in blocks if block.startswith(f"JobId={job} "))
    given = [gres for gres in GRES.findall(own) if GPU.search(gres)]
    return ",".join(dict.fromkeys(given or [gres for gres in REQUESTED.findall(own) if GPU.search(gres)]))


class Slurm:
    """Slurm's commands about one node; ``run_command`` is a module's."""

    def __init__(self, node, run_command, directory=""):
        self._node = node
        self._run_command = run_command
        self._directory = directory

    def _output(self, program, *arguments, absent=None):
        """What it prints; None where it fails because of ``absent``, else a failure is a MigError."""
        command = ["timeout", str(SECONDS), os.path.join(self._directory, program), *arguments]
        status, output, errors = self._run_command(command, environ_update={"LC_ALL": "C"})
        said = (errors or output).strip()
        if status == 0:
            return output
        if absent and absent in said:
            return None
        raise MigError(f"{' '.join([program, *arguments])}: exit status {status}: {said or 'no answer'}")

    def node(self):
        """The Node; a MigError where there is none of that name."""
        text = self._output("scontrol", "show", "node", self._node, absent="not found")
        if text is None:
            raise MigError(f"Slurm has no node {self._node}. Give its NodeName in slurm.conf.")
        return parse_node(text)

    def jobs(self):
        """The Jobs on the node, each with the GPUs that it was given."""
        jobs = parse_jobs(self._squeue(f"--nodelist={self._node}"))
        return [job._replace(gres=self._gpus(job)) for job in jobs]

    def is_there(self, job):
        """Whether that Job is still on the node. Asks for it alone, whatever else the cluster runs."""
        text = self._squeue(f"--nodelist={self._node}", f"--jobs={job.id}", absent="Invalid job id")
        return job.id in [one.id for one in parse_jobs(text or "")]

    def _squeue(self, *arguments, absent=None):
        return self._output("squeue", "--all", "--noheader", f"--format={FORMAT}", *arguments, absent=absent)

    def _gpus(self, job):
        text = self._output("scontrol", "--details", "show", "job", str(job.id), absent="Invalid job id")
        return gpus_of_job(text or "", job.id)


def wait(slurm, counts, seconds, sleep=time.sleep, clock=time.monotonic):
    """Wait until no Job on the node counts, for as many seconds at most: the Node, and the Jobs that then still count.

    ``counts`` says of a Job whether it does. A controller that is away is asked again, and is a MigError in the end.
    """
    start = clock()
    jobs = []
    while True:
        try:
            node = slurm.node()
            # Only when all have gone the whole queue is read again: nothing new starts on a drained node.
            jobs = [job for job in jobs if slurm.is_there(job)] or [job for job in slurm.jobs() if counts(job)]
            passed = clock() - start
            if not jobs or passed >= seconds:
                return node, jobs
        except MigError:
            passed = clock() - start
            if passed >= seconds:
                raise
        # Soon at first, then seldom: a controller may serve thousands of nodes.
        sleep(min(max(1, passed / 20), 15, seconds - passed))
