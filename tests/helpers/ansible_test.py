# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-test over a copy of the collection, with a home of its own in build/ for its caches."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import environments
from checkout import copy_checkout
from paths import BUILD

# ansible-test puts pip into its virtual environments with a script that it downloads unless it lies in its cache. This
# one does the same from a wheel beside it; the two options it leaves out are for that script only.
BOOTSTRAP = """\
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), {wheel!r}))
from pip._internal.cli.main import main
sys.exit(main(["install"] + [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]))
"""

PIP_VERSION = """\
import types
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(types.SimpleNamespace(version={python!r}))["pip"])
"""


def home(environment):
    """A home folder for that environment's ansible-test: its pip bootstrap is cached, pip's cache is the caller's."""
    # Short, because the interpreter lines of what it installs there may not pass 127 characters.
    directory = BUILD / f"at{environment.core}"
    cache = directory / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    python = environment.bin / "python"
    version = subprocess.run(
        [python, "-c", PIP_VERSION.format(python=environment.python)], capture_output=True, text=True, check=True
    ).stdout.strip()
    wheel = f"pip-{version}-py3-none-any.whl"
    if not (cache / wheel).exists():
        subprocess.run(
            [python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", cache, f"pip=={version}"], check=True
        )
    script = cache / f"get_pip_{version.replace('.', '_')}.py"
    script.write_text(BOOTSTRAP.format(wheel=wheel), encoding="utf-8")
    for name in (".cache/pip", ".config/pip"):
        link, original = directory / name, Path.home() / name
        link.parent.mkdir(exist_ok=True)
        if original.exists() and not link.exists():
            link.symlink_to(original)
    return directory


def sanity(environment, skipped=()):
    """Run every sanity test that this machine can, but these, on a fresh copy: (exit status, what it complains of)."""
    own_home = home(environment)
    folders = [str(path.parent) for path in environments.interpreters().values()]
    with open(own_home / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = own_home / "ansible_collections" / "gpufleet" / "mig"
        shutil.rmtree(target, ignore_errors=True)
        copy_checkout(target)
        answer = subprocess.run(
            [environment.bin / "ansible-test", "sanity", "--color", "no", *(f"--skip-test={test}" for test in skipped)],
            cwd=target,
            env={**os.environ, "HOME": str(own_home), "PATH": ":".join([*folders, os.environ["PATH"]])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    complaints = [
        line for line in answer.stdout.splitlines() if line.startswith(("ERROR", "FATAL")) or "skipped" in line
    ]
    return answer.returncode, "\n".join(complaints) or answer.stdout
