# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the process that has a claim still lives."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.claimant import claimant, is_gone, is_this_run


def test_this_process_lives_and_is_this_run():
    own = claimant(os.getpid(), "gpu-1")
    assert not is_gone(own)
    assert is_this_run(own, claimant(os.getpid(), "gpu-1"))
    assert not is_this_run(claimant(os.getpid(), "gpu-2"), own)


def test_a_process_that_has_ended_is_gone_also_while_it_is_a_zombie():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        claim = claimant(process.pid, "gpu-1")
        assert not is_gone(claim)
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(claim)
    assert is_gone(claim)


@pytest.mark.parametrize(
    "other",
    [
        {"boot_id": "another"},
        {"pid_namespace": 1},
        {"started": None},
        {"pid": None},
        {"pid": "4711"},
    ],
    ids=str,
)
def test_of_others_nothing_is_known(other):
    assert not is_gone({**claimant(2**22 + 1, "gpu-1"), "started": "1", **other})


def test_an_id_that_came_again_is_another_process():
    assert is_gone({**claimant(os.getpid(), "gpu-1"), "started": "1"})


@pytest.mark.parametrize("other", [None, "text", [], {}])
def test_what_is_no_controller_is_nobody(other):
    assert not is_gone(other)
    assert not is_this_run(other, claimant(os.getpid(), "gpu-1"))
