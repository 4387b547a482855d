# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which jobs of a Slurm node are in the way, how long they are waited for, and what is said of them."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.slurm_node import slurm_drain

NODE = {"states": ["IDLE"], "reason": None, "in_service": True}
JOBS = [
    {"task": "4711", "user": "alice", "name": "train", "certain": True},
    {"task": "12_3", "user": "bob", "name": "x", "certain": False},
]
NAMED = "job 4711 (alice, train), job 12_3 (bob, x)"
SEEN = {
    "must_be_free": [], "node": "gpu-7", "host": "control", "jobs": "wait", "found": {"node": NODE, "jobs": JOBS},
    "drained": {}, "ended": {},
}  # fmt: skip
WHY = "The MIG devices of the node change, and then Slurm aborts every job that holds any of its GPUs."


def drain(actions=("destroy_compute_instance",), deadline=600, **seen):
    return slurm_drain([{"action": action} for action in actions], deadline, {**SEEN, **seen})


@pytest.mark.parametrize(
    ("actions", "gres"),
    [
        (["set_mig_mode"], True),
        (["reset_gpu"], True),
        (["create_gpu_instance", "create_compute_instance"], True),
        (["destroy_compute_instance", "destroy_gpu_instance"], True),
        (["create_gpu_instance"], False),
        ([], False),
    ],
)
def test_other_mig_devices_are_in_the_way_of_every_job_with_gpus(actions, gres):
    assert drain(actions)["gres"] is gres


def test_jobs_that_use_what_has_to_be_free_are_in_the_way():
    free = [{"processes": [{"slurm_job": {"id": 7, "step": "batch"}}, {"slurm_job": None}]}]
    assert drain(must_be_free=free, found={})["jobs"] == [7]


@pytest.mark.parametrize(
    ("deadline", "timeout", "retries"), [(1, 1, 0), (0, 0, 0), (120, 120, 0), (121, 61, 1), (600, 120, 4), (0.5, 1, 0)]
)
def test_no_wait_is_longer_than_two_minutes(deadline, timeout, retries):
    told = drain(deadline=deadline)
    assert (told["timeout"], told["retries"]) == (timeout, retries)


def test_only_jobs_that_hold_gpus_for_certain_are_ended():
    assert (drain(jobs="requeue")["end"], drain()["end"]) == (["scontrol", "requeue"], [])
    told = drain(jobs="cancel")
    assert (told["end"], told["ends"]) == (["scancel", "--verbose"], ["4711"])


@pytest.mark.parametrize(("jobs", "word"), [("wait", "wait for"), ("requeue", "requeue"), ("cancel", "cancel")])
def test_what_would_be_done(jobs, word):
    assert drain(jobs=jobs)["would"] == f"Would drain Slurm node gpu-7. Would {word} {NAMED}. {WHY}"


def test_what_would_be_done_of_a_node_that_is_drained_already():
    out = {"states": ["IDLE", "DRAIN"], "reason": "fan broken", "in_service": False}
    told = drain(found={"node": out, "jobs": []})["would"]
    assert told == "Slurm node gpu-7 would stay as it is, IDLE+DRAIN, for its reason: fan broken No job is in the way."


def test_what_slurm_refuses_is_told():
    told = drain(drained={"msg": "x", "said": "slurm_update error: Invalid user id"})["not_drained"]
    assert "Slurm node gpu-7 was not drained: scontrol on control said slurm_update error: Invalid user id." in told
    assert "said no python." in drain(drained={"msg": "no python"})["not_drained"]


def test_a_node_that_is_still_in_use_is_told_of():
    told = drain(["destroy_gpu_instance"], deadline=1)["refusal"]
    assert told.startswith(
        f"Slurm node gpu-7 is still in use after 1 s: {NAMED}. They use what has to be free. Nothing"
    )
    assert told.endswith("or set mig_drain_slurm_jobs to requeue or cancel.")
    unknown = drain(found={"msg": "squeue: no answer"})["refusal"]
    assert unknown.startswith("Slurm does not tell whether node gpu-7 is free: squeue: no answer Nothing was changed.")


def test_why_a_job_was_not_ended_is_told_where_it_was_to_be():
    ended = {"results": [{"stderr": ""}, {"stderr": "Requested operation is \x1b[2J disabled\n"}]}
    told = drain(jobs="requeue", ended=ended)["refusal"]
    assert told.endswith(r"cancel. Requested operation is \x1b[2J disabled")
    assert drain(ended=ended)["refusal"].endswith("requeue or cancel.")
