# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a cgroup is; tests/integration/test_holders.py has the rest."""

from __future__ import annotations

import os

import pytest
from model_gpu import A100, gpu

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.outcome import Change, Failure, GpuOutcome
from ansible_collections.gpufleet.mig.plugins.module_utils.holders import naming as holders
from ansible_collections.gpufleet.mig.plugins.module_utils.holders.naming import owner
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Blocker, Plan, Snapshot


@pytest.mark.parametrize("name", [".", "cgroup.procs", "cgroup.threads", "tasks"])
@pytest.mark.parametrize("writers", [0o020, 0o002], ids=["a group", "everybody"])
def test_what_several_may_change_is_nobodys(tmp_path, name, writers):
    path = tmp_path / name
    if name != ".":
        path.touch()
    path.chmod(0o755)
    assert owner(str(tmp_path)) == os.geteuid()
    path.chmod(0o755 | writers)
    assert owner(str(tmp_path)) is None


def test_what_is_gone_is_nobodys(tmp_path):
    assert owner(str(tmp_path / "gone")) is None


def test_who_has_a_gpu_without_a_device_file_open_is_not_known(monkeypatch):
    monkeypatch.setattr(holders, "openers", lambda paths: ({path: [] for path in paths}, 0))
    gpus = gpu(A100), gpu(A100, minor=None, index=1, uuid="GPU-1")
    read = holders.with_handles(Snapshot(gpus=gpus))
    assert [one.handles for one in read.gpus] == [(), None]
    assert read.incomplete == ("handles",)
    assert holders.with_handles(Snapshot(gpus=gpus[:1])).incomplete == ()


def test_the_device_file_of_a_gpu_is_that_of_the_last_reading(monkeypatch):
    """A change of the MIG mode may give it another minor number, and its old file to another GPU."""
    before = gpu(A100, minor=0)
    asked = []
    monkeypatch.setattr(holders, "openers", lambda paths: (asked.append(set(paths)) or {path: [] for path in paths}, 0))
    failure = Failure(before, "It is in use.", code="IN_USE", blockers=(Blocker(before, "in_use"),))
    outcome = GpuOutcome(Plan(before), before._replace(minor=3), failure=failure)
    holders.named(Change((outcome.plan,), (outcome,)), lambda *_command, **_options: (1, "", ""))
    assert asked == [{"/dev/nvidia3"}]
