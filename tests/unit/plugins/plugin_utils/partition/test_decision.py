# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run does with a host once the check has looked at it."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.decision import decision, difference, keep_now

GPU = {"index": 0, "uuid": "GPU-0"}
OTHER = {"index": 1, "uuid": "GPU-1"}
CREATE = {"action": "create_gpu_instance", "gpu": GPU}
MODE = {"action": "set_mig_mode", "gpu": OTHER}
BUSY = {"uuid": "MIG-0", "because": "busy", "processes": [{"pid": 1, "unit": "job.service"}]}
CLAIM = {"change_id": "", "claimed": False, "taken": False}


def request(wanted=({"instances": {}},), **options):
    given = {
        "mig_partition_gpu_clients": ["dcgm.service"],
        "mig_partition_persistence": True,
        **{f"mig_partition_{name}": value for name, value in options.items()},
    }
    return {"options": given, "wanted": list(wanted), "no_layout": "No layout for gpu-1."}


def check(**more):
    return {
        "ok": True,
        "reached": False,
        "evidence": {"mig_capable": True},
        "plan": [CREATE],
        "change_id": "id",
        "claimed": True,
        "taken": True,
        **more,
    }


def decided(asked, found, check_mode=False):
    return decision(asked, found, CLAIM, check_mode)


def test_nothing_in_the_way_is_changed_without_a_drain():
    found = decided(request(drain=["systemd"]), check())
    assert (found["change"], found["refusal"], found["drain"], found["mode"]) == (True, "", False, False)
    assert found["gpus"] == [GPU]
    assert found["claim"] == {"change_id": "id", "claimed": True, "taken": True}


def test_what_is_in_the_way_is_drained_by_all_hooks_and_refused_without():
    way = check(must_be_free=[BUSY], in_the_way="MIG-0 is busy.")
    found = decided(request(drain=["systemd", "/own.yml"]), way)
    assert (found["drain"], found["hooks"], found["must_be_free"]) == (True, ["systemd", "/own.yml"], [BUSY])
    found = decided(request(), way)
    assert found["refusal"] == "MIG-0 is busy. Or name hooks in mig_partition_drain that empty it."
    assert found["checks"] == []


def test_a_scheduler_is_told_even_if_nothing_is_in_the_way():
    assert decided(request(drain=["systemd", "slurm", "kubernetes"]), check())["hooks"] == ["slurm", "kubernetes"]


def test_only_gpu_clients_in_the_way_need_no_hook():
    own = {"uuid": None, "because": "busy", "processes": [{"pid": 1, "unit": "dcgm.service"}]}
    found = decided(request(), check(must_be_free=[own], in_the_way="GPU 0 is busy."))
    assert (found["refusal"], found["drain"], found["units"]) == ("", True, ["dcgm.service"])


def test_a_mode_change_stops_every_gpu_client():
    found = decided(request(), check(plan=[MODE, CREATE, CREATE]))
    assert (found["mode"], found["units"], found["gpus"]) == (True, ["dcgm.service"], [OTHER, GPU])
    assert decided(request(), check(plan=[{"action": "reset_gpu", "gpu": GPU}]))["mode"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_what_follows_a_drain_is_only_rehearsed_in_check_mode(check_mode):
    found = decided(request(drain=["systemd"]), check(must_be_free=[BUSY]), check_mode)
    assert found["rehearse"] is check_mode
    assert not decided(request(), check(), check_mode)["rehearse"]


def test_each_that_exposes_names_all():
    found = decided(request(expose=["slurm", "/own.yml"]), check())
    names = ["slurm", "/own.yml"]
    assert found["expose"] == [
        {"name": "slurm", "is_role": True, "all": names},
        {"name": "/own.yml", "is_role": False, "all": names},
    ]
    assert found["checks"] == found["expose"][:1]
    assert decided(request(expose=["slurm"]), check(ok=False))["expose"] == []


def test_persistence_follows_where_it_is_wanted_or_tasks_of_the_user_stand_there():
    assert decided(request(), check())["persistence"]
    assert not decided(request(persistence=False), check())["persistence"]
    assert decided(request(persistence=False, tasks={"after_persistence": "/a.yml"}), check())["persistence"]


def test_a_host_without_a_layout_is_refused_only_if_it_has_mig():
    unasked = check()
    del unasked["reached"]
    found = decided(request(wanted=()), unasked)
    assert (found["change"], found["refusal"]) == (True, "No layout for gpu-1.")
    assert not decided(request(wanted=()), {**unasked, "evidence": {"mig_capable": False}})["change"]


def test_a_layout_that_cannot_be_is_refused_with_its_reason():
    assert decided(request(drain=["systemd"]), check(refusal="no such profile"))["refusal"] == "no such profile"


@pytest.mark.parametrize("found", [{}, {"failed": True, "msg": "no"}, {"failed": True, "change_id": "id"}])
def test_a_check_that_failed_decides_nothing(found):
    nothing = decided(request(expose=["slurm"], drain=["systemd"]), found)
    assert (nothing["change"], nothing["drain"], nothing["expose"], nothing["target"]) == (False, False, [], [])
    assert not nothing["claim"]["taken"]


def test_a_claim_that_was_taken_before_the_check_is_released_as_well():
    early = {"change_id": "id", "claimed": True, "taken": True}
    assert decision(request(), check(taken=False), early, False)["claim"]["taken"]
    assert decision(request(), {}, early, False)["claim"] == early


def test_what_is_kept_now_and_what_the_plan_keeps_lives_but_for_what_was_drained():
    found = {"kept": ["MIG-2"], "must_be_free": [BUSY, {"uuid": None}]}
    assert keep_now(["MIG-0", "MIG-1", "MIG-2"], found) == ["MIG-1", "MIG-2"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, ""),
        ({"ok": False, "problem": "no driver"}, "no driver"),
        ({"evidence": {"mig_capable": False}}, ""),
        ({"reached": False, "refusal": "no such profile"}, "no such profile"),
        (
            {"reached": False, "actions": ["GPU 0: a", "GPU 0: b"]},
            "gpu-1 differs from its layout. To reach it:\nGPU 0: a\nGPU 0: b",
        ),
    ],
)
def test_how_a_host_differs(found, words):
    whole = {"ok": True, "evidence": {"mig_capable": True}, "reached": True, "refusal": None, **found}
    assert difference(request(), whole, "gpu-1") == words
    if words == "" and whole["evidence"]["mig_capable"]:
        assert difference(request(wanted=()), whole, "gpu-1") == "No layout for gpu-1."
