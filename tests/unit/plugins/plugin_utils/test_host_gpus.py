# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a host says of its GPUs, what is written elsewhere has the shapes that it may have."""

from __future__ import annotations

import copy
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.configuration import (
    check_gres,
    check_lines,
    gpu_counts,
)
from ansible_collections.gpufleet.mig.plugins.plugin_utils.cdi import cdi_devices
from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.expected import expected
from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import layout_read, with_profiles
from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.choices import slurm_gres_choices
from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.gres import slurm_gres

EVIL = "NVIDIA A100\nPrologSlurmctld=/shared/evil"
FINE = [
    {
        "index": 0, "uuid": "GPU-0", "product": "NVIDIA A100-SXM4-40GB", "minor": 1, "mig_mode": "enabled",
        "mig_capable": True, "profiles": [{"name": "1g.5gb", "slices": 1, "memory_mib": 4864, "multiprocessors": 14}],
        "instances": [
            {"id": 7, "profile": "1g.5gb", "compute_instances": [
                {"id": 0, "profile": "1g.5gb", "driver_name": "1g.5gb", "uuid": "MIG-0", "index": 0}]},
        ],
    },
    {
        "index": 1, "uuid": "GPU-1", "product": "NVIDIA A100-SXM4-40GB", "minor": 0, "mig_mode": "disabled",
        "mig_capable": True, "profiles": [], "instances": [],
    },
]  # fmt: skip
TARGET = [
    {"gpus": ["GPU-1"], "instances": [{"profile": "1g.5gb+me", "compute_instances": [{"profile": "1g.5gb"}]}]},
]
MINORS = "gpu1/gi7/access 21\ngpu1/gi7/ci0/access 22\n"
# A label's value, and the name behind its prefix (apimachinery, pkg/util/validation); the name of a ConfigMap's key.
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
NAME = re.compile(r"nvidia\.com/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

PLACES = [
    (0, "index"), (0, "uuid"), (0, "product"), (0, "minor"), (0, "mig_mode"), (0, "instances"),
    (0, "instances", 0), (0, "instances", 0, "id"), (0, "instances", 0, "compute_instances"),
    (0, "instances", 0, "compute_instances", 0), (0, "instances", 0, "compute_instances", 0, "id"),
    (0, "instances", 0, "compute_instances", 0, "profile"), (0, "instances", 0, "compute_instances", 0, "uuid"),
    (0, "instances", 0, "compute_instances", 0, "driver_name"),
    (0, "instances", 0, "compute_instances", 0, "index"), (0, "profiles"), (0, "profiles", 0, "name"),
    (0, "profiles", 0, "memory_mib"), (1,), (1, "product"), (1, "minor"),
]  # fmt: skip
PLACES_TO_COME = [
    (0,), (0, "gpus"), (0, "gpus", 0), (0, "mig_enabled"), (0, "instances"), (0, "instances", 0, "compute_instances"),
    (0, "instances", 0, "compute_instances", 0, "profile"),
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=120),
    st.sampled_from(
        [
            EVIL,
            "1g.5gb\n",
            "GPU-0\n",
            "a#b",
            "a\\",
            "a,b",
            'a"b',
            "Include x",
            "NVIDIA A100 \x00",
            "-",
            "../../etc",
            "1c.3g.20gb",
            "3g.20gb",
            "NVIDIA H100",
            "1g.5gb+me.all",
            "\uff21100",
            "\u0661",
            " ",
            "K100",
        ]
    ),
)
WORDS = ["gpu1/gi7/access", "gpu1/gi7/ci0/access", "22", "\u0663", "1\n", " ", "9" * 5000, "-1", "2_2", "/dev/x"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 400) | st.integers() | st.floats() | TEXTS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=6,
)


def put(said, place, value):
    """What was said, with another value there."""
    said = copy.deepcopy(said)
    inside = said
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return said


def shown(gpus, minors=MINORS, types=None, target=None):
    """What is written into Slurm's files for these GPUs: it has to be what the module that writes it takes."""
    wanted = slurm_gres(gpus, minors, types, target)
    if wanted["refusal"]:
        assert [wanted[key] for key in ("gres", "devices", "lines", "autodetect")] == ["", [], [], []]
        assert wanted["refusal"].isprintable()
        assert len(wanted["refusal"]) < 500
    seen = {"host": "gpu-7", "slurmd": True, "controller": "c", "slurmctld": True, "release": "24.11",
            "constrains": True, "detected": "", "files": [], "ours": True, "device_files": True}  # fmt: skip
    choices = slurm_gres_choices(wanted, "gpu-7", "auto", seen)
    check_gres(wanted["gres"])
    for lines in choices["lines"]:
        check_lines(lines, "gpu-7")
        assert all(line.isprintable() and line.startswith("NodeName=gpu-7 AutoDetect=") for line in lines)
        assert not re.search(r"[#\"'\\]|include", "".join(lines), re.IGNORECASE)
    assert all(re.fullmatch(r"gpu:[A-Za-z0-9_.+-]+", name) for name in gpu_counts(wanted["gres"]))
    return wanted


def advertised(gpus, target=None):
    """What a Kubernetes node is to advertise for these GPUs: it has to be what the API server takes."""
    found = [expected(gpus, strategy, target=target) for strategy in ("none", "single", "mixed")]
    for one in found:
        assert all(map(NAME.fullmatch, [*one["labels"], *one["resources"]])), one
        assert all(map(VALUE.fullmatch, one["labels"].values())), one
    return found


def test_what_a_driver_says():
    assert shown(FINE)["gres"] == "gpu:nvidia_a100_1g.5gb:1,gpu:nvidia_a100-sxm4-40gb:1"
    assert shown(FINE, target=TARGET)["gres"] == "gpu:nvidia_a100_1g.5gb:2"
    assert [one["refusal"] for one in (shown(FINE), *advertised(FINE)[::2])] == [None] * 3
    assert cdi_devices(FINE, MINORS, ["uuid"])[0]["names"] == ["MIG-0"]


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(PLACES), value=ANYTHING)
def test_whatever_a_host_says_of_a_gpu(place, value):
    gpus = put(FINE, place, value)
    shown(gpus)
    advertised(gpus)
    try:
        devices = cdi_devices(gpus, MINORS, ["index", "uuid"])
    except ValueError as error:
        assert str(error).isprintable()
    else:
        paths = [one[key] for device in devices for one in device["capabilities"] for key in ("path", "capability")]
        assert all(re.fullmatch(r"/(dev|proc)/[a-z0-9/-]+", path) for path in paths)


@settings(max_examples=100, deadline=None)
@given(place=st.sampled_from(PLACES_TO_COME), value=ANYTHING)
def test_whatever_a_host_says_of_the_layout_to_come(place, value):
    target = put(TARGET, place, value)
    shown(FINE, target=target)
    advertised(FINE, target)


@settings(max_examples=100, deadline=None)
@given(minors=st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_whatever_the_table_of_capabilities_says(minors):
    shown(FINE, minors)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((0, "product"), EVIL, r"GPU 0: its product is 'NVIDIA A100\nPrologSlurmctld=/shared/evil'."),
        ((1, "product"), "NVIDIA A100\r", r"GPU 1: its product is 'NVIDIA A100\r'."),
        ((1, "product"), None, "GPU 1: its product is None."),
        ((0, "product"), "A" * 100, "GPU 0: its product is 'AAAA"),
        ((0, "minor"), "0,/dev/sda", "GPU 0: its minor number is '0,/dev/sda'; expected is a whole number up to 255."),
        ((0, "minor"), None, "GPU 0 (NVIDIA A100-SXM4-40GB, GPU-0) has no minor number, by which its device files"),
        ((0, "index"), True, "GPU 0: its index is True"),
        ((1, "uuid"), "GPU-1\n", r"GPU 1: its UUID is 'GPU-1\n'."),
        ((0, "instances", 0, "id"), "../..", "GPU 0: the id of a GPU instance is '../..'"),
        ((0, "instances", 0, "compute_instances", 0, "profile"), "1g.5gb\n", r"of a MIG device is '1g.5gb\n'."),
        ((0, "instances"), FINE[0]["instances"] * 121, "GPU 0 has 121 GPU instances; there can be 120 at the most."),
        ((0, "instances", 0, "compute_instances"), [1] * 121, "GPU 0 has 121 compute instances"),
        ((0, "instances"), {"a": 1}, "GPU 0: GPU instances are a dictionary of 1, and no list."),
        ((1,), "GPU", "GPU 1 is 'GPU', and no dictionary."),
    ],
)
def test_the_message_names_the_gpu(place, value, words):
    gpus = put(FINE, place, value)
    assert words in shown(gpus)["refusal"]
    if place[-1] != "minor":
        assert all(words in one["refusal"] for one in advertised(gpus))


TABLE = [{"name": "1g.5gb", "memory_mib": 4864, "slices": 1}]
FACTS = {
    "driver_version": "570.133.20",
    "profile_tables": {"0": TABLE},
    "gpus": [{"index": 0, "profile_table": "0"}, {"index": 1, "profile_table": None}],
}


PLACES_OF_TABLES = [("gpus",), ("gpus", 0), ("gpus", 0, "profile_table"), ("profile_tables",)]


def test_each_gpu_gets_the_profiles_of_its_table():
    found = with_profiles(FACTS)
    assert [gpu["profiles"] for gpu in found["gpus"]] == [TABLE, None]
    assert {**found, "gpus": 0} == {**FACTS, "gpus": 0}
    assert with_profiles(found) == found
    before = {"gpus": FINE}  # of the first releases
    assert with_profiles(before) == before
    assert with_profiles({"gpus": [], "reason": "There is no driver."})["gpus"] == []


@settings(max_examples=100, deadline=None)
@given(place=st.sampled_from(PLACES_OF_TABLES), value=ANYTHING)
def test_whatever_a_host_says_of_profiles(place, value):
    try:
        gpus = with_profiles(put(FACTS, place, value))["gpus"]
    except ValueError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 500
    else:
        assert all(gpu["profiles"] in (None, TABLE) or "profiles" in value for gpu in gpus)


def test_a_table_that_is_not_there_is_an_error():
    for name in ("1", 0, ["0"], {}):
        with pytest.raises(ValueError, match=r"GPU 0: profile_table is .*, and no such table is there"):
            with_profiles(put(FACTS, ("gpus", 0, "profile_table"), name))


def test_gpus_that_only_name_their_table_are_refused_where_profiles_count():
    gpus = [{**FINE[0], "profile_table": "0"}]
    del gpus[0]["profiles"]
    words = "GPU 0 names its profiles' table and has no profiles: use (facts | gpufleet.mig.mig_with_profiles).gpus"
    assert words in shown(gpus)["refusal"]
    assert all(words in one["refusal"] for one in advertised(gpus))
    assert cdi_devices(gpus, MINORS, ["uuid"])


def test_a_host_has_no_more_gpus_than_the_driver_numbers():
    assert "has 33 GPUs; there can be 32" in shown([FINE[1]] * 33)["refusal"]
    assert shown([{**FINE[1], "minor": number} for number in range(32)])["refusal"] is None


def test_a_type_is_what_slurm_takes():
    odd = put(FINE, (1, "product"), "Quadro RTX 6000/8000")
    said = shown(odd)["refusal"]
    assert "GPU 1 is 'Quadro RTX 6000/8000'" in said
    assert "mig_slurm_types" in said
    assert shown(odd, types={"Quadro*": "rtx"})["gres"] == "gpu:nvidia_a100_1g.5gb:1,gpu:rtx:1"
    # A name of the operator's own does not make up for a product that is none.
    assert "its product is" in shown(put(FINE, (0, "product"), EVIL), types={"*": "a100"})["refusal"]


@pytest.mark.parametrize("name", ["a b", "a\nInclude /shared/evil", "a#", "", "a:2", "a,gpu:b", None])
def test_a_type_of_the_operator_is_one_word(name):
    assert "mig_slurm_types calls *" in shown(FINE, types={"*": name})["refusal"]


def test_a_gpu_without_minor_number_is_refused_and_never_named_by_a_file_that_is_none():
    gpus = put(FINE, (1, "minor"), None)
    refused = shown(gpus)
    assert (refused["devices"], refused["lines"], refused["gres"]) == ([], [], "")
    assert "None" not in refused["refusal"]
    assert "says nothing like it" not in refused["refusal"]
    with pytest.raises(ValueError, match=r"GPU 1 \(NVIDIA A100-SXM4-40GB, GPU-1\) has no minor number"):
        cdi_devices(gpus, MINORS, ["uuid"])


def test_a_gpu_without_a_name_has_its_cdi_devices():
    gpus = put(put(FINE, (0, "product"), None), (1, "product"), None)
    assert [one["names"] for one in cdi_devices(gpus, MINORS, ["uuid"])] == [["MIG-0"], ["GPU-1"]]


ENTRY = {"gpus": ["GPU-0"], "mig_enabled": True}


@pytest.mark.parametrize(
    ("gpus", "layout", "refusal"),
    [
        ([], [], ""),
        ([{"index": 0, "mig_capable": True, "layout": ENTRY}], [ENTRY], ""),
        # It has no MIG.
        ([{"index": 0, "mig_capable": False, "layout": None}], [], ""),
        (
            [
                {"index": 0, "mig_capable": True, "layout": None, "problem": None},
                {"index": 1, "mig_capable": None, "layout": None, "problem": "It is lost."},
                {"index": 2, "mig_capable": True, "layout": ENTRY},
            ],
            [ENTRY],
            "The layout of GPU 0, 1 could not be read, so it stays. It is lost.",
        ),
        (
            [{"index": 0, "mig_capable": True, "layout": None}],
            [],
            "The layout of GPU 0 could not be read, so it stays. Run as root (become: true).",
        ),
    ],
)
def test_a_layout_with_holes_is_none(gpus, layout, refusal):
    assert layout_read(gpus, "The layout", "it stays") == {"layout": layout, "refusal": refusal}
