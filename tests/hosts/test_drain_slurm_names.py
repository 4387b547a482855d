# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drain hook slurm beside a user who writes into a job's name what Slurm's commands print of others."""

from __future__ import annotations

import pytest
from slurm_cluster import SlurmCluster

WAITS = "#!/bin/sh\nexec sleep infinity\n"


@pytest.fixture(scope="module", params=["bookworm", pytest.param("trixie", marks=pytest.mark.prove)])
def cluster(request, systemd_hosts):
    gpus = [{"model": "A100-SXM4-40GB", "count": 1}]
    hosts = systemd_hosts(
        {f"{request.param}-slurm-{name}": which for name, which in (("controller", []), ("gpu", gpus))}
    )
    started = SlurmCluster(*hosts)
    started.start({"3g.20gb": 1, "1g.5gb": 2})
    started.add_user("mallory", 4711)
    return started


def drain(node):
    role = {"name": "gpufleet.mig.mig_drain", "tasks_from": "drain"}
    variables = {
        "mig_drain_hooks": ["slurm"],
        "mig_drain_plan": [{"action": "destroy_compute_instance"}],
        "mig_drain_change_id": "c-1",
        "mig_drain_slurm_jobs": "cancel",
    }
    tasks = [{"ansible.builtin.include_role": role, "vars": variables}]
    return [{"hosts": node.name, "gather_facts": False, "tasks": tasks}]


def test_a_jobs_name_ends_no_other_job(run_playbook, cluster):
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
    both = [cluster.controller, cluster.node]

    run = run_playbook(drain(cluster.node), both, limit=node).ok()
    assert [cluster.state(job) for job in jobs] == ["PENDING", "RUNNING", "RUNNING", "CANCELLED"]
    assert "\x1b" not in run.output
    asked = [one["result"]["jobs"] for one in run.results("gpufleet.mig.slurm_node_info")]
    assert [(job["id"], job["name"]) for job in asked[0]] == [(holds, rf"x\n\nJobId={victim} JobName=\x1b[2J")]
    assert asked[-1] == []
    cluster.end_all()
