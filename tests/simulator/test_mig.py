# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MIG through nvidia-ml-py: profiles and placements, GPU instances, compute instances, MIG devices."""

from __future__ import annotations

import ctypes
import uuid
from pathlib import Path

import pynvml as n
import pytest
import yaml
from mig_calls import create, mig_devices, possible, spanning

CATALOGUE = yaml.safe_load((Path(__file__).parents[2] / "roles/mig_simulator/files/catalogue.yml").read_text())
MIG_MODELS = [name for name, model in CATALOGUE.items() if model["profiles"]]

# ---- Profiles and geometry -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MIG_MODELS)
def test_profiles_are_those_of_the_catalogue(nvml, refused, model):
    gpu = nvml("--mig", model)
    facts = CATALOGUE[model]
    by_index = {profile["enum"]: profile for profile in facts["profiles"]}
    assert n.nvmlDeviceGetName(gpu) == facts["product"]
    for index in range(n.NVML_GPU_INSTANCE_PROFILE_COUNT):
        if index not in by_index:
            refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetGpuInstanceProfileInfo, gpu, index)
            continue
        want = by_index[index]
        info = n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, index, version=2)
        assert (info.id, info.name, info.instanceCount) == (want["id"], f"MIG {want['name']}", want["max"])
        assert (info.memorySizeMB, info.multiprocessorCount) == (want["memory_mib"], want["sm"])
        engines = [info.copyEngineCount, info.decoderCount, info.encoderCount, info.jpegCount, info.ofaCount]
        assert engines == [want[engine] for engine in ("ce", "dec", "enc", "jpeg", "ofa")]
        assert info.sliceCount == int(want["name"].split("g")[0])
        assert possible(gpu, want["id"]) == [(start, want["size"]) for start in want["starts"]]
        assert n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, index, version=1).id == want["id"]
    beyond = n.NVML_GPU_INSTANCE_PROFILE_COUNT
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetGpuInstanceProfileInfo, gpu, beyond)


@pytest.mark.parametrize("model", MIG_MODELS)
def test_as_many_instances_fit_as_the_profile_says(nvml, refused, model):
    gpu = nvml("--mig", model)
    for profile in CATALOGUE[model]["profiles"]:
        assert n.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, profile["id"]) == profile["max"], profile["name"]
        made = []
        for left in range(profile["max"], 0, -1):
            made.append(create(gpu, profile["id"]))
            assert n.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, profile["id"]) == left - 1
        refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, n.nvmlDeviceCreateGpuInstance, gpu, profile["id"])
        assert len({info.placement.start for _unused, info in made}) == profile["max"]
        assert len({info.id for _unused, info in made}) == profile["max"]
        part = CATALOGUE[model]["slices"]["memory"] // profile["size"]
        classes = {1: range(1), 2: range(1, 3), 4: range(3, 7), 8: range(7, 15)}
        assert {info.id for _unused, info in made} <= set(classes[part])
        for instance, _unused in made:
            n.nvmlGpuInstanceDestroy(instance)


def test_the_driver_scatters_so_that_the_order_decides(nvml, refused):
    nvml("--mig", "A100-SXM4-40GB:2")
    first, second = (n.nvmlDeviceGetHandleByIndex(index) for index in range(2))
    assert [create(first, profile)[1].placement.start for profile in (19, 19, 14)] == [6, 4, 0]
    refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, n.nvmlDeviceCreateGpuInstance, first, 9)
    for profile in (9, 19, 14, 19):
        create(second, profile)


def test_a_lone_half_lands_on_either_side(nvml):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    starts = set()
    for _unused in range(8):
        instance, info = create(gpu, 9)
        starts.add(info.placement.start)
        n.nvmlGpuInstanceDestroy(instance)
    assert starts == {0, 4}


@pytest.mark.parametrize(("start", "size"), [(1, 4), (0, 2), (8, 4), (2**32 - 4, 4), (4, 0)])
def test_an_impossible_placement_has_no_resources(nvml, refused, start, size):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, create, gpu, 9, start, size)


def test_an_occupied_placement_has_no_resources_until_it_is_free(nvml, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    one, _unused = create(gpu, 19, 5, 1)
    refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, create, gpu, 9, 4, 4)
    n.nvmlGpuInstanceDestroy(one)
    create(gpu, 9, 4, 4)


def test_capacity_follows_occupancy(nvml):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    create(gpu, 19, 2, 1)

    def capacity(profile):
        return n.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, profile)

    assert {profile: capacity(profile) for profile in (19, 20, 15, 14, 9, 5, 0)} == {
        19: 6, 20: 1, 15: 3, 14: 2, 9: 1, 5: 0, 0: 0,
    }  # fmt: skip


def test_media_engines_are_shared_out_once(nvml, refused):
    gpu = nvml("--mig", "RTX-PRO-6000-BLACKWELL-96GB")
    everything, _unused = create(gpu, 65)  # 1g.24gb+me.all
    for profile in (14, 21, 47, 5, 35):
        refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, n.nvmlDeviceCreateGpuInstance, gpu, profile)
    create(gpu, 67)  # 1g.24gb-me
    n.nvmlGpuInstanceDestroy(everything)
    create(gpu, 14)
    refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, n.nvmlDeviceCreateGpuInstance, gpu, 65)


def test_one_plus_me_on_a_gpu(nvml, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    create(gpu, 20)
    refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, n.nvmlDeviceCreateGpuInstance, gpu, 20)
    create(gpu, 19)


# ---- GPU instances -------------------------------------------------------------------------------------------------


def test_instances_are_listed_by_profile_and_found_by_id(nvml, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance, info = create(gpu, 14, 2, 2)
    assert (info.profileId, info.placement.start, info.placement.size) == (14, 2, 2)
    array = (n.c_nvmlGpuInstance_t * 7)()
    count = ctypes.c_uint(12345)  # output only: what is left in it must not matter
    n.nvmlDeviceGetGpuInstances(gpu, 14, array, ctypes.byref(count))
    assert count.value == 1
    n.nvmlDeviceGetGpuInstances(gpu, 19, array, ctypes.byref(count))
    assert count.value == 0
    assert n.nvmlGpuInstanceGetInfo(n.nvmlDeviceGetGpuInstanceById(gpu, info.id)).placement.start == 2
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlDeviceGetGpuInstanceById, gpu, 0)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceCreateGpuInstance, gpu, 99)
    n.nvmlGpuInstanceDestroy(instance)
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlGpuInstanceDestroy, instance)
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlGpuInstanceGetInfo, instance)


def test_a_handle_to_what_was_destroyed_never_means_what_came_after(nvml, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    old, compute, device = spanning(gpu, 9, 0, 4)
    n.nvmlComputeInstanceDestroy(compute)
    n.nvmlGpuInstanceDestroy(old)
    spanning(gpu, 9, 0, 4)
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlGpuInstanceGetInfo, old)
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlComputeInstanceDestroy, compute)
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetUUID, device)


def test_a_gpu_instance_with_compute_instances_is_in_use(nvml, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance, compute, _unused = spanning(gpu, 9)
    refused(n.NVML_ERROR_IN_USE, n.nvmlGpuInstanceDestroy, instance)
    n.nvmlComputeInstanceDestroy(compute)
    assert mig_devices(gpu) == {}
    n.nvmlGpuInstanceDestroy(instance)


# ---- Compute instances ---------------------------------------------------------------------------------------------

COMPUTE = {  # slices of the GPU instance -> profile id: (slices, starts)
    1: {0: (1, [0])},
    2: {0: (1, [0, 1]), 1: (2, [0])},
    3: {0: (1, [0, 1, 2]), 1: (2, [0, 1]), 2: (3, [0])},
    4: {0: (1, [0, 1, 2, 3]), 1: (2, [0, 1, 2]), 3: (4, [0])},
    7: {0: (1, list(range(7))), 1: (2, list(range(6))), 2: (3, list(range(5))), 3: (4, list(range(4))), 4: (7, [0])},
}


@pytest.mark.parametrize("profile", [19, 14, 9, 5, 0])
def test_compute_instance_profiles_follow_the_slices(nvml, refused, profile):
    """On Ampere, which counts in slices; test_hopper_places_compute_instances_in_eighths has the other."""
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance, _unused = create(gpu, profile)
    gi = next(p for p in CATALOGUE["A100-SXM4-40GB"]["profiles"] if p["id"] == profile)
    slices = int(gi["name"][0])
    for index in range(8):
        if index not in COMPUTE[slices]:
            refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlGpuInstanceGetComputeInstanceProfileInfo, instance, index, 0)
            refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlGpuInstanceCreateComputeInstance, instance, index)
            continue
        size, starts = COMPUTE[slices][index]
        info = n.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, index, 0, version=2)
        name = gi["name"] if size == slices else f"{size}c.{gi['name']}"
        most = slices // size
        assert (info.id, info.sliceCount, info.instanceCount, info.name) == (index, size, most, f"MIG {name}")
        assert info.multiprocessorCount == (gi["sm"] if size == slices else 14 * size)
        assert info.sharedCopyEngineCount == gi["ce"]
        assert n.nvmlGpuInstanceGetComputeInstanceRemainingCapacity(instance, index) == most
        count = ctypes.c_uint(0)
        n.nvmlGpuInstanceGetComputeInstancePossiblePlacements(instance, index, None, ctypes.byref(count))
        array = (n.c_nvmlComputeInstancePlacement_t * count.value)()
        n.nvmlGpuInstanceGetComputeInstancePossiblePlacements(instance, index, array, ctypes.byref(count))
        assert [(placement.start, placement.size) for placement in array] == [(start, size) for start in starts]
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlGpuInstanceGetComputeInstanceProfileInfo, instance, 8, 0)
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlGpuInstanceGetComputeInstanceProfileInfo, instance, 0, 1)


def test_compute_instances_share_a_gpu_instance(nvml, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance, _unused = create(gpu, 9, 4, 4)
    placement = ctypes.byref(n.c_nvmlComputeInstancePlacement_t(2, 1))
    last = n.nvmlGpuInstanceCreateComputeInstanceWithPlacement(instance, 0, placement)
    refused(n.NVML_ERROR_IN_USE, n.nvmlGpuInstanceCreateComputeInstanceWithPlacement, instance, 0, placement)
    refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, n.nvmlGpuInstanceCreateComputeInstance, instance, 2)
    two = n.nvmlGpuInstanceCreateComputeInstance(instance, 1)
    info = n.nvmlComputeInstanceGetInfo(two)
    assert (info.id, info.profileId, info.placement.start, info.placement.size) == (1, 1, 0, 2)
    assert n.nvmlComputeInstanceGetInfo(last).id == 0
    names = [n.nvmlDeviceGetName(device) for device in mig_devices(gpu).values()]
    assert names == ["NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb", "NVIDIA A100-SXM4-40GB MIG 2c.3g.20gb"]
    refused(n.NVML_ERROR_IN_USE, n.nvmlGpuInstanceDestroy, instance)
    n.nvmlComputeInstanceDestroy(last)
    assert n.nvmlComputeInstanceGetInfo(n.nvmlGpuInstanceCreateComputeInstance(instance, 0)).id == 0


# ---- MIG devices ---------------------------------------------------------------------------------------------------


def test_mig_device_indexes_are_counted_anew(nvml, refused):
    gpu = nvml("--mig", "H100-SXM5-80GB")
    one = spanning(gpu, 19, 6, 1)
    other = spanning(gpu, 9, 0, 4)
    ids = [n.nvmlDeviceGetGpuInstanceId(device) for _unused, device in sorted(mig_devices(gpu).items())]
    assert ids == [1, 13]
    n.nvmlComputeInstanceDestroy(other[1])
    assert {index: n.nvmlDeviceGetGpuInstanceId(device) for index, device in mig_devices(gpu).items()} == {0: 13}
    assert n.nvmlDeviceGetUUID(mig_devices(gpu)[0]) == n.nvmlDeviceGetUUID(one[2])
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlDeviceGetMigDeviceHandleByIndex, gpu, 1)
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetMigDeviceHandleByIndex, gpu, 7)


def test_or_have_holes_that_are_filled_again(nvml, refused):
    gpu = nvml("--mig", "--strange", "mig-indexes=lowest", "A100-SXM4-40GB")
    computes = [spanning(gpu, 19)[1] for _unused in range(3)]
    n.nvmlComputeInstanceDestroy(computes[1])
    assert list(mig_devices(gpu)) == [0, 2]
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlDeviceGetMigDeviceHandleByIndex, gpu, 1)
    spanning(gpu, 14)
    assert list(mig_devices(gpu)) == [0, 1, 2]


def test_a_mig_device_tells_where_it_belongs(nvml, refused):
    gpu = nvml("--mig", "A100-SXM4-40GB")
    instance, _unused, device = spanning(gpu, 9)
    text = n.nvmlDeviceGetUUID(device)
    assert text.startswith("MIG-")
    assert uuid.UUID(text[4:]).version == 5
    assert n.nvmlDeviceIsMigDeviceHandle(device).value == 1
    assert n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByUUID(text)) == text
    parent = n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device)
    assert n.nvmlDeviceGetUUID(parent) == n.nvmlDeviceGetUUID(gpu)
    assert n.nvmlDeviceGetGpuInstanceId(device) == n.nvmlGpuInstanceGetInfo(instance).id
    assert n.nvmlDeviceGetComputeInstanceId(device) == 0
    attributes = n.nvmlDeviceGetAttributes_v2(device)
    assert (attributes.multiprocessorCount, attributes.memorySizeMB) == (42, 19968)
    assert (attributes.gpuInstanceSliceCount, attributes.computeInstanceSliceCount) == (3, 3)
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, gpu)
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetMigMode, device)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetGpuInstanceId, gpu)


@pytest.mark.parametrize(
    ("uuids", "of_the_same", "of_another"), [("engine", True, True), ("profile", True, False), ("new", False, False)]
)
def test_uuid_of_a_recreated_instance(nvml, uuids, of_the_same, of_another):
    """Real cards make it of GPU, GPU instance id and engine: it comes back with another profile, too."""
    gpu = nvml("--mig", *([] if uuids == "engine" else ["--strange", f"uuids={uuids}"]), "H100-SXM5-80GB")
    found = []
    for profile in (19, 19, 20):
        instance, compute, device = spanning(gpu, profile, 4, 1)
        found.append(n.nvmlDeviceGetUUID(device))
        n.nvmlComputeInstanceDestroy(compute)
        n.nvmlGpuInstanceDestroy(instance)
    assert [text == found[0] for text in found[1:]] == [of_the_same, of_another]


def test_every_identifier_of_a_gpu_finds_it(nvml, refused):
    nvml("A100-SXM4-40GB:3")
    for index in range(3):
        gpu = n.nvmlDeviceGetHandleByIndex(index)
        bus = n.nvmlDeviceGetPciInfo(gpu).busId
        for found in (
            n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(gpu)),
            n.nvmlDeviceGetHandleBySerial(n.nvmlDeviceGetSerial(gpu)),
            n.nvmlDeviceGetHandleByPciBusId(bus),
            n.nvmlDeviceGetHandleByPciBusId(bus[4:].lower()),
            n.nvmlDeviceGetHandleByPciBusId(bus[9:]),
        ):
            assert n.nvmlDeviceGetIndex(found) == index
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlDeviceGetHandleByUUID, "GPU-00000000-0000-0000-0000-000000000000")
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetHandleByUUID, "gpu")
    refused(n.NVML_ERROR_NOT_FOUND, n.nvmlDeviceGetHandleByPciBusId, "0000:ff:00.0")
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetHandleByPciBusId, "first slot")
    refused(n.NVML_ERROR_INVALID_ARGUMENT, n.nvmlDeviceGetHandleByIndex, 3)
