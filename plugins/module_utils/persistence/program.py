# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The program that restores a layout at boot: a zip archive of the modules that it needs."""

from __future__ import annotations

import io
import os
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # never run: Ansible sends a module with all that is imported anywhere, so the program's modules too
    from . import restore  # noqa: F401

# The modules that restore.py needs, all of them in what a module sends; a test holds this list against their imports.
_MODULES = """
apply/claims apply/compensation apply/execution apply/journal apply/outcome apply/refused_places apply/run
apply/state_directory apply/transaction apply/verification driver_releases errors holders/asking holders/cgroups
holders/naming holders/open_files host/device_files host/evidence host/files host/processes kubernetes/kubelet
kubernetes/pod_resources layout/entries layout/kept_profiles layout/parsing layout/saved_layout layout/selectors
layout/written model nvml/binding nvml/gpu_state nvml/reading nvml/reset nvml/reset_peers nvml/session
nvml/steps
persistence/restore plan/by_name plan/geometry plan/gpu plan/host plan/refusals plan/reset_groups plan/search profiles
results/change results/data slurm/commands slurm/jobs visible
"""
MODULES = _MODULES.split()
MAIN = "import sys\n\nfrom gpufleet_mig.persistence.restore import main\n\nsys.exit(main())\n"
# Where a release has had the program's own module.
RESTORE = ("gpufleet_mig/persistence/restore.py", "gpufleet_mig/boot.py")


def is_program(content):
    """Whether these bytes are a whole restore program, of whatever release."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as program:
            names = {*program.namelist()}
            return "__main__.py" in names and not names.isdisjoint(RESTORE) and program.testzip() is None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError, RuntimeError):
        return False


def program_bytes():
    """The restore program: a zip archive that Python runs, the same bytes from the same sources."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as program:
        _add(program, "__main__.py", MAIN.encode())
        for package in sorted({"", *(os.path.dirname(name) for name in MODULES)}):
            _add(program, os.path.join("gpufleet_mig", package, "__init__.py"), b"")
        for name in MODULES:
            # From where this very module came from: a folder, or the archive that Ansible sent.
            source = os.path.join(os.path.dirname(os.path.dirname(__file__)), f"{name}.py")
            _add(program, f"gpufleet_mig/{name}.py", __spec__.loader.get_data(source))
    return archive.getvalue()


def _add(archive, name, content):
    """Uncompressed, and with the first date that a zip archive knows: neither clock nor zlib has a say."""
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o644 << 16
    archive.writestr(member, content)
