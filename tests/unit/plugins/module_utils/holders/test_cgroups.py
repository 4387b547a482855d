# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cgroup paths tell, as systemd, Docker, containerd, CRI-O, Podman, the kubelet and Slurm write them."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.module_utils.holders.cgroups import Origin, mount_points, origin_of
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Claimed, Container, Pod, SlurmJob

ID = "09bc3d7ade839efec32b6bec4ec79d099027a668ddba043083ec21d3c3b8f1e6"
OTHER = "93529524695bb00d91c1f6dba692ea8d3550c3b94fb2463af7bc9ec82f992d26"
UID = "a2830d0d-b0f0-4ff0-81b5-0ee4e299cf80"
SLICE = f"kubepods-besteffort-pod{UID.replace('-', '_')}.slice"
SYSTEMD_POD = f"/kubepods.slice/kubepods-besteffort.slice/{SLICE}"
STATIC = "2732ca68f6358eba7703fb6f82a25c94"
USER = "/user.slice/user-1000.slice/user@1000.service"

# On cgroup v2 a process has one path.
PATHS = {
    "/": Origin(),
    "/init.scope": Origin("init.scope"),
    "/system.slice/ssh.service": Origin("ssh.service"),
    "/system.slice/system-getty.slice/getty@tty1.service": Origin("getty@tty1.service"),
    "/system.slice/_cgroup.train.service": Origin("cgroup.train.service"),
    "/user.slice/user-1000.slice/session-3.scope": Origin("session-3.scope"),
    f"{USER}/app.slice/train.service": Origin("user@1000.service", "train.service"),
    f"{USER}/init.scope": Origin("user@1000.service", "init.scope"),
    f"{USER}/app.slice/run-r5.scope/inner": Origin("user@1000.service", "run-r5.scope"),
    "/machine.slice/systemd-nspawn@db.service/payload/system.slice/a.service": Origin("systemd-nspawn@db.service"),
    # Containers, by systemd and by path
    f"/system.slice/docker-{ID}.scope": Origin(f"docker-{ID}.scope", container=Container(ID, "docker")),
    f"/docker/{ID}": Origin(container=Container(ID, "docker")),
    f"/{ID}": Origin(container=Container(ID)),
    # A user's own container says so itself.
    f"{USER}/user.slice/docker-{ID}.scope": Origin(
        "user@1000.service", f"docker-{ID}.scope", claimed=Claimed(Container(ID, "docker"))
    ),
    f"/system.slice/nerdctl-{ID}.scope": Origin(f"nerdctl-{ID}.scope", container=Container(ID, "containerd")),
    f"/machine.slice/libpod-{ID}.scope": Origin(f"libpod-{ID}.scope", container=Container(ID, "podman")),
    f"/machine.slice/libpod-{ID}.scope/container": Origin(f"libpod-{ID}.scope", container=Container(ID, "podman")),
    f"/system.slice/web.service/libpod-payload-{ID}": Origin("web.service", container=Container(ID, "podman")),
    f"/libpod_parent/libpod-{ID}": Origin(container=Container(ID, "podman")),
    # What watches a container is not in it.
    f"/machine.slice/libpod-conmon-{ID}.scope": Origin(f"libpod-conmon-{ID}.scope"),
    f"/ecs/cluster/{OTHER[:32]}/{ID}": Origin(container=Container(ID)),
    # Pods
    f"/kubepods/besteffort/pod{UID}/{ID}": Origin(container=Container(ID), pod_uid=UID),
    f"/kubepods/pod{UID}/{ID}": Origin(container=Container(ID), pod_uid=UID),
    f"/kubepods/burstable/pod{STATIC}/{ID}": Origin(container=Container(ID), pod_uid=STATIC),
    f"/kubepods/burstable/pod{UID}/crio-{ID}": Origin(container=Container(ID, "cri-o"), pod_uid=UID),
    f"{SYSTEMD_POD}/cri-containerd-{ID}.scope": Origin(
        f"cri-containerd-{ID}.scope", None, Container(ID, "containerd"), UID
    ),
    f"{SYSTEMD_POD}/crio-{ID}.scope": Origin(f"crio-{ID}.scope", None, Container(ID, "cri-o"), UID),
    f"{SYSTEMD_POD}/crio-{ID}.scope/container": Origin(f"crio-{ID}.scope", None, Container(ID, "cri-o"), UID),
    f"{SYSTEMD_POD}/docker-{ID}.scope": Origin(f"docker-{ID}.scope", None, Container(ID, "docker"), UID),
    f"{SYSTEMD_POD}/crio-conmon-{ID}.scope": Origin(f"crio-conmon-{ID}.scope", pod_uid=UID),
    f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-{ID}.scope": Origin(
        f"crio-{ID}.scope", None, Container(ID, "cri-o"), UID
    ),
    # The kubelet says systemd, containerd does not.
    f"/system.slice/containerd.service/{SLICE}:cri-containerd:{ID}": Origin(
        "containerd.service", None, Container(ID, "containerd"), UID
    ),
    # A cluster in a container (kind), and what a container sees of its neighbours
    f"/docker/{OTHER}/kubelet/kubepods/besteffort/pod{UID}/{ID}": Origin(
        container=Container(OTHER, "docker"), claimed=Claimed(Container(ID), Pod(UID))
    ),
    f"/../../burstable/pod{UID}/{ID}": Origin(claimed=Claimed(Container(ID), Pod(UID))),
    f"/kubepods/burstable/pod{UID}/{ID}/slurm/uid_0/job_4711/step_0": Origin(
        container=Container(ID), pod_uid=UID, claimed=Claimed(slurm_job=SlurmJob(4711, "0"))
    ),
    # Slurm
    "/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0": Origin(
        "slurmstepd.scope", slurm_job=SlurmJob(4711, "0")
    ),
    "/system.slice/node7_slurmstepd.scope/job_4711/step_batch/user/task_special": Origin(
        "node7_slurmstepd.scope", slurm_job=SlurmJob(4711, "batch")
    ),
    "/system.slice/slurmstepd.scope/job_4711/step_extern/user": Origin(
        "slurmstepd.scope", slurm_job=SlurmJob(4711, "extern")
    ),
    "/system.slice/slurmstepd.scope/system": Origin("slurmstepd.scope"),
    "/system.slice/slurmd.service": Origin("slurmd.service"),
    "/slurm/uid_1000/job_4711/step_interactive/task_0": Origin(slurm_job=SlurmJob(4711, "interactive")),
    "/slurm_node7/uid_1000/job_4711": Origin(slurm_job=SlurmJob(4711)),
    f"/slurm/uid_1000/job_4711/step_0/{ID}": Origin(container=Container(ID), slurm_job=SlurmJob(4711, "0")),
    # What only looks like one
    "/system.slice/job_12/step_0": Origin(),
    f"/backup/podcast-{UID}": Origin(),
    f"/app/{ID}0": Origin(),
}


# What a user would like to be taken for.
WORDS = [
    f"kubepods/burstable/pod{UID}/{ID}",
    f"{SYSTEMD_POD}/cri-containerd-{ID}.scope".lstrip("/"),
    f"pod{UID}/docker-{ID}.scope",
    "slurm/uid_0/job_4711/step_0",
    "system.slice/slurmstepd.scope/job_4711/step_batch",
    "system.slice/kubelet.service",
    "victim.service",
    "..",
    "\x1b[2J",
]


def host(*others, nobodys=()):
    """Who owns what on a host: users what ``others`` begins with and user managers, several ``nobodys``, else root."""

    def owner(_controllers, path):
        if any(path == one or path.startswith(f"{one}/") for one in nobodys):
            return None
        return 1000 if any(path == one or path.startswith(f"{one}/") for one in (USER, *others)) else 0

    return owner


@pytest.mark.parametrize("path", PATHS)
def test_a_path(path):
    assert origin_of(f"0::{path}\n", host()) == PATHS[path]


def decides(origin):
    return origin._replace(user_unit=None, claimed=None)


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map("/".join))
@example(WORDS[0])
@pytest.mark.parametrize(
    ("owned", "known"),
    [
        (USER, Origin("user@1000.service")),
        ("/user.slice/user-1000.slice/session-3.scope", Origin("session-3.scope")),
        ("/system.slice/delegated.service", Origin("delegated.service")),
        ("/slurm/uid_1000/job_7/step_0", Origin(slurm_job=SlurmJob(7, "0"))),
        (f"/docker/{OTHER}", Origin(container=Container(OTHER, "docker"))),
        ("/machine.slice/systemd-nspawn@db.service/payload", Origin("systemd-nspawn@db.service")),
    ],
)
def test_nothing_below_what_is_a_users_decides_anything(owned, known, word):
    assert decides(origin_of(f"0::{owned}/{word}\n", host(owned))) == known


@settings(deadline=None)
@given(st.sampled_from(WORDS), st.sampled_from(WORDS))
def test_containers_and_sessions_end_what_counts_even_where_root_owns_it(word, other):
    assert decides(origin_of(f"0::/docker/{OTHER}/{word}/{other}\n", host())) == Origin(
        container=Container(OTHER, "docker")
    )
    units = ["session-1.scope", "user@0.service", "systemd-nspawn@db.service", "machine-db.scope"]
    for unit in units:
        assert decides(origin_of(f"0::/some.slice/{unit}/{word}\n", host())) == Origin(unit)


def test_what_several_may_change_does_not_count():
    path = f"/kubepods/pod{UID}/{ID}"
    assert origin_of(f"0::{path}\n", host(nobodys=["/kubepods"])) == Origin(claimed=Claimed(Container(ID), Pod(UID)))
    assert origin_of(f"0::{path}\n", host(nobodys=["/"])) == origin_of(f"0::{path}\n", lambda *_where: None)


def test_what_a_user_calls_it_is_shown_without_controls():
    origin = origin_of(f"0::{USER}/app.slice/a\x1b[2J.service\n", host())
    assert origin.user_unit == r"a\x1b[2J.service"


def test_cgroup_v1_has_a_path_for_each_controller():
    text = f"""12:devices:/kubepods/burstable/pod{UID}/{ID}
5:cpu,cpuacct:/kubepods/burstable/pod{UID}/{ID}
1:name=systemd:/kubepods/burstable/pod{UID}/{ID}
0::/system.slice/containerd.service
"""
    assert origin_of(text, host()) == Origin(None, None, Container(ID), UID)


@pytest.mark.parametrize("unit", ["/system.slice/slurmd.service", "/user.slice/user-1000.slice/session-3.scope"])
def test_slurm_on_cgroup_v1_puts_jobs_into_some_controllers_only(unit):
    text = f"""10:freezer:/slurm/uid_1000/job_4711/step_0
4:memory:/slurm/uid_1000/job_4711/step_0/task_0
3:pids:{unit}
1:name=systemd:{unit}
"""
    expected = Origin(unit.rsplit("/", 1)[1], slurm_job=SlurmJob(4711, "0"))
    assert origin_of(text, host("/slurm/uid_1000/job_4711/step_0")) == expected


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "0:", "0::", ":::::", "0::" + "/a" * 4000, "1:b:/../.."])
def test_any_other_text_tells_nothing(text):
    assert origin_of(text, host()) == Origin()


def test_where_hierarchies_are_mounted():
    text = """24 1 0:22 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
25 1 0:23 / /sys/fs/cgroup/systemd rw,nosuid shared:9 - cgroup cgroup rw,xattr,name=systemd
26 1 0:24 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
27 1 0:25 / /a\\040b rw - cgroup cgroup rw,freezer
28 1 0:26 /docker/x /part rw - cgroup cgroup rw,memory
29 1 0:27 / /tmp rw - tmpfs tmpfs rw
nonsense
"""
    points = mount_points(text)
    assert {name: points.get(name) for name in ("", "name=systemd", "cpu", "cpuacct", "freezer", "memory")} == {
        "": "/sys/fs/cgroup/unified",
        "name=systemd": "/sys/fs/cgroup/systemd",
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "freezer": "/a b",
        "memory": None,
    }
