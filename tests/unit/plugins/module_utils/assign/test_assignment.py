# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which service gets which MIG device."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from gpus import gpu
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.module_utils.assign.assignment import (
    AssignmentError,
    MigDevice,
    Wish,
    assign,
    devices_of,
    devices_to_come,
    mps_clients,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.written import layout_of
from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    ComputeInstance,
    Engines,
    GpuInstance,
    Placement,
    Profile,
)

MEMORY = {"1g.5gb": 4864, "2g.10gb": 9856, "3g.20gb": 19968}
PROFILES = tuple(
    Profile(name, number, int(name[0]), 7, MEMORY[name], 14, Engines(), ()) for number, name in enumerate(MEMORY)
)


def device(index, profile, start, uuid=None, shared=False):
    found = gpu(index, profiles=PROFILES, compute_slices=7)
    return MigDevice(found, profile, start, 0, MEMORY[profile.rpartition("c.")[2]], shared, 0, 0, uuid)


def partitioned(index, *instances):
    """A Gpu with these (profile, start, profiles of its compute instances)."""
    return gpu(
        index,
        profiles=PROFILES,
        compute_slices=7,
        instances=tuple(
            GpuInstance(
                number,
                profile,
                Placement(start, 1),
                tuple(
                    ComputeInstance(one, name, Placement(one, 1), f"MIG-{index}-{start}-{one}")
                    for one, name in enumerate(inside)
                ),
            )
            for number, (profile, start, inside) in enumerate(instances)
        ),
    )


SMALL = [device(0, "1g.5gb", start, f"MIG-0-{start}") for start in range(3)]
BOTH = [device(index, "1g.5gb", start, f"MIG-{index}-{start}") for index in (0, 1) for start in range(2)]


def uuids(*arguments, **options):
    return [found.uuid for found in assign(*arguments, **options)]


def test_first_wish_gets_the_first_device_that_fits():
    devices = [device(0, "3g.20gb", 0, "MIG-large"), *SMALL[1:]]
    assert uuids([Wish("a", "1g.5gb"), Wish("b", "1g.5gb")], devices, {}) == ["MIG-0-1", "MIG-0-2"]


def test_enough_memory_is_the_least_that_suffices():
    devices = [device(0, "3g.20gb", 0, "MIG-3g"), device(0, "2g.10gb", 4, "MIG-2g"), SMALL[0]]
    assert uuids([Wish("a", memory_mib=5000)], devices, {}) == ["MIG-2g"]


def test_what_keeps_its_device_keeps_it_whatever_the_order():
    wishes = [Wish("new", "1g.5gb"), Wish("old", "1g.5gb")]
    assert uuids(wishes, SMALL, {"old": "MIG-0-0"}) == ["MIG-0-1", "MIG-0-0"]


def test_a_device_that_no_longer_fits_is_not_kept():
    devices = [device(0, "2g.10gb", 0, "MIG-2g"), SMALL[2]]
    assert uuids([Wish("a", "1g.5gb")], devices, {"a": "MIG-2g"}) == ["MIG-0-2"]


def test_one_gives_way_where_only_so_all_can_have_one():
    devices = [device(0, "1g.5gb", 0, "MIG-a"), device(0, "2g.10gb", 1, "MIG-b")]
    wishes = [Wish("any", memory_mib=1), Wish("small", "1g.5gb")]
    assert uuids(wishes, devices, {"any": "MIG-a"}) == ["MIG-b", "MIG-a"]


def test_packed_and_spread():
    wishes = [Wish("a", "1g.5gb"), Wish("b", "1g.5gb")]
    assert uuids(wishes, BOTH, {}) == ["MIG-0-0", "MIG-0-1"]
    assert uuids(wishes, BOTH, {}, spread=True) == ["MIG-0-0", "MIG-1-0"]


def test_placement_and_gpu_are_requirements():
    wishes = [Wish("a", placement=1), Wish("b", "1g.5gb", gpus=frozenset({1}))]
    assert uuids(wishes, BOTH, {}) == ["MIG-0-1", "MIG-1-0"]


def test_shared_memory_is_promised_to_nobody():
    devices = [device(0, "1c.3g.20gb", 0, "MIG-shared", shared=True)]
    assert uuids([Wish("a", "1c.3g.20gb")], devices, {}) == ["MIG-shared"]
    with pytest.raises(AssignmentError):
        assign([Wish("a", memory_mib=1000)], devices, {})


@pytest.mark.parametrize(
    "wishes, message",
    [
        (
            [Wish("train.service", "3g.20gb", gpus=frozenset({1}))],
            "train.service wants 3g.20gb on GPU 1, which is not there. There is on GPU 0 2 x 1g.5gb; on GPU 1 2 x 1g",
        ),
        (
            # The third does not compete with them.
            [Wish("a", placement=0), Wish("b", placement=0), Wish("c", placement=1), Wish("d", placement=0)],
            "a wants a MIG device at slice 0; b wants a MIG device at slice 0; d wants a MIG device at slice 0. For all"
            " of them only 2 MIG devices fit. There is",
        ),
        ([Wish("a", memory_mib=9000)], "a wants a MIG device with at least 9000 MiB of its own, which is not there."),
    ],
)
def test_refusal_names_services_wishes_and_what_there_is(wishes, message):
    with pytest.raises(AssignmentError) as error:
        assign(wishes, BOTH, {})
    assert message in str(error.value)


def test_refusal_where_there_is_nothing():
    with pytest.raises(AssignmentError, match="There is no MIG device"):
        assign([Wish("a", "1g.5gb")], [], {})


def test_devices_that_are_there():
    host = [partitioned(1, ("1g.5gb", 6, ["1g.5gb"])), partitioned(0, ("3g.20gb", 0, ["1c.3g.20gb", "2c.3g.20gb"]))]
    found = [(one.gpu.index, one.profile, one.start, one.memory_mib, one.shared, one.uuid) for one in devices_of(host)]
    assert found == [
        (0, "1c.3g.20gb", 0, 19968, True, "MIG-0-0-0"),
        (0, "2c.3g.20gb", 0, 19968, True, "MIG-0-0-1"),
        (1, "1g.5gb", 6, 4864, False, "MIG-1-6-0"),
    ]


def test_the_memory_that_a_device_has_is_what_the_driver_tells_of_it():
    """On R580 the 3g.20gb of an A100 has 20096 MiB, its profile 19968; nobody says that it cannot be less."""
    (there,) = partitioned(0, ("3g.20gb", 4, ["3g.20gb"])).instances
    for told, enough, too_much in ((20096, 20000, 20097), (19456, 19456, 19968), (None, 19968, 19969)):
        (inside,) = there.compute_instances
        now = there._replace(compute_instances=(inside._replace(memory_mib=told),))
        devices = devices_of([gpu(0, profiles=PROFILES, instances=(now,))])
        assert [one.memory_mib for one in devices] == [told or 19968]
        assert uuids([Wish("a", memory_mib=enough)], devices, {}) == ["MIG-0-4-0"]
        with pytest.raises(AssignmentError, match="which is not there"):
            assign([Wish("a", memory_mib=too_much)], devices, {})


def test_devices_to_come_keep_their_uuids_where_the_layout_keeps_them():
    host = [
        partitioned(0, ("1g.5gb", 0, ["1g.5gb"]), ("1g.5gb", 1, ["1g.5gb"])),
        partitioned(1, ("2g.10gb", 0, ["2g.10gb"])),
        partitioned(2, ("1g.5gb", 0, ["1g.5gb"])),
    ]

    def spanning(profile, start):
        inside = [{"profile": profile, "placement": 0}]
        return {"profile": profile, "placement": start, "compute_instances": inside}

    target = [
        {"gpus": [host[0].uuid], "mig_enabled": True, "instances": [spanning("1g.5gb", 0), spanning("3g.20gb", 4)]},
        {"gpus": [host[2].uuid], "mig_enabled": False},
        {"gpus": ["GPU-gone"], "mig_enabled": False},
    ]
    found = [(one.gpu.index, one.profile, one.memory_mib, one.uuid) for one in devices_to_come(host, target)]
    assert found == [
        (0, "1g.5gb", 4864, "MIG-0-0-0"),
        (0, "3g.20gb", 19968, None),
        (1, "2g.10gb", 9856, "MIG-1-0-0"),
    ]


def test_a_layout_to_come_may_call_profiles_by_their_ids():
    odd = tuple(one._replace(name="a name") if one.id == 2 else one for one in PROFILES)
    there = partitioned(0, ("a name", 4, ["1c.a name", "2c.a name"]), ("1g.5gb", 0, ["1g.5gb"]))._replace(profiles=odd)
    devices = devices_of([there])
    entry = layout_of(there._replace(mig_mode=True))
    assert {one["profile"] for one in entry["instances"]} == {"2", "1g.5gb"}
    assert devices_to_come([there], [entry]) == devices


@pytest.mark.parametrize(
    "profile, cuda, clients",
    [("1g.5gb", "12.4", 6), ("3g.20gb", "13.0", 20), ("1c.3g.20gb", "12.4", 6), ("3g.20gb", "13.1", 25)],
)
def test_mps_clients_are_the_compute_instances_share(profile, cuda, clients):
    assert mps_clients(device(0, profile, 0), cuda) == clients
    # A profile that shares its name is called by its id, which says nothing of slices.
    shared = tuple(one._replace(name=str(one.id), told=one.name) for one in PROFILES)
    name = profile.replace("3g.20gb", "2").replace("1g.5gb", "0")
    by_id = device(0, profile, 0)._replace(gpu=gpu(0, profiles=shared, compute_slices=7), profile=name)
    assert mps_clients(by_id, cuda) == clients


def situation(random):
    """Devices, wishes and what the services had before; hypothesis alone would draw too many that are alike."""
    places = sorted(
        (random.randrange(3), random.choice(sorted(MEMORY)), random.random() < 0.2)
        for _place in range(random.randint(1, 6))
    )
    order = random.sample(range(len(places)), len(places))
    devices = [
        device(index, profile, number, f"MIG-{number}", shared)
        for number, (index, profile, shared) in zip(order, places, strict=True)
    ]
    wishes = [
        Wish(
            f"service-{number}",
            profile=random.choice([None, None, None, *sorted(MEMORY)]),
            memory_mib=random.choice([None, None, 1, 5000, 10000]),
            placement=random.choice([None] * 5 + list(range(6))),
            gpus=random.choice([None] * 3 + [frozenset({0, 1}), frozenset({2})]),
        )
        for number in range(random.randint(0, 4))
    ]
    current = {wish.service: f"MIG-{random.randrange(8)}" for wish in wishes}
    return devices, wishes, current, random.random() < 0.5


def by_brute_force(wishes, devices, current, spread):
    """Every way to give each wish a device of its own, and what the best of them is by the words of assign()."""

    def cost(chosen):
        found = [devices[number] for number in chosen]
        indexes = [one.gpu.index for one in found]
        ranks = sorted({one.gpu.index for one in devices})
        return (
            sum(current.get(wish.service) != one.uuid for wish, one in zip(wishes, found, strict=True)),
            sum(one.memory_mib for one in found),
            sum(indexes.count(index) ** 2 for index in indexes and set(indexes))
            if spread
            else sum(map(ranks.index, indexes)),
            chosen,
        )

    ways = (
        chosen
        for chosen in itertools.permutations(range(len(devices)), len(wishes))
        if all(wish.fits(devices[number]) for wish, number in zip(wishes, chosen, strict=True))
    )
    return min(ways, key=cost, default=None)


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 1 << 32))
def test_as_brute_force_has_it(seed):
    devices, wishes, current, spread = situation(Random(seed))
    expected = by_brute_force(wishes, devices, current, spread)
    try:
        found = [devices.index(one) for one in assign(wishes, devices, current, spread)]
    except AssignmentError as refusal:
        assert expected is None
        # Those it names cannot all have one, the others do not matter to them.
        named = [wish for wish in wishes if f"{wish.service} wants" in str(refusal)]
        assert named
        fitting = [one for one in devices if any(wish.fits(one) for wish in named)]
        assert len(fitting) < len(named)
    else:
        assert found == list(expected)


def test_a_full_host_of_eight_gpus():
    devices = [device(index, "1g.5gb", start, f"MIG-{index}-{start}") for index in range(8) for start in range(7)]
    wishes = [Wish(f"service-{number}", "1g.5gb") for number in range(56)]
    current = {f"service-{number}": f"MIG-{number % 8}-{number // 8}" for number in range(56)}
    assert uuids(wishes, devices, current, spread=True) == list(current.values())


def test_a_service_may_ask_for_a_profile_by_its_id():
    devices = devices_of([partitioned(0, ("1g.5gb", 0, ["1g.5gb"]), ("3g.20gb", 4, ["1c.3g.20gb", "2c.3g.20gb"]))])
    found = assign([Wish("a", "2c.2"), Wish("b", "0")], devices, {})
    assert [one.profile for one in found] == ["2c.3g.20gb", "1g.5gb"]


def test_a_name_that_two_profiles_share_is_refused_with_their_ids():
    shared = tuple(one._replace(name=str(one.id), told="1g.10gb") for one in PROFILES[:2])
    one = partitioned(0, ("0", 0, ["0"]), ("1", 1, ["1"]))._replace(profiles=shared)
    with pytest.raises(AssignmentError) as refusal:
        assign([Wish("a", "1g.10gb")], devices_of([one]), {})
    words = "GPU 0 has 2 profiles that its driver calls 1g.10gb, with the ids 0 and 1: write the id as the profile"
    assert words in str(refusal.value)
    assert [device.profile for device in assign([Wish("a", "1")], devices_of([one]), {})] == ["1"]
