# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""When slurmctld started, and how it is brought to read another configuration."""

from __future__ import annotations

import os
import re
import time

from ..errors import MigError
from .commands import output_of

# Before, `scontrol reconfigure` leaves the number of GPUs as it was: "Attempt to change gres/gpu Count ... invalid with
# File configuration" in slurmctld's log.
RECONFIGURES_SINCE = (23, 11)
RESTART = ["systemctl", "restart", "slurmctld.service"]


def parse_start(text):
    """(start of slurmctld in seconds since the epoch, Slurm's release) of what `scontrol show config` prints. Pure."""
    start = re.search(r"^BOOT_TIME\s*=\s*(\S+)", text, re.MULTILINE)
    release = re.search(r"^SLURM_VERSION\s*=\s*(\d+)\.(\d+)", text, re.MULTILINE)
    if not (start and release):
        raise MigError(f"scontrol show config printed something else than a configuration: {text[:200]!r}")
    moment = time.mktime(time.strptime(start.group(1), "%Y-%m-%dT%H:%M:%S"))
    return moment, (int(release.group(1)), int(release.group(2)))


class Controller:
    """slurmctld, by Slurm's commands; ``run_command`` is a module's."""

    def __init__(self, run_command, directory=""):
        self._run_command = run_command
        self._scontrol = os.path.join(directory, "scontrol")

    def _start(self):
        return parse_start(output_of([self._scontrol, "show", "config"], self._run_command))

    def command_for(self, paths, force=False):
        """The command that has slurmctld read these files, [] where it has since they were written, unless forced.

        Rule: releases of other programs
        """
        start, release = self._start()
        written = max(os.stat(path).st_mtime for path in paths if os.path.exists(path))
        # The start is told in whole seconds: what was written in the same one may have come after it.
        if written < start and not force:
            return []
        return [self._scontrol, "reconfigure"] if release >= RECONFIGURES_SINCE else RESTART

    def apply(self, command, seconds, sleep=time.sleep, clock=time.monotonic):
        """Run it, and wait as many seconds at most until slurmctld answers. Raises MigError."""
        if command == RESTART:
            # systemd would refuse the sixth restart of ten seconds.
            self._run_command(["systemctl", "reset-failed", RESTART[-1]])
        output_of(command, self._run_command)
        end = clock() + seconds
        while True:
            try:
                self._start()
                return
            except MigError as error:
                if clock() >= end:
                    raise MigError(
                        f"slurmctld does not answer {seconds} s after {' '.join(command)}: {error}"
                        " See journalctl -u slurmctld."
                    ) from None
            sleep(0.5)
