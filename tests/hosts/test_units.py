# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is in the way on a host with a real systemd, and the drain hook that stops units and starts them again."""

from __future__ import annotations

import json

import pytest
from kills import killed_at_each_task
from playbook import Run

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.in_the_way import in_the_way

FACTS, MODE, PARTITION = "gpufleet.mig.mig_facts", "gpufleet.mig.mig_mode", "gpufleet.mig.partition"


@pytest.fixture(scope="module")
def host(systemd_hosts):
    (started,) = systemd_hosts({"units": [{"model": "A100-SXM4-40GB", "count": 2}]})
    return started


def tasks(*modules):
    return [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {"ansible.builtin.include_role": {"name": "gpufleet.mig.mig_driver"}},
                *({"ignore_errors": True, **module} for module in modules),
            ],
        }
    ]


def start(host, unit, command, user=False, then=""):
    """Start a unit that holds something, and wait until it does."""
    run = "systemd-run"
    if user:
        # These hosts lack libpam-systemd, which would say so to the user's manager.
        settings = "[Service]\\nPAMName=\\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\\n"
        drop_in = "/run/systemd/system/user@.service.d"
        host.run(f"mkdir -p {drop_in} && printf '{settings}' > {drop_in}/runtime.conf && systemctl daemon-reload")
        host.run("systemctl start user@$(id -u ops).service")
        run = "XDG_RUNTIME_DIR=/run/user/$(id -u) systemd-run --user"
    # With Type=exec systemd-run waits for mig-simulator only, which becomes the program when it holds the device.
    ready = f"/tmp/{unit}-is-ready"
    program = f"{then} sh -c 'touch {ready}; exec sleep infinity'".lstrip()
    host.run(f"{run} --unit={unit} --property=Type=exec mig-simulator {command} -- {program}", sudo=not user)
    host.run(f"timeout 60 sh -c 'until test -e {ready}; do sleep 0.1; done'")


def test_units_are_named_and_so_are_handles_that_nvml_does_not_list(run_playbook, host):
    gpus = [gpu["uuid"] for gpu in host.show()["gpus"]]
    start(host, "train", f"run --device {gpus[0]}")
    start(host, "notebook", f"run --device {gpus[0]}", user=True)
    start(host, "monitor", "hold --gpu 1")
    mode = [{MODE: {"state": "enabled", "gpus": [gpu]}} for gpu in (0, 1)]
    gather = {"gather": ["handles"]}
    run = run_playbook(tasks(*mode, {FACTS: gather}, {FACTS: gather, "vars": {"ansible_become": False}}), [host]).ok()

    listed, unlisted = (one["result"] for one in run.results(MODE))
    found = {blocker["unit"]: blocker for blocker in listed["blockers"]}
    assert found.pop("train.service")["user"] == "root"
    (own,) = found.values()
    assert (own["user"], own["user_unit"]) == ("ops", "notebook.service")
    assert own["unit"].startswith("user@")
    for words in ("of root, train.service, since ", "of ops, notebook.service, since "):
        assert words in listed["msg"]
    assert [(blocker["name"], blocker["unit"]) for blocker in unlisted["blockers"]] == [("sleep", "monitor.service")]
    assert "by the open device file" in unlisted["msg"]

    seen, partly = (one["result"]["ansible_facts"]["mig"] for one in run.results(FACTS))
    assert [[process["unit"] for process in gpu["handles"]] for gpu in seen["gpus"]] == [[], ["monitor.service"]]
    assert "handles" not in seen["incomplete"]
    assert "handles" in partly["incomplete"]
    assert host.run("systemctl is-active train monitor").stdout.split() == ["active"] * 2
    host.run("systemctl stop train monitor user@$(id -u ops)")


# Makes a cgroup of the name that it is given in its own, and goes there.
CLAIMS = """#!/bin/sh
name=$1; shift
own=$(sed -n 's/^[0-9]*:name=systemd://p; s/^0:://p' /proc/self/cgroup | head -n 1)
for root in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    test -d "$root$own" && break
done
mkdir -p "$root$own/$name" && echo $$ > "$root$own/$name/cgroup.procs" && exec "$@"
"""
POD, CONTAINER = "5b0c3a3e-7f3a-4a56-9b57-0f5e6f8b7c11", "ab" * 32


@pytest.mark.prove
def test_what_a_user_calls_a_cgroup_is_shown_and_decides_nothing(run_playbook, host):
    gpu = host.show()["gpus"][0]["uuid"]
    host.run("cat > /usr/local/bin/claims && chmod +x /usr/local/bin/claims", text=CLAIMS)
    names = {"pod": f"kubepods/burstable/pod{POD}/{CONTAINER}", "job": "system.slice/slurmstepd.scope/job_4711/step_0"}
    for unit, name in names.items():
        # What it holds it goes on holding in the cgroup.
        start(host, unit, f"run --device {gpu}", user=True, then=f"/usr/local/bin/claims {name}")
        pid = host.run(f"timeout 60 sh -c 'until grep -l {name} /proc/[0-9]*/cgroup; do sleep 0.1; done'").stdout
        assert pid
    run = run_playbook(tasks({MODE: {"state": "enabled", "gpus": [0]}}), [host]).ok()
    (refused,) = (one["result"] for one in run.results(MODE))
    assert [(one["pod"], one["container"], one["slurm_job"]) for one in refused["blockers"]] == [(None, None, None)] * 2
    assert all(one["unit"].startswith("user@") for one in refused["blockers"])
    pods, jobs = (
        [one["claimed"][kind] for one in refused["blockers"] if one["claimed"][kind]] for kind in ("pod", "slurm_job")
    )
    assert pods == [{"uid": POD, "namespace": None, "name": None}]
    assert [job["id"] for job in jobs] == [4711]
    assert f"the pod with UID {POD} by its user's account" in refused["msg"]
    assert "Slurm job 4711 step 0 by its user's account" in refused["msg"]
    assert in_the_way(refused["must_be_free"]) == {"services": [], "pods": [], "slurm_jobs": []}
    host.run("systemctl stop user@$(id -u ops)")


# A job on a large MIG device with a socket that would start it again and a unit that stops with it, and one on a small.
UNITS = {
    "train.socket": "[Socket]\nListenStream=/run/train.socket\n",
    "train.service": "[Service]\nExecStart=/usr/local/bin/use [2-7]g train\n"
    "ExecStopPost=/usr/local/bin/log stop-train\n",
    "watch.service": "[Unit]\nRequires=train.service\nAfter=train.service\n"
    "[Service]\nExecStart=/bin/sleep infinity\nExecStartPost=/usr/local/bin/log start-watch\n"
    "ExecStopPost=/usr/local/bin/log stop-watch\n",
    "small.service": "[Service]\nExecStart=/usr/local/bin/use 1g small\nExecStopPost=/usr/local/bin/log stop-small\n",
}
PROGRAMS = {
    # Logs its start when it holds the first MIG device of that size.
    "use": "#!/bin/sh\ndevice=$(nvidia-smi -L | grep -m 1 \"MIG $1\" | grep -o 'MIG-[^)]*')\n"
    'exec mig-simulator run --device $device -- sh -c "/usr/local/bin/log start-$2; exec sleep infinity"\n',
    "log": '#!/bin/sh\necho "$1" >> /var/log/units\n',
}
LARGE = {"3g.20gb": 1, "1g.5gb": 1}
OTHER = {"2g.10gb": 1, "1g.5gb": 1}


def layout(instances):
    return {"mig_partition_layout": [{"gpus": [0], "instances": instances}]}


@pytest.fixture(scope="module")
def units(host, main_environment, tmp_path_factory):
    """The host on which these units run, GPU 0 with MIG on."""
    for folder, files in (("/etc/systemd/system", UNITS), ("/usr/local/bin", PROGRAMS)):
        for name, text in files.items():
            host.run(f"cat > {folder}/{name} && chmod +x {folder}/{name}", text=text)
    Run(tmp_path_factory.mktemp("units") / "run", main_environment, PARTITION, [host], extra_vars=layout(LARGE)).ok()
    return host


def reset(host):
    """GPU 0 as LARGE says, all units started anew, and nothing in their log."""
    host.run("systemctl daemon-reload; systemctl stop train.socket watch train small; rm -f /var/log/units")
    host.run("nvidia-smi mig -i 0 -dci && nvidia-smi mig -i 0 -dgi", check=False)
    host.run(f"nvidia-smi mig -i 0 -cgi {','.join(LARGE)} -C")
    host.run("systemctl start train.socket small watch")
    host.run("until test $(grep -c start- /var/log/units) = 3; do sleep 0.1; done; rm /var/log/units")


def devices(host):
    return [
        one["uuid"]
        for gpu in host.show()["gpus"]
        for instance in gpu["instances"]
        for one in instance["compute_instances"]
    ]


def test_what_holds_a_device_is_stopped_and_started_again(run_playbook, units):
    reset(units)
    before, small = devices(units), units.run("systemctl show --property=MainPID small").stdout
    variables = {**layout(OTHER), "mig_partition_drain": ["systemd"]}

    foretold = run_playbook(PARTITION, [units], check=True, extra_vars=variables).ok()
    assert "Would stop train.socket, watch.service, train.service." in foretold.output
    assert devices(units) == before
    assert not units.run("ls /var/lib/gpufleet-mig/drain.json /var/log/units", check=False).stdout

    run = run_playbook(PARTITION, [units], extra_vars=variables).ok()
    assert run.outcome(units)["state"] == "changed"
    assert run.outcome(units)["hooks"] == ["systemd"]
    assert units.run("cat /var/log/units").stdout.split() == ["stop-watch", "stop-train", "start-train", "start-watch"]
    assert units.run("systemctl is-active train.socket watch train small").stdout.split() == ["active"] * 4
    assert len(set(devices(units)) & set(before)) == 1
    assert units.run("systemctl show --property=MainPID small").stdout == small

    again = run_playbook(PARTITION, [units], extra_vars=variables).ok()
    assert not [one for one in again.results() if one["result"].get("changed")], again.output
    assert len(units.run("cat /var/log/units").stdout.split()) == 4


STUBBORN = {
    "refuses": ("[Unit]\nRefuseManualStop=yes\n", "train.service of units refuses to be stopped by hand"),
    "takes too long": (
        "[Service]\nExecStop=/bin/sleep infinity\nTimeoutStopSec=infinity\n",
        "train.service of units did not stop within 3 seconds",
    ),
}


@pytest.mark.prove
@pytest.mark.parametrize("kind", STUBBORN)
def test_a_unit_that_does_not_stop(run_playbook, units, kind):
    settings, message = STUBBORN[kind]
    reset(units)
    units.run(
        "mkdir -p /run/systemd/system/train.service.d; cat > /run/systemd/system/train.service.d/stop.conf",
        text=settings,
    )
    units.run("systemctl daemon-reload")
    before = devices(units)
    variables = {**layout(OTHER), "mig_partition_drain": ["systemd"], "mig_partition_drain_deadline": 3}
    run = run_playbook(PARTITION, [units], extra_vars=variables).failed()
    assert message in run.outcome(units)["message"]
    assert devices(units) == before
    units.run(
        "rm -r /run/systemd/system/train.service.d; systemctl daemon-reload; systemctl kill --kill-who=control train",
        check=False,
    )
    units.run("timeout 60 sh -c 'while systemctl is-active train | grep deactivating; do sleep 0.1; done'")
    run_playbook("gpufleet.mig.restore", [units]).ok()
    assert units.run("systemctl is-active train.socket watch train small").stdout.split() == ["active"] * 4
    assert not units.run("ls /var/lib/gpufleet-mig/drain.json", check=False).stdout


@pytest.mark.prove
def test_a_transient_unit_is_not_stopped(run_playbook, units):
    reset(units)
    units.run("systemctl stop watch train train.socket; systemd-run --unit=once /usr/local/bin/use 3g once")
    units.run("until grep -q start-once /var/log/units; do sleep 0.1; done")
    before = devices(units)
    variables = {**layout(OTHER), "mig_partition_drain": ["systemd"]}
    run = run_playbook(PARTITION, [units], extra_vars=variables).failed()
    assert "once.service of units was made by systemd-run" in run.outcome(units)["message"]
    assert devices(units) == before
    assert units.run("systemctl is-active once").stdout == "active\n"
    units.run("systemctl stop once")


def record(host, units):
    """What drain.json says the hook systemd has stopped: these units, or None where nothing is drained."""
    if units is not None:
        text = json.dumps({"version": 1, "entries": [{"hook": "systemd", "done": {"units": units}}]})
        host.run("cat > /var/lib/gpufleet-mig/drain.json", text=text)
    text = host.run("cat /var/lib/gpufleet-mig/drain.json", check=False).stdout
    return [entry["done"]["units"] for entry in json.loads(text)["entries"]] if text else None


def states(host):
    return host.run("systemctl is-active train.socket watch train small", check=False).stdout.split()


@pytest.mark.prove
def test_a_run_that_ends_while_a_group_is_stopped_leaves_what_restore_can_mend(run_playbook, units):
    # The service takes its time; the run is killed as soon as it begins to stop, its socket with it.
    reset(units)
    units.run("rm -f /tmp/go-on; mkdir -p /run/systemd/system/train.service.d")
    drop_in = "/run/systemd/system/train.service.d/stop.conf"
    stop = "sh -c 'touch /tmp/stopping; until test -e /tmp/go-on; do sleep 0.1; done'"
    units.run(f"cat > {drop_in}; systemctl daemon-reload", text=f"[Service]\nExecStop={stop}\n")
    variables = {**layout(OTHER), "mig_partition_drain": ["systemd"]}
    run = run_playbook(PARTITION, [units], extra_vars=variables)
    units.run("timeout 120 sh -c 'until test -e /tmp/stopping; do sleep 0.1; done'")
    run.kill()
    units.run("touch /tmp/go-on")
    assert record(units, None) == [["train.socket", "watch.service", "train.service"]]
    try:
        run_playbook("gpufleet.mig.restore", [units]).ok()
    finally:
        units.run(f"rm -f {drop_in} /tmp/stopping; systemctl daemon-reload")
    assert states(units) == ["active"] * 4
    assert record(units, None) is None


@pytest.mark.prove
def test_a_socket_that_is_stopped_while_its_service_runs(run_playbook, units):
    reset(units)
    units.run("systemctl stop train.socket watch")
    process = units.run("systemctl show --property=MainPID train").stdout
    record(units, ["train.socket", "watch.service", "train.service"])
    # Nothing that runs is disturbed, everything else is restored, and only the socket is left.
    for _attempt in range(2):
        run = run_playbook("gpufleet.mig.restore", [units]).failed()
        assert "systemctl stop train.service && systemctl start train.socket train.service" in run.output
        assert states(units) == ["inactive", "active", "active", "active"]
        assert units.run("systemctl show --property=MainPID train").stdout == process
        assert record(units, None) == [["train.socket"]]

    # A run that stops the service restores both, the socket first, though it has recorded the service only.
    variables = {**layout(OTHER), "mig_partition_drain": ["systemd"]}
    run_playbook(PARTITION, [units], extra_vars=variables).ok()
    assert states(units) == ["active"] * 4
    assert record(units, None) is None


@pytest.mark.prove
def test_a_unit_that_was_masked_or_removed_meanwhile_keeps_no_other_stopped(run_playbook, units):
    reset(units)
    units.run("systemctl stop train.socket watch train small")
    units.run("mv /etc/systemd/system/small.service /root; systemctl mask small")
    record(units, ["train.socket", "watch.service", "train.service", "small.service", "gone.service"])
    foretold = run_playbook("gpufleet.mig.restore", [units], check=True).finish()
    assert foretold.returncode == 0, foretold.output
    assert states(units) == ["inactive"] * 4
    run = run_playbook("gpufleet.mig.restore", [units]).failed()
    for words in ("small.service is masked: systemctl unmask small.service", "gone.service is not there any more"):
        assert words in run.output
    assert states(units) == ["active", "active", "active", "inactive"]
    assert record(units, None) == [["small.service", "gone.service"]]

    units.run("systemctl unmask small; mv /root/small.service /etc/systemd/system")
    units.run("cat > /run/systemd/system/gone.service", text="[Service]\nExecStart=/bin/sleep infinity\n")
    units.run("systemctl daemon-reload")
    run_playbook("gpufleet.mig.restore", [units]).ok()
    assert states(units) == ["active"] * 4
    assert record(units, None) is None
    units.run("systemctl stop gone; rm /run/systemd/system/gone.service; systemctl daemon-reload")


@pytest.mark.prove
def test_killed_at_each_task(run_playbook, units, progress):
    variables = {**layout(OTHER), "mig_partition_drain": ["systemd"]}

    def start(**options):
        return run_playbook(PARTITION, [units], extra_vars=variables, **options)

    def mend(repeated):
        if not repeated:
            run_playbook("gpufleet.mig.restore", [units], extra_vars=variables).ok()
            assert (states(units), record(units, None)) == (["active"] * 4, None)
        start().ok()
        assert (states(units), record(units, None)) == (["active"] * 4, None)

    def prepare():
        reset(units)

    killed_at_each_task(progress, "a change of a real host with the hook systemd", prepare, start, mend)
