# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook that are ended at each of their tasks in turn, in every way in which a run may end."""

from __future__ import annotations

# All its processes at once, as when the controller is lost, or ansible-playbook alone by a signal.
WAYS = ("tree", "SIGINT", "SIGTERM", "SIGKILL")


def killed_at_each_task(progress, name, prepare, start, mend):
    """Kill a run at the start of each of its tasks, in one of WAYS in turn, and mend what it leaves.

    ``prepare()`` makes the situation that it starts from, ``start(kill_at=None)`` starts the run, and
    ``mend(repeated)`` restores at once or, where repeated, after the same command, and asserts that all is as it
    should be; it also follows a run that nobody kills, which says how many tasks there are.
    """
    prepare()
    tasks = len(start().ok().results())
    mend(False)
    with progress(f"{name} that is killed at each of its tasks", tasks) as tally:
        for number in range(1, tasks + 1):
            prepare()
            run = start(kill_at=("*", "start", number, way_of(number))).finish()
            assert run.returncode != 0, run.output
            # Each way is followed by either.
            mend(number // len(WAYS) % 2 == 1)
            tally.step()


def way_of(number):
    """In which way a run is ended at its task of this number."""
    return WAYS[number % len(WAYS)]
