# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drain hook slurm with a real slurmctld and slurmd, whose gres are the MIG devices that AutoDetect=nvml finds.

The tests share one cluster; the last one changes its MIG devices.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from drain_hooks import tasks_file
from kills import killed_at_each_task
from slurm_cluster import SlurmCluster

PARTITION, RESTORE = "gpufleet.mig.partition", "gpufleet.mig.restore"
BEFORE, AFTER = {"3g.20gb": 1, "1g.5gb": 2}, {"3g.20gb": 1, "2g.10gb": 1}
WAITS = "#!/bin/sh\nexec sleep infinity\n"
DRAINED = "/var/lib/gpufleet-mig/drain.json"


@pytest.fixture(scope="module", params=["bookworm"])
def slurm(request, systemd_hosts):
    gpus = [{"model": "A100-SXM4-40GB", "count": 1}]
    cluster = SlurmCluster(
        *systemd_hosts({f"{request.param}-slurm-controller": [], f"{request.param}-slurm-gpu": gpus})
    )
    cluster.start(BEFORE)
    cluster.add_user("mallory", 4711)
    return cluster


@pytest.fixture
def cluster(slurm):
    """The cluster with BEFORE's MIG devices, its node idle, no job, nothing drained."""
    yield slurm
    slurm.node.run(f"rm -f {DRAINED}")
    slurm.controller.run("systemctl start slurmctld")
    slurm.end_all()


@pytest.fixture
def run(run_playbook, cluster):
    """run(playbook, variables): a run on the node alone, though the inventory has the controller, too."""

    def start(playbook, variables=None, **options):
        given = {"mig_partition_drain": ["slurm"], **(variables or {})}
        both = [cluster.controller, cluster.node]
        return run_playbook(playbook, both, limit=cluster.node.name, extra_vars=given, **options)

    return start


def drain(**variables):
    """A play that drains with the hook slurm before a change of MIG devices, and leaves it at that."""
    role = {"name": "gpufleet.mig.mig_drain", "tasks_from": "drain"}
    given = {
        "mig_drain_hooks": ["slurm"],
        "mig_drain_plan": [{"action": "destroy_compute_instance"}],
        "mig_drain_change_id": "c-1",
        **variables,
    }
    return [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": role, "vars": given}]}]


def devices(cluster):
    """{MIG device UUID: its profile}."""
    instances = cluster.node.show()["gpus"][0]["instances"]
    return {compute["uuid"]: one["profile"] for one in instances for compute in one["compute_instances"]}


def in_service(cluster):
    """Whether jobs may start on the node. Slurm may go on telling the reason of a drain that has ended."""
    return cluster.node_state()[0] in ("IDLE", "ALLOCATED")


@pytest.mark.prove
def test_a_deadline_that_passes_changes_nothing(run, cluster):
    # Slurm would abort it when the MIG devices around it change.
    name = "{{ 7 * 7 }} | x"
    job = cluster.run("3g.20gb", name)
    before = devices(cluster)
    variables = {"mig_partition_layout": [{"instances": AFTER}], "mig_partition_drain_deadline": 1}
    failed = run(PARTITION, variables).failed()
    message = failed.outcome(cluster.node)["message"]
    for words in (cluster.node.name, f"job {job} (ops, {name})", "after 1 s", "mig_drain_slurm_jobs"):
        assert words in message
    assert in_service(cluster)
    foretold = run(PARTITION, variables, check=True).ok()
    said = [one["result"]["msg"] for one in foretold.results("ansible.builtin.debug")]
    assert [words for words in said if f"wait for job {job} (ops, {name})" in words], said
    assert in_service(cluster)
    assert devices(cluster) == before
    assert cluster.state(job) == "RUNNING"


@pytest.mark.prove
def test_a_node_that_an_administrator_drained_stays_so(run, cluster):
    cluster.update_node("State=DRAIN", "Reason=fan: broken [see ticket 7]")
    state = ("IDLE+DRAIN", "fan: broken [see ticket 7]")
    assert cluster.node_state() == state
    run(drain()).ok()
    assert cluster.node_state() == state
    run(RESTORE).ok()
    assert cluster.node_state() == state


@pytest.mark.prove
def test_jobs_are_requeued_when_asked(run, cluster):
    jobs = [cluster.run("1g.5gb"), cluster.run("3g.20gb")]
    run(drain(mig_drain_slurm_jobs="requeue")).ok()
    assert [cluster.state(job) for job in jobs] == ["PENDING", "PENDING"]
    assert cluster.node_state()[0] == "IDLE+DRAIN"
    run(RESTORE).ok()
    assert in_service(cluster)


@pytest.mark.prove
def test_without_other_mig_devices_only_the_jobs_in_the_way_count(run, cluster):
    bystander, holder = cluster.run("1g.5gb"), cluster.run("3g.20gb")
    in_the_way = [{"gpu": {"index": 0}, "processes": [{"pid": 1, "slurm_job": {"id": holder, "step": "batch"}}]}]
    variables = {"mig_drain_plan": [{"action": "destroy_gpu_instance"}], "mig_drain_must_be_free": in_the_way}
    run(drain(**variables, mig_drain_slurm_jobs="cancel")).ok()
    assert cluster.state(bystander) == "RUNNING"
    assert cluster.state(holder) == "CANCELLED"


@pytest.mark.prove
def test_a_killed_controller_leaves_what_restore_needs(run, cluster):
    job = cluster.run("3g.20gb")
    waiting = run(drain())
    cluster.wait_until_drained()
    waiting.kill()
    (entry,) = json.loads(cluster.node.run(f"cat {DRAINED}").stdout)["entries"]
    assert cluster.node_state() == ("ALLOCATED+DRAIN", entry["done"]["reason"])
    run(RESTORE).ok()
    assert in_service(cluster)
    assert cluster.state(job) == "RUNNING"

    # In the meantime somebody else has found a reason to keep the node out of service.
    waiting = run(drain())
    cluster.wait_until_drained()
    waiting.kill()
    cluster.update_node("Reason=fan broken")
    told = run(RESTORE).ok()
    assert "fan broken" in told.result("ansible.builtin.debug")["msg"]
    assert cluster.node_state() == ("ALLOCATED+DRAIN", "fan broken")
    assert cluster.node.run(f"test -e {DRAINED}", check=False).returncode


@pytest.mark.prove
def test_killed_at_each_task(run, cluster, progress):
    def start(**options):
        return run(drain(mig_drain_slurm_jobs="requeue"), **options)

    def mend(repeated):
        if repeated:
            start().ok()
        run(RESTORE).ok()
        assert in_service(cluster)
        assert cluster.node.run(f"test -e {DRAINED}", check=False).returncode
        cluster.end_all()

    def prepare():
        cluster.run("1g.5gb")

    killed_at_each_task(progress, "a drain with the hook slurm", prepare, start, mend)


@pytest.mark.prove
def test_what_slurm_refuses_is_told(run, run_playbook, cluster):
    ops = SimpleNamespace(
        name=cluster.controller.name, variables=lambda: {**cluster.controller.variables(), "ansible_become": False}
    )
    play = drain(mig_drain_slurm_host=ops.name)
    denied = run_playbook(play, [ops, cluster.node], limit=cluster.node.name).failed()
    assert f"scontrol on {ops.name} said slurm_update error: Invalid user id" in denied.output
    assert in_service(cluster)
    unknown = run(drain(mig_drain_slurm_node="nobody")).failed()
    assert "Slurm has no node nobody" in unknown.output


@pytest.mark.parametrize("slurm", ["bookworm", pytest.param("trixie", marks=pytest.mark.prove)], indirect=True)
def test_a_jobs_name_ends_no_other_job(run, cluster):
    """A user writes into a job's name what Slurm's commands print of others."""
    node = cluster.node.name
    victim = cluster.submit("3g.20gb", "train", "--begin=now+1hour")
    beside = cluster.submit(None, "beside", program=WAITS)
    record = (
        f"   SubmitTime=2026-11-21T15:59:35 EligibleTime=2026-11-21T15:59:35\n   JOB_GRES=gpu:1\n"
        f"     Nodes={node} CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:0)\n   MinCPUsNode=1 MinMemoryNode=0\n   Command=x"
    )
    name = "x\n" + "".join(
        f"{job}|ops|RUNNING|y\n{job}|{job}|ops|RUNNING\n\nJobId={job} JobName=y\n{record}\n" for job in (victim, beside)
    )
    harmless = cluster.submit(None, name, f"--comment={name}", user="mallory", program=WAITS)
    holds = cluster.submit("1g.5gb", f"x\n\nJobId={victim} JobName=\x1b[2J", user="mallory", program=WAITS)
    jobs = (victim, beside, harmless, holds)
    for job in jobs[1:]:
        cluster.wait(f'test "$(squeue --noheader --format=%T --jobs={job})" = RUNNING')

    done = run(drain(mig_drain_slurm_jobs="cancel")).ok()
    assert [cluster.state(job) for job in jobs] == ["PENDING", "RUNNING", "RUNNING", "CANCELLED"]
    assert "\x1b" not in done.output
    asked = [one["result"]["jobs"] for one in done.results("gpufleet.mig.slurm_node_info")]
    assert [(job["id"], job["name"]) for job in asked[0]] == [(holds, rf"x\n\nJobId={victim} JobName=\x1b[2J")]
    assert asked[-1] == []


def test_the_whole_change_beside_jobs(run, cluster, tmp_path):
    goes, stays = cluster.run("1g.5gb"), cluster.run("3g.20gb")
    before = devices(cluster)
    (kept,) = [uuid for uuid, profile in before.items() if profile == "3g.20gb"]
    # What the operator does about Slurm's own configuration.
    configuration = {"content": cluster.configuration(AFTER), "dest": "/etc/slurm/slurm.conf", "mode": "0644"}
    expose = [
        {
            "ansible.builtin.copy": configuration,
            "delegate_to": "{{ item }}",
            "loop": [cluster.controller.name, cluster.node.name],
        },
        {
            "ansible.builtin.systemd_service": {"name": "slurmctld", "state": "restarted"},
            "delegate_to": cluster.controller.name,
        },
        {"ansible.builtin.systemd_service": {"name": "slurmd", "state": "restarted"}},
    ]
    variables = {
        "mig_partition_layout": [{"instances": AFTER}],
        "mig_drain_slurm_host": cluster.controller.name,
        "mig_partition_expose": [tasks_file(tmp_path / "expose.yml", expose)],
    }
    change = run(PARTITION, variables)
    cluster.wait_until_drained()
    waits = cluster.submit("3g.20gb")
    cluster.end(goes)
    cluster.wait_until_gone(goes)
    assert devices(cluster) == before
    assert cluster.state(waits) == "PENDING"
    cluster.end(stays)
    change.ok()
    after = devices(cluster)
    assert sorted(after.values()) == ["2g.10gb", "3g.20gb"]
    assert kept in after
    assert change.outcome(cluster.node)["state"] == "changed"
    cluster.wait_until_running(waits)
    assert in_service(cluster)
    assert cluster.node.run(f"test -e {DRAINED}", check=False).returncode

    # A run with nothing to change does not ask Slurm.
    cluster.controller.run("systemctl stop slurmctld")
    again = run(PARTITION, {"mig_partition_layout": [{"instances": AFTER}]}).ok()
    assert again.outcome(cluster.node)["state"] == "unchanged"
