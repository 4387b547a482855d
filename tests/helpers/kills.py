# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook that are ended at each of their tasks in turn, in every way in which a run may end."""

from __future__ import annotations

from evidence import write_evidence

# All its processes at once, as when the controller is lost, or ansible-playbook alone by a signal.
WAYS = ("tree", "SIGINT", "SIGTERM", "SIGKILL")


def killed_at_each_task(progress, name, prepare, start, mend):
    """Kill a run at the start of each of its tasks, in each of WAYS, and mend what it leaves.

    ``prepare()`` makes the situation that it starts from, ``start(kill_at=None)`` starts the run, and
    ``mend(repeated)`` restores at once or, where repeated, after the same command, and asserts that all is as it
    should be; it also follows a run that nobody kills, which says how many tasks there are.
    """
    prepare()
    tasks = len(start().ok().results())
    mend(False)
    with progress(f"{name} that is killed at each of its tasks", tasks * len(WAYS)) as tally:
        for number in range(1, tasks + 1):
            for way in WAYS:
                prepare()
                run = start(kill_at=("*", "start", number, way)).finish()
                assert run.returncode != 0, run.output
                mend((number + WAYS.index(way)) % 2 == 0)
                tally.step()
    write_evidence(f"killed: {name}", [f"- {name}: {tasks} tasks, {tasks * len(WAYS)} kills; {tally.seconds} s"])
