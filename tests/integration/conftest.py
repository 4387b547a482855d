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
