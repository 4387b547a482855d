# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes into a new GPU instance is promised as it was asked for, and planned once the GPU instance can be asked."""

from __future__ import annotations

from functools import partial

import pytest
from model_gpu import A100, H100, ModelPort, fail, gpu, gpu_instance

from ansible_collections.gpufleet.mig.plugins.module_utils.apply import transaction
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.outcome import Options
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import ComputeProfile, Placement
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import forecast
from ansible_collections.gpufleet.mig.plugins.module_utils.results.change import result_of


def places(size, *starts):
    return tuple(Placement(start, size) for start in starts)


def eighths(profile):
    """What a driver tells that counts in eighths, calls all by its own names and lists in no order."""
    return tuple(
        one._replace(name=one.name.partition("+")[0], placements=one.placements[::-1])
        for one in forecast(profile, eighths=True)
    )[::-1]


def slices(profile):
    """What a driver tells that counts in slices."""
    return forecast(profile)


def with_the_double(tells, profile):
    """Id 7 stands beside id 0 in larger GPU instances, too, under the same name."""
    double = ComputeProfile(f"1c.{profile.name}", 7, 1, places(2, 0), 1)
    return (double, *tells(profile)) if profile.slices > 1 else tells(profile)


def fewer_starts(profile):
    """A driver with three starts for a 1c in a 3g, and none of them the first."""
    return tuple(
        one._replace(placements=places(1, 3, 1, 2)) if profile.slices == 3 and one.slices == 1 else one
        for one in eighths(profile)
    )


TELLS = {
    "as forecast": None,
    "eighths": eighths,
    "slices": slices,
    "eighths, id 7": partial(with_the_double, eighths),
    "slices, id 7": partial(with_the_double, slices),
    "fewer starts": fewer_starts,
}


def run(port, tmp_path, instances, rehearse=False):
    entries = validate_layout([{"instances": instances}])
    if rehearse:
        change = transaction.rehearse(lambda: port, lambda snapshot: decide_instances(snapshot, entries, (), True))
        return result_of(change, real=False)
    state = HostState(str(tmp_path / "state"))
    return result_of(
        transaction.change(lambda: port, lambda snapshot: decide_instances(snapshot, entries), state, 5, Options())
    )


def three(*inside, at=None):
    return [{"profile": "3g.40gb", "placement": at, "compute_instances": list(inside)}]


LAYOUTS = {
    "media": {"1g.10gb+me": 1, "1g.10gb": 5},
    "double": {"1g.20gb": 3},
    "spanning": {"3g.40gb": 2},
    "7g": {"7g.80gb": 1},
    "three 1c": three(*["1c.3g.40gb"] * 3),
    "1c and 2c": three("1c.3g.40gb", "2c.3g.40gb"),
    "2c at 0": three("1c.3g.40gb", {"profile": "2c.3g.40gb", "placement": 0}),
    "1c of counts": {"1c.3g.40gb": 5},
    "4c and 3c": [{"profile": "7g.80gb", "compute_instances": ["3c.7g.80gb", "4c.7g.80gb"]}],
}


@pytest.mark.parametrize("tells", TELLS.values(), ids=TELLS)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_reached_whatever_the_driver_has_inside(tmp_path, layout, tells):
    port = ModelPort(gpu(H100), tells_inside=tells)
    foreseen, message = run(port, tmp_path, layout, rehearse=True)
    assert message is None
    assert port.executed == []
    result, message = run(port, tmp_path, layout)
    assert message is None
    assert result["changed"]
    assert {key: foreseen[key] for key in ("plan", "actions", "diff")} == {
        key: result[key] for key in ("plan", "actions", "diff")
    }
    for dry in (True, False):
        again, message = run(port, tmp_path, layout, rehearse=dry)
        assert (message, again["plan"], again["changed"]) == (None, [], False)
    replanned = [one for one in result["done"] if one.get("replanned")]
    assert result["replanned"] == bool(replanned)
    assert not (tells is None and replanned)
    made = [one for one in result["done"] if one["action"] == "create_compute_instance"]
    devices = [device for one in port.gpus["GPU-0"].instances for device in one.compute_instances]
    assert sorted((one["uuid"], one["placement"]["start"], one["placement"]["size"]) for one in made) == sorted(
        (device.uuid, *device.placement) for device in devices
    )


def test_a_plan_promises_only_what_was_asked_for_and_a_run_says_what_it_replanned(tmp_path):
    wanted = three("1c.3g.40gb", {"profile": "1c.3g.40gb", "placement": 1})
    port = ModelPort(gpu(H100), tells_inside=fewer_starts)
    result, message = run(port, tmp_path, wanted)
    assert message is None
    places_promised = [step.get("placement") for step in result["plan"][1:]]
    assert places_promised == [None, {"start": 1}]
    # The forecast had the first one at 0, which this driver does not have.
    assert result["replanned"]
    assert [(one["replanned"], one["placement"]["start"]) for one in result["done"][1:]] == [(True, 2), (False, 1)]


def test_a_place_that_the_driver_tells_and_refuses_is_not_asked_for_again(tmp_path):
    port = ModelPort(gpu(H100), refused_inside=places(1, 0, 1))
    result, message = run(port, tmp_path, three("1c.3g.40gb", "1c.3g.40gb"))
    assert message is None
    assert result["replanned"]
    starts = [device.placement.start for device in port.gpus["GPU-0"].instances[0].compute_instances]
    assert starts == [2, 3]


@pytest.mark.parametrize(
    ("wanted", "tells", "refused", "says"),
    [
        (
            three("1c.3g.40gb", "2c.3g.40gb"),
            lambda profile: tuple(one for one in forecast(profile) if one.slices != 2),
            (),
            "The GPU instance has no place for 1c.3g.40gb + 2c.3g.40gb; it offers 1c.3g.40gb at 0 or 1 or 2, ",
        ),
        (
            three({"profile": "1c.3g.40gb", "placement": 0}),
            fewer_starts,
            (),
            "The GPU instance has no place for 1c.3g.40gb at 0; it offers 3g.40gb at 0,",
        ),
        (three("3g.40gb"), None, places(4, 0), "INVALID_ARGUMENT"),
    ],
    ids=["profile", "start", "refused"],
)
def test_what_cannot_be_had_inside_is_named_and_the_gpu_goes_back(tmp_path, wanted, tells, refused, says):
    there = gpu_instance(9, "1g.10gb", 6, 1)
    port = ModelPort(gpu(H100, [there]), tells_inside=tells, refused_inside=refused)
    before = port.gpus["GPU-0"].placed
    result, message = run(port, tmp_path, wanted)
    assert says in message
    assert "create compute instance" in message
    assert "This GPU was brought back to where it was." in message
    assert port.gpus["GPU-0"].placed == before
    assert result["left"] == []


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("code", ["UNKNOWN", "IN_USE", "INVALID_ARGUMENT", "INSUFFICIENT_RESOURCES", "NOT_SUPPORTED"])
def test_what_a_failed_step_took_comes_back_in_eighths(tmp_path, number, code):
    """All of it or, where another place inside is as good as the first, the layout is reached."""
    inside = [("1c.3g.40gb", 2, 1, False), ("2c.3g.40gb", 0, 2, False)]
    port = ModelPort(gpu(H100, [gpu_instance(1, "3g.40gb", 0, 4, *inside)]), tells_inside=eighths)
    before = port.gpus["GPU-0"].placed
    port.hooks[number] = fail(code)
    result, message = run(port, tmp_path, {"2g.20gb": 1, "1c.4g.40gb": 1})
    assert message is None or (port.gpus["GPU-0"].placed == before and result["left"] == [])
    assert message is None or code in message


def test_what_a_gpu_says_of_a_profile_is_the_forecast_for_another_of_its_model(tmp_path):
    """GPU 1 has a 3g.20gb and says that no 2c is to be had in one: known before anything is done to GPU 0."""

    def tells(profile):
        return tuple(one for one in forecast(profile) if one.slices != 2)

    port = ModelPort(gpu(A100), gpu(A100, [gpu_instance(1, "3g.20gb", 0, 4)], index=1), tells_inside=tells)
    wanted = [{"profile": "3g.20gb", "placement": 0, "compute_instances": ["1c.3g.20gb", "2c.3g.20gb"]}]
    _result, message = run(port, tmp_path, wanted)
    assert "GPU 0" in message
    assert "has no profile 2c.3g.20gb; inside 3g.20gb it has 1c.3g.20gb, 3g.20gb" in message
    assert port.executed == []


def without_places(*busy):
    """An H100 with a 3g of whose compute instances the driver tells no place."""
    inside = [("1c.3g.40gb", number, 1, one) for number, one in enumerate(busy)]
    half = gpu_instance(1, "3g.40gb", 0, 4, *inside)
    devices = tuple(device._replace(placement=None) for device in half.compute_instances)
    return gpu(H100, [half._replace(compute_instances=devices)])


def test_compute_instances_whose_place_is_not_told_stay_where_the_layout_has_them(tmp_path):
    port = ModelPort(without_places(True, False))
    wanted = three("1c.3g.40gb", "1c.3g.40gb", at=0)
    result, message = run(port, tmp_path, [*wanted, "1g.10gb"])
    assert message is None
    assert sorted(result["kept"]) == ["MIG-1-0", "MIG-1-1"]
    assert [one.placement for one in port.gpus["GPU-0"].instances[0].compute_instances] == [None, None]
    assert run(port, tmp_path, [*wanted, "1g.10gb"])[0]["plan"] == []


def test_nothing_is_put_beside_a_compute_instance_whose_place_is_not_told(tmp_path):
    wanted = three("1c.3g.40gb", "1c.3g.40gb", "1c.3g.40gb", at=0)
    port = ModelPort(without_places(True, False))
    before = port.gpus["GPU-0"]
    _result, message = run(port, tmp_path, wanted)
    assert "process 100" in message
    assert port.gpus["GPU-0"] == before
    port = ModelPort(without_places(False, False))
    result, message = run(port, tmp_path, wanted)
    assert message is None
    assert sorted(result["disrupted"]) == ["MIG-1-0", "MIG-1-1"]
    assert len(port.gpus["GPU-0"].instances[0].compute_instances) == 3


@pytest.mark.parametrize("number", range(1, 6))
def test_what_had_no_place_that_was_told_comes_back_at_any(tmp_path, number):
    port = ModelPort(without_places(False, False))
    port.hooks[number] = fail("UNKNOWN")
    result, message = run(port, tmp_path, {"7g.80gb": 1})
    assert message is not None
    assert result["left"] == []
    (half,) = port.gpus["GPU-0"].instances
    assert [device.profile for device in half.compute_instances] == ["1c.3g.40gb"] * 2
