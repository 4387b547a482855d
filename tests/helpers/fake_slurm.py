# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""scontrol and squeue of a small cluster, which print as Slurm does: whatever stands in a name, line for line."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

NODE = """NodeName=gpu-7 Arch=x86_64 CoresPerSocket=1\x20
   CPUAlloc=1 CPUEfctv=1 CPUTot=1 CPULoad=6.79
   Gres=gpu:a100_3g.20gb:1(S:0),gpu:a100_1g.5gb:2(S:0)
   State={state} ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   BootTime=2026-11-21T12:19:27 SlurmdStartTime=2026-11-21T15:59:35
   CurrentWatts=0 AveWatts=0
{free}
"""
JOB = """JobId={id} {array}JobName={name}
   UserId={user}(1000) GroupId=ops(1000) MCS_label=N/A
   Priority=1 Nice=0 Account={account} QOS=(null)
   JobState=RUNNING Reason=None Dependency=(null)
   SubmitTime={time} EligibleTime={time}
   StartTime={time} EndTime=Unknown Deadline=N/A
   SuspendTime=None SecsPreSuspend=0 LastSchedEval={time} Scheduler=Main
   Partition=gpus AllocNode:Sid=login:1
   NodeList=gpu-7
   TRES=cpu=1,node=1,billing=1
   Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*
{details}   MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0
   Features={features} DelayBoot=00:00:00
   OverSubscribe=OK Contiguous=0 Licenses=(null) Network={network}
   Command={command}
   WorkDir={work_dir}
   Comment={comment}\x20
   StdErr=/x
"""
FREE = ("account", "features", "network", "command", "work_dir", "comment")


class FakeSlurm:
    """``jobs`` are dicts of id, user, name, gres, those of FREE and, of an array, task; ``free`` ends the node.

    It ``takes`` updates of the node, or refuses them.
    """

    def __init__(self, jobs, state="IDLE", free="", selects="cons_tres", takes=True):
        self.jobs = [self._whole(job) for job in jobs]
        self.state = state
        self.free = free
        self.selects = selects
        self.takes = takes
        self.lines = []
        self.away = 0

    @staticmethod
    def _whole(job):
        default = {**dict.fromkeys(FREE, "x"), "user": "ops", "name": "train", "gres": "", "oversubscribe": "OK"}
        job = {**default, **job}
        return {"task": str(job["id"]), "details": [["gpu-7", job["gres"]]], **job}

    def __call__(self, command, environ_update=None):
        """As AnsibleModule.run_command."""
        assert command[:2] == ["timeout", "60"]
        assert environ_update["LC_ALL"] == "C"
        return self.answer(command[2:], environ_update["SLURM_TIME_FORMAT"])

    def answer(self, command, times):
        """(exit status, output, errors) of a command."""
        self.lines.append(" ".join(command))
        if self.away:
            self.away -= 1
            return 1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
        program, *arguments = command
        return (self._scontrol if program.endswith("scontrol") else self._squeue)(arguments, times)

    def _chosen(self, wanted):
        array = {job["task"].partition("_")[0] for job in self.jobs if "_" in job["task"]}
        if wanted in array:
            return [job for job in self.jobs if job["task"].startswith(f"{wanted}_")]
        return [job for job in self.jobs if wanted in (job["task"], str(job["id"]))]

    def _squeue(self, arguments, _times):
        options = dict(argument.partition("=")[::2] for argument in arguments)
        jobs = self._chosen(options["--jobs"]) if "--jobs" in options else self.jobs
        if "--jobs" in options and not jobs:
            return 1, "", "slurm_load_jobs error: Invalid job id specified"
        if "--Format" in options:
            rows = [f"{job['oversubscribe']:<1000}{'N/A':<1000}{job['gres'] or 'N/A':<1000}" for job in jobs]
        else:
            names = {"%A": "id", "%i": "task", "%u": "user", "%j": "name"}
            rows = [
                "|".join("RUNNING" if one == "%T" else str(job[names[one]]) for one in options["--format"].split("|"))
                for job in jobs
            ]
        return 0, "".join(row + "\n" for row in rows), ""

    def _scontrol(self, arguments, times):
        if arguments[:2] == ["show", "node"]:
            if arguments[2] != "gpu-7":
                return 1, f"Node {arguments[2]} not found\n", ""
            return 0, NODE.format(state=self.state, free=self.free), ""
        if arguments[:2] == ["update", "NodeName=gpu-7"]:
            return (0, "", "") if self.takes else (1, "", "slurm_update error: Invalid user id\n")
        if arguments[:2] == ["show", "hostnames"]:
            return 0, {"gpu-[7-8]": "gpu-7\ngpu-8\n"}.get(arguments[2], arguments[2] + "\n"), ""
        assert arguments[:3] == ["--details", "show", "job"]
        now = time.strftime("%FT%T" if times == "standard" else times)
        assert len(times) < 32, "Slurm has no room for more"
        assert len(now) < 32, "Slurm has no room for more"
        jobs = self._chosen(arguments[3])
        if not jobs:
            return 1, "", "slurm_load_jobs error: Invalid job id specified"
        return 0, "\n".join(self._printed(job, now) for job in jobs), ""

    def _printed(self, job, now):
        array = f"ArrayJobId={job['task'].partition('_')[0]} ArrayTaskId=0 " if "_" in job["task"] else ""
        details = "".join(f"     Nodes={nodes} CPU_IDs=0 Mem=0 GRES={gres}\n" for nodes, gres in job["details"])
        details = f"   JOB_GRES={job['gres'] or '(null)'}\n{details}" if self.selects == "cons_tres" else ""
        return JOB.format(**{**job, "array": array, "details": details, "time": now})

    def install(self, directory):
        """Put programs that answer so into a directory; what they are asked stands in its file ``asked``."""
        state = directory / "slurm.json"
        state.write_text(json.dumps([self.jobs, self.state, self.free, self.selects, self.takes]))
        for program in ("scontrol", "squeue"):
            here = str(Path(__file__).parent)
            lines = [f"#!{sys.executable}", "import os, sys", f"sys.path.insert(0, {here!r})", "import fake_slurm"]
            (directory / program).write_text("\n".join([*lines, f"fake_slurm.main({str(state)!r})"]) + "\n")
            (directory / program).chmod(0o755)


def main(state):
    """Answer as one of the programs that ``install`` wrote."""
    import os

    slurm = FakeSlurm(*json.loads(Path(state).read_text()))
    with Path(state).with_name("asked").open("a", encoding="utf-8") as asked:
        print(*sys.argv[1:], file=asked)
    status, output, errors = slurm.answer([sys.argv[0], *sys.argv[1:]], os.environ["SLURM_TIME_FORMAT"])
    sys.stdout.write(output)
    sys.stderr.write(errors)
    sys.exit(status)
