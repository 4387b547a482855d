# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The layout language: what an entry means, which entry has the say over a GPU, and what is said to a wrong one."""

from __future__ import annotations

import json

import pytest
from gpus import A100, A100_80, H100, L40S, gpu, host
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import (
    resolve_layout,
    short_form,
    validate_layout,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.written import layout_entry
from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    GpuLayout,
    PlacedComputeInstance,
    PlacedInstance,
    WantedComputeInstance,
    WantedInstance,
)

OFF = GpuLayout(mig_enabled=False)


def resolve(layout, gpus, prefix="layout[{}]."):
    return resolve_layout(validate_layout(layout, prefix), gpus)


def counts(**by_profile):
    """counts(_1g_5gb=2) is the GpuLayout that counts two 1g.5gb."""
    return GpuLayout(counts=tuple((name[1:].replace("_", "."), count) for name, count in by_profile.items()))


def refusal(call, *arguments, **options):
    with pytest.raises(LayoutError) as error:
        call(*arguments, **options)
    return str(error.value)


# What one entry means


@pytest.mark.parametrize(
    "entry, meaning",
    [
        ({"instances": {"1g.5gb": 7}}, counts(_1g_5gb=7)),
        ({"instances": {"3g.20gb": "1", "1g.5gb": 2}}, counts(_1g_5gb=2, _3g_20gb=1)),
        ({"instances": {"3c.3g.20gb": 1}}, counts(_3g_20gb=1)),
        ({"instances": {"1c.3g.20gb": 3}}, counts(_1c_3g_20gb=3)),
        ({"instances": {"1g.5gb": 0, "2g.10gb": "0"}}, counts()),
        ({"instances": {}}, counts()),
        ({"instances": []}, GpuLayout(instances=())),
        ({"mig_enabled": False}, OFF),
        ({"mig_enabled": False, "instances": {}}, OFF),
        ({"mig_enabled": True, "instances": {"1g.5gb": 1}}, counts(_1g_5gb=1)),
        ({"product": None, "pci_device_id": None, "mig_enabled": None, "gpus": None, "instances": {}}, counts()),
    ],
)
def test_counts_and_mode(entry, meaning):
    (parsed,) = validate_layout([entry])
    assert parsed.layout == meaning
    assert resolve([entry], host(A100)) == ((gpu(0), meaning),)


@pytest.mark.parametrize("name", ["1g.24gb+me.all", "1g.24gb-me", "2g.48gb+gfx", "1c.2g.12gb+me", "7g.141gb"])
def test_every_kind_of_profile_name(name):
    assert validate_layout([{"instances": {name: 1}}])[0].layout.counts == ((name, 1),)


def test_blanks_around_a_name_are_no_part_of_it():
    assert validate_layout([{"instances": {" 1g.5gb\n": " 7 "}}])[0].layout == counts(_1g_5gb=7)


@pytest.mark.parametrize("off", [False, "false", "no", "No", "off", "0", 0, "n", " False "])
def test_every_way_to_say_no(off):
    assert validate_layout([{"mig_enabled": off}])[0].layout == OFF


@pytest.mark.parametrize("on", [True, "true", "yes", "on", "ON", "1", 1, "y"])
def test_every_way_to_say_yes(on):
    assert validate_layout([{"mig_enabled": on, "instances": {}}])[0].layout == counts()


def spanning(profile, start=None):
    return WantedInstance(profile, start, (WantedComputeInstance(profile),))


@pytest.mark.parametrize(
    "item, wanted",
    [
        ({"profile": "3g.20gb"}, spanning("3g.20gb")),
        ("3g.20gb", spanning("3g.20gb")),
        ({"profile": "3c.3g.20gb", "placement": 4}, spanning("3g.20gb", 4)),
        ({"profile": "3g.20gb", "placement": "0", "compute_instances": None}, spanning("3g.20gb", 0)),
        ({"profile": "3g.20gb", "compute_instances": []}, WantedInstance("3g.20gb")),
        (
            {"profile": "3g.20gb", "compute_instances": ["2c.3g.20gb", {"profile": "1c.3g.20gb", "placement": "2"}]},
            WantedInstance(
                "3g.20gb", None, (WantedComputeInstance("2c.3g.20gb"), WantedComputeInstance("1c.3g.20gb", 2))
            ),
        ),
        (
            {"profile": "1g.5gb+me", "compute_instances": ["1c.1g.5gb+me"]},
            WantedInstance("1g.5gb+me", None, (WantedComputeInstance("1g.5gb+me"),)),
        ),
    ],
)
def test_list_form(item, wanted):
    assert validate_layout([{"instances": [item]}])[0].layout == GpuLayout(instances=(wanted,))


# Which entry has the say


def says(layout, gpus):
    """{index: counts or None} of what resolve_layout decides."""
    return {one.index: wanted.counts and dict(wanted.counts) for one, wanted in resolve(layout, gpus)}


def one(profile, **which):
    return {**which, "instances": {profile: 1}}


@pytest.mark.parametrize(
    "layout, expected",
    [
        ([], {}),
        ([one("1g.5gb")], {0: "1g.5gb", 1: "1g.5gb", 2: "1g.5gb"}),
        ([one("1g.5gb", gpus="all")], {0: "1g.5gb", 1: "1g.5gb", 2: "1g.5gb"}),
        ([one("1g.5gb", gpus=[1])], {1: "1g.5gb"}),
        ([one("1g.5gb", gpus=[1]), one("2g.10gb")], {0: "2g.10gb", 1: "1g.5gb", 2: "2g.10gb"}),
        ([one("2g.10gb"), one("1g.5gb", gpus="1")], {0: "2g.10gb", 1: "1g.5gb", 2: "2g.10gb"}),
        ([one("1g.5gb", product="NVIDIA A100*")], {0: "1g.5gb", 1: "1g.5gb"}),
        ([one("1g.5gb", product="*a100-sxm4-40gb")], {0: "1g.5gb", 1: "1g.5gb"}),
        ([one("1g.5gb", product="A100")], {}),
        ([one("1g.5gb", pci_device_id=A100)], {0: "1g.5gb", 1: "1g.5gb"}),
        ([one("1g.5gb", pci_device_id="0x20b010de")], {0: "1g.5gb", 1: "1g.5gb"}),
        ([one("1g.5gb", pci_device_id=[str(A100), "0x233010DE"])], {0: "1g.5gb", 1: "1g.5gb", 2: "1g.5gb"}),
        ([one("1g.5gb", pci_device_id=[A100_80])], {}),
        ([one("1g.5gb", product="*A100*", pci_device_id=H100)], {}),
        ([one("1g.5gb"), one("2g.10gb", product="*A100*")], {0: "2g.10gb", 1: "2g.10gb", 2: "1g.5gb"}),
        ([one("2g.10gb", product="*A100*"), one("1g.5gb")], {0: "2g.10gb", 1: "2g.10gb", 2: "1g.5gb"}),
        (
            [one("3g.20gb", gpus=0), one("2g.10gb", pci_device_id=A100), one("1g.5gb")],
            {0: "3g.20gb", 1: "2g.10gb", 2: "1g.5gb"},
        ),
        ([one("1g.5gb", product="*A100*"), one("1g.10gb", product="*H100*")], {0: "1g.5gb", 1: "1g.5gb", 2: "1g.10gb"}),
        ([one("1g.5gb", gpus=[0, "08:00.0", 0])], {0: "1g.5gb", 1: "1g.5gb"}),
        # GPUs that are named and of another product are left out; on a host without the product they may be absent.
        ([one("1g.5gb", gpus=[0, 2, 3], product="*A100*")], {0: "1g.5gb"}),
        ([one("1g.5gb", gpus=[5, 6], product="*B200*")], {}),
    ],
)
def test_which_entry_has_the_say(layout, expected):
    gpus = host(A100, A100, H100, L40S)
    assert says(layout, gpus) == {index: {profile: 1} for index, profile in expected.items()}
    assert says(layout, gpus[::-1]) == says(layout, gpus)


def test_a_gpu_without_mig_is_passed_over_where_none_is_wanted():
    gpus = host(A100, L40S)
    assert resolve([{"gpus": [0, 1], "mig_enabled": False}], gpus) == ((gpus[0], OFF),)
    assert resolve([{"gpus": [1], "mig_enabled": False}, one("1g.5gb")], gpus) == resolve([one("1g.5gb")], gpus)
    # That it is not there is an error all the same.
    assert "there is no GPU 7" in refusal(resolve, [{"gpus": [7], "mig_enabled": False}], gpus)


def test_gpus_come_in_index_order():
    assert [one.index for one, _layout in resolve([{"instances": {}}], host(A100, A100, A100)[::-1])] == [
        0,
        1,
        2,
    ]


def test_short_form():
    assert says(short_form([1], {"1g.5gb": 2}), host(A100, A100)) == {1: {"1g.5gb": 2}}
    assert says(short_form(None, {"1g.5gb": 2}), host(A100)) == {0: {"1g.5gb": 2}}


def test_messages_about_the_short_form_speak_of_the_options():
    def why(gpus, instances):
        return refusal(resolve, short_form(gpus, instances), host(A100), prefix="")

    assert why(None, {"1g.5gb": -1}) == "instances['1g.5gb']: expected a count, 0 or more, got -1"
    assert why([1], {}).startswith("gpus[0]: there is no GPU 1 on this host")
    assert why(None, ["2g.10gb", {"profile": "x"}]).startswith("instances[1].profile: expected a profile name")
    assert why(None, None).startswith("instances: missing")


# What is refused


@pytest.mark.parametrize(
    "layout, message",
    [
        (
            [one("1g.5gb"), one("2g.10gb", gpus="all")],
            "layout[0] and layout[1] both claim GPU 0 (NVIDIA A100-SXM4-40GB, ",
        ),
        (
            [one("1g.5gb", gpus=[0, 1]), {"gpus": "GPU-00000000-0000-0000-0000-000000000001", "mig_enabled": False}],
            "layout[0] and layout[1] both claim GPU 1 (",
        ),
        (
            [one("1g.5gb"), one("1g.5gb", product="*A100*"), one("1g.5gb", pci_device_id=A100)],
            "layout[1] and layout[2] both claim GPU 0 (",
        ),
        # Equal rank is an error even where a third entry has the say.
        ([one("1g.5gb", gpus=0), one("1g.5gb"), one("2g.10gb")], "layout[1] and layout[2] both claim GPU 0 ("),
        (
            [one("1g.5gb"), one("1g.5gb", gpus=[4])],
            "layout[1].gpus[0]: there is no GPU 4 on this host, which has GPU 0",
        ),
        ([one("1g.5gb", gpus=[3])], "layout[0].gpus[0]: GPU 3 (NVIDIA L40S"),
        ([one("1g.5gb", gpus=[0, 9], product="*A100*")], "layout[0].gpus[1]: there is no GPU 9"),
    ],
)
def test_refused_on_this_host(layout, message):
    assert refusal(resolve, layout, host(A100, A100, H100, L40S)).startswith(message)


@pytest.mark.parametrize(
    "layout, message",
    [
        ("all", "layout: expected a list of entries, got 'all'"),
        ({"instances": {}}, "layout: expected a list of entries, got {'instances': {}}"),
        (None, "layout: expected a list of entries, got None"),
        ([[]], "layout[0]: expected a mapping with gpus, product, pci_device_id, mig_enabled, instances, got []"),
        ([{"instances": {}, "gpu": 0}], "layout[0]: unknown key 'gpu'; did you mean gpus?"),
        ([{"instances": {}, "mig-enabled": 0}], "layout[0]: unknown key 'mig-enabled'; did you mean mig_enabled?"),
        ([{"instances": {}, 5: 0}], "layout[0]: unknown key 5; known are gpus, product"),
        ([{1 << 20000: 0}], "layout[0]: unknown key a number without end; known are"),
        ([{"instances": {}, "gpus": []}], "layout[0].gpus: the list is empty; expected all"),
        ([{"instances": {}, "gpus": "MIG-1"}], "layout[0].gpus: 'MIG-1' is a MIG device"),
        ([{}], "layout[0].instances: missing; write {} for MIG on and no instances, or mig_enabled: false"),
        ([{"instances": 7}], "layout[0].instances: expected counts such as {1g.5gb: 7} or a list of instances, got 7"),
        ([{"instances": "1g.5gb"}], "layout[0].instances: expected counts"),
        ([{"mig_enabled": "maybe"}], "layout[0].mig_enabled: expected true or false, got 'maybe'"),
        ([{"mig_enabled": 2}], "layout[0].mig_enabled: expected true or false, got 2"),
        ([{"mig_enabled": 0, "instances": {"1g.5gb": 1}}], "layout[0].instances: MIG instances need mig_enabled: true"),
        (
            [{"instances": {}}, {"instances": {"1g.5gb": -1}}],
            "layout[1].instances['1g.5gb']: expected a count, 0 or more",
        ),
        ([{"instances": {"1g.5gb": True}}], "layout[0].instances['1g.5gb']: expected a count, 0 or more, got True"),
        ([{"instances": {"1g.5gb": 1.0}}], "layout[0].instances['1g.5gb']: expected a count, 0 or more, got 1.0"),
        ([{"instances": {"1g.5gb": None}}], "layout[0].instances['1g.5gb']: expected a count, 0 or more, got None"),
        ([{"instances": {"1g.5gb": "two"}}], "layout[0].instances['1g.5gb']: expected a count, 0 or more, got 'two'"),
        ([{"instances": {"1g.5gb": "9" * 5000}}], "layout[0].instances['1g.5gb']: expected a count"),
        ([{"instances": {"1g.5gb": 1 << 20000}}], "layout[0].instances['1g.5gb']: expected a count"),
        ([{"instances": {}, "pci_device_id": 1 << 20000}], "layout[0].pci_device_id: expected device"),
        (
            [{"instances": {1.5: 1}}],
            "layout[0].instances: expected a profile name such as 3g.20gb, 1c.3g.20gb or 1g.5gb",
        ),
        ([{"instances": {"1G.5GB": 1}}], "layout[0].instances: expected a profile name"),
        ([{"instances": {"mig-1g.5gb": 1}}], "layout[0].instances: expected a profile name"),
        ([{"instances": {"9" * 5000 + "g.5gb": 1}}], "layout[0].instances: expected a profile name"),
        (
            [{"instances": {"4c.3g.20gb": 1}}],
            "layout[0].instances: 4c.3g.20gb asks for 4 compute slices, and 3g.20gb has",
        ),
        ([{"instances": {"3g.20gb": 1, "3c.3g.20gb": 1}}], "layout[0].instances: 3g.20gb is counted under two names"),
        (
            [{"instances": [7.5]}],
            "layout[0].instances[0]: expected a mapping with profile, placement, compute_instances",
        ),
        ([{"instances": [{}]}], "layout[0].instances[0]: profile is missing"),
        (
            [{"instances": [{"profil": "1g.5gb"}]}],
            "layout[0].instances[0]: unknown key 'profil'; did you mean profile?",
        ),
        ([{"instances": ["1g.5gb", {"profile": 9.5}]}], "layout[0].instances[1].profile: expected a profile name"),
        (
            [{"instances": [{"profile": "1c.3g.20gb"}]}],
            "layout[0].instances[0].profile: 1c.3g.20gb is a compute instance; write profile: 3g.20gb with compute_",
        ),
        (
            [{"instances": [{"profile": "1g.5gb", "placement": "4:1"}]}],
            "layout[0].instances[0].placement: expected the first slice, such as 4, got '4:1'",
        ),
        (
            [{"instances": [{"profile": "1g.5gb", "placement": -1}]}],
            "layout[0].instances[0].placement: expected the first",
        ),
        (
            [{"instances": [{"profile": "3g.20gb", "placement": 4} for _twice in range(2)]}],
            "layout[0].instances[0] and [1] both start at slice 4; move one",
        ),
        (
            [{"instances": [{"profile": "3g.20gb", "compute_instances": {"1c.3g.20gb": 3}}]}],
            "layout[0].instances[0].compute_instances: expected a list such as [1c.3g.20gb], or [] for none",
        ),
        (
            [{"instances": [{"profile": "3g.20gb", "compute_instances": ["1c.3g.20gb", "1c.4g.20gb"]}]}],
            "layout[0].instances[0].compute_instances[1]: 1c.4g.20gb does not belong in a 3g.20gb; its names",
        ),
        (
            [{"instances": [{"profile": "3g.20gb", "compute_instances": ["2c.3g.20gb", "2c.3g.20gb"]}]}],
            "layout[0].instances[0].compute_instances: they take 4 compute slices, and 3g.20gb has 3; leave some out",
        ),
        (
            [
                {
                    "instances": [
                        {"profile": "2g.10gb", "compute_instances": [{"profile": "1c.2g.10gb", "placement": 0}] * 2}
                    ]
                }
            ],
            "layout[0].instances[0].compute_instances[0] and [1] both start at slice 0",
        ),
        (
            [{"instances": {}, "product": 7}],
            "layout[0].product: expected a product name or a pattern such as 'NVIDIA A100*'",
        ),
        ([{"instances": {}, "product": " "}], "layout[0].product: expected a product name"),
        (
            [{"instances": {}, "pci_device_id": []}],
            "layout[0].pci_device_id: expected device and NVIDIA's vendor id in one",
        ),
        (
            [{"instances": {}, "pci_device_id": "20B010DE"}],
            "layout[0].pci_device_id: expected device and NVIDIA's vendor id",
        ),
        ([{"instances": {}, "pci_device_id": "0x10DE"}], "layout[0].pci_device_id: expected device and NVIDIA's"),
        (
            [{"instances": {}, "pci_device_id": 0x20B0}],
            "layout[0].pci_device_id: expected device and NVIDIA's vendor id",
        ),
        (
            [{"instances": {}, "pci_device_id": [A100, True]}],
            "layout[0].pci_device_id: expected device and NVIDIA's vendor",
        ),
        (
            [{"instances": {}, "pci_device_id": 0x120B010DE}],
            "layout[0].pci_device_id: expected device and NVIDIA's vendor",
        ),
    ],
)
def test_refused_without_looking_at_any_gpu(layout, message):
    assert refusal(validate_layout, layout).startswith(message)
    assert refusal(resolve, layout, ()).startswith(message)


# From what is there back to an entry


def placed(start, size, profile, *compute):
    return PlacedInstance(
        start, size, profile, tuple(PlacedComputeInstance(first, many, name) for first, many, name in compute)
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1G.5GB", "1g.5gb"),
        ("MIG 1g.5gb", "1g.5gb"),
        ("mig-1c.3g.20gb", "1c.3g.20gb"),
        ("1g.5gb.me", "1g.5gb+me"),
        ("nvidia.com/mig-1g.24gb.me.all", "1g.24gb+me.all"),
    ],
)
def test_what_was_meant_is_named(written, meant):
    assert f"got '{written}'; did you mean {meant}?" in refusal(validate_layout, [{"instances": {written: 1}}])
    assert "did you mean" not in refusal(validate_layout, [{"instances": {"1g": 1}}])


def test_layout_entry():
    instances = (
        placed(4, 4, "3g.20gb", (2, 1, "1c.3g.20gb"), (0, 2, "2c.3g.20gb")),
        placed(2, 1, "1g.5gb", (0, 1, "1g.5gb")),
        placed(0, 2, "2g.10gb"),
    )
    expected = {
        "gpus": ["GPU-00000000-0000-0000-0000-000000000003"],
        "mig_enabled": True,
        "instances": [
            {"profile": "2g.10gb", "placement": 0, "compute_instances": []},
            {"profile": "1g.5gb", "placement": 2, "compute_instances": [{"profile": "1g.5gb", "placement": 0}]},
            {
                "profile": "3g.20gb",
                "placement": 4,
                "compute_instances": [
                    {"profile": "2c.3g.20gb", "placement": 0},
                    {"profile": "1c.3g.20gb", "placement": 2},
                ],
            },
        ],
    }
    assert layout_entry(gpu(3), instances) == layout_entry(gpu(3), instances[::-1]) == expected


def test_layout_entry_of_a_gpu_with_mig_off():
    entry = layout_entry(gpu(0), None)
    assert entry == {"gpus": ["GPU-00000000-0000-0000-0000-000000000000"], "mig_enabled": False}
    assert resolve([entry], host(A100)) == ((gpu(0), OFF),)


# Generated layouts

COMPUTE = {"1g.5gb": [1], "2g.10gb": [1, 2], "3g.20gb": [1, 2, 3], "7g.40gb": [1, 2, 3, 4, 7]}


@st.composite
def placed_instances(draw):
    found = []
    for start in draw(st.lists(st.integers(0, 7), unique=True)):
        profile = draw(st.sampled_from(sorted(COMPUTE)))
        slices, first, compute = int(profile[0]), 0, []
        while first < slices and draw(st.booleans()):
            many = draw(st.sampled_from([size for size in COMPUTE[profile] if size <= slices - first]))
            compute.append((first, many, profile if many == slices else f"{many}c.{profile}"))
            first += many
        found.append(placed(start, slices, profile, *draw(st.permutations(compute))))
    return found


@given(placed_instances())
def test_what_is_there_can_be_written_and_read_back(instances):
    entry = json.loads(json.dumps(layout_entry(gpu(0), instances)))
    ((_gpu, layout),) = resolve([entry], host(A100))
    assert layout.counts is None
    found = [(wanted.start, wanted.profile, wanted.compute_instances) for wanted in layout.instances]
    assert found == [
        (
            there.start,
            there.profile,
            tuple((compute.profile, compute.start) for compute in sorted(there.compute_instances)),
        )
        for there in sorted(instances)
    ]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=3)
names = (
    st.sampled_from(["1g.5gb", "3g.20gb", "1c.3g.20gb", "4c.3g.20gb", "3c.3g.20gb", "1g", "", "1g.5gb\n"]) | st.text()
)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
small = st.integers(-1, 8) | st.sampled_from(["4", "0", "x", None]) | anything


def mapping(**values):
    return st.fixed_dictionaries({}, optional={key: value | anything for key, value in values.items()})


compute_item = names | mapping(profile=names, placement=small)
item = names | mapping(profile=names, placement=small, compute_instances=st.lists(compute_item, max_size=4))
entries = mapping(
    gpus=st.sampled_from(["all", 0, "1", [0, 1], [2], "07:00.0", "GPU-x"]),
    product=st.sampled_from(["*", "NVIDIA A100*", "[z-a]", "["]),
    pci_device_id=st.sampled_from([A100, "0x20B010DE", [A100, H100], []]),
    mig_enabled=st.sampled_from([True, False, "no", "yes", 1]),
    instances=st.dictionaries(names, small, max_size=3) | st.lists(item, max_size=4),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(entries, max_size=3) | anything)
def test_any_layout_is_understood_or_refused(layout):
    try:
        decided = resolve(layout, host(A100, H100, L40S))
    except LayoutError as error:
        assert str(error).startswith("layout") and "\n" not in str(error) and len(str(error)) < 1000
    else:
        for one_gpu, wanted in decided:
            assert one_gpu.mig_capable
            assert wanted.mig_enabled == (wanted.counts is not None or wanted.instances is not None)
            assert wanted.counts is None or wanted.instances is None
