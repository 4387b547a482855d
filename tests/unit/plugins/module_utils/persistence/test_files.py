# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files that make a layout outlive a reboot."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys

import pytest
from paths import COLLECTIONS, ROOT

from ansible_collections.gpufleet.mig.plugins.module_utils.persistence import files as persistence

MODULE_UTILS = ROOT / "plugins" / "module_utils"


def imported(room):
    """The names of the rooms that a room imports, wherever in it."""
    tree = ast.parse((MODULE_UTILS / f"{room}.py").read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    return {node.module or alias.name for node in found for alias in node.names}


def test_the_program_has_the_rooms_that_it_imports_and_no_others():
    rooms, more = set(), {"boot"}
    while more:
        rooms |= more
        more = {name for room in more for name in imported(room)} - rooms
    assert sorted(rooms) == persistence.ROOMS


def test_the_same_sources_make_the_same_program():
    print_it = (
        "import hashlib\n"
        "from ansible_collections.gpufleet.mig.plugins.module_utils import persistence\n"
        "print(hashlib.sha256(persistence.program_bytes()).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS), "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1"}
    other = subprocess.run(
        [sys.executable, "-c", print_it], env=environment, capture_output=True, check=True, text=True
    )
    assert other.stdout.strip() == hashlib.sha256(persistence.program_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("state_dir", "command", "mounts"),
    [
        # The mounts as systemd-escape --path --suffix=mount names them.
        ("/var/lib/gpufleet-mig", "/var/lib/gpufleet-mig", r"var.mount var-lib.mount var-lib-gpufleet\x2dmig.mount"),
        ("/srv/a b", '"/srv/a b"', r"srv.mount srv-a\x20b.mount"),
        ("/srv/100%", '"/srv/100%%"', r"srv.mount srv-100\x25.mount"),
        ('/srv/"$x"', '"/srv/\\"$$x\\""', r"srv.mount srv-\x22\x24x\x22.mount"),
        ("/.x/é", "/.x/é", r"\x2ex.mount \x2ex-\xc3\xa9.mount"),
    ],
)
def test_any_path_is_written_as_systemd_reads_it(state_dir, command, mounts):
    unit = persistence.unit_text("/usr/bin/python3", state_dir, 90.5)
    assert f" --state-dir {command} --driver-timeout 90.5\n" in unit
    assert f"\nAfter={mounts}\n" in unit
    assert f"\nRequiresMountsFor={persistence.PROGRAM_PATH} /etc/gpufleet-mig/layout.json\n" in unit
    assert "\nTimeoutStartSec=690.5\n" in unit
