# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NVIDIA's own nvidia-ctk, built from the pinned release, and test hosts as container hosts."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import nvidia_modprobe
import pytest
from go_programs import go
from paths import BUILD

PINNED = Path(__file__).parent / "toolkit"


@cache
def nvidia_ctk():
    """The path of the program, built where the release is new. Whoever comes second waits."""
    pins = (PINNED / "go.mod").read_text(encoding="utf-8")
    version = re.search(r"nvidia-container-toolkit v(\S+)", pins)[1]
    folder = BUILD / "toolkit"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"nvidia-ctk-{version}"
    package = "github.com/NVIDIA/nvidia-container-toolkit"
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            if not shutil.which("cc"):
                pytest.skip("nvidia-ctk needs cc")
            command = [
                go(), "build", f"-ldflags=-s -w -X {package}/internal/info.version={version}",
                "-o", str(folder / "new"), f"{package}/cmd/nvidia-ctk",
            ]  # fmt: skip
            environment = {**os.environ, "CGO_ENABLED": "1", "GOFLAGS": "-mod=readonly -buildvcs=false"}
            subprocess.run(command, cwd=PINNED, env=environment, check=True)
            (folder / "new").rename(program)
    return program


def install(host):
    """Give a host nvidia-ctk, and Docker and containerd that count their starts in /var/log; neither runs yet."""
    with open(nvidia_ctk(), "rb") as program:
        subprocess.run(host.ssh("sudo", "sh", "-c", "'cat > /usr/bin/nvidia-ctk'"), stdin=program, check=True)
    host.run("chmod 755 /usr/bin/nvidia-ctk")
    nvidia_modprobe.install(host)
    host.run("sh", text=(PINNED / "units.sh").read_text(encoding="utf-8"))
