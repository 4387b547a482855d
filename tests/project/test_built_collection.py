# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-galaxy builds of a checkout: what users need, and nothing else."""

from __future__ import annotations

import tarfile

from checkout import built_collection

FOR_USERS = {"CHANGELOG.md", "LICENSE", "LICENSES", "README.md", "docs", "meta", "playbooks", "plugins", "roles"}
GALAXY = {"MANIFEST.json", "FILES.json"}  # made by ansible-galaxy


def test_it_has_what_users_need(tmp_path):
    with tarfile.open(built_collection(tmp_path)) as built:
        names = [member.name for member in built if member.isfile()]
    assert {name.partition("/")[0] for name in names} == FOR_USERS | GALAXY | {"requirements.txt"}
    assert [name for name in names if name.endswith((".pyc", ".o"))] == []
    # The simulated GPUs are compiled on the host from what is sent there.
    assert "roles/mig_simulator/files/Makefile" in names
