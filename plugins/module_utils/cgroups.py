# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the cgroup of a process tells of it: its systemd unit, container, Kubernetes pod and Slurm job. Pure.

The paths differ with the cgroup version, with the cgroup driver of kubelet and runtime (cgroupfs or systemd) and with
what is nested in what; tests/unit/plugins/module_utils/test_cgroups.py has one of each kind.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from .model import Container, SlurmJob

UNIT = re.compile(r"[^/]+\.(?:service|scope|socket|mount|swap)$")
# docker-ID.scope, cri-containerd-ID.scope, SLICE:cri-containerd:ID, docker/ID, podUID/ID. The monitor of a container,
# crio-conmon-ID.scope or libpod-conmon-ID.scope, is not in it.
CONTAINER = re.compile(
    r"(?:^|[/:])(?:(docker|cri-containerd|nerdctl|crio|libpod|libpod-payload)[-:/])?([0-9a-f]{64})(?:\.scope)?(?=/|$)"
)
RUNTIMES = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
    "libpod": "podman",
    "libpod-payload": "podman",
}
# systemd's driver writes the UID with underscores; that of a static pod has no dashes at all.
POD = re.compile(r"(?:^|[/-])pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=\.slice|[/:]|$)")
# cgroup v1: slurm or slurm_NODE, v2: slurmstepd.scope or NODE_slurmstepd.scope.
SLURM = re.compile(
    r"(?:^|/)(?:slurm(?:_[^/]+)?|(?:[^/]+_)?slurmstepd\.scope)/(?:uid_[0-9]+/)?job_(?P<job>[0-9]+)(?:/step_(?P<step>[^/]+))?"
)


class Origin(NamedTuple):
    """Where a process belongs; what its cgroup does not tell is None. ``pod_uid`` is as Kubernetes writes it."""

    unit: Optional[str] = None
    user_unit: Optional[str] = None
    container: Optional[Container] = None
    pod_uid: Optional[str] = None
    slurm_job: Optional[SlurmJob] = None


def origin_of(text):
    """The Origin of a process by the text of its /proc/PID/cgroup, see cgroups(7); any other text tells nothing."""
    lines = [line.split(":", 2) for line in text.splitlines()]
    paths = {controllers: path for _hierarchy, controllers, path in (line for line in lines if len(line) == 3)}
    # Beside cgroup v1 the v2 hierarchy may be there too; systemd's own is then the named one.
    unit, user_unit = _units(paths.get("name=systemd") or paths.get("") or "")
    return Origin(
        unit,
        user_unit,
        next(filter(None, map(_container, paths.values())), None),
        next(filter(None, map(_pod_uid, paths.values())), None),
        next(filter(None, map(_slurm_job, paths.values())), None),
    )


def _units(path):
    """(unit, user unit): the outermost unit, and of a user's manager (user@1000.service) the one in that."""
    units = [part.lstrip("_") for part in path.split("/") if UNIT.match(part)]
    unit = next(iter(units), None)
    return unit, units[1] if len(units) > 1 and unit.startswith("user@") else None


def _container(path):
    found = CONTAINER.findall(path)
    if not found:
        return None
    kind, identity = found[-1]  # the innermost counts: a whole cluster may run in a container
    return Container(identity, RUNTIMES.get(kind))


def _pod_uid(path):
    found = POD.findall(path)
    return found[-1].replace("_", "-") if found else None


def _slurm_job(path):
    found = SLURM.search(path)
    return found and SlurmJob(int(found.group("job")), found.group("step"))
