# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_assign on a host with a real systemd: services, an MPS control daemon, users and their device files.

The tests share the host and go in their order.
"""

from __future__ import annotations

import pytest

PARTITION = "gpufleet.mig.partition"
A100 = "A100-SXM4-40GB"
# Each start of a service is a line in its log.
UNIT = """[Service]
ExecStartPre=/bin/sh -c 'echo $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES $CDI_DEVICE >> /var/log/{name}'
ExecStart=/bin/sleep infinity
"""
# What it is told, and by whom it is started, is all that the role knows of the real one.
MPS_CONTROL = """#!/bin/sh
case "$1" in
-d)
    echo "start $CUDA_VISIBLE_DEVICES" >> "$CUDA_MPS_LOG_DIRECTORY/control.log"
    sleep infinity &
    echo $! > "$CUDA_MPS_PIPE_DIRECTORY/nvidia-cuda-mps-control.pid"
    ;;
*)
    read -r word
    echo "$word" >> "$CUDA_MPS_LOG_DIRECTORY/control.log"
    kill "$(cat "$CUDA_MPS_PIPE_DIRECTORY/nvidia-cuda-mps-control.pid")"
    ;;
esac
"""
TRAIN = {"name": "train", "profile": "3g.20gb", "gpu": 0, "mps": True, "users": ["alice"]}
WEB = {"name": "web.service", "memory_mib": 4000, "gpu": 0, "users": ["bob"], "groups": ["research"]}
BATCH = {"name": "batch", "profile": "1g.5gb", "gpu": 1}
LAYOUT = [{"gpus": [0], "instances": {"3g.20gb": 1, "1g.5gb": 2}}, {"gpus": [1], "instances": {"1g.5gb": 7}}]


@pytest.fixture(scope="module")
def host(systemd_hosts):
    (started,) = systemd_hosts({"assign": [{"model": A100, "count": 2}]})
    for name in ("train", "web", "batch"):
        started.run(f"cat > /etc/systemd/system/{name}.service", text=UNIT.format(name=name))
    started.run("cat > /usr/local/bin/nvidia-cuda-mps-control", text=MPS_CONTROL)
    started.run("chmod 755 /usr/local/bin/nvidia-cuda-mps-control")
    started.run("groupadd research; for user in alice bob carol; do useradd $user; done; usermod -aG research carol")
    started.run("systemctl daemon-reload; systemctl start train web batch")
    return started


def variables(layout, services, **more):
    expose = {"mig_partition_expose": ["assign"], "mig_partition_persistence": False, "mig_assign_services": services}
    return {"mig_partition_layout": layout, **expose, **more}


def devices(host):
    """{UUID: (GPU, profile, start, GPU instance id, compute instance id)} of all MIG devices."""
    return {
        inside["uuid"]: (gpu["index"], inside["profile"], instance["placement"]["start"], instance["id"], inside["id"])
        for gpu in host.show()["gpus"]
        for instance in gpu["instances"]
        for inside in instance["compute_instances"]
    }


def environment(host, service):
    """The environment file of a service."""
    lines = host.run(f"cat /etc/gpufleet-mig/services/{service}.service.env").stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def starts(host, service):
    """What each start of a service found in its environment."""
    return host.run(f"cat /var/log/{service}").stdout.splitlines()


def device_files(host, uuid):
    """The capability files of a MIG device."""
    gpu, _profile, _start, gpu_instance, compute_instance = devices(host)[uuid]
    minors = dict(line.split() for line in host.run("cat /proc/driver/nvidia-caps/mig-minors").stdout.splitlines())
    names = (f"gpu{gpu}/gi{gpu_instance}/access", f"gpu{gpu}/gi{gpu_instance}/ci{compute_instance}/access")
    return [f"/dev/nvidia-caps/nvidia-cap{minors[name]}" for name in names]


def may_open(host, user, uuid):
    """Whether a user may open each capability file of a MIG device."""
    return [
        host.run(f"runuser -u {user} -- test -r {path}", check=False).returncode == 0
        for path in device_files(host, uuid)
    ]


def test_services_get_their_mig_devices(host, run_playbook):
    services = [TRAIN, WEB, BATCH]
    foretold = run_playbook(PARTITION, [host], check=True, diff=True, extra_vars=variables(LAYOUT, services)).ok()
    assert not host.run("ls /etc/gpufleet-mig", check=False).stdout, foretold.output
    run_playbook(PARTITION, [host], extra_vars=variables(LAYOUT, services)).ok()
    there = devices(host)
    given = {name: environment(host, name) for name in ("train", "web", "batch")}
    uuids = {name: one["CUDA_VISIBLE_DEVICES"] for name, one in given.items()}
    assert [there[uuids[name]][:2] for name in ("train", "web", "batch")] == [
        (0, "3g.20gb"),
        (0, "1g.5gb"),
        (1, "1g.5gb"),
    ]
    for name, uuid in uuids.items():
        assert starts(host, name)[1:] == [f"{uuid} {uuid} nvidia.com/gpu={uuid}"]
    assert given["train"]["CUDA_MPS_PIPE_DIRECTORY"] == "/run/gpufleet-mig-mps/train"
    assert "CUDA_MPS_PIPE_DIRECTORY" not in given["web"]
    assert host.run("cat /var/log/gpufleet-mig-mps/train/control.log").stdout == f"start {uuids['train']}\n"
    assert host.run("systemctl is-active gpufleet-mig-mps@train").stdout == "active\n"
    assert [may_open(host, user, uuids["train"])[0] for user in ("alice", "bob", "carol")] == [True, False, False]
    assert [may_open(host, user, uuids["web"])[0] for user in ("alice", "bob", "carol")] == [False, True, True]
    again = run_playbook(PARTITION, [host], extra_vars=variables(LAYOUT, services)).ok()
    assert not [one for one in again.results() if one["result"].get("changed")], again.output
    assert [len(starts(host, name)) for name in ("train", "web", "batch")] == [2, 2, 2]


@pytest.mark.prove
def test_a_repartition_moves_only_what_it_must(host, run_playbook):
    """train stays; web's MIG device goes, and it gets the one that is made anew."""
    services = [TRAIN, {**WEB, "memory_mib": 9000}, BATCH]
    before = {name: environment(host, name)["CUDA_VISIBLE_DEVICES"] for name in ("train", "web", "batch")}
    layout = [{"gpus": [0], "instances": {"3g.20gb": 1, "2g.10gb": 1}}, LAYOUT[1]]
    gone = device_files(host, before["web"])
    foretold = run_playbook(PARTITION, [host], check=True, extra_vars=variables(layout, services)).ok()
    assert "web.service would get the 2g.10gb" in foretold.output
    assert "train.service would keep the 3g.20gb" in foretold.output
    run_playbook(PARTITION, [host], extra_vars=variables(layout, services)).ok()
    after = {name: environment(host, name)["CUDA_VISIBLE_DEVICES"] for name in before}
    assert [after[name] == before[name] for name in ("train", "web", "batch")] == [True, False, True]
    assert devices(host)[after["web"]][:2] == (0, "2g.10gb")
    assert [len(starts(host, name)) for name in ("train", "web", "batch")] == [2, 3, 2]
    assert starts(host, "web")[-1].startswith(after["web"])
    assert may_open(host, "bob", after["web"]) == [True, True]
    assert may_open(host, "alice", after["web"]) == [False, False]
    assert may_open(host, "alice", after["train"]) == [True, True]
    # What is nobody's is as the driver has it, whoever had it before.
    freed = set(gone) - set(device_files(host, after["web"]))
    assert {host.run(f"stat -c %A {path}").stdout for path in freed} == {"cr--r--r--\n"}


@pytest.mark.prove
def test_a_layout_without_its_mig_device_is_refused_before_the_change(host, run_playbook):
    services = [TRAIN, BATCH]
    before = devices(host)
    layout = [{"gpus": [0], "instances": {"1g.5gb": 7}}]
    run = run_playbook(PARTITION, [host], extra_vars=variables(layout, services)).failed()
    message = run.outcome(host)["message"]
    assert "train.service wants 3g.20gb on GPU 0, which is not there. There is on GPU 0 7 x 1g.5gb" in message
    assert devices(host) == before
    assert [len(starts(host, name)) for name in ("train", "web", "batch")] == [2, 3, 2]


FACTS = "gpufleet.mig.mig_facts"
ROLE = [
    {
        "hosts": "all",
        "gather_facts": False,
        "roles": ["gpufleet.mig.mig_assign"],
        "post_tasks": [{FACTS: {"gather": ["instances"]}}],
    }
]


@pytest.mark.prove
def test_what_goes_wrong_is_named_and_made_right(host, run_playbook):
    services = [{**TRAIN, "mps": False, "users": []}, BATCH, {"name": "nobody", "profile": "1g.5gb"}]
    run = run_playbook(ROLE, [host], extra_vars={"mig_assign_services": services}).failed()
    assert "assign has no nobody.service, to which mig_assign_services gives a MIG device." in run.output
    assert host.run("systemctl is-active gpufleet-mig-mps@train").stdout == "active\n"

    foretold = run_playbook(ROLE, [host], check=True, diff=True, extra_vars={"mig_assign_services": services[:2]}).ok()
    assert "-CUDA_MPS_PIPE_DIRECTORY=/run/gpufleet-mig-mps/train" in foretold.output
    assert host.run("systemctl is-active gpufleet-mig-mps@train").stdout == "active\n"
    assert "CUDA_MPS_PIPE_DIRECTORY" in environment(host, "train")

    # Somebody overrides what the role says.
    uuid = environment(host, "batch")["CUDA_VISIBLE_DEVICES"]
    host.run(
        "mkdir -p /run/systemd/system/batch.service.d; cat > /run/systemd/system/batch.service.d/z.conf",
        text="[Service]\nEnvironment=CUDA_VISIBLE_DEVICES=MIG-old\nEnvironmentFile=\n",
    )
    host.run("systemctl daemon-reload; systemctl restart batch")
    run = run_playbook(ROLE, [host], extra_vars={"mig_assign_services": services[:2]}).failed()
    assert f"batch.service runs with CUDA_VISIBLE_DEVICES=MIG-old; expected {uuid}" in run.output
    host.run("rm /run/systemd/system/batch.service.d/z.conf; systemctl daemon-reload")
    run_playbook(ROLE, [host], extra_vars={"mig_assign_services": services[:2]}).ok()
    assert starts(host, "batch")[-1].startswith(uuid)

    # MPS, users and a service are off the list.
    train = environment(host, "train")
    assert "CUDA_MPS_PIPE_DIRECTORY" not in train
    assert host.run("systemctl is-active gpufleet-mig-mps@train", check=False).stdout == "inactive\n"
    assert host.run("tail -n 1 /var/log/gpufleet-mig-mps/train/control.log").stdout == "quit\n"
    assert may_open(host, "carol", train["CUDA_VISIBLE_DEVICES"]) == [True, True]
    assert not host.run("ls /etc/gpufleet-mig/services/web* /etc/systemd/system/web.service.d/*", check=False).stdout
    assert not host.run("ls /etc/tmpfiles.d/gpufleet-mig.conf", check=False).stdout
    again = run_playbook(ROLE, [host], extra_vars={"mig_assign_services": services[:2]}).ok()
    assert not [one for one in again.results() if one["result"].get("changed")], again.output
    owners = {
        inside["uuid"]: inside["assigned_to"]
        for gpu in again.result(FACTS)["ansible_facts"]["mig"]["gpus"]
        for instance in gpu["instances"]
        for inside in instance["compute_instances"]
    }
    uuids = {name: environment(host, name)["CUDA_VISIBLE_DEVICES"] for name in ("train", "batch")}
    assert {uuid: owner for uuid, owner in owners.items() if owner} == {
        uuids["train"]: "train.service",
        uuids["batch"]: "batch.service",
    }
