# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a process is."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.host.processes import describe, user_name
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Process

UTC = "%Y-%m-%dT%H:%M:%SZ"


@pytest.mark.parametrize("name", ["cat", "a) R 1 (b"])
def test_a_process_has_a_name_and_a_user(name, tmp_path):
    (tmp_path / name).symlink_to(shutil.which("cat"))
    before = time.strftime(UTC, time.gmtime(time.time() - 1))  # the kernel counts in ticks
    # What cat echoes it has read: by then the child is cat and no longer the interpreter that forked it.
    command = {"args": ["cat"], "executable": tmp_path / name}
    with subprocess.Popen(**command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        process.stdin.write(b"here\n")
        assert process.stdout.readline() == b"here\n"
        found = describe(process.pid)
    assert found[:3] == (process.pid, name, pwd.getpwuid(os.geteuid()).pw_name)
    assert before <= found.started <= time.strftime(UTC, time.gmtime())


def test_a_process_that_ended_is_still_a_pid():
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert describe(process.pid) == Process(process.pid)


def test_a_user_without_a_name_is_a_number():
    assert user_name(4000000000) == "4000000000"
