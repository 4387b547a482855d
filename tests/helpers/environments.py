# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Python interpreters of this machine, and virtual environments of ansible-core on them, kept in build/."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

from paths import BIN, BUILD, ROOT

# Controllers that the collection supports: ansible-core with the Pythons it runs on, oldest first.
CORES = (("2.17", ("3.10", "3.11", "3.12")), ("2.19", ("3.11", "3.12", "3.13")), ("2.21", ("3.12", "3.13", "3.14")))
TARGET_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


class Environment(NamedTuple):
    """ansible-core ``core`` (like 2.19) on Python ``python`` (like 3.11), its programs in ``bin``."""

    core: str
    python: str
    bin: Path

    @property
    def name(self):
        return f"ansible-core {self.core} on Python {self.python}"


@cache
def interpreters():
    """The CPython interpreters of this machine by minor version, {"3.8": Path, ...}: pyenv's, then those on PATH."""
    found = {}
    candidates = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python"))
    candidates += [Path(path) for version in range(8, 20) if (path := shutil.which(f"python3.{version}"))]
    for candidate in candidates:
        # A pyenv shim answers for a version that is installed but not active with an error: not an interpreter.
        answer = subprocess.run(
            [candidate, "-c", "import sys, ensurepip; print('%d.%d %s' % (*sys.version_info[:2], sys.executable))"],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode == 0:
            version, executable = answer.stdout.split(maxsplit=1)
            found.setdefault(version, Path(executable.strip()))
    return found


def pair(which):
    """(core, python) of the oldest or newest supported pair of which this machine has the Python, or None."""
    present = interpreters()
    if which == "oldest":
        pairs = [(core, python) for core, pythons in CORES for python in pythons]
    else:
        pairs = [(core, python) for core, pythons in reversed(CORES) for python in reversed(pythons)]
    return next(((core, python) for core, python in pairs if python in present), None)


def main_environment():
    """build/venv, whose ansible-core its Python has chosen."""
    answer = subprocess.run([BIN / "ansible", "--version"], capture_output=True, text=True, check=True).stdout
    core = re.search(r"\[core (\d+\.\d+)", answer).group(1)
    python = re.search(r"python version = (\d+\.\d+)", answer).group(1)
    return Environment(core, python, BIN)


def environment(core, python):
    """The virtual environment of that pair, made if need be; the pins are those of requirements-demo.txt."""
    pins = (ROOT / "requirements-demo.txt").read_text(encoding="utf-8")
    pin = re.search(rf"^ansible-core=={re.escape(core)}\.\d+", pins, re.MULTILINE).group()
    others = [line for line in pins.splitlines() if line and not line.startswith(("#", "ansible-core"))]
    directory = virtual_environment(f"core{core}-python{python}", interpreters()[python], [pin, *others])
    return Environment(core, python, directory / "bin")


def virtual_environment(name, interpreter, requirements):
    """build/environments/NAME with these requirements on this interpreter: kept as long as neither changes."""
    directory = BUILD / "environments" / name
    directory.parent.mkdir(parents=True, exist_ok=True)
    wanted = hashlib.sha256("\n".join([str(interpreter), *requirements]).encode()).hexdigest()
    stamp = directory / "stamp"
    with open(directory.parent / f".{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            subprocess.run([interpreter, "-m", "venv", "--clear", directory], check=True)
            install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
            subprocess.run([directory / "bin" / "python", *install, *requirements], check=True)
            stamp.write_text(wanted, encoding="utf-8")
    return directory
