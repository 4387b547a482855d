# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_partition on simulated hosts: who is drained, what comes back, what is told."""

from __future__ import annotations

import json
import os
import re
import select

import jsonschema
import pytest
import yaml
from drain_hooks import END_JOBS, FAIL, hook, log, say, tasks_file
from layouts import profiles
from paths import ROOT

PARTITION = "gpufleet.mig.partition"
H100 = "H100-SXM5-80GB"
FOUR = {"1g.10gb": 4}
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))


def read_report(path):
    """The report, which has the documented form."""
    report = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(report, SCHEMA)
    assert sum(report["counts"].values()) == len(report["hosts"])
    return report


def summary(run):
    """The lines of the run's last table."""
    return run.results("gpufleet.mig.mig_summary")[-1]["result"]["summary"]


def with_a_job(simulated_host, name):
    """A host with four 1g.10gb, a job in the first, and a layout that the first must make room for."""
    host = simulated_host("--mig", H100, name=name)
    host.run("nvidia-smi", "mig", "-cgi", ",".join(["1g.10gb"] * 4), "-C")
    device = host.show()["gpus"][0]["instances"][0]["compute_instances"][0]["uuid"]
    host.job(device)
    host.more_variables["mig_partition_layout"] = [{"instances": {"7g.80gb": 1}}]
    return host, device


def wanting(host, instances, **variables):
    host.more_variables.update(variables, mig_partition_layout=[{"instances": instances}])
    return host


@pytest.mark.prove
def test_a_fleet_of_all_sorts_in_one_run(run_playbook, simulated_host, tmp_path):
    drained, device = with_a_job(simulated_host, "drained")
    ends = hook(tmp_path / "hooks", "jobs", END_JOBS, clients=[])
    drained.more_variables["mig_partition_drain"] = [ends]
    refused, held = with_a_job(simulated_host, "refused")
    changes = wanting(simulated_host(H100, name="changes"), FOUR)
    lost = wanting(simulated_host("--mig", f"{H100}:2", name="lost"), FOUR)
    lost.simulator("fault", "nvmlDeviceGetMigMode", "--return", "GPU_IS_LOST", "--times", "99")
    away = wanting(simulated_host(H100, name="away"), FOUR, ansible_connection="ssh", ansible_host="127.0.0.1")
    away.more_variables["ansible_port"] = 1
    hosts = [drained, refused, changes, lost, away, simulated_host("L40S-48GB", name="l40s")]
    report = tmp_path / "report.json"
    variables = {"mig_partition_report": str(report)}
    before = {host.name: host.show() for host in hosts}

    foretold = run_playbook(PARTITION, hosts, check=True, diff=True, extra_vars=variables).finish()
    states = {
        "drained": "would_change",
        "refused": "failed",
        "changes": "would_change",
        "lost": "failed",
        "away": "unreachable",
        "l40s": "no_gpus",
    }
    assert not report.exists()
    first = read_report(report.with_name("report.check.json"))
    assert {host: one["state"] for host, one in first["hosts"].items()} == states
    assert {host.name: host.show() for host in hosts} == before
    assert not (drained.state_dir / "drain.json").exists()

    run = run_playbook(PARTITION, hosts, extra_vars=variables).finish()
    told = read_report(report)
    assert run.returncode == foretold.returncode == 4
    assert {host: one["state"] for host, one in told["hosts"].items()} == {
        **states,
        "drained": "changed",
        "changes": "changed",
    }
    for host in ("drained", "changes"):
        for key in ("plan", "actions", "kept", "disrupted", "drained", "hooks", "reset_gpus", "reboot"):
            assert told["hosts"][host][key] == first["hosts"][host][key], (host, key)
    assert [one["uuid"] for one in told["hosts"]["drained"]["drained"]] == [device]
    assert log(drained) == ["drain jobs", "clients jobs", f'workloads jobs {{"freed": ["{device}"]}}']
    assert not (drained.state_dir / "drain.json").exists()
    assert profiles(drained) == [{"7g.80gb": 1}]
    assert profiles(changes) == [FOUR]
    assert refused.show() == before["refused"]
    assert held in told["hosts"]["refused"]["message"]
    assert "mig_partition_drain" in told["hosts"]["refused"]["message"]
    lines = summary(run)
    assert lines[0] == "MIG: 1 no MIG-capable GPU, 2 changed, 2 FAILED, 1 UNREACHABLE"
    assert lines[1] == "no MIG-capable GPU: l40s"
    assert lines[-1] == "Once the cause is gone: ansible-playbook gpufleet.mig.partition … --limit refused,lost,away"
    rows = [line.split()[0] for line in lines[3:-1] if not line.startswith(" ")]
    assert rows == ["drained", "changes", "refused", "lost", "away"]
    assert "    1 x H100 80GB HBM3: 7g.80gb" in lines
    for host in (drained, changes):
        instances = [instance for gpu in host.show()["gpus"] for instance in gpu["instances"]]
        there = [device["uuid"] for instance in instances for device in instance["compute_instances"]]
        assert sorted(told["hosts"][host.name]["created"]) == sorted(there)

    # The causes go, and the run is made again where it is needed.
    refused.close()
    lost.simulator("fault", "--clear")
    again = run_playbook(PARTITION, hosts, limit="refused,lost", extra_vars=variables).ok()
    assert read_report(report)["counts"] == {"no_gpus": 1, "changed": 4, "unreachable": 1}
    assert profiles(lost) == [FOUR, FOUR]
    assert "away" not in again.output


STAGES = {
    # stage: what goes wrong (mig-simulator fault, or a user's task at a place)
    "drain": {"after_drain": [FAIL]},
    "mode": ["nvmlDeviceSetMigMode", "--nth", "2", "--return", "UNKNOWN"],
    "instances": ["nvmlDeviceCreateGpuInstanceWithPlacement", "--nth", "5", "--return", "INSUFFICIENT_RESOURCES"],
    "verify": {"before_verify": [{"ansible.builtin.command": {"argv": ["nvidia-smi", "mig", "-i", "1", "-dci"]}}]},
    "persistence": {"before_persistence": [FAIL]},
    "expose": {"before_expose": [FAIL]},
    "restore": {"before_restore": [FAIL]},
}


@pytest.mark.prove
def test_whatever_fails_both_stages_restore(run_playbook, simulated_host, tmp_path):
    hosts = {}
    for stage, wrong in STAGES.items():
        host = hosts[stage] = wanting(simulated_host(f"{H100}:2", name=stage), FOUR)
        # Somebody uses GPU 0 while MIG is off, so that it has to be drained.
        host.job("0")
        host.more_variables["mig_partition_drain"] = [hook(tmp_path / "hooks", "jobs", END_JOBS, clients=[])]
        host.more_variables["mig_partition_expose"] = [tasks_file(tmp_path / "expose.yml", [say("expose")])]
        if isinstance(wrong, list):
            host.simulator("fault", *wrong)
        else:
            place, tasks = next(iter(wrong.items()))
            host.more_variables["mig_partition_tasks"] = {place: tasks_file(tmp_path / f"{place}.yml", tasks)}
    run = run_playbook(PARTITION, list(hosts.values())).failed()
    for stage, host in hosts.items():
        outcome = run.outcome(host)
        assert (outcome["state"], outcome["stage"]) == ("failed", stage), outcome["message"]
        stays = stage in ("persistence", "expose", "restore")
        assert profiles(host) == ([FOUR, FOUR] if stays else [None, None]), stage
        assert outcome["changed"] == stays
        assert outcome["brought_back"] == (None if stays or stage == "drain" else True)
        said = [line.split(" {")[0] for line in log(host)]
        if stage == "restore":
            # The user's own task kept it from running, and it is still written down.
            assert said == ["drain jobs", "clients jobs", "expose"]
            assert (host.state_dir / "drain.json").exists()
            continue
        assert said[0] == "drain jobs"
        assert said[-1] == "workloads jobs"
        assert "clients jobs" in said
        assert ("expose" in said) == (stage == "restore")
        assert not (host.state_dir / "drain.json").exists()
    # A run that finds nothing to do restores what is still drained.
    host = hosts["restore"]
    del host.more_variables["mig_partition_tasks"]
    again = run_playbook(PARTITION, [host]).ok()
    assert again.outcome(host)["state"] == "unchanged"
    assert [line.split(" {")[0] for line in log(host)][-2:] == ["clients jobs", "workloads jobs"]
    assert not (host.state_dir / "drain.json").exists()


def test_the_third_hook_fails_and_the_others_are_restored(run_playbook, simulated_host, tmp_path):
    host, _device = with_a_job(simulated_host, "gpu-host")
    hooks = [hook(tmp_path, name, [FAIL] if name == "third" else []) for name in ("first", "second", "third")]
    before = host.show()
    run = run_playbook(PARTITION, [host], extra_vars={"mig_partition_drain": hooks}).failed()
    assert [" ".join(line.split()[:2]) for line in log(host)] == [
        *("drain first", "drain second", "drain third"),
        *("workloads third", "workloads second", "workloads first"),
    ]
    assert "on purpose" in run.outcome(host)["message"]
    assert run.outcome(host)["brought_back"] is None
    assert host.show() == before


def test_a_hook_that_frees_nothing_is_not_believed(run_playbook, simulated_host, tmp_path):
    host, device = with_a_job(simulated_host, "gpu-host")
    before = host.show()
    run = run_playbook(PARTITION, [host], extra_vars={"mig_partition_drain": [hook(tmp_path, "idle")]}).failed()
    outcome = run.outcome(host)
    assert (outcome["stage"], outcome["changed"]) == ("drain", False)
    assert device in outcome["message"]
    assert log(host) == ["drain idle", "workloads idle {}"]
    assert host.show() == before


@pytest.mark.prove
@pytest.mark.parametrize("then", ["gpufleet.mig.restore", PARTITION])
def test_a_killed_controller_leaves_what_restore_needs(run_playbook, simulated_host, tmp_path, then):
    host, device = with_a_job(simulated_host, "gpu-host")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    stop = [{"ansible.builtin.command": {"argv": ["sh", "-c", 'echo here > "$1"; exec sleep 600', "sh", str(fifo)]}}]
    variables = {
        "mig_partition_drain": [hook(tmp_path, "jobs", END_JOBS, clients=[])],
        "mig_partition_tasks": {"before_instances": tasks_file(tmp_path / "stop.yml", stop)},
    }
    run = run_playbook(PARTITION, [host], extra_vars=variables)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    arrived = select.select([reader], [], [], 120)[0]
    os.close(reader)
    run.kill()
    assert arrived, run.output
    assert log(host) == ["drain jobs"]
    del variables["mig_partition_tasks"]
    run_playbook(then, [host], extra_vars=variables).ok()
    assert log(host) == ["drain jobs", "clients jobs", f'workloads jobs {{"freed": ["{device}"]}}']
    assert not (host.state_dir / "drain.json").exists()
    run_playbook("gpufleet.mig.restore", [host], extra_vars=variables).ok()
    assert len(log(host)) == 3


def test_serial_tells_each_batch_and_at_last_all(run_playbook, simulated_host, tmp_path):
    hosts = [wanting(simulated_host(H100, name=f"gpu-{number}"), FOUR) for number in range(5)]
    hosts[2].more_variables["mig_partition_layout"] = [{"instances": {"9g.99gb": 1}}]
    hosts[3].more_variables["mig_partition_layout"] = [{"instances": {"9g.99gb": 1}}]
    report = tmp_path / "report.json"
    plays = [
        {
            "hosts": "all",
            "serial": [1, 2, 1, 1],
            "gather_facts": False,
            "vars": {"mig_partition_report": str(report)},
            "roles": ["gpufleet.mig.mig_partition"],
        }
    ]
    run = run_playbook(plays, hosts).failed()
    tables = [one["result"]["summary"] for one in run.results("gpufleet.mig.mig_summary")]
    assert [table[0] for table in tables] == [
        "MIG: 1 changed",
        "MIG: 1 changed, 1 FAILED",
        "MIG: 2 changed, 2 FAILED, 1 not reached",
    ]
    told = read_report(report)
    assert told["complete"]
    assert [one["state"] for one in told["hosts"].values()] == [
        *("changed", "changed", "failed", "failed", "not_reached")
    ]
    assert "no profile 9g.99gb" in told["hosts"]["gpu-3"]["message"]


def test_the_four_commands_of_the_readme_with_its_inventory_and_a_rollback_of_the_rollback(
    run_playbook, simulated_host, tmp_path
):
    host = simulated_host(f"{H100}:2")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    variables = yaml.safe_load(re.search(r"^# inventory.yml\n(.*?)^```", text, re.M | re.S).group(1))["gpu_hosts"][
        "vars"
    ]
    assert variables.pop("ansible_become")
    host.more_variables = {
        **variables,
        "mig_partition_mig_parted_config": str(ROOT / "demo" / "mig-parted-config.yaml"),
        "mig_partition_report": str(tmp_path / "report.json"),
    }
    nothing = run_playbook("gpufleet.mig.rollback", [host]).failed()
    assert "nothing to go back to" in nothing.outcome(host)["message"]
    balanced = {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}
    other = {"mig_partition_layout": [{"instances": {"7g.80gb": 1}}]}
    for command, more, expected in (
        (PARTITION, {"check": True}, [None, None]),
        (PARTITION, {}, [balanced, balanced]),
        ("gpufleet.mig.verify", {}, [balanced, balanced]),
        # A layout and a label of the fleet, wherever they are given, are not those before the last change.
        ("gpufleet.mig.rollback", {"extra_vars": other}, [None, None]),
        ("gpufleet.mig.rollback", {}, [balanced, balanced]),
    ):
        run = run_playbook(command, [host], **more).ok()
        assert profiles(host) == expected, (command, more)
        assert "passed over" not in run.output


@pytest.mark.prove
def test_rollback_finds_the_last_change_behind_any_number_of_boots_and_stops_at_damage(
    run_playbook, simulated_host, edge_environment
):
    host, damaged, gone = (simulated_host(H100, name=name) for name in ("a", "b", "c"))
    layout = {"mig_partition_layout": [{"gpus": [0], "instances": FOUR}]}
    run_playbook(PARTITION, [host, damaged, gone], extra_vars=layout).ok()
    journal = (host.state_dir / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    boot = [json.dumps({**json.loads(line), "cause": "boot", "change": "boot"}, sort_keys=True) for line in journal]
    with open(host.state_dir / "journal.jsonl", "a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in boot * 100))
    with open(damaged.state_dir / "journal.jsonl", "a", encoding="utf-8") as file:
        file.write("garbage\n")
    (gone.state_dir / "journal.jsonl").unlink()
    os.mkfifo(gone.state_dir / "journal.jsonl")
    run = run_playbook("gpufleet.mig.rollback", [host, damaged, gone], environment=edge_environment).finish()
    assert run.outcome(host)["state"] == "changed"
    assert profiles(host) == [None]
    failed = {one["host"]: one["result"]["msg"] for one in run.results() if one["status"] == "failed"}
    assert (
        f"{damaged.state_dir}/journal.jsonl is damaged: 1 line of the last change, or after it, cannot" in failed["b"]
    )
    assert f"{gone.state_dir}/journal.jsonl cannot be read: It is no regular file. " in failed["c"]
    assert profiles(damaged) == profiles(gone) == [FOUR]


WRONG = {
    "a misspelt variable": ({"mig_partition_drian": []}, ["mig_partition_drian", "Did you mean mig_partition_drain?"]),
    "no boolean": ({"mig_partition_reboot": "perhaps"}, ["perhaps", "bool", "mig_partition_reboot"]),
    "no such label": (
        {
            "mig_partition_layout": [],
            "mig_partition_mig_parted_config": str(ROOT / "demo" / "mig-parted-config.yaml"),
            "mig_partition_mig_parted_label": "all-balancd",
        },
        ["Nothing was done for host-2: label: mig-configs has no 'all-balancd'; it has all-balanced"],
    ),
    "a layout and a label": (
        {"mig_partition_layout": [{"instances": FOUR}], "mig_partition_mig_parted_label": "all-balanced"},
        ["mig_partition_layout and mig_partition_mig_parted_label were both given for host"],
    ),
    "a place that is none": ({"mig_partition_tasks": {"before_lunch": "/dev/null"}}, ["before_lunch", "before_check"]),
    "a file that is not there": ({"mig_partition_tasks": {"before_check": "/nowhere/a.yml"}}, ["/nowhere/a.yml"]),
    "no such directory": ({"mig_partition_report": "/nowhere/report.json"}, ["/nowhere", "mig_partition_report"]),
    "a hook without its restore file": ({"mig_partition_drain": ["{directory}/alone.yml"]}, ["alone_restore.yml"]),
    "a hook of no known name": ({"mig_partition_drain": ["nomad"]}, ["nomad", "kubernetes, slurm, systemd"]),
    "a unit like an option": (
        {"mig_partition_drain": ["{directory}/jobs.yml"], "mig_drain_systemd_units": ["a.service", "--now"]},
        ["mig_drain_systemd_units[1]: got '--now'; expected a systemd unit such as train.service"],
    ),
    "an exception that is a path": (
        {"mig_partition_drain": ["{directory}/jobs.yml"], "mig_drain_systemd_except": ["../ssh"]},
        ["mig_drain_systemd_except[0]: got '../ssh'; expected a systemd unit such as train.service"],
    ),
}


def test_what_cannot_be_meant_is_refused_at_once(run_playbook, simulated_host, tmp_path):
    tasks_file(tmp_path / "alone.yml", [say("drain alone")])
    hook(tmp_path, "jobs", END_JOBS)
    report = tmp_path / "report.json"
    report.write_text('"of another day"', encoding="utf-8")
    hosts = []
    for number, (variables, _named) in enumerate(WRONG.values()):
        host, _device = with_a_job(simulated_host, f"host-{number}")
        text = json.dumps(variables).replace("{directory}", str(tmp_path))
        host.more_variables.update({"mig_partition_report": str(report), **json.loads(text)})
        hosts.append(host)
    before = [host.show() for host in hosts]
    run = run_playbook(PARTITION, hosts).finish()
    assert run.returncode == 2
    assert json.loads(report.read_text(encoding="utf-8"))["counts"] == {"failed": len(hosts)}
    for host, (_variables, named) in zip(hosts, WRONG.values(), strict=True):
        outcome = run.outcome(host)
        assert outcome["state"] == "failed"
        # What the role can know by itself it says before it looks at the host.
        assert outcome["stage"] == ("drain" if "systemd" in named[0] else "check")
        assert [word for word in named if word not in outcome["message"]] == [], outcome["message"]
        assert log(host) == []
    assert [host.show() for host in hosts] == before


def test_the_play_of_the_roles_readme(run_playbook, simulated_host):
    text = (ROOT / "roles" / "mig_partition" / "README.md").read_text(encoding="utf-8")
    (play,) = yaml.safe_load(re.search(r"^```yaml\n(.*?)^```", text, re.M | re.S).group(1))
    hosts = [simulated_host("--mig", "A100-SXM4-40GB", name="a100"), simulated_host(H100, name="h100")]
    run_playbook([{**play, "hosts": "all"}], hosts).ok()
    assert [profiles(host) for host in hosts] == [[{"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2}], [{"1g.10gb": 7}]]
