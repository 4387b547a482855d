# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-test sanity passes, with no entry of ours in an ignore file."""

from __future__ import annotations

import ansible_test
import pytest
from paths import ROOT

# pylint and an import with each Python take longer than all the others; each of the rest needs an environment of its
# own. For every day ruff, yamllint, antsibull-changelog and tests/integration/test_interpreters.py are as good.
EVERY_DAY = ("pylint", "import", "pep8", "yamllint", "changelog")


@pytest.mark.parametrize("skipped", [EVERY_DAY, pytest.param((), marks=pytest.mark.prove)], ids=["every day", "all"])
def test_sanity_passes(edge_environment, skipped):
    status, complaints = ansible_test.sanity(edge_environment, skipped)
    assert status == 0, f"{edge_environment.name}\n{complaints}"
    assert "All targets skipped" not in complaints


def test_nothing_is_ignored():
    assert not list((ROOT / "tests" / "sanity").glob("ignore*"))
