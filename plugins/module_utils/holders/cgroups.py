# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the cgroup of a process tells of it: its systemd unit, container, Kubernetes pod and Slurm job. Pure.

Only that part of a path counts which root has named. Below it users make directories of any name: in what systemd
delegates to them (user@1000.service), in a container, in a namespace of their own. What stands there is their word.
The paths differ with the cgroup version, with the cgroup driver of kubelet and runtime (cgroupfs or systemd) and with
what is nested in what; tests/unit/plugins/module_utils/holders/test_cgroups.py has one of each kind.
"""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple, Optional

from ..model import Claimed, Container, Pod, SlurmJob
from ..visible import visible

UNIT = re.compile(r"[^/]+\.(?:service|scope|socket|mount|swap)")
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


# In these begins what is a user's own, or another system's: nspawn's and libvirt's machines, LXC's containers.
OTHERS = re.compile(
    r"user@[^/]+\.service|session-[^/]+\.scope|systemd-nspawn@[^/]+\.service|machine-[^/]+\.scope|lxc\.payload[^/]*"
)


class Origin(NamedTuple):
    """Where a process belongs; what its cgroup does not tell is None. ``pod_uid`` is as Kubernetes writes it.

    ``user_unit`` and ``claimed`` are what a user says of it.
    """

    unit: Optional[str] = None
    user_unit: Optional[str] = None
    container: Optional[Container] = None
    pod_uid: Optional[str] = None
    slurm_job: Optional[SlurmJob] = None
    claimed: Optional[Claimed] = None


def origin_of(text, owner):
    """The Origin of a process by the text of its /proc/PID/cgroup, see cgroups(7); any other text tells nothing.

    ``owner(controllers, path)`` says who may change that directory and what is in it: the uid, or None where several
    may, or where nobody can tell.

    Rule: whose a process is
    """
    lines = [line.split(":", 2) for line in text.splitlines()]
    paths = {controllers: path for _hierarchy, controllers, path in (line for line in lines if len(line) == 3)}
    parts = {controllers: _split(path, partial(owner, controllers)) for controllers, path in paths.items()}
    # Beside cgroup v1 the v2 hierarchy may be there too; systemd's own is then the named one.
    unit, user_unit = _units(*parts.get("name=systemd" if paths.get("name=systemd") else "", ("", "")))
    roots, users = ([part[which] for part in parts.values()] for which in (0, 1))

    def first(of, paths):
        return next(filter(None, map(of, paths)), None)

    pod = first(_pod_uid, users)
    claimed = Claimed(first(_container, users), pod and Pod(pod), first(_slurm_job, users))
    return Origin(
        unit,
        user_unit,
        first(_container, roots),
        first(_pod_uid, roots),
        first(_slurm_job, roots),
        claimed if any(claimed) else None,
    )


def _split(path, owner):
    """(the part of a path that root has named, what follows it).

    A name counts where every directory above it is root's. One that is another's still bears the name that root gave
    it, and nobody but that user puts processes there.
    """
    names = path.strip("/").split("/")
    counted = 0
    uid = owner("/")
    while uid == 0 and counted < len(names) and names[counted] not in ("", ".", ".."):
        uid = owner("/" + "/".join(names[: counted + 1]))
        if uid is None:
            break
        counted += 1
        if OTHERS.fullmatch(names[counted - 1]) or CONTAINER.search(names[counted - 1]):
            break
    return "/".join(names[:counted]), "/".join(names[counted:])


def _units(path, below):
    """(unit, user unit): the outermost unit, and of a user's manager (user@1000.service) the one in that."""
    unit, inside = (
        next((part.lstrip("_") for part in one.split("/") if UNIT.fullmatch(part)), None) for one in (path, below)
    )
    return visible(unit), visible(inside) if unit and unit.startswith("user@") else None


def _container(path):
    found = CONTAINER.findall(path)
    if not found:
        return None
    kind, identity = found[-1]  # of those that a user nests the innermost; what root has named ends with the first
    return Container(identity, RUNTIMES.get(kind))


def _pod_uid(path):
    found = POD.findall(path)
    return found[-1].replace("_", "-") if found else None


def _slurm_job(path):
    found = SLURM.search(path)
    return found and SlurmJob(int(found.group("job")), visible(found.group("step")))


def mount_points(text):
    """{controllers as /proc/PID/cgroup has them: where that hierarchy is mounted} of a /proc/self/mountinfo."""
    found = {}
    for line in text.splitlines():
        mount, separator, kind = line.partition(" - ")
        mount, kind = mount.split(" "), kind.split(" ")
        if not separator or len(mount) < 5 or len(kind) < 3 or mount[3] != "/":
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), mount[4])
        if kind[0] == "cgroup2":
            found.setdefault("", point)
        elif kind[0] == "cgroup":
            found.update(dict.fromkeys(kind[2].split(","), point))
    return found
