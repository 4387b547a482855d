# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner decides as the objective says, on cases that were worked out by hand."""

from __future__ import annotations

import pytest
from model_gpu import A30, A100, H100, RTX, ModelPort, gpu, gpu_instance, job

from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    GpuLayout,
    Plan,
    WantedComputeInstance,
    WantedInstance,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.gpu import plan_back, plan_instances, plan_mode


def counts(**wanted):
    return GpuLayout(counts=tuple(sorted((name.replace("_", "."), count) for name, count in wanted.items())))


def wants(mapping):
    return GpuLayout(counts=tuple(sorted(mapping.items())))


def seven(*busy):
    """An A100 with seven 1g.5gb, busy at these starts."""
    return gpu(
        A100, [gpu_instance(7 + start, "1g.5gb", start, 1, ("1g.5gb", 0, 1, start in busy)) for start in range(7)]
    )


def carried_out(plan):
    """The GPU after a plan, executed on a model that refuses whatever is illegal."""
    port = ModelPort(plan.gpu)
    for step in plan.steps:
        port.execute(step)
    return port.gpus[plan.gpu.uuid]


def placed(plan):
    return [(one.start, one.profile) for one in plan.target]


def test_nothing_to_do_is_an_empty_plan():
    plan = plan_instances(seven(0), wants({"1g.5gb": 7}))
    assert plan.steps == ()
    assert len(plan.kept) == 7


def test_empty_gpu_is_filled_leaving_the_most_room():
    plan = plan_instances(gpu(A100), wants({"1g.5gb": 1}))
    # At 6 a 1g.5gb is in the way of fewest others: 3g.20gb at 0, 2g.10gb at 0, 2 and 4 all stay possible.
    assert placed(plan) == [(6, "1g.5gb")]


def test_busy_instances_stay_where_they_are():
    plan = plan_instances(seven(1, 2), wants({"3g.20gb": 1, "1g.5gb": 3}))
    assert isinstance(plan, Plan)
    assert {"MIG-8-0", "MIG-9-0"} <= set(plan.kept)
    assert (4, "3g.20gb") in placed(plan)
    assert carried_out(plan).placed == plan.target


def test_busy_instance_in_the_way_is_named_with_its_process_and_the_plan_that_follows():
    refusal = plan_instances(seven(1, 5), wants({"3g.20gb": 1, "2g.10gb": 1}))
    assert refusal.kind == "busy"
    assert [blocker.device.uuid for blocker in refusal.blockers] == ["MIG-8-0", "MIG-12-0"]
    assert "process 800 (python of alice)" in refusal.message
    assert "1g.5gb at slice 1 (MIG-8-0)" in refusal.message
    assert refusal.plan.target


def test_who_is_in_the_way_is_named_with_since_when():
    now = seven(1)
    device = now.instances[1].compute_instances[0]
    known = (device.processes[0]._replace(started="2026-01-31T03:00:00Z"),)
    busy = now.instances[1]._replace(compute_instances=(device._replace(processes=known),))
    refusal = plan_instances(now._replace(instances=(now.instances[0], busy)), wants({"7g.40gb": 1}))
    assert "since 2026-01-31T03:00:00Z" in refusal.message


def test_smallest_set_must_be_free():
    # One of the two 3g.20gb must go for a 4g; only at 0 can a 4g be, so the choice is forced however busy that side
    # is.
    now = gpu(
        A100,
        [
            gpu_instance(1, "3g.20gb", 0, 4, ("1c.3g.20gb", 0, 1, True), ("1c.3g.20gb", 1, 1, True)),
            gpu_instance(2, "3g.20gb", 4, 4),
        ],
    )
    refusal = plan_instances(now, wants({"4g.20gb": 1, "3g.20gb": 1}))
    assert [blocker.device.uuid for blocker in refusal.blockers] == ["MIG-1-0", "MIG-1-1"]
    assert refusal.plan.kept == ("MIG-2-0",)


def test_kept_devices_count_as_busy():
    refusal = plan_instances(seven(), wants({"7g.40gb": 1}), keep={"MIG-9-0"})
    assert [(blocker.because, blocker.device.uuid) for blocker in refusal.blockers] == [("kept", "MIG-9-0")]
    assert "an allocation (keep)" in refusal.message


def test_unreadable_process_list_counts_as_busy():
    now = seven()
    first = now.instances[0]
    device = first.compute_instances[0]._replace(processes=None)
    now = now._replace(instances=(first._replace(compute_instances=(device,)), *now.instances[1:]))
    refusal = plan_instances(now, wants({}))
    assert [(blocker.because, blocker.device.uuid) for blocker in refusal.blockers] == [("unreadable", "MIG-7-0")]


def test_orphan_is_used_where_wanted_and_removed_where_not():
    orphan = gpu_instance(3, "2g.10gb", 2, 2, (None, 0, 0, False))
    used = plan_instances(gpu(A100, [orphan]), wants({"2g.10gb": 1}))
    assert [step.action for step in used.steps] == ["create_compute_instance"]
    removed = plan_instances(gpu(A100, [orphan]), wants({}))
    assert [step.action for step in removed.steps] == ["destroy_gpu_instance"]


def test_counts_fill_a_kept_gpu_instance_first():
    now = gpu(A100, [gpu_instance(1, "3g.20gb", 4, 4, ("1c.3g.20gb", 0, 1, True))])
    plan = plan_instances(now, wants({"1c.3g.20gb": 3}))
    assert [(step.action, step.placement) for step in plan.steps] == [
        ("create_compute_instance", (1, 1)),
        ("create_compute_instance", (2, 1)),
    ]


def test_counts_of_compute_instances_make_the_fewest_gpu_instances():
    plan = plan_instances(gpu(A100), wants({"1c.3g.20gb": 4}))
    assert [len(one.compute_instances) for one in plan.target] in ([1, 3], [2, 2], [3, 1])
    assert carried_out(plan).placed == plan.target


def test_mixed_compute_instances_of_the_list_form():
    inside = (WantedComputeInstance("1c.3g.20gb"), WantedComputeInstance("2c.3g.20gb"))
    plan = plan_instances(gpu(A100), GpuLayout(instances=(WantedInstance("3g.20gb", 4, inside),)))
    assert [(one.start, one.profile) for one in plan.target[0].compute_instances] == [
        (0, "1c.3g.20gb"),
        (1, "2c.3g.20gb"),
    ]
    assert carried_out(plan).placed == plan.target


def test_required_placement_moves_only_the_instance_that_is_elsewhere():
    now = gpu(A100, [gpu_instance(1, "3g.20gb", 0, 4), gpu_instance(9, "1g.5gb", 6, 1)])
    wanted = GpuLayout(
        instances=(
            WantedInstance("3g.20gb", 4, (WantedComputeInstance("3g.20gb"),)),
            WantedInstance("1g.5gb", None, (WantedComputeInstance("1g.5gb"),)),
        )
    )
    plan = plan_instances(now, wanted)
    assert (4, "3g.20gb") in placed(plan)
    assert carried_out(plan).placed == plan.target


def test_same_input_same_plan():
    first = plan_instances(seven(3), wants({"2g.10gb": 1, "1g.5gb": 3}))
    assert all(plan_instances(seven(3), wants({"2g.10gb": 1, "1g.5gb": 3})) == first for _again in range(5))


@pytest.mark.parametrize(
    ("model", "wanted", "says", "nearest"),
    [
        (A100, {"3g.20gb": 2, "1g.5gb": 1}, "need 9 memory slices and the GPU has 8", {"3g.20gb": 2}),
        (A100, {"1g.5gb": 8}, "8 × 1g.5gb are wanted, at most 7 fit on one GPU", None),
        (
            A100,
            {"4g.20gb": 1, "2g.10gb": 2},
            "no arrangement on 8 memory slices avoids an overlap",
            {"4g.20gb": 1, "2g.10gb": 1},
        ),
        (A30, {"2g.12gb": 1, "1g.6gb": 3}, "need 5 memory slices and the GPU has 4", {"2g.12gb": 1, "1g.6gb": 2}),
        (RTX, {"1g.24gb+me.all": 1, "1g.24gb": 1}, "need 5 decoder engines and the GPU has 4", None),
        (A100, {"1c.3g.20gb": 7}, "7 × 1c.3g.20gb are wanted, at most 6 fit on one GPU", None),
    ],
)
def test_impossible_layout_says_why_and_what_would_fit(model, wanted, says, nearest):
    refusal = plan_instances(gpu(model), wants(wanted))
    assert refusal.kind == "impossible"
    assert says in refusal.message
    if nearest is not None:
        assert refusal.nearest == nearest
        assert isinstance(plan_instances(gpu(model), wants(nearest)), Plan)


def test_impossible_placement_names_the_possible_ones():
    refusal = plan_instances(gpu(A100), GpuLayout(instances=(WantedInstance("3g.20gb", 2),)))
    assert "3g.20gb cannot start at memory slice 2, only at 0 or 4" in refusal.message


def test_unknown_profile_names_those_of_the_gpu():
    refusal = plan_instances(gpu(A30), wants({"3g.20gb": 1}))
    assert refusal.kind == "no_such_profile"
    assert "has no profile 3g.20gb; it has 1g.6gb, 1g.6gb+me, 2g.12gb, 2g.12gb+me, 4g.24gb" in refusal.message
    inner = plan_instances(gpu(A100), wants({"3c.4g.20gb": 1}))
    assert "inside 4g.20gb it has 1c.4g.20gb, 2c.4g.20gb, 4g.20gb" in inner.message


def test_only_profiles_without_media_engines_fit_beside_all_of_them():
    plan = plan_instances(gpu(RTX), wants({"1g.24gb+me.all": 1, "1g.24gb-me": 3}))
    assert carried_out(plan).placed == plan.target


@pytest.mark.parametrize(("enabled", "actions"), [(True, ["set_mig_mode", "reset_gpu"]), (False, [])])
def test_ampere_mode_change_resets_the_gpu(enabled, actions):
    plan = plan_mode(gpu(A100, mig=False), enabled)
    assert [step.action for step in plan.steps] == actions


def test_hopper_mode_change_needs_no_reset():
    assert [step.action for step in plan_mode(gpu(H100, mig=False), True).steps] == ["set_mig_mode"]


def test_disabling_destroys_idle_instances_and_refuses_busy_ones():
    assert len(plan_mode(seven(), False).steps) == 7 * 2 + 2
    refusal = plan_mode(seven(4), False)
    assert [blocker.device.uuid for blocker in refusal.blockers] == ["MIG-11-0"]
    assert "End or move what uses it." in refusal.message


def test_process_on_a_gpu_without_mig_blocks_its_mode():
    refusal = plan_mode(gpu(A100, mig=False, processes=job(42)), True)
    assert "the whole GPU must be free, but is held by process 42 (python of alice)" in refusal.message
    assert [step.action for step in plan_mode(gpu(A100, mig=False, processes=job(42)), True, pending=True).steps] == [
        "set_mig_mode"
    ]


def test_pending_mode_of_somebody_else_is_taken_back_or_finished():
    half = gpu(A100, mig=False, mig_mode_pending=True)
    assert [step.action for step in plan_mode(half, True).steps] == ["reset_gpu"]
    assert [(step.action, step.mig_enabled) for step in plan_mode(half, False).steps] == [("set_mig_mode", False)]
    assert plan_mode(half, True, pending=True).steps == ()


def test_going_back_restores_what_fits_beside_a_new_job():
    before = gpu(A100, [gpu_instance(1, "3g.20gb", 0, 4), gpu_instance(9, "1g.5gb", 4, 1)])
    now = gpu(A100, [gpu_instance(3, "2g.10gb", 2, 2, ("2g.10gb", 0, 2, True))])
    plan, given_up = plan_back(before, now)
    assert [(one.profile, why) for one, why in given_up] == [("3g.20gb", None)]
    assert placed(plan) == [(2, "2g.10gb"), (4, "1g.5gb")]
    assert carried_out(plan).placed == plan.target


@pytest.mark.parametrize(
    ("strange", "why"),
    [
        # As a driver names what is in a 1g.10gb+me.
        (
            gpu_instance(11, "1g.10gb+me", 0, 1, ("1g.10gb", 0, 1, False)),
            "has no profile 1g.10gb; inside 1g.10gb+me it has",
        ),
        (gpu_instance(11, "1g.11gb", 0, 1), "has no profile 1g.11gb; it has 1g.10gb"),
        (gpu_instance(11, "3g.40gb", 2, 4), "cannot have 3g.40gb"),
    ],
    ids=["compute instance profile", "GPU instance profile", "place"],
)
@pytest.mark.parametrize("at", [[], [gpu_instance(5, "2g.20gb", 4, 2, ("2g.20gb", 0, 2, True))]], ids=["empty", "job"])
def test_going_back_gives_up_what_cannot_be_planned_any_more_and_brings_back_the_rest(strange, why, at):
    before = gpu(H100, [strange, gpu_instance(9, "1g.10gb", 6, 1)])
    plan, given_up = plan_back(before, gpu(H100, at))
    ((one, said),) = given_up
    assert (one.profile, one.start) == (strange.profile, strange.placement.start)
    assert why in said
    assert placed(plan) == [*[(4, "2g.20gb")] * len(at), (6, "1g.10gb")]
    assert carried_out(plan).placed == plan.target


def test_going_back_ends_where_what_stays_breaks_a_rule():
    """A busy instance that no layout could name stays, and nothing else is known to fit beside it."""
    before = gpu(H100, [gpu_instance(9, "1g.10gb", 6, 1)])
    now = gpu(H100, [gpu_instance(11, "1g.10gb+me", 0, 1, ("1g.10gb", 0, 1, True))])
    plan, given_up = plan_back(before, now)
    assert (plan.steps, [one.profile for one, _why in given_up]) == ((), ["1g.10gb"])
