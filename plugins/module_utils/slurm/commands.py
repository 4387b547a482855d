# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Slurm's own commands, asked in one language and within a time."""

from __future__ import annotations

import os

from ..errors import MigError
from ..visible import said

# A command of Slurm itself gives up after MessageTimeout (10 s), once for each slurmctld that slurm.conf names.
SECONDS = 60


class CommandFailed(MigError):
    """A command of Slurm failed; ``said`` is what it printed, in one line."""

    def __init__(self, message, said):
        super().__init__(message)
        self.said = said


def output_of(command, run_command, absent=(), times="standard", seconds=SECONDS):
    """What a command prints; None where it fails with a word of ``absent``. Any other failure raises CommandFailed.

    ``run_command`` is a module's, which knows no time limit: timeout sets one. ``times`` is how Slurm is to write
    times, its SLURM_TIME_FORMAT.
    """
    environment = {"LC_ALL": "C", "SLURM_TIME_FORMAT": times}
    status, output, errors = run_command(["timeout", str(seconds), *command], environ_update=environment)
    if status == 0:
        return output
    answer = said(errors or output)
    if any(words in answer for words in absent):
        return None
    words = " ".join([os.path.basename(command[0]), *command[1:]])
    raise CommandFailed(f"{words}: exit status {status}: {answer or 'no answer'}", answer or "no answer")
