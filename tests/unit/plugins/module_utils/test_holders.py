# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a cgroup is; tests/integration/test_holders.py has the rest."""

from __future__ import annotations

import os

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.holders import owner


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
