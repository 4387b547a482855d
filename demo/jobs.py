# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's jobs: processes on simulated GPUs, known by their id and start time, so that only they are ended."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen


def start_job(record, name, device, environment):
    """Start a job of that name on a GPU or MIG device, wait until it is up, and note it in the file ``record``."""
    program = record.parent / name
    shutil.copy(Path(__file__).parent / "job", program)
    os.mkfifo(f"{program}.pipe")
    command = ["mig-simulator", "run", "--device", device, "--", program]
    log = Path(f"{program}.log")
    with log.open("w", encoding="utf-8") as errors:
        # A session of its own, and nothing of ours kept open: neither Ctrl-C nor a pipe that we write to concerns it.
        streams = {"stdin": DEVNULL, "stdout": PIPE, "stderr": errors, "text": True}
        job = Popen(command, env=environment, start_new_session=True, **streams)
    if job.stdout.readline() != "up\n":
        job.wait()
        raise SystemExit(f"The job {name} did not start on {device}: {log.read_text(encoding='utf-8')}")
    job.stdout.close()
    jobs = json.loads(record.read_text(encoding="utf-8")) if record.exists() else []
    jobs.append({"name": name, "pid": job.pid, "started": _start_time(job.pid)})
    record.with_suffix(".new").write_text(json.dumps(jobs), encoding="utf-8")
    record.with_suffix(".new").replace(record)


def end_jobs(record):
    """End the jobs noted in the file ``record`` that still run, and wait until they have."""
    jobs = json.loads(record.read_text(encoding="utf-8")) if record.exists() else []
    for job in jobs:
        try:
            handle = os.pidfd_open(job["pid"])
        except ProcessLookupError:
            continue
        try:
            # The handle keeps the id from being given to another process between the look and the signal.
            if _start_time(job["pid"]) == job["started"]:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
                select.select([handle], [], [])
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)


def _start_time(pid):
    """When that process started, in clock ticks since boot: field 22 of /proc/PID/stat; None where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[19])
    except FileNotFoundError:
        return None
