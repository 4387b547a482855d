# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the operating system's GPU clients are stopped for a change, and what is left for drain hooks."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.gpu_clients import gpu_clients

CLIENTS = ["display-manager.service", "dcgm", "nvidia-persistenced.service"]
NOTHING = {"stop": [], "others": []}


def process(unit=None, **known):
    return {"pid": 1, "unit": unit, **dict.fromkeys(("container", "pod", "slurm_job")), **known}


def held(*processes, because="busy"):
    return {"uuid": None, "because": because, "processes": list(processes)}


def in_use(*blockers, code="IN_USE"):
    return {"nvml_code": code, "blockers": list(blockers)}


@pytest.mark.parametrize("action", ["set_mig_mode", "reset_gpu"])
def test_a_change_of_mode_stops_all_of_them(action):
    check = {"plan": [{"action": "destroy_gpu_instance"}, {"action": action}], "must_be_free": []}
    assert gpu_clients(check, CLIENTS) == {"stop": CLIENTS, "others": []}


def test_a_change_of_instances_stops_nobody_beforehand():
    plan = [{"action": "create_gpu_instance"}, {"action": "destroy_compute_instance"}]
    assert gpu_clients({"plan": plan, "must_be_free": []}, CLIENTS) == NOTHING
    assert gpu_clients({}, CLIENTS) == NOTHING


def test_one_that_holds_what_must_be_free_needs_no_hook():
    free = [held(process("display-manager.service"), process("dcgm.service"))]
    assert gpu_clients({"plan": [], "must_be_free": free}, CLIENTS) == {"stop": CLIENTS[:2], "others": []}


@pytest.mark.parametrize(
    "free",
    [
        held(process("display-manager.service"), process("train.service")),
        held(process("display-manager.service", container={"id": "1"})),
        held(process()),
        held(because="kept"),
        held(because="allocated"),
        held(process("dcgm.service"), because="unreadable"),
    ],
)
def test_what_somebody_else_holds_is_left_for_hooks(free):
    assert gpu_clients({"must_be_free": [free]}, CLIENTS)["others"] == [free]


def test_in_use_stops_those_that_have_the_device_file_open_and_no_others():
    units = ("nvidia-persistenced.service", "dcgm.service", "x.service")
    found = gpu_clients(in_use(*map(process, units)), CLIENTS)
    assert found == {"stop": CLIENTS[1:], "others": []}
    assert gpu_clients(in_use(process("x.service"), process()), CLIENTS) == NOTHING


def test_another_refusal_stops_nobody():
    assert gpu_clients(in_use(process("dcgm.service"), code="NO_PERMISSION"), CLIENTS) == NOTHING


@pytest.mark.parametrize("kind", ["container", "pod", "slurm_job"])
def test_what_runs_in_a_container_pod_or_job_is_not_its_units(kind):
    assert gpu_clients(in_use(process("dcgm.service", **{kind: {"id": 1}})), CLIENTS) == NOTHING
