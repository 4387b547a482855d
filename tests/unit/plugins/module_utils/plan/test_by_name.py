# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GPUs whose driver tells no profiles yet: what is impossible by its name is refused, and nothing that may fit is."""

from __future__ import annotations

import functools
import itertools
from collections import Counter

import oracle
import pytest
from model_gpu import A30, A100, H100, catalogue, gpu

from ansible_collections.gpufleet.mig.plugins.module_utils.driver_releases import MODELS
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import short_form, validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import GpuLayout, Plan, Snapshot
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.by_name import excess
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.geometry import geometry_of
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances, decide_layout

MIG_MODELS = sorted(name for name, facts in catalogue().items() if facts["profiles"])
SILENT = {"mig": False, "profiles": (), "memory_slices": 0, "compute_slices": 0}
SHAPES = ("1g", "1g", "2g", "3g", "4g", "7g")
# Names that drivers have given to 1g, the 1g of twice the memory, 2g, 3g, 4g and 7g, and MiB of the GPU.
NAMED_OTHERWISE = [
    (0x2342, 97871, (12, 24, 24, 48, 48, 96)),
    (0x2348, 147456, (18, 36, 36, 72, 72, 144)),
    (0x2321, 95830, (12, 24, 24, 47, 47, 94)),
    (0x2335, 143771, (18, 35, 35, 71, 71, 141)),
    (0x2901, 183359, (23, 45, 45, 90, 90, 180)),
    (0x2941, 189471, (23, 47, 47, 93, 93, 186)),
    (0x2941, 189471, (24, 47, 47, 95, 95, 189)),
    (0x3182, 275040, (34, 67, 67, 135, 135, 269)),
    (0x31C2, 284208, (35, 70, 70, 139, 139, 278)),
    (0x31C2, 284208, (31, 63, 63, 126, 126, 251)),
    (0x20B3, 65536, (8, 16, 16, 32, 32, 64)),
]


def silent(model, **more):
    """A GPU with MIG off, of which the driver tells nothing more."""
    return gpu(model, **{**SILENT, **more})


def layout_of(instances):
    """The GpuLayout of what the option ``instances`` says."""
    return validate_layout(short_form(None, instances))[0].layout


def counts_of(names):
    return GpuLayout(counts=tuple(sorted(Counter(names).items())))


@functools.cache
def feasible(model):
    """Everything that fits on a GPU of a model, as sorted tuples of profile names (by the geometry of the planner)."""
    geometry = geometry_of(gpu(model).profiles)
    names = sorted(geometry.position)
    found, frontier = set(), [()]
    while frontier:
        found.update(frontier)
        more = [(*some, name) for some in frontier for name in names if not some or name >= some[-1]]
        frontier = [some for some in more if geometry.fits([(geometry.position[name], None) for name in some])]
    return sorted(found)


@pytest.mark.parametrize("model", MIG_MODELS)
def test_nothing_that_fits_is_refused(model):
    everything = feasible(model)
    assert len(everything) > 10
    for missing in (0, 700):  # a driver keeps some of the memory for itself, and more with ECC
        now = silent(model, memory_mib=catalogue()[model]["memory_total_mib"] - missing)
        assert [names for names in everything if excess(now, counts_of(names))] == []
        assert [names for names in everything if excess(now, layout_of(list(names)))] == []


@pytest.mark.parametrize(("device_id", "memory_mib", "names"), NAMED_OTHERWISE)
def test_nothing_that_fits_is_refused_under_the_names_of_other_models_and_drivers(device_id, memory_mib, names):
    now = silent(A100, pci_device_id=device_id << 16 | 0x10DE, memory_mib=memory_mib)
    plain = [row["name"] for row in catalogue()[A100]["profiles"] if row["name"] != "1g.5gb+me"]
    renamed = {old: f"{shape}.{size}gb" for old, shape, size in zip(plain, SHAPES, names, strict=True)}
    renamed["1g.5gb+me"] = f"{renamed['1g.5gb']}+me"
    for some in feasible(A100):
        other = [renamed[name] for name in some]
        assert excess(now, counts_of(other)) is None, other
    # It is no rule that lets everything pass.
    assert excess(now, counts_of({renamed["1g.5gb"]: 8}))
    assert excess(now, counts_of({renamed["3g.20gb"]: 2, renamed["2g.10gb"]: 1}))


def test_nothing_that_fits_is_refused_of_divided_gpu_instances():
    now = silent(A30)
    for placed, filled, _room in oracle.divided(A30):
        assert not excess(now, counts_of(Counter(one[2] for held in filled for one in held)))
        instances = [
            {"profile": name, "compute_instances": [one[2] for one in held]}
            for (_start, _size, _id, name), held in zip(placed, filled, strict=True)
        ]
        assert not excess(now, layout_of(instances))


@pytest.mark.parametrize("model", MIG_MODELS)
def test_what_is_refused_fits_on_no_such_gpu(model):
    """Whatever is asked for of three kinds of profile, up to three of each."""
    possible = set(feasible(model))
    names = [row["name"] for row in catalogue()[model]["profiles"]]
    now, refused, fits = silent(model), 0, 0
    for kinds in itertools.combinations(names, min(3, len(names))):
        for numbers in itertools.product(range(4), repeat=len(kinds)):
            wanted = tuple(sorted(Counter(dict(zip(kinds, numbers, strict=True))).elements()))
            fits += wanted in possible
            if excess(now, counts_of(wanted)):
                refused += 1
                assert wanted not in possible
    assert fits
    # Of these models a driver tells profiles while MIG is off, if it knows MIG on them at all.
    assert bool(refused) == ("RTX" not in model)


@pytest.mark.parametrize(
    ("model", "instances", "found"),
    [
        (A100, {"3g.20gb": 2, "1g.5gb": 1}, ("memory", 9, 8)),
        (A100, ["3g.20gb", "3g.20gb", "1g.5gb"], ("memory", 9, 8)),
        (A100, {"1g.5gb": 8}, ("compute", 8, 7)),
        (A100, {"1g.5gb": 999_999_999}, ("compute", 999_999_999, 7)),
        (A100, {"1g.10gb": 4, "1g.5gb": 1}, ("memory", 9, 8)),
        (A100, {"7g.80gb": 1}, ("memory", 16, 8)),
        (A100, {"1c.3g.20gb": 7}, ("compute", 9, 7)),
        (A100, {"1c.3g.20gb": 3, "2c.3g.20gb": 1, "3g.20gb": 1}, ("compute", 9, 7)),
        (A100, {"1c.3g.20gb": 6}, None),
        (A100, {"1c.7g.40gb": 7}, None),
        (A30, {"2g.12gb": 2, "1g.6gb": 1}, ("compute", 5, 4)),
        (A30, {"1g.6gb": 2, "1g.12gb": 2}, ("memory", 6, 4)),
        (A30, {"2g.12gb+me": 1, "1g.6gb": 2}, None),
        (H100, {"4g.40gb": 1, "3g.40gb": 1}, None),
        # What no such GPU has may be one that a later driver knows.
        (A100, {"1g.4gb": 7, "5g.25gb": 1}, ("compute", 12, 7)),
        (A100, {"5g.25gb": 1}, None),
        (A100, {"1g.6gb": 7}, None),
        (A100, {}, None),
    ],
)
def test_what_names_tell(model, instances, found):
    assert excess(silent(model), layout_of(instances)) == found


def test_in_doubt_nothing_is_refused():
    much = layout_of({"3g.20gb": 2, "1g.5gb": 1})
    assert excess(silent(A100, memory_mib=None), much) is None
    assert excess(silent(A100, pci_device_id=0x123410DE), much) is None
    assert excess(silent(A100, pci_device_id=None), layout_of({"1g.5gb": 8})) is None
    # A driver that tells slices, and no placements to this user, has the word where it tells of more.
    assert excess(silent(A100, compute_slices=8), layout_of({"1g.5gb": 8})) is None
    assert {(model.memory_slices, model.compute_slices) for model in MODELS} == {(8, 7), (4, 4), (0, 0)}
    for facts in map(catalogue().get, MIG_MODELS):
        (model,) = (model for model in MODELS if facts["pci_device_id"] >> 16 in model.pci_device_ids)
        if model.memory_slices:
            assert {"memory": model.memory_slices, "compute": model.compute_slices} == facts["slices"]


def test_a_host_is_refused_with_both_sides_named_and_without_a_plan():
    first, second = silent(A100), silent(A100, index=1)
    snapshot = Snapshot(gpus=(first, second), driver_version="535.161.07")
    entries = validate_layout(
        [{"gpus": [0], "instances": {"3g.20gb": 2, "1g.5gb": 1}}, {"gpus": [1], "instances": {"1g.5gb": 7}}]
    )
    for decisions, warnings in (decide_layout(snapshot, entries), decide_instances(snapshot, entries, rehearsing=True)):
        refusal, plan = decisions
        assert (refusal.kind, refusal.plan) == ("impossible", None)
        assert refusal.message.startswith(f"{first.name} cannot have 1g.5gb + 2 × 3g.20gb: ")
        assert "at least 9 memory slices, and the GPU has 8." in refusal.message
        assert isinstance(plan, Plan)
        # Said of the one whose instances may be possible, and of no other.
        assert next(warning for warning in warnings if "could not be planned yet" in warning).startswith("GPU 1: ")
