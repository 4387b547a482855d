# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A node of Slurm and the jobs that hold its GPUs, as scontrol and squeue tell, and the waiting for their end.

Much of what they print is free text: whoever submits a job writes its name, comment, command and more, line ends
included, and an operator the reason and comment of a node. So lists have fields alone that Slurm fills in, and of what
``scontrol show job`` prints only that part counts which a mark shows to be Slurm's.
"""

from __future__ import annotations

import binascii
import os
import re
import time
from typing import NamedTuple, Optional

from ..errors import MigError
from ..visible import visible
from .commands import output_of

# The words of a node's state with which Slurm starts no jobs there, or only those of a reservation for maintenance.
OUT_OF_SERVICE = {"DOWN", "DRAIN", "DRAINED", "DRAINING", "ERROR", "FAIL", "FAILING", "FUTURE", "MAINT", "MAINTENANCE"}
# Not --json: its shape differs from release to release, and many builds come without it.
FORMAT = "%A|%i|%u|%T"
JOB = re.compile(r"([0-9]+)\|([0-9_+]+)\|(.*)\|([A-Z_]+)")
# Shares of a GPU are gres of their own (gres.conf(5), "mps" and "shard").
GPU = re.compile(r"(?:^|,)(?:gres[:/])?(?:gpu|mps|shard)(?![^,:=(])")
DETAIL = re.compile(r"^ {5}Nodes=(\S+) CPU_IDs=\S* Mem=\S* GRES=(\S*)$", re.MULTILINE)
# What a job was given of what Slurm accounts for, and what it asked for.
REQUESTED = ["tres-alloc", "tres-per-job", "tres-per-node", "tres-per-socket", "tres-per-task"]


class Node(NamedTuple):
    """A node: the words of its state, the reason that was given for it, its gres, and when its slurmd started."""

    name: str
    states: tuple
    reason: Optional[str]
    gres: str = ""
    slurmd_start: str = ""

    @property
    def in_service(self):
        """Whether Slurm starts any job there.

        Rule: Slurm's words
        """
        return not OUT_OF_SERVICE & set(self.states)


class Job(NamedTuple):
    """A job on the node; ``gres`` tells the GPUs that it was given there.

    ``task`` is how Slurm's commands call it alone: the id of an array's last task stands for the whole array, and that
    of a heterogeneous job's first part for all its parts. The job is not ``certain`` where Slurm did not tell whether
    it holds any GPU.
    """

    id: int
    task: str
    user: str
    state: str
    name: str = ""
    gres: str = ""
    certain: bool = True


def parse_node(text):
    """The Node that ``scontrol show node NAME`` prints, else a MigError. Pure.

    Reason, Comment and Extra are the last of its lines in all releases, and what they hold is free text.
    """
    fixed, told, free = _before_free_text(text)
    name = re.match(r"NodeName=(\S+)", fixed)
    state = re.search(r"^ +State=(\S+)", fixed, re.MULTILINE)
    if not (name and state):
        raise MigError(f"scontrol show node printed something else than a node: {text[:200]!r}")
    gres = re.search(r"^ +Gres=(\S+)", fixed, re.MULTILINE)
    start = re.search(r"\bSlurmdStartTime=(\S+)", fixed)
    # Older releases put a sign behind a word: IDLE*+DRAIN.
    states = tuple(re.findall("[A-Z_]+", state.group(1)))
    return Node(
        name.group(1),
        states,
        _reason(free) if told == "Reason" else None,
        # It prints (null) where there are none.
        gres.group(1) if gres and gres.group(1) != "(null)" else "",
        start.group(1) if start else "",
    )


def _before_free_text(text):
    """(what stands before the first free text, the word for that text, the text and what follows it)."""
    begin = re.search(r"^ {3}(Reason|Comment|Extra)=", text, re.MULTILINE)
    return (text[: begin.start()], begin.group(1), text[begin.end() :]) if begin else (text, None, "")


def _reason(text):
    """The reason that begins here. Its further lines are indented; who gave it, and when, stands behind the first."""
    first, *others = text.split("\n")
    lines = [re.sub(r" \[[^\[\]@]*@[^\[\]@]*\]$", "", first)]
    for line in others:
        if not line.startswith(" " * 10):
            break
        lines.append(line.strip())
    return visible("\n".join(lines))


def parse_jobs(text):
    """The Jobs on a node that squeue prints in ``FORMAT``; anything else among them is a MigError. Pure."""
    jobs = []
    for line in filter(None, text.split("\n")):
        found = JOB.fullmatch(line)
        if not found:
            raise MigError(f"squeue printed something else than a job: {line[:200]!r}")
        identity, task, user, state = found.groups()
        jobs.append(Job(int(identity), task, visible(user), state))
    return jobs


def parse_gres(text, mark):
    """[(nodes, gres)] of what ``scontrol --details show job`` prints of one job, None where it cannot be told. Pure.

    ``mark`` is what its times begin with, by SLURM_TIME_FORMAT; nobody who wrote anything into the job knows it. The
    gres stand between the last of the times and MinCPUsNode. The name stands before the times, comments and commands
    after MinCPUsNode: so it is from release 20.11 to 25.11, in slurm_sprint_job_info.

    Rule: Slurm's words
    """
    if text.count(f"\n   SubmitTime={mark}") != 1:
        return None  # more than one job
    given, end, _free = text.rpartition(mark)[2].partition("\n   MinCPUsNode=")
    # It is there only where jobs get cores of a node (select/cons_tres).
    if not end or given.count("\n   JOB_GRES=") != 1:
        return None
    return DETAIL.findall(given)


def gpus_among(gres):
    """Those of a list of gres, each as Slurm prints it, in which there are GPUs: one text. Pure."""
    return ",".join(dict.fromkeys(one for one in gres if GPU.search(one)))


class Slurm:
    """Slurm's commands about one node; ``run_command`` is a module's."""

    def __init__(self, node, run_command, directory=""):
        self._node = node
        self._run_command = run_command
        self._directory = directory

    def _output(self, program, *arguments, absent=(), times="standard"):
        return output_of([os.path.join(self._directory, program), *arguments], self._run_command, absent, times)

    def node(self):
        """The Node; a MigError where there is none of that name."""
        text = self._output("scontrol", "show", "node", self._node, absent=["not found"])
        if text is None:
            raise MigError(f"Slurm has no node {self._node}. Give its NodeName in slurm.conf.")
        return parse_node(text)

    def update(self, *settings):
        """Give the node these settings, such as ``State=RESUME``. Raises CommandFailed."""
        self._output("scontrol", "update", f"NodeName={self._node}", *settings)

    def jobs(self):
        """The Jobs on the node, each with the GPUs that it was given, without names."""
        listed = self._squeue(f"--format={FORMAT}", f"--nodelist={self._node}")
        return [self._with_gres(job) for job in parse_jobs(listed)]

    def is_there(self, job):
        """Whether that Job is still on the node. Asks for it alone, whatever else the cluster runs."""
        chosen = (f"--format={FORMAT}", f"--nodelist={self._node}", f"--jobs={job.task}")
        text = self._squeue(*chosen, absent=["Invalid job id"])
        return job.id in [one.id for one in parse_jobs(text or "")]

    def named(self, job):
        """The Job with its name, for people: nothing may be decided by it."""
        try:
            text = self._squeue("--format=%j", f"--jobs={job.task}", absent=["Invalid job id"])
        except MigError:
            text = None
        return job._replace(name=visible((text or "").rstrip("\n")))

    def _squeue(self, *arguments, absent=()):
        return self._output("squeue", "--all", "--noheader", *arguments, absent=absent)

    def _with_gres(self, job):
        mark = binascii.hexlify(os.urandom(5)).decode()
        text = self._output(
            "scontrol",
            "--details",
            "show",
            "job",
            job.task,
            absent=["Invalid job id", "not found"],
            times=f"{mark}%FT%T",
        )
        if text is None:
            return job  # it has ended
        given = parse_gres(text, mark)
        if given is None:
            return self._with_requested(job)
        here = [gres for nodes, gres in given if self._is_among(nodes)]
        return job._replace(gres=gpus_among(here), certain=bool(here))

    def _is_among(self, nodes):
        return nodes == self._node or self._node in self._output("scontrol", "show", "hostnames", nodes).split()

    def _with_requested(self, job):
        """The Job with the GPUs that it asked for; one that gets whole nodes has all of theirs, asked for or not."""
        columns = ",".join(f"{name}:1000" for name in ("oversubscribe", *REQUESTED))
        text = self._squeue(f"--Format={columns}", f"--jobs={job.task}", absent=["Invalid job id"])
        shared, *gres = (text or "").split() or [None]
        if shared is None:
            return job  # it has ended
        gpus = visible(gpus_among(gres))
        return job._replace(gres=gpus, certain=bool(gpus) or shared in ("OK", "YES", "USER", "MCS"))


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
