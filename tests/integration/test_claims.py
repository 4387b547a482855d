# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run at a time has a host: others wait or are refused, and a run that lost it touches nothing more."""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime, timezone

import modules
import pytest
from drain_hooks import FAIL, hook, log, tasks_file
from layouts import profiles
from other_runs import claim_file, claim_of_bob, claim_on

PARTITION, RESTORE = "gpufleet.mig.partition", "gpufleet.mig.restore"
CLAIM, INSTANCES = "gpufleet.mig.mig_claim", "gpufleet.mig.mig_instances"
SEVEN, HALVES = {"1g.10gb": 7}, {"3g.40gb": 2}
MODEL = "H100-SXM5-80GB"


def wanted(instances, **more):
    """Variables with which all GPUs get these instances."""
    return {"mig_partition_layout": [{"instances": instances}], **more}


@pytest.fixture
def host(simulated_host):
    return simulated_host("--mig", MODEL)


def done(run):
    """The results of mig_claim, without those of tasks that were left out."""
    return [one for one in run.results(CLAIM) if one["status"] != "skipped"]


def bare(instances, **options):
    """A play with the module alone."""
    task = {INSTANCES: {"instances": instances, "state_dir": "{{ mig_state_dir }}", **options}}
    return [{"hosts": "all", "gather_facts": False, "tasks": [task]}]


def test_a_run_has_the_host_from_before_the_check_to_its_end(run_playbook, host):
    run = run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN)).ok()
    (check,) = run.results("gpufleet.mig.mig_driver_check")
    assert (check["result"]["claimed"], check["result"]["taken"]) == (True, True)
    claims = [one["result"]["claimed"] for one in done(run)]
    assert claims == [True] * (len(claims) - 1) + [False]
    assert claim_on(host) is None
    # With nothing to do the check gives it up again, and no other task contacts the host.
    again = run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN)).ok()
    assert again.outcome(host)["claim"] is None
    assert not any("claimed by" in line for line in again.picture())
    (check,) = again.results("gpufleet.mig.mig_driver_check")
    assert (check["result"]["settled"], check["result"]["claimed"], check["result"]["taken"]) == (True, False, False)
    assert done(again) == []
    assert not [one for one in again.results() if one["result"].get("changed")]
    assert claim_on(host) is None


def test_a_host_without_gpus_is_left_alone(run_playbook, simulated_host):
    host = simulated_host(name="bare").without_driver()
    run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN)).ok()
    assert not host.state_dir.exists()


def test_while_another_run_has_it_nothing_is_read_or_changed(run_playbook, host):
    bobs = claim_of_bob(host)
    before = host.show()
    run = run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN)).failed()
    message = run.outcome(host)["message"]
    for words in ("bob from ctl-2", "stage drain", "mig_partition_claim_timeout", "-e mig_restore_claim=take"):
        assert words in message
    assert run.outcome(host)["claim"]["who"] == "bob"
    (check,) = run.results("gpufleet.mig.mig_driver_check")
    assert "evidence" not in check["result"]
    # Nor by a module alone, a rollback or a restore.
    assert "claimed by bob" in run_playbook(bare(SEVEN), [host]).failed().result(INSTANCES)["msg"]
    for playbook in ("gpufleet.mig.rollback", RESTORE):
        assert "claimed by bob" in run_playbook(playbook, [host]).failed().output
    assert (host.show(), claim_on(host)) == (before, bobs)
    # Whoever only looks is told of it.
    for check, playbook in ((True, PARTITION), (False, "gpufleet.mig.facts")):
        run = run_playbook(playbook, [host], check=check, extra_vars=wanted(SEVEN)).ok()
        assert any("claimed by bob from ctl-2 since" in line for line in run.picture())
    table = (
        run_playbook(PARTITION, [host], check=True, extra_vars=wanted(SEVEN)).ok().result("gpufleet.mig.mig_summary")
    )
    assert any("Claimed by bob from ctl-2, stage drain" in line for line in table["summary"])
    assert (host.show(), claim_on(host)) == (before, bobs)


@pytest.mark.prove
def test_a_run_waits_for_the_end_of_another(run_playbook, host):
    claim_of_bob(host)
    ends = threading.Timer(2, os.unlink, [claim_file(host)])
    ends.start()
    run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN, mig_partition_claim_timeout=300)).ok()
    ends.join()
    assert profiles(host) == [SEVEN]


def test_two_that_wait_for_each_others_hosts_both_end(run_playbook, simulated_host):
    hosts = [simulated_host("--mig", MODEL, name=name) for name in ("a", "b")]
    for host in hosts:
        claim_of_bob(host)
    run = run_playbook(PARTITION, hosts, extra_vars=wanted(SEVEN, mig_partition_claim_timeout=2)).failed()
    assert [run.outcome(host)["state"] for host in hosts] == ["failed", "failed"]


@pytest.mark.prove
def test_a_lapsed_claim_is_taken(run_playbook, host):
    claim_of_bob(host, silent_for=100, silence=60)
    run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN)).ok()
    assert (profiles(host), claim_on(host)) == ([SEVEN], None)
    claim_of_bob(host, silent_for=100, silence=60)
    run = run_playbook(bare(HALVES), [host]).ok()
    assert "had lapsed" in run.output
    assert (profiles(host), claim_on(host)) == ([HALVES], None)


@pytest.mark.parametrize("shift", ["+1 day", "-1 day"])
def test_a_clock_that_is_set_by_a_day_changes_nothing(host, shift):
    def change(instances):
        through = ("faketime", "--exclude-monotonic", shift)
        return modules.run_module(host, "mig_instances", {"instances": instances}, through=through)

    claim_of_bob(host, silent_for=100, silence=3600)
    assert "claimed by bob" in change(SEVEN).failed()["msg"]
    assert profiles(host) == [{}]
    os.unlink(claim_file(host))
    claim_of_bob(host, silent_for=100, silence=60)
    assert "had lapsed" in json.dumps(change(SEVEN).ok()["warnings"])
    assert (profiles(host), claim_on(host)) == ([SEVEN], None)
    # It was set: the journal's times, which are only shown, are of another day.
    (day,) = {
        line.partition('"time": "')[2][:10] for line in (host.state_dir / "journal.jsonl").read_text().splitlines()
    }
    assert day != datetime.now(timezone.utc).strftime("%Y-%m-%d")


def test_restore_takes_a_live_claim_only_when_told(run_playbook, host):
    claim_of_bob(host)
    assert "-e mig_restore_claim=take" in run_playbook(RESTORE, [host]).failed().output
    run_playbook(RESTORE, [host], extra_vars={"mig_restore_claim": "take"}).ok()
    assert claim_on(host) is None


@pytest.mark.prove
@pytest.mark.parametrize("way", ["restore", "the same command"])
def test_what_a_killed_run_has_is_taken_at_once(run_playbook, host, tmp_path, way):
    run_playbook(PARTITION, [host], extra_vars=wanted(HALVES)).ok()
    uuid = host.show()["gpus"][0]["instances"][0]["compute_instances"][0]["uuid"]
    host.job(uuid)
    empty = hook(tmp_path, "empty", [FAIL])
    variables = wanted(SEVEN, mig_partition_drain=[empty])
    run_playbook(PARTITION, [host], extra_vars=variables, kill_at=("Fail on purpose", "start")).killed()
    assert claim_on(host).stage == "drain"
    if way == "restore":
        run_playbook(RESTORE, [host], extra_vars=variables).ok()
    else:
        run_playbook(PARTITION, [host], extra_vars=variables).failed()
    assert "workloads empty {}" in log(host)
    assert (profiles(host), claim_on(host)) == ([HALVES], None)
    assert not (host.state_dir / "drain.json").exists()


def stolen(host):
    """A task after which the host is claimed by bob."""
    theirs = claim_of_bob(host)
    text = json.dumps(dict(theirs._asdict(), version=1))
    (host.state_dir / "claim.json").unlink()
    return {
        "name": "Bob takes it",
        "ansible.builtin.copy": {"content": text + "\n", "dest": "{{ mig_state_dir }}/claim.json", "mode": "0644"},
        "delegate_to": "localhost",
    }


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("before_instances", marks=pytest.mark.prove),
        "after_instances",
        pytest.param("after_drain", marks=pytest.mark.prove),
    ],
)
def test_a_run_that_lost_the_host_touches_nothing_more(run_playbook, host, tmp_path, place):
    run_playbook(PARTITION, [host], extra_vars=wanted(HALVES)).ok()
    uuid = host.show()["gpus"][0]["instances"][0]["compute_instances"][0]["uuid"]
    job = host.job(uuid)
    end = {"ansible.builtin.command": {"argv": ["kill", str(job.pid)]}, "changed_when": True}
    gone = {"ansible.builtin.wait_for": {"path": f"/proc/{job.pid}/exe", "state": "absent", "timeout": 20}}
    free = hook(tmp_path, "free", [end, gone])
    tasks = {place: tasks_file(tmp_path / "steal.yml", [stolen(host), *[FAIL] * (place == "after_instances")])}
    run = run_playbook(
        PARTITION, [host], extra_vars=wanted(SEVEN, mig_partition_drain=[free], mig_partition_tasks=tasks)
    ).failed()
    assert "touches nothing more there: it is claimed by bob from ctl-2" in run.outcome(host)["message"]
    # Neither going back nor restoring: that is bob's now.
    assert profiles(host) == [SEVEN if place == "after_instances" else HALVES]
    assert [line for line in log(host) if line.startswith("workloads")] == []
    assert (host.state_dir / "drain.json").exists()
    assert claim_on(host).change == "bobs"


def test_modules_in_the_users_tasks_are_the_runs_own(run_playbook, host, tmp_path):
    module = {INSTANCES: {"instances": HALVES, "state_dir": "{{ mig_state_dir }}"}}
    tasks = {"before_instances": tasks_file(tmp_path / "tasks.yml", [module])}
    run = run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN, mig_partition_tasks=tasks)).ok()
    assert [one["result"]["changed"] for one in run.results(INSTANCES)] == [True, True]
    journal = (host.state_dir / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["change"] for line in journal}) == 1


def test_a_gpu_that_somebody_else_has_changed_is_not_touched(run_playbook, simulated_host, tmp_path):
    host = simulated_host("--mig", f"{MODEL}:2")
    run_playbook(PARTITION, [host], extra_vars=wanted(HALVES)).ok()
    hand = {"ansible.builtin.command": {"argv": ["nvidia-smi", "mig", "-i", "1", "-dci"]}, "changed_when": True}
    more = [
        {"ansible.builtin.command": {"argv": ["nvidia-smi", "mig", "-i", "1", *words]}, "changed_when": True}
        for words in (["-dgi"], ["-cgi", "4g.40gb", "-C"])
    ]
    tasks = {"after_instances": tasks_file(tmp_path / "hand.yml", [hand, *more, FAIL])}
    environment = {"environment": {**host.environment}}
    for task in (hand, *more):
        task.update(environment)
    tasks_file(tmp_path / "hand.yml", [hand, *more, FAIL])
    run = run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN, mig_partition_tasks=tasks)).failed()
    assert profiles(host) == [HALVES, {"4g.40gb": 1}]
    outcome = run.outcome(host)
    assert not outcome["brought_back"]
    assert (
        "is not touched any more: it has a GPU instance 4g.40gb at slice 0 that this change did not make"
        in (outcome["message"])
    )
    assert "The last change of it that the journal has is " in outcome["message"]
    assert claim_on(host) is None


@pytest.mark.prove
def test_a_damaged_claim_is_told_with_the_way_out(run_playbook, host):
    host.state_dir.mkdir(parents=True, exist_ok=True)
    (host.state_dir / "claim.json").write_text("[" * 1000, encoding="utf-8")
    before = host.show()
    run = run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN)).failed()
    assert "If no run is under way, remove it" in run.outcome(host)["message"]
    assert host.show() == before
    run_playbook(PARTITION, [host], check=True, extra_vars=wanted(SEVEN)).ok()
    run_playbook(RESTORE, [host], extra_vars={"mig_restore_claim": "take"}).ok()
    run_playbook(PARTITION, [host], extra_vars=wanted(SEVEN)).ok()
