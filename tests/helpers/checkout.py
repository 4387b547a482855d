# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of the checkout."""

from __future__ import annotations

import shutil
import subprocess

from paths import BIN, ROOT


def copy_checkout(target, source=ROOT):
    """Copy what git tracks or might, not what it ignores, to the new folder ``target``, as a repository of its own."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=source, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (source / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)
    # Without that, the copy counts as ignored files of the checkout that it lies in.
    subprocess.run(["git", "init", "--quiet", target], check=True)
    subprocess.run(["git", "add", "--all"], cwd=target, check=True)


def built_collection(folder):
    """The archive of the collection as Galaxy would hand it out, built in ``folder`` from a copy of the checkout."""
    copy_checkout(folder / "checkout")
    build = [BIN / "ansible-galaxy", "collection", "build", "--output-path", folder]
    subprocess.run(build, cwd=folder / "checkout", check=True, capture_output=True)
    (archive,) = folder.glob("gpufleet-mig-*.tar.gz")
    return archive
