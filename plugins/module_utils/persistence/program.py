# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The program that restores a layout at boot: a zip archive of the rooms that it needs."""

from __future__ import annotations

import io
import os
import zipfile

# The rooms that persistence/restore.py needs, all of them with the modules; a test holds this list against their imports.
_ROOMS = """
boot by_name cgroups changing claims comparison compensation data device_files driver_releases errors execution
geometry holders host_evidence host_files host_planner host_state journal kept_profiles kubelet layout model nvml
nvml_read nvml_state planner pod_resources processes profiles refusals refused_places reset reset_groups reset_peers
results saved_layout search selectors slurm transaction visible
"""
ROOMS = _ROOMS.split()
MAIN = "import sys\n\nfrom gpufleet_mig.boot import main\n\nsys.exit(main())\n"


def is_program(content):
    """Whether these bytes are a whole restore program, of whatever release."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as program:
            return {"__main__.py", "gpufleet_mig/boot.py"} <= {*program.namelist()} and program.testzip() is None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError, RuntimeError):
        return False


def program_bytes():
    """The restore program: a zip archive that Python runs, the same bytes from the same sources."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as program:
        _add(program, "__main__.py", MAIN.encode())
        _add(program, "gpufleet_mig/__init__.py", b"")
        for room in ROOMS:
            # From where this very module came from: a folder, or the archive that Ansible sent.
            source = os.path.join(os.path.dirname(__file__), f"{room}.py")
            _add(program, f"gpufleet_mig/{room}.py", __spec__.loader.get_data(source))
    return archive.getvalue()


def _add(archive, name, content):
    """Uncompressed, and with the first date that a zip archive knows: neither clock nor zlib has a say."""
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o644 << 16
    archive.writestr(member, content)
