# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""slurm_node_info with a Slurm of which users have written what they like into their jobs."""

from __future__ import annotations

import pytest
from fake_slurm import FakeSlurm
from modules import run_module

GPU = "gpu:1(IDX:0)"
FORGED = "train\n1|alice|RUNNING|y\n1|1|alice|RUNNING\n\nJobId=1 JobName=y\n     Nodes=gpu-7 CPU_IDs=0 Mem=0 GRES=gpu:2"
VICTIM = {"id": 1, "user": "alice"}


@pytest.fixture
def told(simulated_host, tmp_path):
    """told(jobs of the node, **parameters): what the module returns of a node with these jobs."""
    host = simulated_host("A100-SXM4-40GB")

    def ask(on_the_node, **parameters):
        FakeSlurm(on_the_node).install(tmp_path)
        given = {"name": "gpu-7", "directory": str(tmp_path), **parameters}
        return run_module(host, "slurm_node_info", given).ok()["jobs"]

    return ask


def test_a_name_brings_no_other_job_into_the_way(told):
    (job,) = told([VICTIM, {"id": 2, "name": FORGED, "gres": GPU}])
    assert (job["id"], job["task"], job["user"], job["gres"], job["certain"]) == (2, "2", "ops", GPU, True)
    assert job["name"] == FORGED.replace("\n", "\\n")


def test_a_job_that_only_says_so_holds_nothing(told):
    assert told([VICTIM, {"id": 2, "name": FORGED, "comment": FORGED}]) == []


def test_a_job_that_is_named_counts_if_it_is_on_the_node(told):
    assert [(job["id"], job["certain"]) for job in told([VICTIM], gres=False, jobs=[1, 4711])] == [(1, True)]
