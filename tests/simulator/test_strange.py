# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strange hosts: what each switch of `mig-simulator init --strange` changes, and what a host has without it."""

from __future__ import annotations

import ctypes

import pynvml as n
import pytest
from mig_calls import create, mig_devices, possible, spanning

A100, A30, H100, RTX = "A100-SXM4-40GB", "A30-24GB", "H100-SXM5-80GB", "RTX-PRO-6000-BLACKWELL-96GB"


def strange(nvml, switches, *models):
    """GPU 0 of a host with MIG on; without switches as every card is."""
    return nvml("--mig", *(["--strange", switches] if switches else []), *models)


def compute(instance, profile, start=None, size=None):
    """Create a compute instance and return its info."""
    if start is None:
        return n.nvmlComputeInstanceGetInfo(n.nvmlGpuInstanceCreateComputeInstance(instance, profile))
    placement = ctypes.byref(n.c_nvmlComputeInstancePlacement_t(start, size))
    made = n.nvmlGpuInstanceCreateComputeInstanceWithPlacement(instance, profile, placement)
    return n.nvmlComputeInstanceGetInfo(made)


def compute_profiles(instance):
    """Profile id -> (name, size, starts, maximum, multiprocessors)."""
    found = {}
    for index in range(9):
        try:
            info = n.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, index, 0, version=2)
        except (n.NVMLError_NotSupported, n.NVMLError_InvalidArgument):
            continue
        count = ctypes.c_uint(0)
        n.nvmlGpuInstanceGetComputeInstancePossiblePlacements(instance, info.id, None, ctypes.byref(count))
        array = (n.c_nvmlComputeInstancePlacement_t * count.value)()
        n.nvmlGpuInstanceGetComputeInstancePossiblePlacements(instance, info.id, array, ctypes.byref(count))
        (size,) = {placement.size for placement in array}
        starts = [placement.start for placement in array]
        found[info.id] = (info.name[4:], size, starts, info.instanceCount, info.multiprocessorCount)
    return found


# ---- The switches themselves ---------------------------------------------------------------------------------------


def test_what_is_strange_is_shown(host):
    host.command("init", "--strange", "gi-ids=swapped,twin", A100)
    assert host.show()["strange"] == {"gi-ids": "swapped", "twin": "on"}
    assert "strange: gi-ids=swapped\nstrange: twin=on\n" in host.command("show").stdout
    host.command("init", A100)
    assert host.show()["strange"] == {}


def test_help_lists_every_switch_with_its_values(host):
    text = host.command("init", "--strange", "help").stdout
    assert "\nuuids=new|profile|engine*\n" in text
    assert not host.state.exists()


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ("colour", "no switch colour; there are gi-ids uuids"),
        ("", "no switch ; there are gi-ids"),
        ("gi-ids=mine", "gi-ids=mine: expected scattered or model or plain or swapped"),
        ("random:", "random:SEED takes a number"),
        ("random:x", "random:SEED takes a number"),
    ],
)
def test_a_wrong_switch_is_named(host, switches, message):
    assert message in host.command("init", "--strange", switches, A100, status=2).stderr
    assert not host.state.exists()


def test_a_seed_chooses_the_same_again(host):
    chosen = []
    for seed in (1, 2, 1):
        host.command("init", "--strange", f"random:{seed}", A100)
        chosen.append(host.show()["strange"])
    assert chosen[0] == chosen[2] != chosen[1]


# ---- Identities ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "profile", "size", "ids"),
    [
        (H100, 19, 1, {0: 7, 1: 8, 2: 9, 3: 10, 4: 11, 5: 12, 6: 13}),
        (H100, 15, 2, {0: 3, 2: 4, 4: 5, 6: 6}),
        (H100, 9, 4, {0: 1, 4: 2}),
        (H100, 5, 4, {0: 1}),
        (H100, 0, 8, {0: 0}),
        (RTX, 14, 3, {0: 3, 3: 4, 6: 5, 9: 6}),
        (A30, 14, 1, {0: 3, 1: 4, 2: 5, 3: 6}),
        (A100, 19, 1, {0: 11, 1: 12, 2: 13, 3: 14, 4: 7, 5: 8, 6: 9}),
        (A100, 14, 2, {0: 5, 2: 6, 4: 3}),
        (A100, 9, 4, {0: 2, 4: 1}),
    ],
)
def test_gpu_instance_ids_follow_from_the_placement(nvml, model, profile, size, ids):
    gpu = strange(nvml, "", model)
    assert {start: create(gpu, profile, start, size)[1].id for start in ids} == ids


@pytest.mark.parametrize(
    ("table", "model", "ids"), [("plain", A100, {0: 3, 2: 4, 4: 5}), ("swapped", H100, {0: 5, 2: 6, 4: 3})]
)
def test_each_model_may_have_the_other_table(nvml, table, model, ids):
    gpu = strange(nvml, f"gi-ids={table}", model)
    assert {start: create(gpu, 14, start, 2)[1].id for start in ids} == ids


def test_ids_may_say_nothing_of_the_placement(nvml):
    gpu = strange(nvml, "gi-ids=scattered", H100)
    ids = set()
    for _unused in range(8):
        instance, info = create(gpu, 19, 6, 1)
        ids.add(info.id)
        n.nvmlGpuInstanceDestroy(instance)
    assert len(ids) > 1
    assert ids <= set(range(7, 14))


@pytest.mark.parametrize(
    ("switches", "model", "profile", "name"),
    [
        ("", H100, 20, "1g.10gb"),
        ("", RTX, 47, "1g.24gb+gfx"),
        ("compute-names=full", H100, 20, "1g.10gb+me"),
        ("compute-names=bare", RTX, 47, "1g.24gb"),
        ("compute-names=bare", RTX, 67, "1g.24gb"),
    ],
)
def test_a_compute_instance_lacks_the_attribute(nvml, switches, model, profile, name):
    gpu = strange(nvml, switches, model)
    instance, _unused, device = spanning(gpu, profile)
    assert compute_profiles(instance)[0][0] == name
    assert n.nvmlDeviceGetName(device).endswith(f" MIG {name}")


def test_a_gpu_may_lack_its_minor_number_and_its_address(nvml, refused):
    gpu = strange(nvml, "minor=none,pci-address", H100)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetMinorNumber, gpu)
    refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceGetPciInfo, gpu)
    assert n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(gpu))


def test_a_change_of_mode_changes_the_minor(nvml):
    gpu = nvml("--strange", "minor=moves", f"{H100}:2")
    before = n.nvmlDeviceGetMinorNumber(gpu)
    n.nvmlDeviceSetMigMode(gpu, 1)
    other = n.nvmlDeviceGetMinorNumber(n.nvmlDeviceGetHandleByIndex(1))
    assert n.nvmlDeviceGetMinorNumber(gpu) not in (before, other)


# ---- Compute instances ---------------------------------------------------------------------------------------------

IN_EIGHTHS = {  # GPU instance profile -> compute profile -> (size, starts, maximum, multiprocessors)
    19: {0: (1, [0], 1, 16)},
    15: {7: (2, [0], 1, 26)},
    14: {0: (1, [0, 1], 2, 16), 1: (2, [0], 1, 32)},
    9: {0: (1, [0, 1, 2], 3, 16), 1: (2, [0, 2], 1, 32), 2: (4, [0], 1, 60)},
    5: {0: (1, [0, 1, 2, 3], 4, 16), 1: (2, [0, 2], 2, 32), 3: (4, [0], 1, 64)},
    0: {
        0: (1, [0, 1, 2, 3, 4, 5, 6], 7, 16),
        1: (2, [0, 2, 4, 6], 3, 32),
        2: (4, [0, 4], 2, 48),
        3: (4, [0, 4], 1, 64),
        4: (8, [0], 1, 132),
    },
}


@pytest.mark.parametrize("profile", IN_EIGHTHS)
def test_hopper_places_compute_instances_in_eighths(nvml, profile):
    gpu = strange(nvml, "", H100)
    instance, _unused = create(gpu, profile)
    found = compute_profiles(instance)
    assert {index: values[1:] for index, values in found.items()} == IN_EIGHTHS[profile]
    assert found[max(found)][0] == n.nvmlDeviceGetGpuInstanceProfileInfo(
        gpu, {19: 0, 15: 9, 14: 1, 9: 2, 5: 3, 0: 4}[profile], version=2
    ).name.removeprefix("MIG ")


def test_placements_do_not_bound_the_number(nvml, refused):
    gpu = strange(nvml, "one-slice-starts=eighths", H100)
    instance, _unused = create(gpu, 9)
    assert compute_profiles(instance)[0][1:4] == (1, [0, 1, 2, 3], 3)
    assert [compute(instance, 0).placement.start for _unused in range(3)] == [2, 0, 3]
    assert n.nvmlGpuInstanceGetComputeInstanceRemainingCapacity(instance, 0) == 0
    refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, compute, instance, 0, 1, 1)


def test_two_of_four_slices_do_not_fit_seven(nvml, refused):
    gpu = strange(nvml, "", H100)
    instance, _unused = create(gpu, 0)
    assert compute(instance, 3).placement.start == 4
    assert n.nvmlGpuInstanceGetComputeInstanceRemainingCapacity(instance, 3) == 0
    refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, compute, instance, 3, 0, 4)
    assert compute(instance, 2, 0, 4).placement.size == 4


def test_profile_7_may_stand_beside_profile_0(nvml):
    gpu = strange(nvml, "double-slice", H100)
    instance, _unused = create(gpu, 9)
    found = compute_profiles(instance)
    assert found[7] == ("1c.3g.40gb", 2, [0, 2], 2, 26)
    assert found[0][0] == found[7][0]
    assert (compute(instance, 7).placement.size, compute(instance, 0, 1, 1).placement.start) == (2, 1)


def test_ampere_places_them_at_every_start_that_fits(nvml):
    gpu = strange(nvml, "", A100)
    instance, _unused = create(gpu, 9)
    assert compute_profiles(instance)[1][1:4] == (2, [0, 1], 1)
    assert compute(instance, 1, 1, 2).placement.start == 1


def test_or_in_steps_of_its_own(nvml):
    gpu = strange(nvml, "compute-places=simple", H100)
    instance, _unused = create(gpu, 0)
    found = compute_profiles(instance)
    assert {index: values[1:3] for index, values in found.items()} == {
        0: (1, [0, 1, 2, 3, 4, 5, 6]), 1: (2, [0, 2, 4]), 2: (3, [0, 4]), 3: (4, [0]), 4: (7, [0]),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("switches", "codes"),
    [
        ("", ["IN_USE", "INVALID_ARGUMENT", "INSUFFICIENT_RESOURCES"]),
        ("refusals=resources", ["INSUFFICIENT_RESOURCES"] * 3),
        ("refusals=in-use", ["IN_USE"] * 3),
        ("refusals=invalid", ["INVALID_ARGUMENT"] * 3),
    ],
)
def test_refusals_of_a_compute_place(nvml, refused, switches, codes):
    gpu = strange(nvml, switches, H100)
    three, two = (create(gpu, profile)[0] for profile in (9, 14))
    compute(three, 0, 0, 1)
    for (instance, start), code in zip([(three, 0), (two, 1), (two, 4)], codes, strict=True):
        refused(getattr(n, f"NVML_ERROR_{code}"), compute, instance, 1, start, 2)


# ---- Profiles ------------------------------------------------------------------------------------------------------


def test_profile_ids_and_indexes_say_nothing_of_the_size(nvml):
    gpu = strange(nvml, "profile-ids,profile-indexes", H100)
    seven = n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, 0, version=2)
    assert (seven.name, seven.id, seven.instanceCount) == ("MIG 7g.80gb", 19, 1)
    assert create(gpu, 19)[1].placement.size == 8


def test_a_twin_has_the_same_name(nvml):
    gpu = strange(nvml, "twin", H100)
    infos = []
    for index in range(n.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            infos.append(n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, index, version=2))
        except n.NVMLError_NotSupported:
            continue
    same = [info for info in infos if info.name == "MIG 1g.10gb"]
    assert [(info.id, info.sliceCount) for info in same] == [(19, 1), (21, 1)]
    assert [possible(gpu, info.id) for info in same] == [
        [(start, 1) for start in range(7)],
        [(start, 1) for start in range(4)],
    ]
    assert create(gpu, 21)[1].profileId == 21


def test_placements_may_count_half_slices_in_any_order(nvml):
    gpu = strange(nvml, "placement-unit,placement-order", H100)
    assert possible(gpu, 15) == [(4, 4), (0, 4), (12, 4), (8, 4)]
    assert [create(gpu, 9, start, 8)[1].id for start in (0, 8)] == [1, 2]
    assert n.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, 19) == 0


def test_compute_placements_are_listed_in_any_order(nvml):
    gpu = strange(nvml, "placement-order,compute-places=model", A100)
    instance, _unused = create(gpu, 5)
    assert compute_profiles(instance)[1][2] == [1, 0, 2]
    assert compute_profiles(instance)[0][2] == [1, 0, 3, 2]


def test_profiles_without_names(nvml):
    gpu = strange(nvml, "names", H100)
    assert n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, 7, version=2).name == ""
    instance, _unused = create(gpu, 20)
    assert n.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, 0, 0, version=2).name == ""


@pytest.mark.parametrize(
    ("model", "profile", "name"), [(H100, 20, "1g.9gb"), (A100, 9, "3g.18gb"), (RTX, 67, "1g.21gb-me")]
)
def test_profiles_with_the_names_of_another_driver(nvml, model, profile, name):
    gpu = strange(nvml, "names=renamed", model)
    instance, _info, device = spanning(gpu, profile)
    assert n.nvmlGpuInstanceGetComputeInstanceProfileInfo(instance, 0, 0, version=2).name.endswith(name)
    assert n.nvmlDeviceGetName(device).endswith(f" MIG {name}")


def test_the_largest_profile_tells_fewer_engines_than_there_are(nvml):
    gpu = strange(nvml, "engines", H100)
    assert n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, 4, version=2).decoderCount == 6
    assert len([create(gpu, 19) for _unused in range(7)]) == 7


def test_free_counts_promise_too_much(nvml, refused):
    gpu = strange(nvml, "free-counts", H100)
    create(gpu, 9, 0, 4)
    create(gpu, 9, 4, 4)
    assert n.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, 19) == 7
    refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, n.nvmlDeviceCreateGpuInstance, gpu, 19)


@pytest.mark.parametrize(
    ("options", "goes"),
    [
        (["--driver", "470.57.02"], False),
        (["--driver", "510.47.03"], True),
        (["--driver", "470.57.02", "--strange", "combination=free"], True),
        (["--strange", "combination=halves"], False),
    ],
)
def test_a_combination_is_refused(nvml, refused, options, goes):
    gpu = nvml("--mig", *options, A100)
    create(gpu, 5, 0, 4)
    assert n.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, 9) == goes
    if goes:
        create(gpu, 9, 4, 4)
    else:
        refused(n.NVML_ERROR_INSUFFICIENT_RESOURCES, create, gpu, 9, 4, 4)
        create(gpu, 14, 4, 2)


def test_a_mig_device_may_have_more_memory_than_its_profile(nvml):
    gpu = strange(nvml, "device-memory", A100)
    device = spanning(gpu, 9)[2]
    assert n.nvmlDeviceGetAttributes_v2(device).memorySizeMB == 19968 + 128
    assert n.nvmlDeviceGetMemoryInfo(device).total == (19968 + 128) << 20


# ---- Mode and use --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("activation", "raises"), [("not-supported", False), ("refused", True)])
def test_pass_through_answers_not_supported(nvml, host, refused, activation, raises):
    gpu = nvml("--strange", f"activation={activation}", A100)
    host.command("passthrough", "on")
    if raises:
        refused(n.NVML_ERROR_NOT_SUPPORTED, n.nvmlDeviceSetMigMode, gpu, 1)
    else:
        assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_ERROR_NOT_SUPPORTED
    assert n.nvmlDeviceGetMigMode(gpu) == [0, 1]
    host.command("reboot")
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]


def test_a_mode_times_out_at_first_or_always(nvml):
    gpu = nvml("--strange", "activation=timeout", H100)
    answers = [n.nvmlDeviceSetMigMode(gpu, 1) for _unused in range(3)]
    assert answers == [n.NVML_ERROR_TIMEOUT, n.NVML_ERROR_TIMEOUT, n.NVML_SUCCESS]
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]
    gpu = nvml("--strange", "activation=timeout-always", H100)
    assert {n.nvmlDeviceSetMigMode(gpu, 1) for _unused in range(5)} == {n.NVML_ERROR_TIMEOUT}
    assert n.nvmlDeviceGetMigMode(gpu) == [0, 1]


def test_mode_off_may_only_seem_to_work(nvml):
    gpu = strange(nvml, "mode-off", H100)
    assert n.nvmlDeviceSetMigMode(gpu, 0) == n.NVML_SUCCESS
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 0]


def test_whoever_uses_a_gpu_may_find_it_in_mig_mode_and_then_be_in_the_way(nvml, host, refused):
    gpu = nvml("--strange", "mode-clients", H100)
    holder = host.client("hold", "--gpu", "0")
    client = host.client("run", "--device", "0")
    assert n.nvmlDeviceSetMigMode(gpu, 1) == n.NVML_SUCCESS
    assert n.nvmlDeviceGetMigMode(gpu) == [1, 1]
    refused(n.NVML_ERROR_IN_USE, n.nvmlDeviceCreateGpuInstance, gpu, 19)
    assert [process.pid for process in n.nvmlDeviceGetComputeRunningProcesses(gpu)] == [client.pid]
    client.end()
    assert host.client("run", "--type", "graphics", "--device", "0").pid
    refused(n.NVML_ERROR_IN_USE, n.nvmlDeviceCreateGpuInstance, gpu, 19)
    host.clients[-1].end()
    create(gpu, 19)
    assert holder.process.poll() is None


def test_a_holder_may_keep_a_gpu_from_its_first_instance(nvml, host, refused):
    gpu = strange(nvml, "first-instance=holders", H100)
    holder = host.client("hold", "--gpu", "0")
    refused(n.NVML_ERROR_IN_USE, n.nvmlDeviceCreateGpuInstance, gpu, 19)
    assert not n.nvmlDeviceGetComputeRunningProcesses(gpu)
    holder.end()
    create(gpu, 19)
    host.client("hold", "--gpu", "0")
    create(gpu, 19)


def test_a_subscriber_is_on_no_list_and_keeps_a_gpu_instance(nvml, host, refused):
    gpu = strange(nvml, "", H100)
    instance, made, device = spanning(gpu, 9, 0, 4)
    subscriber = host.client("hold", "--gpu", "0", "--gpu-instance", "1")
    assert not n.nvmlDeviceGetComputeRunningProcesses(gpu) + n.nvmlDeviceGetComputeRunningProcesses(device)
    n.nvmlComputeInstanceDestroy(made)
    refused(n.NVML_ERROR_IN_USE, n.nvmlGpuInstanceDestroy, instance)
    subscriber.end()
    n.nvmlGpuInstanceDestroy(instance)
    assert (
        "no GPU instance 1" in host.command("hold", "--gpu", "0", "--gpu-instance", "1", "--", "true", status=1).stderr
    )


@pytest.mark.parametrize(("restart", "mode", "instances"), [("clears", 0, 0), ("mode", 1, 0), ("layout", 1, 1)])
def test_what_a_reboot_leaves(nvml, host, restart, mode, instances):
    gpu = strange(nvml, f"restart={restart}", H100)
    spanning(gpu, 19)
    host.command("reboot")
    assert n.nvmlDeviceGetMigMode(gpu) == [mode, mode]
    assert len(host.show()["gpus"][0]["instances"]) == instances
    assert not mig_devices(gpu)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("model", [A100, A30, H100, RTX])
def test_a_host_strange_by_a_seed_can_be_filled_and_emptied(nvml, model, seed):
    gpu = strange(nvml, f"random:{seed}", model)
    made = []
    for index in range(n.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            profile = n.nvmlDeviceGetGpuInstanceProfileInfo(gpu, index, version=2).id
            made.append(n.nvmlDeviceCreateGpuInstance(gpu, profile))
        except n.NVMLError:
            continue
        for identity in compute_profiles(made[-1]):
            try:
                compute(made[-1], identity)
            except n.NVMLError:
                continue
    infos = [n.nvmlGpuInstanceGetInfo(instance) for instance in made]
    assert len({info.id for info in infos}) == len(infos) > 0
    assert len(mig_devices(gpu)) >= len(infos)
