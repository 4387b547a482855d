# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cgroup paths tell, as systemd, Docker, containerd, CRI-O, Podman, the kubelet and Slurm write them."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.cgroups import Origin, origin_of
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Container, SlurmJob

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
    f"{USER}/user.slice/docker-{ID}.scope": Origin("user@1000.service", f"docker-{ID}.scope", Container(ID, "docker")),
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
    f"/docker/{OTHER}/kubelet/kubepods/besteffort/pod{UID}/{ID}": Origin(container=Container(ID), pod_uid=UID),
    f"/../../burstable/pod{UID}/{ID}": Origin(container=Container(ID), pod_uid=UID),
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


@pytest.mark.parametrize("path", PATHS)
def test_a_path(path):
    assert origin_of(f"0::{path}\n") == PATHS[path]


def test_cgroup_v1_has_a_path_for_each_controller():
    text = f"""12:devices:/kubepods/burstable/pod{UID}/{ID}
5:cpu,cpuacct:/kubepods/burstable/pod{UID}/{ID}
1:name=systemd:/kubepods/burstable/pod{UID}/{ID}
0::/system.slice/containerd.service
"""
    assert origin_of(text) == Origin(None, None, Container(ID), UID)


def test_slurm_on_cgroup_v1_puts_jobs_into_some_controllers_only():
    text = """10:freezer:/slurm/uid_1000/job_4711/step_0
4:memory:/slurm/uid_1000/job_4711/step_0/task_0
3:pids:/system.slice/slurmd.service
1:name=systemd:/system.slice/slurmd.service
"""
    assert origin_of(text) == Origin("slurmd.service", slurm_job=SlurmJob(4711, "0"))


@pytest.mark.parametrize("text", ["", "\n", "nonsense", "0:", "0::", ":::::", "0::" + "/a" * 4000, "1:b:/../.."])
def test_any_other_text_tells_nothing(text):
    assert origin_of(text) == Origin()
