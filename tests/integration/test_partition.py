# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gpufleet.mig.partition on simulated hosts: check, apply, check, apply, each asserted."""

from __future__ import annotations

import json

import pytest
from drain_hooks import END_JOBS, FAIL, hook, log, say, tasks_file
from layouts import profiles

PARTITION = "gpufleet.mig.partition"
VERIFY = "gpufleet.mig.verify"
SUMMARY = "gpufleet.mig.mig_summary"
MODE = "gpufleet.mig.mig_mode"
INSTANCES = "gpufleet.mig.mig_instances"
BALANCED = {"3g.40gb": 1, "2g.20gb": 1, "1g.10gb": 2}
LAYOUT = {"mig_partition_layout": [{"instances": BALANCED}, {"gpus": [1], "mig_enabled": False}]}
# The driver (R550 or later) tells profiles while MIG mode is off, so that check mode can foretell all.
MODEL = "H100-SXM5-80GB"


def check_apply_check_apply(run_playbook, host, environment):
    """The four runs; each of the four says and does what it should."""
    before = host.show()
    options = {"environment": environment, "diff": True, "extra_vars": LAYOUT}

    foretold = run_playbook(PARTITION, [host], check=True, **options).ok()
    assert foretold.result(MODE)["changed"]
    assert foretold.result(INSTANCES)["changed"]
    assert foretold.picture()[1] == "  GPU 0  MIG off"
    assert host.show() == before

    done = run_playbook(PARTITION, [host], **options).ok()
    for action in (MODE, INSTANCES):
        assert done.result(action)["changed"]
        assert done.result(action)["plan"] == foretold.result(action)["plan"]
        assert done.result(action)["actions"] == foretold.result(action)["actions"]
        assert done.result(action)["diff"] == foretold.result(action)["diff"]
    assert foretold.outcome(host)["state"] == "would_change"
    assert done.outcome(host)["state"] == "changed"
    assert done.outcome(host)["plan"] == foretold.outcome(host)["plan"]
    assert done.result(INSTANCES)["diff"]["before"] != done.result(INSTANCES)["diff"]["after"]
    assert profiles(host) == [BALANCED, None]
    reached = host.show()

    for check in (True, False):
        again = run_playbook(PARTITION, [host], check=check, **options).ok()
        assert again.outcome(host)["state"] == "unchanged"
        assert again.outcome(host)["plan"] == []
        assert not [one for one in again.results() if one["result"].get("changed")]
        assert host.show() == reached


@pytest.mark.prove
def test_check_apply_check_apply(run_playbook, simulated_host, main_environment):
    check_apply_check_apply(run_playbook, simulated_host(f"{MODEL}:2"), main_environment)


@pytest.mark.parametrize(
    "edge_environment", ["oldest", pytest.param("newest", marks=pytest.mark.prove)], indirect=True, scope="session"
)
def test_check_apply_check_apply_on_other_controllers(run_playbook, simulated_host, edge_environment):
    check_apply_check_apply(run_playbook, simulated_host(f"{MODEL}:2"), edge_environment)


@pytest.mark.prove
def test_check_mode_says_what_an_older_driver_keeps_from_it(run_playbook, simulated_host):
    host = simulated_host("--driver", "535.161.07", "A100-SXM4-40GB")
    layout = {"mig_partition_layout": [{"instances": {"1g.5gb": 7}}]}
    foretold = run_playbook(PARTITION, [host], check=True, extra_vars=layout).ok()
    assert foretold.result(MODE)["changed"]
    assert "could not be planned yet" in " ".join(foretold.output.split())
    assert "would change, reset GPU 0, instances of GPU 0 not planned yet" in foretold.output
    assert [gpu["index"] for gpu in foretold.outcome(host)["not_checked"]] == [0]
    run = run_playbook(PARTITION, [host], extra_vars=layout).ok()
    assert profiles(host) == [{"1g.5gb": 7}]
    # The report has what was done, not what could be foretold of it.
    outcome = run.outcome(host)
    assert outcome["not_checked"] == []
    assert sum("create GPU instance 1g.5gb" in action for action in outcome["actions"]) == 7
    assert sum(step["action"] == "create_gpu_instance" for step in outcome["plan"]) == 7


def test_what_a_gpu_cannot_have_by_its_name_is_refused_before_an_older_driver_tells_and_anybody_is_disturbed(
    run_playbook, simulated_host, tmp_path
):
    host = simulated_host("--driver", "535.161.07", "A100-SXM4-40GB")
    job = host.job(host.show()["gpus"][0]["uuid"])
    before = host.show()
    options = {
        "mig_partition_layout": [{"instances": {"3g.20gb": 2, "1g.5gb": 1}}],
        "mig_partition_drain": [hook(tmp_path, "end", END_JOBS)],
    }
    outcome = run_playbook(PARTITION, [host], extra_vars=options).failed().outcome(host)
    assert (outcome["stage"], outcome["changed"], outcome["drained"]) == ("check", False, [])
    assert "at least 9 memory slices, and the GPU has 8" in outcome["message"]
    assert host.show() == before
    assert job.poll() is None


def test_busy_instances_stay_and_refusals_name_the_job(run_playbook, simulated_host):
    host = simulated_host("--mig", MODEL)
    first = run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": [{"instances": {"3g.40gb": 2}}]}).ok()
    busy = first.result(INSTANCES)["done"][-1]["uuid"]
    job = host.job(busy)

    change = run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": [{"instances": BALANCED}]}).ok()
    assert change.result(INSTANCES)["kept"] == [busy]
    row, *jobs = change.picture()[1:3]
    assert row.count("=3g.40gb*") == 1
    assert row.count("+2g.20gb") == 1
    assert row.count("+1g.10gb") == 2
    assert [str(job.pid) in line for line in jobs] == [True]
    assert profiles(host) == [BALANCED]

    before = host.show()
    refused = run_playbook(
        PARTITION, [host], extra_vars={"mig_partition_layout": [{"instances": {"7g.80gb": 1}}]}
    ).failed()
    outcome = refused.outcome(host)
    assert not outcome["changed"]
    assert busy in outcome["message"]
    assert str(job.pid) in outcome["message"]
    assert not refused.results(INSTANCES)
    assert host.show() == before


def test_a_mig_parted_file_is_a_layout(run_playbook, simulated_host, tmp_path):
    host = simulated_host(MODEL)
    config = tmp_path / "config.yaml"
    config.write_text(
        "version: v1\nmig-configs: {small: [{devices: all, mig-enabled: true, mig-devices: {1g.10gb: 7}}]}\n",
        encoding="utf-8",
    )
    variables = {"mig_partition_mig_parted_config": str(config), "mig_partition_mig_parted_label": "small"}
    run_playbook(PARTITION, [host], extra_vars=variables).ok()
    assert profiles(host) == [{"1g.10gb": 7}]


@pytest.mark.parametrize("given", [{}, {"mig_partition_mig_parted_config": "config.yaml"}], ids=["nothing", "no label"])
def test_without_a_layout_it_says_what_to_set(run_playbook, simulated_host, given):
    host = simulated_host(MODEL)
    run = run_playbook(PARTITION, [host], extra_vars=given).failed()
    message = run.outcome(host)["message"]
    assert "mig_partition_layout" in message
    assert "mig_partition_mig_parted_label" in message
    assert not run.results(MODE)


def test_a_host_without_mig_capable_gpus_is_left_alone(run_playbook, simulated_host):
    hosts = [simulated_host("L40S-48GB", name="l40s"), simulated_host(name="bare").without_driver()]
    run = run_playbook(PARTITION, hosts, extra_vars=LAYOUT).ok()
    assert not run.results(MODE)
    assert not run.results(INSTANCES)


def test_verify_says_the_difference(run_playbook, simulated_host):
    host = simulated_host(f"{MODEL}:2")
    run_playbook(PARTITION, [host], extra_vars=LAYOUT).ok()
    assert run_playbook(VERIFY, [host], extra_vars=LAYOUT).ok().results(SUMMARY)[-1]["result"]["summary"] == [
        "MIG: 1 as wanted",
        f"as wanted: {host.name}",
    ]
    host.run("nvidia-smi", "mig", "-i", "0", "-dci")
    before = host.show()
    away = simulated_host(MODEL, name="away")
    away.more_variables = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    run = run_playbook(VERIFY, [host, away], extra_vars=LAYOUT).finish()
    assert run.returncode == 4
    table = run.results(SUMMARY)[-1]["result"]["summary"]
    assert table[0] == "MIG: 1 FAILED, 1 UNREACHABLE"
    assert table[-1] == f"Once the cause is gone: ansible-playbook {VERIFY} … --limit {host.name},away"
    assert run.output.count("create compute instance 2g.20gb") == 1
    assert run.outcome(host)["message"].splitlines() == [
        f"{host.name} differs from its layout. To reach it:",
        "GPU 0: create compute instance 1g.10gb in the GPU instance at slice 0",
        "GPU 0: create compute instance 1g.10gb in the GPU instance at slice 1",
        "GPU 0: create compute instance 2g.20gb in the GPU instance at slices 2-3",
        "GPU 0: create compute instance 3g.40gb in the GPU instance at slices 4-7",
    ]
    assert host.show() == before


def test_after_going_back_the_picture_shows_what_is_there(run_playbook, simulated_host, tmp_path):
    host = simulated_host("--mig", MODEL)
    host.run("nvidia-smi", "mig", "-cgi", "3g.40gb", "-C")
    variables = {
        "mig_partition_layout": [{"instances": {"1g.10gb": 7}}],
        "mig_partition_tasks": {"after_verify": tasks_file(tmp_path / "fail.yml", [FAIL])},
    }
    run = run_playbook(PARTITION, [host], extra_vars=variables).failed()
    assert run.outcome(host)["brought_back"]
    assert profiles(host) == [{"3g.40gb": 1}]
    picture = "\n".join(run.picture())
    assert "3g.40gb" in picture
    assert "1g.10gb" not in picture


WHAT_A_HOOK_GETS = [
    say(
        "@drain {{ [mig_drain_must_be_free, mig_drain_plan, mig_drain_gpus, mig_drain_change_id, mig_drain_deadline]"
        " | to_json }}"
    )
]
WHAT_EXPOSE_GETS = [say("@expose {{ [mig_partition_target, mig_partition_plan] | to_json }}")]


def test_check_mode_shows_what_follows_a_drain(run_playbook, simulated_host, tmp_path):
    host = simulated_host("--mig", MODEL)
    host.run("nvidia-smi", "mig", "-cgi", "3g.40gb,3g.40gb", "-C")
    device = host.show()["gpus"][0]["instances"][0]["compute_instances"][0]["uuid"]
    host.job(device)
    before = host.show()
    variables = {
        "mig_partition_layout": [{"instances": {"1g.10gb": 7}}],
        "mig_partition_drain": [hook(tmp_path, "jobs", [*END_JOBS, *WHAT_A_HOOK_GETS])],
        "mig_partition_expose": [tasks_file(tmp_path / "expose.yml", WHAT_EXPOSE_GETS)],
    }
    foretold = run_playbook(PARTITION, [host], check=True, diff=True, extra_vars=variables).ok()
    assert foretold.result(INSTANCES)["changed"]
    for line in ("-  slices 0-3   3g.40gb", "+  slice 0      1g.10gb"):
        assert line in foretold.output
    assert host.show() == before
    done = run_playbook(PARTITION, [host], extra_vars=variables).ok()
    assert done.result(INSTANCES)["diff"] == foretold.result(INSTANCES)["diff"]
    # A hook that was written for release 0.1.0 finds what it knew.
    told = dict(line.split(" ", 1) for line in log(host) if line.startswith("@"))
    (freed,), (step, *_more), gpus, change, deadline = json.loads(told["@drain"])
    assert {"gpu", "uuid", "profile", "placement", "because", "processes", "allocated_to"} <= {*freed}
    assert (freed["uuid"], freed["profile"], freed["placement"]) == (device, "3g.40gb", {"start": 0, "size": 4})
    assert {"index", "uuid", "pci_address"} == {*freed["gpu"]} == {*gpus[0]}
    assert {"action", "gpu", "profile", "placement"} <= {*step}
    assert (bool(change), deadline) == (True, 600)
    (entry,), plan = json.loads(told["@expose"])
    assert [(one["profile"], one["placement"]) for one in entry["instances"]] == [
        ("1g.10gb", place) for place in range(7)
    ]
    assert {*entry} == {"gpus", "mig_enabled", "instances"}
    assert plan[0] == step

    # Without hooks it is refused, with advice that whoever uses the role can take.
    busy = simulated_host("A100-SXM4-40GB", name="busy")
    busy.job(0)
    refused = run_playbook(PARTITION, [busy], extra_vars={"mig_partition_layout": [{"instances": {"1g.5gb": 7}}]})
    message = refused.failed().outcome(busy)["message"]
    assert "Or name hooks in mig_partition_drain that empty it." in message
    assert "when_busy" not in message
    assert "busy_timeout" not in message


@pytest.mark.prove
@pytest.mark.parametrize("wanted", [{"1g.5gb": 7}, None])
@pytest.mark.parametrize("now", [True, False])
def test_a_mode_that_somebody_has_left_pending_is_finished(run_playbook, simulated_host, now, wanted):
    # As after `nvidia-smi -mig 1`, or 0, while a client was there.
    host = simulated_host(*["--mig"] * now, "A100-SXM4-40GB")
    job = host.hold(0)
    host.run("nvidia-smi", "-i", "0", "-mig", "01"[not now])
    job.kill()
    job.wait()
    before = host.show()
    gpu = before["gpus"][0]
    assert gpu["mig_mode_pending"] != gpu["mig_mode"]
    entry = {"instances": wanted} if wanted else {"mig_enabled": False}
    options = {"extra_vars": {"mig_partition_layout": [entry]}}
    foretold = run_playbook(PARTITION, [host], check=True, diff=True, **options).ok()
    assert foretold.outcome(host)["state"] == "would_change"
    assert host.show() == before
    done = run_playbook(PARTITION, [host], **options).ok()
    assert done.outcome(host)["state"] == "changed"
    assert profiles(host) == [wanted]
    again = run_playbook(PARTITION, [host], **options).ok()
    assert not [one for one in again.results() if one["result"].get("changed")]


def test_a_mode_that_is_pending_in_a_virtual_machine_needs_a_reboot(run_playbook, simulated_host):
    host = simulated_host("A100-SXM4-40GB")
    host.simulator("passthrough", "on")
    host.run("nvidia-smi", "-i", "0", "-mig", "1")
    before = host.show()
    run = run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": [{"instances": {"1g.5gb": 7}}]}).failed()
    outcome = run.outcome(host)
    # That it needs a reboot was foretold; that its reset is refused was tried.
    assert "its driver does not reset the GPU. Set mig_partition_reboot: true" in outcome["message"]
    assert (outcome["stage"], outcome["changed"], outcome["brought_back"]) == ("mode", False, True)
    assert host.show() == before


def test_the_checks_alone(run_playbook, simulated_host):
    host = simulated_host("--mig", MODEL)
    before = host.show()
    run = run_playbook(
        PARTITION, [host], tags=["check"], extra_vars={"mig_partition_layout": [{"instances": {"1g.10gb": 7}}]}
    )
    run.ok()
    assert len(run.result("gpufleet.mig.mig_driver_check")["plan"]) == 14
    assert host.show() == before
    assert not [one for one in run.results() if one["result"].get("changed")]
    assert not host.state_dir.exists()
