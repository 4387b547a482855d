# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-test sanity passes, with no entry of ours in an ignore file."""

from __future__ import annotations

import ansible_test
from paths import ROOT


def test_sanity_passes(edge_environment):
    status, complaints = ansible_test.sanity(edge_environment)
    assert status == 0, f"{edge_environment.name}\n{complaints}"
    assert "All targets skipped" not in complaints


def test_nothing_is_ignored():
    assert not list((ROOT / "tests" / "sanity").glob("ignore*"))
