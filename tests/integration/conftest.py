# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for tests that run single modules."""

from __future__ import annotations

import pytest
from modules import ModuleServer


@pytest.fixture(scope="session")
def modules(simulator):
    """A ModuleServer: modules.run(host, "mig_instances", {...}) runs a module in a process of its own."""
    with ModuleServer() as server:
        yield server


def pytest_terminal_summary(terminalreporter):
    """What the fault tests counted, as one table of the summary."""
    counted = [
        (report.nodeid.partition("::")[2], value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "faults"
    ]
    if counted:
        terminalreporter.section("faults and what came of them")
        for name, value in sorted(counted):
            terminalreporter.line(f"{name}: {value}")
