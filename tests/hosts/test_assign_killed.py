# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_assign, killed: whatever it had done, the same command does the rest, and does nothing when run again.

Four services: ``train`` runs, and is to have MPS and a user of its own; ``down`` failed because it had no MIG device,
and is to compute in the same GPU instance; ``once`` has no main process; ``idle`` was stopped on purpose.
"""

from __future__ import annotations

import json
import re

import pytest
from playbook import Run

# Every day tests/integration/test_killed_anywhere.py kills runs at six of their tasks.
pytestmark = pytest.mark.prove
UNITS = {
    "train": "ExecStart=/bin/sleep infinity\n",
    "down": "ExecStart=/bin/sh -c 'test -n \"$CUDA_VISIBLE_DEVICES\" && exec sleep infinity'\n",
    "once": "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo $CUDA_VISIBLE_DEVICES >> /var/log/once'\n",
    "idle": "ExecStart=/bin/sleep infinity\n",
}
MPS_CONTROL = """#!/bin/sh
case "$1" in
-d)
    sleep infinity &
    echo $! > "$CUDA_MPS_PIPE_DIRECTORY/nvidia-cuda-mps-control.pid"
    ;;
*)
    kill "$(cat "$CUDA_MPS_PIPE_DIRECTORY/nvidia-cuda-mps-control.pid")"
    ;;
esac
"""
LAYOUT = [
    {
        "gpus": [0],
        "instances": [
            {"profile": "3g.20gb", "compute_instances": ["1c.3g.20gb", "2c.3g.20gb"]},
            {"profile": "1g.5gb"},
            {"profile": "1g.5gb"},
        ],
    }
]
SERVICES = [
    {"name": "train", "profile": "1c.3g.20gb", "mps": True, "users": ["alice"]},
    {"name": "down", "profile": "2c.3g.20gb"},
    {"name": "once", "profile": "1g.5gb", "users": ["bob"]},
    {"name": "idle", "profile": "1g.5gb"},
]
ROLE = [{"hosts": "all", "gather_facts": False, "roles": ["gpufleet.mig.mig_assign"]}]
# The host as it was: the folders of the drop-ins, too, because systemd looks only where it knew one.
CLEAN = """
systemctl stop train down once idle
rm -rf /etc/gpufleet-mig /etc/systemd/system/*.service.d /etc/tmpfiles.d/gpufleet-mig.conf /var/log/once
rm -f /etc/systemd/system/gpufleet-mig-* /etc/systemd/system/multi-user.target.wants/gpufleet-mig-access.service
# As nvidia-modprobe makes them.
major=$(stat -c %Hr /dev/nvidia-caps/nvidia-cap1)
for minor in $(awk '$1 ~ "gpu0/" {print $2}' /proc/driver/nvidia-caps/mig-minors); do
    rm -f /dev/nvidia-caps/nvidia-cap$minor
    mknod -m 444 /dev/nvidia-caps/nvidia-cap$minor c $major $minor
done
systemctl daemon-reload
systemctl reset-failed
systemctl start train once
systemctl start down
until systemctl is-failed down; do sleep 0.1; done
"""
RESTART = "Restart the services that run with something else"
MOMENTS = [
    ("Write the environment files", "end"),
    ("Have systemd read the units", "start"),
    (RESTART, "start"),
    ("Write down that nothing is owed any more", "start"),
]


@pytest.fixture(scope="module")
def host(systemd_hosts, main_environment, tmp_path_factory):
    (started,) = systemd_hosts({"assign-killed": [{"model": "A100-SXM4-40GB", "count": 1}]})
    for name, lines in UNITS.items():
        started.run(f"cat > /etc/systemd/system/{name}.service", text=f"[Service]\n{lines}")
    started.run("cat > /usr/local/bin/nvidia-cuda-mps-control", text=MPS_CONTROL)
    started.run("chmod 755 /usr/local/bin/nvidia-cuda-mps-control; useradd alice; useradd bob; systemctl daemon-reload")
    variables = {"mig_partition_layout": LAYOUT, "mig_partition_persistence": False}
    folder = tmp_path_factory.mktemp("layout") / "run"
    Run(folder, main_environment, "gpufleet.mig.partition", [started], extra_vars=variables).ok()
    return started


def devices(host):
    """{profile of the compute instance: [(UUID, its two capability files)]}."""
    minors = dict(line.split() for line in host.run("cat /proc/driver/nvidia-caps/mig-minors").stdout.splitlines())
    found = {}
    for instance in host.show()["gpus"][0]["instances"]:
        for inside in instance["compute_instances"]:
            names = [f"gpu0/gi{instance['id']}/access", f"gpu0/gi{instance['id']}/ci{inside['id']}/access"]
            files = [f"/dev/nvidia-caps/nvidia-cap{minors[name]}" for name in names]
            found.setdefault(inside["profile"], []).append((inside["uuid"], files))
    return found


def may_open(host, user, files):
    """Whether a user may open each of these."""
    return [host.run(f"runuser -u {user} -- test -r {path}", check=False).returncode == 0 for path in files]


def state(host, service):
    """What systemd says of a service."""
    shown = host.run(f"systemctl show -p ActiveState,NeedDaemonReload,DropInPaths {service}").stdout
    return dict(line.split("=", 1) for line in shown.splitlines())


def environment(host, service):
    """What the main process of a service runs with."""
    shown = host.run(f"tr '\\0' '\\n' < /proc/$(systemctl show -p MainPID --value {service})/environ").stdout
    return dict(line.split("=", 1) for line in shown.splitlines())


def assert_as_wanted(host):
    there = devices(host)
    ((train, train_files),) = there["1c.3g.20gb"]
    ((down, down_files),) = there["2c.3g.20gb"]
    for service in UNITS:
        unit = state(host, service)
        assert unit["ActiveState"] == ("inactive" if service == "idle" else "active"), service
        assert unit["NeedDaemonReload"] == "no", service
        assert f"/etc/systemd/system/{service}.service.d/50-gpufleet-mig.conf" in unit["DropInPaths"].split(), service
    assert environment(host, "train")["CUDA_VISIBLE_DEVICES"] == train
    assert environment(host, "train")["CUDA_MPS_PIPE_DIRECTORY"] == "/run/gpufleet-mig-mps/train"
    assert environment(host, "gpufleet-mig-mps@train")["CUDA_VISIBLE_DEVICES"] == train
    assert environment(host, "down")["CUDA_VISIBLE_DEVICES"] == down
    record = json.loads(host.run("cat /etc/gpufleet-mig/assignments.json").stdout)
    assert "owed" not in record
    once = record["services"]["once.service"]["uuid"]
    assert host.run("tail -n 1 /var/log/once").stdout == f"{once}\n"
    once_files = dict(there["1g.5gb"])[once]
    # Who computes in a GPU instance with others needs its file, too.
    assert may_open(host, "alice", train_files) == [True, True]
    assert may_open(host, "bob", train_files) == [True, False]
    assert may_open(host, "bob", down_files) == [True, True]
    assert may_open(host, "bob", once_files) == [True, True]
    assert may_open(host, "alice", once_files) == [False, False]
    assert host.run("systemctl is-enabled gpufleet-mig-access").stdout == "enabled\n"


def changed(run):
    return [one["task"] for one in run.results() if one["result"].get("changed")]


@pytest.mark.parametrize("moment", MOMENTS, ids=" ".join)
def test_killed_while_it_hands_out(host, run_playbook, moment):
    host.run(CLEAN, check=False)
    variables = {"mig_assign_services": SERVICES}
    run_playbook(ROLE, [host], extra_vars=variables, kill_at=moment).killed()
    run_playbook(ROLE, [host], extra_vars=variables).ok()
    assert_as_wanted(host)
    pids = host.run("systemctl show -p MainPID --value train down").stdout
    again = run_playbook(ROLE, [host], extra_vars=variables).ok()
    assert changed(again) == []
    assert host.run("systemctl show -p MainPID --value train down").stdout == pids


def test_a_drop_in_that_systemd_has_not_noticed(host, run_playbook):
    """Without users nothing else has systemd read its units; it says itself that it need not."""
    host.run(CLEAN, check=False)
    variables = {"mig_assign_services": [{"name": "train", "profile": "1c.3g.20gb"}]}
    run_playbook(ROLE, [host], extra_vars=variables, kill_at=("Have systemd read the units", "start")).killed()
    assert state(host, "train")["NeedDaemonReload"] == "no"
    run_playbook(ROLE, [host], extra_vars=variables).ok()
    ((train, _files),) = devices(host)["1c.3g.20gb"]
    assert environment(host, "train")["CUDA_VISIBLE_DEVICES"] == train
    assert changed(run_playbook(ROLE, [host], extra_vars=variables).ok()) == []


TAKING = [
    ("Remove the drop-ins of services that get none any more", "end"),
    ("Remove the files that give access", "end"),
]


@pytest.mark.parametrize("moment", TAKING, ids=" ".join)
def test_killed_while_it_takes_back(host, run_playbook, moment):
    host.run(CLEAN, check=False)
    run_playbook(ROLE, [host], extra_vars={"mig_assign_services": SERVICES}).ok()
    files = [path for found in devices(host).values() for _uuid, paths in found for path in paths]
    pid = host.run("systemctl show -p MainPID --value train").stdout
    kept = {"mig_assign_services": SERVICES[1:2]}
    run_playbook(ROLE, [host], extra_vars=kept, kill_at=moment).killed()
    run_playbook(ROLE, [host], extra_vars=kept).ok()
    for service in ("train", "once", "idle"):
        assert state(host, service)["NeedDaemonReload"] == "no", service
        assert "50-gpufleet-mig.conf" not in state(host, service)["DropInPaths"], service
        assert host.run(f"test -e /etc/gpufleet-mig/services/{service}.service.env", check=False).returncode == 1
    # A service that is off the list runs on, without its MPS control daemon.
    assert host.run("systemctl show -p MainPID --value train").stdout == pid
    assert state(host, "gpufleet-mig-mps@train")["ActiveState"] == "inactive"
    assert may_open(host, "bob", files) == [True] * len(files)
    assert host.run("ls /etc/tmpfiles.d/gpufleet-mig.conf", check=False).returncode == 2
    assert changed(run_playbook(ROLE, [host], extra_vars=kept).ok()) == []


def test_what_does_not_come_up_is_named_in_every_run(host, run_playbook):
    host.run(CLEAN, check=False)
    variables = {"mig_assign_services": SERVICES}
    # The MPS control daemon cannot start, so systemd leaves its service stopped, not failed.
    host.run("mv /usr/local/bin/nvidia-cuda-mps-control /usr/local/bin/elsewhere")
    for _time in range(2):
        run = run_playbook(ROLE, [host], extra_vars=variables).failed()
        (failed,) = [one for one in run.results("ansible.builtin.systemd_service") if one["status"] == "failed"]
        said = [item["msg"] for item in failed["result"]["results"] if item.get("failed")]
        assert len(said) == 1
        # systemd_service restarts what runs, and starts what does not.
        assert re.match("Unable to (re)?start service train.service: ", said[0])
        assert state(host, "train")["ActiveState"] == "inactive"
        assert state(host, "down")["ActiveState"] == "active"
    host.run("mv /usr/local/bin/elsewhere /usr/local/bin/nvidia-cuda-mps-control")
    # One that breaks by itself is told of, too.
    host.run(
        "mkdir -p /run/systemd/system/down.service.d; cat > /run/systemd/system/down.service.d/z.conf",
        text="[Service]\nExecStart=\nExecStart=/bin/false\n",
    )
    host.run("systemctl daemon-reload; systemctl stop down; rm /etc/gpufleet-mig/services/down.service.env")
    host.run("systemctl start down; until systemctl is-failed down; do sleep 0.1; done")
    run = run_playbook(ROLE, [host], extra_vars=variables).failed()
    assert "down.service was restarted with its 2c.3g.20gb on GPU 0 and failed" in run.output
    assert state(host, "train")["ActiveState"] == "active"
    host.run("rm /run/systemd/system/down.service.d/z.conf; systemctl daemon-reload")
    run_playbook(ROLE, [host], extra_vars=variables).ok()
    assert_as_wanted(host)


def test_check_mode_says_it_and_does_nothing(host, run_playbook):
    host.run(CLEAN, check=False)
    before = host.run("ls -R /etc/systemd/system /etc/tmpfiles.d; systemctl show -p MainPID train").stdout
    variables = {"mig_assign_services": SERVICES}
    foretold = run_playbook(ROLE, [host], check=True, diff=True, extra_vars=variables).ok()
    assert any(RESTART in task for task in changed(foretold))
    assert host.run("ls -R /etc/systemd/system /etc/tmpfiles.d; systemctl show -p MainPID train").stdout == before
    assert host.run("ls /etc/gpufleet-mig", check=False).returncode == 2
