# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that restores a layout at boot."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

from paths import COLLECTIONS
from rooms import imports

from ansible_collections.gpufleet.mig.plugins.module_utils.persistence.program import MODULES, program_bytes


def test_the_program_has_the_modules_that_it_imports_and_no_others():
    modules, more = set(), {"module_utils.persistence.restore"}
    while more:
        modules |= more
        more = {found for name in more for found in imports(name)} - modules
    assert sorted(name.partition(".")[2].replace(".", "/") for name in modules) == MODULES


def test_the_same_sources_make_the_same_program():
    print_it = (
        "import hashlib\n"
        "from ansible_collections.gpufleet.mig.plugins.module_utils.persistence.program import program_bytes\n"
        "print(hashlib.sha256(program_bytes()).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS), "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1"}
    other = subprocess.run(
        [sys.executable, "-c", print_it], env=environment, capture_output=True, check=True, text=True
    )
    assert other.stdout.strip() == hashlib.sha256(program_bytes()).hexdigest()
