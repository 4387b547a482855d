# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_partition on a fleet with a real systemd, through SSH: a reboot, a host that is away, bad days.

The tests share their hosts and go in their order: the first of each fleet partitions those that the others change.
"""

from __future__ import annotations

import json
import os
import select

import pytest
from drain_hooks import tasks_file

A100, H100 = "A100-SXM4-40GB", "H100-SXM5-80GB"
GPUS = {
    "resets": [{"model": A100, "count": 2}],
    "reboots": [{"model": A100, "count": 1}],
    "trixie-1": [{"model": H100, "count": 2}],
    "lost": [{"model": H100, "count": 2}],
    "away": [{"model": H100, "count": 1}],
    "no-gpu": [],
}
FEW = ("resets", "reboots", "away")
LAYOUT = [
    {"product": "*A100*", "instances": {"3g.20gb": 1, "1g.5gb": 2}},
    {"product": "*H100*", "instances": {"3g.40gb": 1, "1g.10gb": 2}},
]
OTHER = [{"product": "*A100*", "instances": {"1g.5gb": 7}}, {"product": "*H100*", "instances": {"1g.10gb": 7}}]
PARTITION, VERIFY = "gpufleet.mig.partition", "gpufleet.mig.verify"
JOURNAL = "/var/lib/gpufleet-mig/journal.jsonl"
# A GPU client of the operating system that tells when it is started and stopped, and one that does not run.
CLIENTS = """
cd /etc/systemd/system
printf '%s\\n' '[Service]' Type=oneshot RemainAfterExit=yes \\
    "ExecStart=/bin/sh -c 'echo start >> /var/log/client'" "ExecStop=/bin/sh -c 'echo stop >> /var/log/client'" \\
    '[Install]' WantedBy=multi-user.target > nvidia-persistenced.service
printf '%s\\n' '[Service]' ExecStart=/bin/false > nvsm.service
systemctl daemon-reload
systemctl start nvidia-persistenced.service
"""
# Two that have the GPU open and compute nothing, on a GPU that refuses its first GPU instance for any client. One of
# them watches a GPU instance where it is told to and where that is there.
MONITORS = """
mig-simulator init --strange first-instance=holders H100-SXM5-80GB
systemctl restart mig-simulator.service
cd /etc/systemd/system
hold='mig-simulator hold --gpu 0'
printf '%s\\n' '[Service]' "ExecStart=/bin/sh -c 'exec $hold -- sleep infinity'" > nvidia-persistenced.service
printf '%s\\n' '[Service]' EnvironmentFile=-/run/watched \\
    "ExecStart=/bin/sh -c '$hold \\$WATCHED -- sleep infinity || exec $hold -- sleep infinity'" > nvidia-dcgm.service
systemctl daemon-reload
"""
NAMES = ["nvidia-dcgm.service", "nvidia-persistenced.service"]
HELD = """
systemctl restart nvidia-persistenced.service nvidia-dcgm.service
until [ "$(mig-simulator show | grep -o '(holder)' | wc -l)" = 2 ]; do sleep 0.1; done
"""


@pytest.fixture(scope="module")
def few(systemd_hosts):
    """A small fleet by name."""
    return {host.name: host for host in systemd_hosts({name: GPUS[name] for name in FEW})}


@pytest.fixture(scope="module")
def hosts(systemd_hosts):
    """The fleet by name."""
    return {host.name: host for host in systemd_hosts(GPUS)}


def counts(host):
    """How many MIG devices each GPU has; None where MIG is off."""
    return [
        sum(len(instance["compute_instances"]) for instance in gpu["instances"]) if gpu["mig_mode"] else None
        for gpu in host.show()["gpus"]
    ]


def states(run, hosts):
    """{host: its state} of those that came to an end."""
    return {name: run.outcome(host)["state"] for name, host in hosts.items()}


class Pause:
    """A task, ``task``, at which a run waits on the controller until it is told to go on."""

    def __init__(self, directory):
        self._arrived, self._go_on = directory / "arrived", directory / "go-on"
        for path in (self._arrived, self._go_on):
            os.mkfifo(path)
        self.task = {
            "ansible.builtin.command": {"argv": ["sh", "-c", f"echo here > {self._arrived}; cat {self._go_on}"]},
            "delegate_to": "localhost",
            "become": False,
        }

    def reached(self, run):
        """Wait until the run is there."""
        reader = os.open(self._arrived, os.O_RDONLY | os.O_NONBLOCK)
        came = select.select([reader], [], [], 300)[0]
        os.close(reader)
        assert came, run.finish().output

    def end(self):
        """Let it go on."""
        self._go_on.write_text("", encoding="utf-8")


def test_three_hosts_in_one_play(few, run_playbook, tmp_path):
    few["resets"].run(CLIENTS)
    few["reboots"].simulator("passthrough on")
    boot = few["reboots"].boot_id()
    few["away"].run(MONITORS + HELD)
    few["away"].unplug()
    report = tmp_path / "report.json"
    variables = {"mig_partition_layout": LAYOUT, "mig_partition_reboot": True, "mig_partition_report": str(report)}
    run = run_playbook(PARTITION, list(few.values()), extra_vars=variables).finish()
    assert run.returncode == 4, run.output
    assert states(run, few) == {"resets": "changed", "reboots": "changed", "away": "unreachable"}, run.output
    assert [counts(few[name]) for name in ("resets", "reboots")] == [[3, 3], [3]]
    assert few["reboots"].boot_id() != boot
    assert [run.outcome(few[name])["reboot"] for name in ("resets", "reboots")] == [False, True]
    # Stopped for the reset and started again; the other unit did not run and does not.
    assert few["resets"].run("cat /var/log/client").stdout.split() == ["start", "stop", "start"]
    assert run.outcome(few["resets"])["hooks"] == ["nvidia-persistenced.service"]
    assert few["resets"].run("systemctl is-active nvsm.service", check=False).stdout == "inactive\n"
    assert json.loads(report.read_text(encoding="utf-8"))["counts"] == {"changed": 2, "unreachable": 1}
    table = run.result("gpufleet.mig.mig_summary")["summary"]
    assert table[-1] == "Once the cause is gone: ansible-playbook gpufleet.mig.partition … --limit away"

    # The cable is in again: one more run of all does that host alone.
    few["away"].plug_in()
    again = run_playbook(PARTITION, list(few.values()), extra_vars=variables).ok()
    assert states(again, few) == {"resets": "unchanged", "reboots": "unchanged", "away": "changed"}, again.output
    assert {one["host"] for one in again.results() if one["result"].get("changed")} == {"away"}, again.output
    assert counts(few["away"]) == [3]
    # It needs no reset, and its monitors would have kept it from its mode.
    assert again.outcome(few["away"])["hooks"] == NAMES
    assert few["away"].run(f"systemctl is-active {' '.join(NAMES)}").stdout.split() == ["active", "active"]


def test_monitors_that_the_driver_refuses_a_change_for_are_stopped_and_it_is_made_once_more(few, run_playbook):
    host = few["away"]
    # Nobody computes, and what runs has the GPU open: an empty one refuses its first GPU instance.
    host.run(f"nvidia-smi mig -dci && nvidia-smi mig -dgi {HELD}")
    first = run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": LAYOUT}).ok()
    assert (first.outcome(host)["state"], first.outcome(host)["hooks"]) == ("changed", NAMES)
    # An instance that one of them watches cannot be destroyed. What may stay stays all the same.
    instances = host.show()["gpus"][0]["instances"]
    kept, gone = [], []
    for instance in instances:
        (kept if instance["profile"] == "1g.10gb" else gone).append(instance["compute_instances"][0]["uuid"])
    watched = next(one["id"] for one in instances if one["profile"] == "3g.40gb")
    host.run(f"echo 'WATCHED=--gpu-instance {watched}' > /run/watched {HELD}")
    second = run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": OTHER}).ok()
    outcome = second.outcome(host)
    assert (outcome["state"], outcome["hooks"]) == ("changed", NAMES)
    assert (sorted(outcome["kept"]), outcome["disrupted"]) == (sorted(kept), gone)
    assert counts(host) == [7]
    assert host.run(f"systemctl is-active {' '.join(NAMES)}").stdout.split() == ["active", "active"]
    last = run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": OTHER}).ok()
    assert last.outcome(host)["state"] == "unchanged"
    host.run(f"systemctl stop {' '.join(NAMES)}; rm /run/watched /etc/systemd/system/nvidia-*.service")
    host.run("systemctl daemon-reload")


@pytest.mark.prove
def test_six_hosts_in_one_play(hosts, run_playbook, tmp_path):
    hosts["resets"].run(CLIENTS)
    hosts["reboots"].simulator("passthrough on")
    hosts["lost"].simulator("fault nvmlDeviceGetMigMode --nth 2 --times 999 --return GPU_IS_LOST")
    boot = hosts["reboots"].boot_id()
    hosts["away"].unplug()
    report = tmp_path / "report.json"
    variables = {"mig_partition_layout": LAYOUT, "mig_partition_reboot": True, "mig_partition_report": str(report)}
    run = run_playbook(PARTITION, list(hosts.values()), forks=6, extra_vars=variables).finish()
    assert run.returncode == 4, run.output
    assert states(run, hosts) == {
        "resets": "changed",
        "reboots": "changed",
        "trixie-1": "changed",
        "lost": "failed",
        "away": "unreachable",
        "no-gpu": "no_gpus",
    }, run.output
    assert [counts(hosts[name]) for name in ("resets", "reboots", "trixie-1")] == [[3, 3], [3], [3, 3]]
    assert hosts["reboots"].boot_id() != boot
    assert run.outcome(hosts["reboots"])["reboot"]
    assert not run.outcome(hosts["resets"])["reboot"]
    # Stopped for the reset and started again; the other unit did not run and does not.
    assert hosts["resets"].run("cat /var/log/client").stdout.split() == ["start", "stop", "start"]
    assert run.outcome(hosts["resets"])["hooks"] == ["nvidia-persistenced.service"]
    assert hosts["resets"].run("systemctl is-active nvsm.service", check=False).stdout == "inactive\n"
    assert "GPU_IS_LOST" in run.outcome(hosts["lost"])["message"]
    assert json.loads(report.read_text(encoding="utf-8"))["counts"] == {
        "no_gpus": 1,
        "changed": 3,
        "failed": 1,
        "unreachable": 1,
    }
    table = run.result("gpufleet.mig.mig_summary")["summary"]
    assert table[-1] == "Once the cause is gone: ansible-playbook gpufleet.mig.partition … --limit lost,away"

    # The causes go; a rerun of those two alone, then one of all that finds nothing to do.
    hosts["away"].plug_in()
    hosts["lost"].simulator("fault --clear")
    again = run_playbook(PARTITION, list(hosts.values()), forks=6, limit="lost,away", extra_vars=variables).ok()
    assert {again.outcome(hosts[name])["state"] for name in ("lost", "away")} == {"changed"}
    last = run_playbook(PARTITION, list(hosts.values()), forks=6, extra_vars=variables).ok()
    assert not [one for one in last.results() if one["result"].get("changed")], last.output
    run_playbook(VERIFY, list(hosts.values()), forks=6, extra_vars=variables).ok()
    hosts["trixie-1"].run("nvidia-smi mig -i 0 -dci")
    failed = run_playbook(VERIFY, [hosts["trixie-1"]], extra_vars=variables).failed()
    assert "create compute instance 3g.40gb" in failed.output
    run_playbook(PARTITION, [hosts["trixie-1"]], extra_vars=variables).ok()


@pytest.mark.prove
def test_bad_days_in_one_play(hosts, run_playbook, tmp_path):
    chosen = {name: hosts[name] for name in ("resets", "trixie-1", "lost", "away")}
    before = {name: counts(host) for name, host in chosen.items()}
    # resets: the disk is full where the journal is. trixie-1: the driver is reloaded between two tasks, so that H100
    # lose their mode. lost: sudo refuses. away: the cable is out before the change.
    hosts["resets"].run("mount -t tmpfs -o size=16k none /var/lib/gpufleet-mig")
    hosts["resets"].run("head -c 16k /dev/zero > /var/lib/gpufleet-mig/full", check=False)
    reload = {"ansible.builtin.command": {"argv": ["mig-simulator", "reload-driver"]}}
    pull = Pause(tmp_path)
    more = {
        "trixie-1": {"mig_partition_tasks": {"before_instances": tasks_file(tmp_path / "reload.yml", [reload])}},
        "lost": {"ansible_become_exe": "/bin/false"},
        "away": {
            "mig_partition_tasks": {"before_instances": tasks_file(tmp_path / "pull.yml", [pull.task])},
            "ansible_ssh_extra_args": "-o ServerAliveInterval=1 -o ServerAliveCountMax=3",
        },
    }
    variables = {"mig_partition_layout": OTHER}
    run = run_playbook(
        PARTITION, [Changed(host, more.get(name, {})) for name, host in chosen.items()], extra_vars=variables
    )
    pull.reached(run)
    hosts["away"].unplug()
    pull.end()
    run.finish()
    hosts["away"].plug_in()
    hosts["resets"].run("umount /var/lib/gpufleet-mig")
    assert states(run, chosen) == dict.fromkeys(("resets", "trixie-1", "lost"), "failed") | {"away": "unfinished"}, (
        run.output
    )
    assert "No space left on device" in run.outcome(hosts["resets"])["message"]
    assert (run.outcome(hosts["resets"])["stage"], run.outcome(hosts["resets"])["brought_back"]) == ("check", None)
    assert run.outcome(hosts["trixie-1"])["stage"] == "instances"
    assert run.outcome(hosts["lost"])["stage"] == "check"
    table = run.result("gpufleet.mig.mig_summary")["summary"]
    assert table[0] == "MIG: 3 FAILED, 1 UNFINISHED"
    # A mode that is neither as it was nor as it is wanted may be somebody's.
    assert "its MIG mode is disabled, which is neither" in run.outcome(hosts["trixie-1"])["message"]
    assert counts(hosts["trixie-1"]) == [None, None]
    # Of the others each is as it was, or brought back to that.
    assert {name: counts(host) for name, host in chosen.items()} == {**before, "trixie-1": [None, None]}
    again = run_playbook(PARTITION, list(chosen.values()), extra_vars=variables).ok()
    assert set(states(again, chosen).values()) == {"changed"}
    assert counts(hosts["away"]) == [7]


class Changed:
    """A host with further variables in the inventory."""

    def __init__(self, host, variables):
        self.name = host.name
        self._variables = {**host.variables(), **variables}

    def variables(self):
        return self._variables


@pytest.mark.prove
def test_two_controllers_at_once(few, run_playbook):
    host = few["resets"]
    variables = {"mig_partition_layout": [{"instances": {"2g.10gb": 2}}], "mig_partition_claim_timeout": 300}
    runs = [run_playbook(PARTITION, [host], extra_vars=variables) for _number in range(2)]
    for run in runs:
        run.ok()
    assert counts(host) == [2, 2]


@pytest.mark.prove
def test_its_own_reboot_where_the_saved_layout_has_the_other_mode(hosts, run_playbook):
    host = hosts["reboots"]
    # What was saved at the end of one round says of the mode the opposite of what the next one wants.
    for layout, after in (([{"mig_enabled": False}], [None]), (LAYOUT, [3])):
        if after == [3]:
            # The second mode somebody has set already, and left pending.
            host.run("nvidia-smi -i 0 -mig 1")
        boot = host.boot_id()
        variables = {"mig_partition_layout": layout, "mig_partition_reboot": True}
        run = run_playbook(PARTITION, [host], extra_vars=variables).ok()
        assert run.outcome(host)["reboot"]
        assert (counts(host), host.boot_id() != boot) == (after, True)
        again = run_playbook(PARTITION, [host], extra_vars=variables).ok()
        assert not [one for one in again.results() if one["result"].get("changed")], again.output
        host.reboot()
        assert counts(host) == after


STAGES = ("check", "drain", "instances", "verify", "persistence")


@pytest.mark.prove
@pytest.mark.parametrize("controller", ["stays", "is lost"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_power_cut_at_a_stage(hosts, run_playbook, tmp_path, stage, controller):
    host = hosts["away"]
    run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": OTHER}).ok()
    pause = Pause(tmp_path)
    variables = {"mig_partition_layout": LAYOUT}
    tasks_file(tmp_path / "none_restore.yml", [])
    given = {"mig_partition_drain": [tasks_file(tmp_path / "none.yml", [])]}
    if stage == "drain":
        job = host.job(host.show()["gpus"][0]["instances"][0]["compute_instances"][0]["uuid"])
    place = {"mig_partition_tasks": {f"before_{stage}": tasks_file(tmp_path / "pause.yml", [pause.task])}}
    run = run_playbook(PARTITION, [host], extra_vars={**variables, **given, **place})
    pause.reached(run)
    host.power_cut()
    if stage == "drain":
        host.end_job(job)
    if controller == "stays":
        pause.end()
        run.finish()
        assert "Traceback" not in run.output
        assert run.outcome(host)["state"] in ("changed", "failed", "unfinished"), run.output
    else:
        run.kill()
    run_playbook("gpufleet.mig.restore", [host], extra_vars=given).ok()
    run_playbook(PARTITION, [host], extra_vars=variables).ok()
    assert counts(host) == [3]
    left = host.run("ls /var/lib/gpufleet-mig").stdout.split()
    assert {"claim.json", "drain.json"}.isdisjoint(left)


def test_a_power_cut_in_the_middle_of_a_change(few, run_playbook):
    host = few["away"]
    run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": OTHER}).ok()
    before = counts(host)
    # A boot leaves nothing to destroy, so the fault is the change's alone.
    host.simulator("fault nvmlGpuInstanceDestroy --nth 2 --delay 3600000")
    run = run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": LAYOUT})
    host.run(f"until tail -n 1 {JOURNAL} | grep -q begin; do sleep 0.1; done")
    host.power_cut()
    run.kill()
    # The unit of mig_persistence has brought back the old layout, and the journal has the layout before and the boot.
    assert counts(host) == before
    records = [json.loads(line) for line in host.run(f"tail -n 12 {JOURNAL}").stdout.splitlines()]
    assert [record["event"] for record in records if record["cause"] == "ansible"][-1] == "begin"
    assert (records[-1]["event"], records[-1]["cause"]) == ("end", "boot")
    again = run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": LAYOUT}).ok()
    assert again.outcome(host)["state"] == "changed"
    assert counts(host) == [3]
