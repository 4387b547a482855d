# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mig_persistence under a real systemd, through reboots: who starts when, what systemctl status says, and bad days.

The tests share two hosts; each leaves them with the saved layout in place, the last one aside.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pynvml
import pytest
import yaml
from playbook import Run
from systemd_hosts import SystemdHost

from ansible_collections.gpufleet.mig.plugins.modules import mig_persistence

A100, H100 = "A100-SXM4-40GB", "H100-SXM5-80GB"
GPUS = {"bookworm-1": A100, "bookworm-2": H100, "trixie-1": H100}
WISH = {
    name: {"3g.20gb": 1, "1g.5gb": 3} if gpu == A100 else {"3g.40gb": 1, "1g.10gb": 3} for name, gpu in GPUS.items()
}
MIG_DEVICES = 8
UNIT = "gpufleet-mig.service"
PRIVATE = "/usr/local/lib/gpufleet-mig/python"
# Services as hosts have them: drivers before the restore, and after it those that count MIG devices when they start.
DRIVERS = ("nvidia-persistenced.service", "nvidia-fabricmanager.service")
CLIENTS = ("kubelet.service", "slurmd.service", "docker.service", "nvidia-cdi-refresh.service", "my-dcgm.service")
PREPARE = f"""
cat > {PRIVATE}/pynvml.py
cd /etc/systemd/system
echo '[Unit]' > nvidia-gpu-reset.target
for name in {" ".join(DRIVERS + CLIENTS)}; do
    printf '%s\\n' '[Service]' Type=oneshot RemainAfterExit=yes \\
        "ExecStart=/bin/sh -c 'nvidia-smi -L > /run/seen-by-$name'" '[Install]' WantedBy=multi-user.target > $name
done
printf '%s\\n' '[Unit]' Wants=nvidia-gpu-reset.target After=nvidia-gpu-reset.target >> my-dcgm.service
systemctl enable {" ".join(DRIVERS + CLIENTS)}
"""
CHANGE = [
    {"gpufleet.mig.mig_mode": {"state": "enabled"}},
    {"gpufleet.mig.mig_instances": {"instances": "{{ wishes[inventory_hostname] }}"}},
]
ROLE = {"ansible.builtin.include_role": {"name": "gpufleet.mig.mig_persistence"}}


def play(tasks):
    """One play on all hosts."""
    return [{"hosts": "all", "gather_facts": False, "vars": {"wishes": WISH}, "tasks": tasks}]


def at_once(method, hosts):
    """Call a method of all hosts and wait until all have done it."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(method, hosts))


def placed(host):
    """What is on each GPU, for a comparison: {UUID: instances}."""
    return {
        gpu["uuid"]: [
            (instance["profile"], instance["placement"], [one["profile"] for one in instance["compute_instances"]])
            for instance in gpu["instances"]
        ]
        for gpu in host.show()["gpus"]
    }


def status(host):
    """What systemctl status says, whatever its exit status."""
    return host.run(f"systemctl status --no-pager --full {UNIT}", check=False).stdout


def seen(host, client):
    """How many MIG devices were there when that service started."""
    return host.run(f"cat /run/seen-by-{client}").stdout.count("MIG-")


def changed(run):
    """{host: whether the module changed anything} of a run."""
    return {one["host"]: one["result"]["changed"] for one in run.results("gpufleet.mig.mig_persistence")}


def everywhere(hosts, value):
    """{host: value}."""
    return {host.name: value for host in hosts}


@pytest.fixture(
    scope="module",
    params=[("bookworm-1", "bookworm-2"), pytest.param(("bookworm-1", "trixie-1"), marks=pytest.mark.prove)],
    ids=["Debian 12", "with Debian 13"],
)
def hosts(systemd_hosts, main_environment, tmp_path_factory, request):
    """Two hosts, partitioned, with the layout saved; ``host.layout`` is what it is."""
    started = systemd_hosts({name: [{"model": GPUS[name], "count": 2}] for name in request.param})
    with open(pynvml.__file__, encoding="utf-8") as binding:
        source = binding.read()
    for host in started:
        host.run(f"mkdir -p {PRIVATE}")
        host.run(PREPARE, text=source)
    run = Run(tmp_path_factory.mktemp("save") / "run", main_environment, play([*CHANGE, ROLE]), started).ok()
    assert changed(run) == everywhere(started, True)
    for host in started:
        host.layout = placed(host)
        assert sum(map(len, host.layout.values())) == MIG_DEVICES
    return started


@pytest.mark.parametrize("end", [SystemdHost.reboot, pytest.param(SystemdHost.power_cut, marks=pytest.mark.prove)])
def test_the_layout_is_there_before_those_who_count_it(hosts, run_playbook, end):
    again = run_playbook(play([ROLE]), hosts).ok()
    assert changed(again) == everywhere(hosts, False)
    at_once(end, hosts)
    for host in hosts:
        assert placed(host) == host.layout
        assert {name: seen(host, name) for name in CLIENTS} == dict.fromkeys(CLIENTS, MIG_DEVICES)
        assert {name: seen(host, name) for name in DRIVERS} == dict.fromkeys(DRIVERS, 0)
        said = status(host)
        assert "Active: active (exited)" in said
        assert 'Status: "2 of 2 GPUs have the saved layout (2 brought back, 0 left as they were)."' in said
        assert host.run(f"systemd-analyze verify {UNIT}").stderr == ""
        assert host.run("systemctl list-units --state=failed --plain --no-legend").stdout == ""
        assert "ordering cycle" not in host.run("journalctl -b _PID=1").stdout


@pytest.mark.prove
def test_a_restore_that_was_cut_short_is_finished_at_the_next_boot(hosts):
    for host in hosts:
        host.simulator("reboot")
        host.simulator("fault nvmlDeviceCreateGpuInstanceWithPlacement --nth 2 --delay 3600000")
        host.run(f"systemctl restart --no-block {UNIT}")
        host.run("until tail -n 1 /var/lib/gpufleet-mig/journal.jsonl | grep -q begin; do sleep 0.1; done")
    at_once(SystemdHost.power_cut, hosts)
    for host in hosts:
        assert placed(host) == host.layout
        # The boot reads no journal; whoever looks at the host next is told.
        assert "was cut short" not in status(host)


def test_a_lost_gpu_fails_the_unit_and_the_others_are_done(hosts):
    for host in hosts:
        # A function that the other services do not call.
        host.simulator("fault nvmlDeviceGetGpuInstancePossiblePlacements_v2 --return GPU_IS_LOST")
    at_once(SystemdHost.reboot, hosts)
    for host in hosts:
        said = status(host)
        assert "Active: failed (Result: exit-code)" in said
        (line,) = (line for line in said.splitlines() if line.strip().startswith("Status: "))
        assert "GPU 0" in line
        assert "NVML_ERROR_GPU_IS_LOST" in line
        assert "1 of 2 GPUs have the saved layout (1 brought back, 0 left as they were)." in line
        # Who comes after it starts all the same, with the other GPU.
        assert seen(host, "kubelet.service") == MIG_DEVICES // 2
        host.run(f"systemctl restart {UNIT}")
        assert placed(host) == host.layout


@pytest.mark.prove
def test_a_driver_that_comes_late_is_waited_for(hosts):
    for host in hosts:
        host.simulator("fault nvmlInitWithFlags --times 3 --return DRIVER_NOT_LOADED")
    at_once(SystemdHost.reboot, hosts)
    for host in hosts:
        assert placed(host) == host.layout
        assert seen(host, "slurmd.service") == MIG_DEVICES


def test_a_full_disk_keeps_the_layout_that_was_saved(hosts, run_playbook):
    host = hosts[0]
    host.run("mount -t tmpfs -o size=4k tmpfs /etc/gpufleet-mig && echo old > /etc/gpufleet-mig/layout.json")
    run = run_playbook(play([ROLE]), [host]).failed()
    (failed,) = run.results("gpufleet.mig.mig_persistence")
    said = "/etc/gpufleet-mig/layout.json cannot be written: No space left on device. It is as it was."
    assert said in failed["result"]["msg"]
    assert not failed["result"]["changed"]
    assert host.run("cat /etc/gpufleet-mig/*; ls -A /etc/gpufleet-mig").stdout == "old\nlayout.json\n"
    host.run("umount /etc/gpufleet-mig")
    assert changed(run_playbook(play([ROLE]), [host]).ok()) == {host.name: False}


@pytest.mark.prove
def test_a_gpu_that_was_replaced_is_reported_until_the_host_is_saved_again(hosts, run_playbook):
    gone = "GPU-00000000-1111-2222-3333-444444444444"
    for host in hosts:
        host.run(f"sed -i s/{next(iter(host.layout))}/{gone}/ /etc/gpufleet-mig/layout.json")
    at_once(SystemdHost.reboot, hosts)
    for host in hosts:
        said = status(host)
        assert "Active: failed" in said
        assert f"{gone} is not among the GPUs of this host (any more). Not saved yet: GPU " in said
        assert next(iter(host.layout)) in said
        assert [len(instances) for instances in placed(host).values()] == [0, MIG_DEVICES // 2]
    assert changed(run_playbook(play([*CHANGE, ROLE]), hosts).ok()) == everywhere(hosts, True)
    for host in hosts:
        assert placed(host) == host.layout
        assert "Active: active (exited)" in status(host)


def test_absent_ends_it(hosts, run_playbook):
    off = {**ROLE, "vars": {"mig_persistence_state": "absent"}}
    for check, changes in ((True, True), (False, True), (False, False)):
        run = run_playbook(play([off]), hosts, check=check).ok()
        assert changed(run) == everywhere(hosts, changes)
    for host in hosts:
        assert placed(host) == host.layout
        # With nvidia-ml-py in it.
        left = "/usr/local/lib/gpufleet-mig\n"
        assert host.run("find /etc /usr/local/lib -name '*gpufleet-mig*'").stdout == left
        assert "could not be found" in host.run(f"systemctl status {UNIT}", check=False).stderr
    at_once(SystemdHost.reboot, hosts)
    for host in hosts:
        assert not any(placed(host).values())


@pytest.mark.prove
def test_the_examples_run(hosts, run_playbook):
    run = run_playbook(play(yaml.safe_load(mig_persistence.EXAMPLES)), hosts).ok()
    results = run.results("gpufleet.mig.mig_persistence")
    assert [one["result"]["changed"] for one in results] == [True] * 4
    saved, removed = (one["result"]["actions"] for one in run.results(host=hosts[1].name)[1:])
    assert "write /etc/gpufleet-mig/layout.json" in saved
    assert "remove /etc/gpufleet-mig/layout.json" in removed
