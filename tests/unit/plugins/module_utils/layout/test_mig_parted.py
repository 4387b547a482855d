# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration files of nvidia-mig-parted to layouts and back: the same GPUs get the same, or a clear refusal."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import yaml
from gpus import A100, A100_80, H100, host
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import (
    resolve_layout,
    validate_layout,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.mig_parted import from_mig_parted, to_mig_parted

FILE = yaml.safe_load((Path(__file__).parent / "files" / "mig-parted.yaml").read_text(encoding="utf-8"))
ON = {"mig-enabled": True, "mig-devices": {"1g.5gb": 7}}


def config(*entries):
    return {"version": "v1", "mig-configs": {"here": list(entries)}}


def refusal(call, *arguments):
    with pytest.raises(LayoutError) as error:
        call(*arguments)
    return str(error.value)


@pytest.mark.parametrize(
    "label, layout",
    [
        ("all-disabled", [{"gpus": "all", "mig_enabled": False}]),
        ("all-enabled", [{"gpus": "all", "instances": {}}]),
        ("all-1g.5gb", [{"gpus": "all", "instances": {"1g.5gb": 7}}]),
        (
            "all-1g.10gb.me",
            [{"gpus": "all", "pci_device_id": ["0x20B210DE", "0x233010DE"], "instances": {"1g.10gb+me": 1}}],
        ),
        (
            "all-balanced",
            [
                {
                    "gpus": "all",
                    "pci_device_id": ["0x20B010DE", "0x20B110DE"],
                    "instances": {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1},
                },
                {
                    "gpus": "all",
                    "pci_device_id": ["0x20B210DE", "0x233010DE"],
                    "instances": {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1},
                },
                {"gpus": "all", "pci_device_id": ["0x20B710DE"], "instances": {"1g.6gb": 2, "2g.12gb": 1}},
            ],
        ),
        (
            "notebooks-and-training",
            [
                {"gpus": [0, 1, 2, 3], "mig_enabled": False},
                {"gpus": [4, 5], "instances": {"1c.3g.20gb": 6}},
                {"gpus": [6], "instances": {"1g.5gb": 4, "3g.20gb": 1}},
                {"gpus": [7], "instances": {"7g.40gb": 1}},
            ],
        ),
        (
            "one-gpu-aside",
            [{"gpus": "all", "instances": {"2g.10gb": 3}}, {"gpus": [0], "instances": {"7g.40gb": 1}}],
        ),
    ],
)
def test_a_file_as_people_have_it(label, layout):
    assert from_mig_parted(FILE, label) == layout


def test_the_file_comes_back_as_it_was():
    labels = list(FILE["mig-configs"])
    assert len(labels) == 7
    for label in labels:
        assert from_mig_parted(to_mig_parted(from_mig_parted(FILE, label), "x"), "x") == from_mig_parted(FILE, label)


def test_the_label_may_be_left_out_where_there_is_one():
    assert from_mig_parted(config({"devices": "all", **ON})) == [{"gpus": "all", "instances": {"1g.5gb": 7}}]


@pytest.mark.parametrize(
    "device_filter",
    ["0x20B010DE", "0x20b010de", A100, str(A100), ["0x20B010DE"], [A100], ["0x20B010DE", A100]],
)
def test_every_way_to_write_a_device_filter(device_filter):
    (entry,) = from_mig_parted(config({"device-filter": device_filter, "devices": "all", **ON}))
    assert entry["pci_device_id"] == ["0x20B010DE"]


@pytest.mark.parametrize("device_filter", [None, "", []])
def test_an_empty_device_filter_filters_nothing(device_filter):
    (entry,) = from_mig_parted(config({"device-filter": device_filter, "devices": "all", **ON}))
    assert "pci_device_id" not in entry


@pytest.mark.parametrize(
    "entries, layout",
    [
        # The last of two that match the same GPUs stays.
        (
            [{"devices": "all", "mig-enabled": False}, {"devices": "all", **ON}],
            [{"gpus": "all", "instances": {"1g.5gb": 7}}],
        ),
        (
            [{"devices": [0, 1], "mig-enabled": False}, {"devices": [1, 2], **ON}],
            [{"gpus": [0], "mig_enabled": False}, {"gpus": [1, 2], "instances": {"1g.5gb": 7}}],
        ),
        (
            [{"devices": [0], "mig-enabled": False}, {"devices": "all", **ON}],
            [{"gpus": "all", "instances": {"1g.5gb": 7}}],
        ),
        (
            [
                {"device-filter": [A100, H100], "devices": [0, 1], "mig-enabled": False},
                {"device-filter": [H100, A100_80], "devices": [1, 2], **ON},
            ],
            [
                {"gpus": [0, 1], "pci_device_id": ["0x20B010DE"], "mig_enabled": False},
                {"gpus": [0], "pci_device_id": ["0x233010DE"], "mig_enabled": False},
                {"gpus": [1, 2], "pci_device_id": ["0x20B210DE", "0x233010DE"], "instances": {"1g.5gb": 7}},
            ],
        ),
    ],
)
def test_entries_that_match_the_same_gpu(entries, layout):
    assert from_mig_parted(config(*entries)) == layout


ALL = {"devices": "all", **ON}


@pytest.mark.parametrize(
    "data, label, message",
    [
        (
            "version: v1",
            None,
            "nvidia-mig-parted configuration: expected a mapping with version, mig-configs, got 'ver",
        ),
        (None, None, "nvidia-mig-parted configuration: expected a mapping with version, mig-configs, got None"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "data": {}}, None, "this is a Kubernetes ConfigMap; give the text"),
        ({"mig-configs": {"x": [ALL]}}, None, "version: expected v1, got None"),
        ({"version": "v2", "mig-configs": {"x": [ALL]}}, None, "version: expected v1, got 'v2'"),
        (
            {"version": "v1", "mig_configs": {}},
            None,
            "nvidia-mig-parted configuration: unknown key 'mig_configs'; did you",
        ),
        ({"version": "v1"}, None, "mig-configs: expected a mapping with at least one label, got None"),
        ({"version": "v1", "mig-configs": {}}, None, "mig-configs: expected a mapping with at least one label, got {}"),
        ({"version": "v1", "mig-configs": {"x": []}}, "x", "mig-configs['x']: expected a list with at least one entry"),
        (
            {"version": "v1", "mig-configs": {"x": ALL}},
            "x",
            "mig-configs['x']: expected a list with at least one entry",
        ),
        (
            FILE,
            None,
            "label: missing, and mig-configs has several; choose one of all-1g.10gb.me, all-1g.5gb, all-balanced",
        ),
        (
            FILE,
            "all-1g",
            "label: mig-configs has no 'all-1g'; it has all-1g.10gb.me, all-1g.5gb, all-balanced, all-dis",
        ),
        (FILE, ["all-1g.5gb"], "label: mig-configs has no ['all-1g.5gb']; it has"),
        (
            config("all"),
            None,
            "mig-configs['here'][0]: expected a mapping with device-filter, devices, mig-enabled, mig",
        ),
        (config(ALL, {**ALL, "gpus": 0}), None, "mig-configs['here'][1]: unknown key 'gpus'; known are device-filter"),
        (config(ON), None, "mig-configs['here'][0]: devices is missing; nvidia-mig-parted requires it"),
        (config({"devices": "all", "mig-devices": {}}), None, "mig-configs['here'][0]: mig-enabled is missing"),
        (
            config({**ON, "devices": "0"}),
            None,
            "mig-configs['here'][0].devices: expected all or a list of indexes, got '0'",
        ),
        (
            config({**ON, "devices": []}),
            None,
            "mig-configs['here'][0].devices: expected all or a list of indexes, got []",
        ),
        (
            config({**ON, "devices": ["GPU-1"]}),
            None,
            "mig-configs['here'][0].devices: expected an index; nvidia-mig-parted",
        ),
        (config({**ON, "devices": [-1]}), None, "mig-configs['here'][0].devices: expected an index"),
        (config({**ALL, "mig-enabled": "perhaps"}), None, "mig-configs['here'][0].mig-enabled: expected true or false"),
        (
            config({**ALL, "mig-enabled": False}),
            None,
            "mig-configs['here'][0].mig-devices: MIG devices need mig-enabled",
        ),
        (config({**ALL, "mig-devices": None}), None, "mig-configs['here'][0].mig-devices: expected counts such as"),
        (
            config({**ALL, "mig-devices": {"1g": 1}}),
            None,
            "mig-configs['here'][0].mig-devices: expected a profile name",
        ),
        (
            config({**ALL, "mig-devices": {"1g.5gb": -1}}),
            None,
            "mig-configs['here'][0].mig-devices['1g.5gb']: expected a",
        ),
        (
            config({**ALL, "device-filter": "A100"}),
            None,
            "mig-configs['here'][0].device-filter: expected device and NVID",
        ),
        (
            config({**ALL, "device-filter": ["0x233010DE:0x16C110DE"]}),
            None,
            "mig-configs['here'][0].device-filter: '0x233010DE:0x16C110DE' names a subsystem, which a layout cannot;",
        ),
        (
            config({**ON, "devices": [0]}, {**ALL, "device-filter": [H100]}),
            None,
            "mig-configs['here'][0] and mig-configs['here'][1] may match the same GPU, whose model then decides whic",
        ),
    ],
)
def test_refused_files(data, label, message):
    assert refusal(from_mig_parted, data, label).startswith(message)


# The other way


def test_data_of_a_file():
    layout = [
        {"gpus": [2, 1], "instances": {"1g.5gb": "2", "2g.10gb": 0}},
        {"gpus": 0, "mig_enabled": "no"},
        {"pci_device_id": H100, "gpus": [0], "instances": {}},
    ]
    assert refusal(to_mig_parted, layout, "x").startswith(
        "layout[1] and layout[2] may match the same GPU and have equal"
    )
    assert to_mig_parted(layout[:2], "x") == {
        "version": "v1",
        "mig-configs": {
            "x": [
                {"devices": [1, 2], "mig-enabled": True, "mig-devices": {"1g.5gb": 2}},
                {"devices": [0], "mig-enabled": False},
            ]
        },
    }
    assert to_mig_parted(layout[2:], "x")["mig-configs"]["x"] == [
        {"device-filter": ["0x233010DE"], "devices": [0], "mig-enabled": True, "mig-devices": {}}
    ]


def test_the_entry_that_has_the_say_comes_last():
    layout = [{"gpus": [0], "instances": {"7g.40gb": 1}}, {"instances": {"1g.5gb": 7}}]
    entries = to_mig_parted(layout, "x")["mig-configs"]["x"]
    assert [entry["devices"] for entry in entries] == ["all", [0]]


THREE, ONE, TWO = "3g.20gb", "1c.3g.20gb", "2c.3g.20gb"


@pytest.mark.parametrize(
    "instances, counts",
    [
        ([], {}),
        ([THREE, "1g.5gb", "1g.5gb"], {THREE: 1, "1g.5gb": 2}),
        ([{"profile": THREE, "compute_instances": [THREE]}], {THREE: 1}),
        ([{"profile": THREE, "compute_instances": [ONE, TWO]}, THREE], {ONE: 1, TWO: 1, THREE: 1}),
        ([{"profile": THREE, "compute_instances": [ONE]}], {ONE: 1}),
        ([{"profile": THREE, "compute_instances": [ONE] * 3}] * 2, {ONE: 6}),
        ([{"profile": THREE, "compute_instances": [TWO]}] * 2, {TWO: 2}),
        (
            [
                {"profile": THREE, "compute_instances": [ONE, ONE]},
                {"profile": "2g.10gb", "compute_instances": ["1c.2g.10gb"]},
            ],
            {ONE: 2, "1c.2g.10gb": 1},
        ),
    ],
)
def test_a_list_of_instances_that_counts_can_say(instances, counts):
    (entry,) = to_mig_parted([{"instances": instances}], "x")["mig-configs"]["x"]
    assert entry == {"devices": "all", "mig-enabled": True, "mig-devices": counts}


@pytest.mark.parametrize(
    "entry, message",
    [
        (
            {"instances": [{"profile": THREE, "placement": 0}]},
            "layout[0].instances[0]: nvidia-mig-parted chooses placements",
        ),
        (
            {"instances": [THREE, {"profile": THREE, "compute_instances": [{"profile": ONE, "placement": 0}]}]},
            "layout[0].instances[1]: nvidia-mig-parted chooses placements itself; leave placement out",
        ),
        (
            {"instances": [{"profile": THREE, "compute_instances": []}]},
            "layout[0].instances[0]: nvidia-mig-parted has no GPU instances without compute instances; remove it",
        ),
        (
            {"instances": [{"profile": THREE, "compute_instances": [ONE] * many} for many in (3, 1)]},
            "layout[0].instances: nvidia-mig-parted counts MIG devices and cannot say which 3g.20gb holds which of t",
        ),
        (
            {"instances": [{"profile": THREE, "compute_instances": [ONE, TWO]}] * 2},
            "layout[0].instances: nvidia-mig-parted counts MIG devices and cannot say which 3g.20gb holds which of t",
        ),
        (
            {"instances": [{"profile": "7g.40gb", "compute_instances": ["3c.7g.40gb", "4c.7g.40gb"]}] * 2},
            "layout[0].instances: nvidia-mig-parted counts MIG devices and cannot say which 7g.40gb holds which",
        ),
        (
            {"product": "*A100*", "instances": {}},
            "layout[0].product: nvidia-mig-parted knows no product names; write pci_",
        ),
        (
            {"gpus": [0, "GPU-1"], "instances": {}},
            "layout[0].gpus[1]: nvidia-mig-parted knows GPUs by index only, not as GPU-1",
        ),
        (
            {"gpus": "07:00.0", "instances": {}},
            "layout[0].gpus: nvidia-mig-parted knows GPUs by index only, not as 07:00.0",
        ),
        ({"instances": {"1g": 1}}, "layout[0].instances: expected a profile name"),
        ({"instances": {"19": 7}}, "layout[0].instances: nvidia-mig-parted knows profiles by name only, not as 19"),
        ({"instances": {"1c.9": 3}}, "layout[0].instances: nvidia-mig-parted knows profiles by name only, not as 1c.9"),
        ({"instances": [THREE, 19]}, "layout[0].instances[1]: nvidia-mig-parted knows profiles by name only, not as"),
    ],
)
def test_what_a_file_cannot_say(entry, message):
    assert refusal(to_mig_parted, [entry], "x").startswith(message)


@pytest.mark.parametrize(
    "layout, problem",
    [
        (
            [{"instances": {}}, {"mig_enabled": False}],
            "layout[0] and layout[1] may match the same GPU and have equal right",
        ),
        (
            [{"pci_device_id": [A100, H100], "instances": {}}, {"pci_device_id": H100, "instances": {}}],
            "layout[0] and layout[1] may match the same GPU and have equal right to it; name every GPU in one of the",
        ),
        (
            [{"gpus": [3], "mig_enabled": False}, {"instances": {"1g.5gb": 7}}],
            "layout[1] and layout[0] may match the same GPU and differ in mig_enabled, which nvidia-mig-parted canno",
        ),
        (
            [{"instances": {"1g.5gb": 7}}, {"pci_device_id": H100, "instances": {"1g.10gb": 7}}],
            "layout[0] and layout[1] may match the same GPU and are for different models, and nvidia-mig-parted woul",
        ),
        ([], "layout: it is empty, and nvidia-mig-parted wants at least one entry"),
    ],
)
def test_layouts_that_a_file_cannot_say(layout, problem):
    assert refusal(to_mig_parted, layout, "x").startswith(problem)


def test_plain_mode_for_all_and_instances_for_a_model():
    layout = [{"instances": {}}, {"pci_device_id": H100, "instances": {"1g.10gb": 7}}]
    assert [entry["devices"] for entry in to_mig_parted(layout, "x")["mig-configs"]["x"]] == ["all", "all"]


@pytest.mark.parametrize("label", [None, "", 5])
def test_the_label_is_a_name(label):
    assert refusal(to_mig_parted, [{"instances": {}}], label).startswith(
        "label: expected a name such as all-balanced, got"
    )


# Generated files and layouts, over all hosts of three GPUs of these models

HOSTS = [host(*models) for models in product((A100, H100, A100_80), repeat=3)]
PROFILES = st.sampled_from(["1g.5gb", "1c.3g.20gb", "7g.40gb", "1g.5gb+me"])
WHAT = st.fixed_dictionaries({"mig-enabled": st.just(False)}) | st.fixed_dictionaries(
    {"mig-enabled": st.just(True), "mig-devices": st.dictionaries(PROFILES, st.integers(1, 7), max_size=2)}
)
INDEXES = st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True)
MODELS = st.lists(st.sampled_from([A100, H100, A100_80]), min_size=1, max_size=3, unique=True)


@st.composite
def files(draw):
    entries = []
    for _number in range(draw(st.integers(1, 4))):
        entry = {"devices": draw(st.just("all") | INDEXES), **draw(WHAT)}
        if draw(st.booleans()):
            entry["device-filter"] = [f"0x{model:08X}" for model in draw(MODELS)]
        entries.append(entry)
    return config(*entries)


def as_mig_parted_leaves(data, gpus):
    """{index: MIG devices, or None for MIG off} after each entry was applied to each GPU that it matches, in order."""
    left = {}
    for entry in data["mig-configs"]["here"]:
        for gpu in gpus:
            models = entry.get("device-filter", [])
            of_the_model = not models or f"0x{gpu.pci_device_id:08X}" in models
            if of_the_model and (entry["devices"] == "all" or gpu.index in entry["devices"]):
                left[gpu.index] = entry["mig-devices"] if entry["mig-enabled"] else None
    return left


def as_the_layout_says(layout, gpus):
    decided = resolve_layout(validate_layout(layout), gpus)
    return {gpu.index: dict(wanted.counts) if wanted.mig_enabled else None for gpu, wanted in decided}


@settings(max_examples=300, deadline=None)
@given(files())
def test_a_layout_leaves_every_gpu_as_the_file_does(data):
    try:
        layout = from_mig_parted(data)
    except LayoutError as error:
        assert "whose model then decides" in str(error)
    else:
        for gpus in HOSTS:
            assert as_the_layout_says(layout, gpus) == as_mig_parted_leaves(data, gpus)


@settings(max_examples=300, deadline=None)
@given(files())
def test_a_file_leaves_every_gpu_as_the_layout_says(data):
    try:
        layout = from_mig_parted(data)
        back = to_mig_parted(layout, "here")
    except LayoutError:
        return
    for gpus in HOSTS:
        assert as_mig_parted_leaves(back, gpus) == as_the_layout_says(layout, gpus)
    assert to_mig_parted(from_mig_parted(back), "here") == back


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=3)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9) | st.integers(), inner)
)
entry_like = st.fixed_dictionaries(
    {},
    optional={
        "devices": st.just("all") | INDEXES | anything,
        "device-filter": st.lists(st.sampled_from(["0x20B010DE", "0x233010DE:0x16C110DE", "x", A100])) | anything,
        "mig-enabled": st.booleans() | anything,
        "mig-devices": st.dictionaries(PROFILES | st.text(), st.integers() | anything, max_size=2) | anything,
    },
)
file_like = st.fixed_dictionaries(
    {"version": st.sampled_from(["v1"] * 9 + ["v2"])},
    optional={
        "mig-configs": st.dictionaries(st.sampled_from(["a", "b", 1]), st.lists(entry_like, max_size=3) | anything),
    },
)


@settings(max_examples=300, deadline=None)
@given(file_like | anything, st.none() | st.sampled_from(["a", "b", "1"]) | anything)
def test_anything_is_a_file_or_is_refused(data, label):
    try:
        layout = from_mig_parted(data, label)
    except LayoutError as error:
        assert str(error)
    else:
        assert layout
