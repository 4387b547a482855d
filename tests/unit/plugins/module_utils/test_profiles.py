# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a layout calls a GPU instance's compute instance profiles, and what is forecast of them."""

from __future__ import annotations

import pytest
from model_gpu import A30, A100, H100, RTX, gpu, gpu_instance

from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    ComputeProfile,
    GpuLayout,
    Placement,
    Plan,
    Snapshot,
    WantedComputeInstance,
    WantedInstance,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.reading import SUFFIXES, profile_name_by_rule
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.geometry import geometry_of
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.gpu import plan_instances
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import (
    by_name,
    counts_in_eighths,
    distinct,
    forecast,
    named,
    part,
)


def profile_of(model, name):
    return next(profile for profile in gpu(model).profiles if profile.name == name)


def places(size, *starts):
    return tuple(Placement(start, size) for start in starts)


def meant(profile, *raw):
    """{name: id} of what a layout means, for raw (driver's name, id, slices, placements)."""
    found = named(profile, tuple(ComputeProfile(*one) for one in raw))
    return {name: one.id for name, one in by_name(found).items()}


def test_the_whole_of_a_media_instance_is_called_as_the_layout_calls_it():
    # As an H100 says inside a 1g.10gb+me.
    media = profile_of(H100, "1g.10gb+me")
    assert meant(media, ("1g.10gb", 0, 1, places(1, 0))) == {"1g.10gb+me": 0}


@pytest.mark.parametrize("backwards", [False, True])
def test_of_several_profiles_with_the_same_slices_the_smallest_is_meant_and_the_one_that_fills_spans(backwards):
    three = [
        ("1c.3g.40gb", 0, 1, places(1, 2, 0, 1)),
        ("1c.3g.40gb", 7, 1, places(2, 2, 0)),
        ("2c.3g.40gb", 1, 2, places(2, 0, 2)),
        ("3g.40gb", 2, 3, places(4, 0)),
    ]
    double = [("1g.20gb", 0, 1, places(1, 0, 1)), ("1g.20gb", 7, 1, places(2, 0))]
    if backwards:
        three, double = three[::-1], double[::-1]
    assert meant(profile_of(H100, "3g.40gb"), *three) == {"1c.3g.40gb": 0, "2c.3g.40gb": 1, "3g.40gb": 2}
    assert meant(profile_of(H100, "1g.20gb"), *double)["1g.20gb"] == 7


def test_names_say_how_many_slices_or_that_it_spans():
    assert [part(name) for name in ("1c.3g.40gb", "3g.40gb", "1g.10gb+me", "1c.2g.24gb+gfx", "1g.0gb", "")] == [
        *(1, None, None, 1, None, None)
    ]


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        (H100, "1g.10gb", [(0, 1, [0])]),
        (H100, "1g.20gb", [(7, 2, [0])]),
        (H100, "2g.20gb", [(0, 1, [0, 1]), (1, 2, [0])]),
        (H100, "3g.40gb", [(0, 1, [0, 1, 2, 3]), (1, 2, [0, 2]), (2, 4, [0])]),
        (H100, "7g.80gb", [(0, 1, list(range(8))), (1, 2, [0, 2, 4, 6]), (2, 4, [0, 4]), (3, 4, [0, 4]), (4, 8, [0])]),
        (A100, "1g.10gb", [(0, 1, [0])]),
        (A100, "3g.20gb", [(0, 1, [0, 1, 2]), (1, 2, [0, 1]), (2, 3, [0])]),
        (A100, "4g.20gb", [(0, 1, [0, 1, 2, 3]), (1, 2, [0, 1, 2]), (3, 4, [0])]),
        (A30, "4g.24gb", [(0, 1, [0, 1, 2, 3]), (1, 2, [0, 1, 2]), (3, 4, [0])]),
        (RTX, "1g.24gb", [(0, 1, [0])]),
        (RTX, "2g.48gb", [(0, 1, [0, 1]), (1, 2, [0])]),
    ],
)
def test_what_is_forecast_of_a_gpu_instance_that_does_not_exist_yet(model, name, expected):
    found = forecast(profile_of(model, name), counts_in_eighths(gpu(model).profiles))
    assert [(one.id, one.placements[0].size, [place.start for place in one.placements]) for one in found] == expected


@pytest.mark.parametrize(
    ("profile", "inside"),
    [("3g.40gb", ["1c"] * 4), ("7g.80gb", ["4c"] * 2), ("3g.40gb", ["2c"] * 2), ("7g.80gb", ["4c", "4c"])],
)
def test_placements_do_not_bound_what_a_gpu_instance_holds(profile, inside):
    """In eighths a 3g has room for four 1c and a 7g for two 4c; it has not the slices."""
    wanted = tuple(WantedComputeInstance(f"{part}.{profile}") for part in inside)
    for there in ((), [gpu_instance(1, profile, 0, 4 if profile[0] == "3" else 8)]):
        layout = GpuLayout(instances=(WantedInstance(profile, 0, wanted),))
        assert plan_instances(gpu(H100, there), layout).kind == "impossible"
        fewer = layout._replace(instances=(WantedInstance(profile, 0, wanted[:-1]),))
        assert isinstance(plan_instances(gpu(H100, there), fewer), Plan)


def test_never_more_of_a_profile_than_the_gpu_instance_allows():
    """This driver tells three placements for a 1c and says that two fit."""
    three = profile_of(H100, "3g.40gb")
    told = named(three, (ComputeProfile("", 0, 1, places(1, 0, 1, 2), 2), ComputeProfile("", 2, 3, places(4, 0), 1)))
    now = gpu(H100, [gpu_instance(1, "3g.40gb", 0, 4)], compute_profiles={"3g.40gb": told})
    plan = plan_instances(now, GpuLayout(counts=(("1c.3g.40gb", 4),)))
    assert sorted(len(one.compute_instances) for one in plan.target) == [2, 2]
    refusal = plan_instances(now, GpuLayout(counts=(("1c.3g.40gb", 5),)))
    assert "5 × 1c.3g.40gb are wanted, at most 4 fit on one GPU" in refusal.message


def decided(now, instances):
    entries = validate_layout([{"instances": instances}])
    ((decision,), _warnings) = decide_instances(Snapshot((now,), "580.95.05"), entries)
    return decision


@pytest.mark.parametrize(
    ("by_id", "by_its_name"),
    [
        ({19: 2, "9": 1}, {"1g.10gb": 2, "3g.40gb": 1}),
        ({19: 2, "1g.10gb": 1}, {"1g.10gb": 3}),
        ({"1c.9": 2}, {"1c.3g.40gb": 2}),
        ([{"profile": 19, "placement": 4}], [{"profile": "1g.10gb", "placement": 4}]),
        (["20", {"profile": 9}], ["1g.10gb+me", "3g.40gb"]),
        (
            # A name of another driver inside is the same part of it.
            [{"profile": 9, "compute_instances": ["1c.3g.39gb", "1c.9", {"profile": "1c.3g.40gb", "placement": 2}]}],
            [
                {
                    "profile": "3g.40gb",
                    "compute_instances": [*["1c.3g.40gb"] * 2, {"profile": "1c.3g.40gb", "placement": 2}],
                }
            ],
        ),
        ([{"profile": 9, "compute_instances": [9]}], [{"profile": "3g.40gb", "compute_instances": ["3g.40gb"]}]),
    ],
)
def test_a_layout_may_name_profiles_by_their_ids(by_id, by_its_name):
    found = decided(gpu(H100), by_id)
    assert found.steps
    assert found == decided(gpu(H100), by_its_name)


def test_an_id_that_the_gpu_does_not_have_is_refused_with_those_that_it_has():
    for instances in ({77: 1}, {"1c.77": 1}, [{"profile": 77}], [{"profile": 77, "compute_instances": ["1c.3g.40gb"]}]):
        refusal = decided(gpu(H100), instances)
        assert refusal.kind == "no_such_profile"
        assert "has no profile 77; it has 1g.10gb, 1g.10gb+me, " in refusal.message


def test_two_profiles_that_share_a_name_are_told_by_their_ids():
    now = gpu(H100)
    told = [one._replace(name=one.name.partition("+")[0]) for one in now.profiles]
    now = now._replace(profiles=distinct(told))
    refusal = decided(now, {"1g.10gb": 1})
    assert "2 profiles that its driver calls 1g.10gb, with the ids 19 and 20" in refusal.message
    assert "Write the id as the profile, such as profile: 19" in refusal.message
    plan = decided(now, {"20": 1, "19": 2, "3g.40gb": 1})
    created = [step.profile_id for step in plan.steps if step.action == "create_gpu_instance"]
    assert sorted(created) == [9, 19, 19, 20]


def test_each_placement_of_a_gpu_instance_profile_has_its_own_size():
    now = gpu(H100)
    profiles = [
        one._replace(placements=(Placement(0, 4), Placement(4, 3))) if one.name == "3g.40gb" else one
        for one in now.profiles
    ]
    now = now._replace(profiles=tuple(profiles))
    plan = decided(now, [{"profile": "3g.40gb", "placement": 4}, {"profile": "1g.10gb", "placement": 3}])
    assert [(one.start, one.size) for one in plan.target] == [(3, 1), (4, 3)]
    geometry = geometry_of(now.profiles)
    assert geometry.bits(geometry.position["3g.40gb"], 4) == 0b1110000
    assert geometry.bits(geometry.position["3g.40gb"], 0) == 0b1111


def test_without_names_the_suffix_follows_the_number_that_nvml_gives_a_profile():
    suffixes = [SUFFIXES.get(index, "") for index in (0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)]
    assert suffixes == ["", "", "+me", "+me", "", "+gfx", "+gfx", "+gfx", "-me", "-me", "+me.all", "+me.all"]
    assert profile_name_by_rule(1, 24192, 97887, SUFFIXES[15]) == "1g.24gb+me.all"


def test_one_profile_under_two_of_nvmls_numbers_is_one():
    known = gpu(H100).profiles
    assert distinct((*known, known[0])) == known


def mixed(name, *placed):
    """An H100 on which the placements of a profile are of different sizes."""
    now = gpu(H100)
    found = tuple(Placement(*one) for one in placed)
    profiles = (one._replace(placements=found) if one.name == name else one for one in now.profiles)
    return now._replace(profiles=tuple(profiles))


def test_how_many_fit_is_counted_with_each_placements_own_size():
    geometry = geometry_of(mixed("1g.20gb", (0, 3), (1, 1), (2, 2), (4, 2)).profiles)
    assert geometry.free(())["1g.20gb"] == 3


def test_a_forecast_is_made_for_the_largest_placement_not_for_the_first():
    profile = next(one for one in mixed("3g.40gb", (4, 3), (0, 4)).profiles if one.name == "3g.40gb")
    spanning = forecast(profile, eighths=True)[-1]
    assert (spanning.name, spanning.placements) == ("3g.40gb", (Placement(0, 4),))


def test_why_a_layout_does_not_fit_is_true_of_placements_of_different_sizes():
    now = mixed("3g.40gb", (0, 4), (4, 3))
    refusal = decided(now, {"3g.40gb": 2, "1g.10gb": 3})
    assert "together they need 9 memory slices and the GPU has 8" in refusal.message
    at_one = {"profile": "1g.10gb", "placement": 1}
    refusal = decided(now, [{"profile": "3g.40gb", "placement": 0}, "2g.20gb", at_one])
    assert "memory slices and the GPU has" not in refusal.message
    assert "3g.40gb takes 4 from 0, or 3 from 4" in refusal.message


def test_what_is_told_inside_a_profile_goes_by_its_id_between_gpus_of_a_model():
    """One that lists two profiles under one name calls them by their ids; another may list but one of them."""
    half = gpu(H100, [gpu_instance(1, "9", 0, 4, ("9", 0, 4, True))], index=1)
    three = profile_of(H100, "3g.40gb")
    told = (ComputeProfile("1c.9", 0, 1, places(1, 0, 1), 2), ComputeProfile("9", 2, 3, places(4, 0), 1))
    half = half._replace(
        profiles=tuple(one._replace(name="9", told="3g.40gb") if one == three else one for one in half.profiles),
        compute_profiles={"9": told},
    )
    entries = validate_layout([{"gpus": [0], "instances": {"1c.3g.40gb": 5}}])
    ((refusal,), _warnings) = decide_instances(Snapshot((gpu(H100), half), "580.95.05"), entries)
    assert "5 × 1c.3g.40gb are wanted, at most 4 fit on one GPU" in refusal.message
