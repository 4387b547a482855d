# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What drain hooks have to move, of what is in the way."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.in_the_way import in_the_way

UID, OTHER, STATIC = (
    "5b0c3a3e-7f3a-4a56-9b57-0f5e6f8b7c11",
    "a2830d0d-b0f0-4ff0-81b5-0ee4e299cf80",
    "2732ca68f6358eba" * 2,
)
POD, CONTAINER = {"uid": UID, "namespace": "ml", "name": "train-0"}, {"id": "a" * 64, "runtime": "docker"}
NOTHING = {"services": [], "pods": [], "slurm_jobs": []}


def process(**known):
    names = ("unit", "user_unit", "container", "pod", "slurm_job", "claimed")
    return {"pid": 1, "name": "python3", **dict.fromkeys(names), **known}


def found(*processes, allocated_to=()):
    return in_the_way([{"uuid": "MIG-1", "processes": list(processes), "allocated_to": list(allocated_to)}])


def test_nothing_is_in_the_way():
    assert in_the_way([]) == in_the_way([{"uuid": "MIG-1"}]) == NOTHING


def test_each_kind_is_moved_by_its_own_hook():
    assert found(
        process(unit="train.service"),
        process(unit="train.service"),
        process(unit="cri-containerd-a.scope", pod=POD, container=CONTAINER),
        process(unit="docker.service", container=CONTAINER),
        process(unit="slurmd.service", slurm_job={"id": 4711, "step": "0", "name": "x"}),
        process(unit="session-3.scope"),
        process(unit="user@1000.service", user_unit="notebook.service"),
        allocated_to=[
            {"uid": OTHER, "namespace": "ml", "name": "waits"},
            {"uid": STATIC, "namespace": None, "name": None},
        ],
    ) == {
        "services": ["train.service"],
        "pods": [
            POD,
            {"uid": OTHER, "namespace": "ml", "name": "waits"},
            {"uid": STATIC, "namespace": None, "name": None},
        ],
        "slurm_jobs": [4711],
    }


def test_what_a_process_claims_decides_nothing():
    claimed = {"container": CONTAINER, "pod": POD, "slurm_job": {"id": 4711, "step": "0", "name": None}}
    assert found(process(unit="user@1000.service", claimed=claimed)) == NOTHING
    # It does not keep its own service from being stopped either.
    assert found(process(unit="web.service", claimed=claimed)) == {**NOTHING, "services": ["web.service"]}


def test_a_pod_is_not_known_by_its_name_alone():
    assert found(process(pod={**POD, "uid": None}), allocated_to=[{**POD, "uid": None}]) == NOTHING


@pytest.mark.parametrize(
    "unit",
    ["--now.service -x", "a b.service", "a.service\nb.service", "*.service", "", None, 7, "a/../b.service", "a.socket"],
)
def test_what_is_no_name_of_a_service_is_none(unit):
    assert found(process(unit=unit)) == NOTHING


@settings(deadline=None)
@example(10**31)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_what_a_host_says_instead_of_an_id_moves_nobody(value):
    told = found(process(slurm_job={"id": value}, pod={"uid": value}))
    assert told["pods"] == []
    assert all(isinstance(job, int) for job in told["slurm_jobs"])
