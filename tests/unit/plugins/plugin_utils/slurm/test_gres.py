# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's GPUs are as gres, and the sentences about a Slurm that has something else."""

from __future__ import annotations

import time

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.gres import (
    gres_differences,
    slurm_gres,
    slurmd_gres_problems,
)

A100, H100 = "NVIDIA A100-SXM4-40GB", "NVIDIA H100 80GB HBM3"


def gpu(index, *profiles, product=A100, mode="enabled", indexes=None, minor=None):
    """A GPU as in mig_facts, with a GPU instance for each profile."""
    numbers = indexes or range(len(profiles))
    instances = [
        {"id": 7 + place, "compute_instances": [{"id": 0, "profile": profile, "uuid": f"MIG-{place}", "index": number}]}
        for place, (profile, number) in enumerate(zip(profiles, numbers, strict=True))
    ]
    minor = index if minor is None else minor
    return {
        "index": index, "uuid": f"GPU-{index}", "product": product, "minor": minor, "mig_mode": mode,
        "instances": instances,
    }  # fmt: skip


# Index and minor number of a GPU need not be the same.
GPUS = [gpu(0, "3g.20gb", "1g.5gb", minor=1), gpu(1, mode="disabled", minor=0), gpu(2, mode=None, minor=2)]
MINORS = "gpu1/gi7/access 21\ngpu1/gi7/ci0/access 22\ngpu1/gi8/access 84\ngpu1/gi8/ci0/access 85\n"
HAS = slurm_gres(GPUS, MINORS)
# Printed by Slurm 24.11, and that of 22.05 the one after it.
PRINTED = """slurmd: _read_slurm_cgroup_conf: No cgroup.conf file (/etc/slurm/cgroup.conf), using defaults
slurmd-gpu: error: _read_slurm_cgroup_conf: No cgroup.conf file
slurmd-gpu: gpu/nvml: _get_system_gpu_list_nvml: 3 GPU system device(s) detected
slurmd-gpu: Gres Name=gpu Type=nvidia_a100-sxm4-40gb Count=1 Index=0 ID=7696487 File=/dev/nvidia0 Cores=0-1 Links=(null) Flags=HAS_FILE
slurmd-gpu: Gres Name=gpu Type=nvidia_a100-sxm4-40gb Count=1 Index=2 ID=7696487 File=/dev/nvidia2 Cores=0-1 Links=(null) Flags=HAS_FILE
slurmd-gpu: Gres Name=gpu Type=nvidia_a100_3g.20gb Count=1 Index=22 ID=7696487 File=/dev/nvidia1,/dev/nvidia-caps/nvidia-cap21,/dev/nvidia-caps/nvidia-cap22 Cores=0-1
slurmd-gpu: Gres Name=gpu Type=nvidia_a100_1g.5gb Count=1 Index=85 ID=7696487 File=/dev/nvidia1,/dev/nvidia-caps/nvidia-cap84,/dev/nvidia-caps/nvidia-cap85 (null)
slurmd-gpu: Gres Name=mps Count=100 Index=0 ID=1 File=/dev/nvidia0
"""  # noqa: E501


def test_what_slurm_should_have():
    assert HAS["gres"] == "gpu:nvidia_a100_3g.20gb:1,gpu:nvidia_a100_1g.5gb:1,gpu:nvidia_a100-sxm4-40gb:2"
    assert HAS["lines"] == [
        "AutoDetect=off Name=gpu Type=nvidia_a100_3g.20gb MultipleFiles=/dev/nvidia1,"
        "/dev/nvidia-caps/nvidia-cap21,/dev/nvidia-caps/nvidia-cap22 Flags=nvidia_gpu_env",
        "AutoDetect=off Name=gpu Type=nvidia_a100_1g.5gb MultipleFiles=/dev/nvidia1,"
        "/dev/nvidia-caps/nvidia-cap84,/dev/nvidia-caps/nvidia-cap85 Flags=nvidia_gpu_env",
        "AutoDetect=off Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia0 Flags=nvidia_gpu_env",
        "AutoDetect=off Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia2 Flags=nvidia_gpu_env",
    ]
    assert HAS["autodetect"] == []
    assert HAS["devices"][1]["capabilities"][1] == {
        "capability": "/proc/driver/nvidia/capabilities/gpu1/mig/gi8/ci0/access",
        "path": "/dev/nvidia-caps/nvidia-cap85",
    }


def test_another_size_with_the_same_uuid_and_files_is_another_device():
    """Real cards give both again, and jobs may call both sizes the same."""

    def device(profile, profile_id, inside):
        one = {"id": 0, "profile": inside, "uuid": "MIG-0", "index": 0, "placement": {"start": 0, "size": 3}}
        place = {"start": 4, "size": 4}
        instance = {
            "id": 1,
            "profile": profile,
            "profile_id": profile_id,
            "placement": place,
            "compute_instances": [one],
        }
        return slurm_gres([{**gpu(0), "instances": [instance]}], "", {"*": {"*": "a100", inside: "slice"}})["devices"][
            0
        ]

    places = [device("3g.20gb", 9, "3g.20gb"), device("4g.20gb", 5, "4g.20gb"), device("3g.20gb", 9, "1c.3g.20gb")]
    assert [one["place"] for one in places] == [[9, 4, None, 0], [5, 4, None, 0], [9, 4, 1, 0]]
    assert len({(one["type"], one["uuid"], *one["files"]) for one in places}) == 1
    assert HAS["devices"][2]["place"] is None


@pytest.mark.parametrize(
    ("one", "types", "gres"),
    [
        (gpu(0, "1g.10gb", product=H100), None, "gpu:nvidia_h100_80gb_hbm3_1g.10gb:1"),
        (gpu(0, "1g.10gb", product=H100), {"NVIDIA A100*": "a100", "NVIDIA H100*": "h100"}, "gpu:h100_1g.10gb:1"),
        (gpu(0, mode="disabled", product=H100), {"*": "h100"}, "gpu:h100:1"),
        (gpu(0, "1c.3g.20gb", "1c.3g.20gb", "1g.5gb+me"), None,
         "gpu:nvidia_a100_1c.3g.20gb:2,gpu:nvidia_a100_1g.5gb:1"),
        (gpu(0), None, ""),
    ],
)  # fmt: skip
def test_types(one, types, gres):
    assert slurm_gres([one], "", types)["gres"] == gres


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (gpu(3), "GPU 3 has MIG on and no MIG device"),
        (gpu(3, "1g.5gb", "1g.5gb", indexes=[0, 2]), "GPU 3 have the indexes 0, 2, and slurmd stops at a hole"),
        (gpu(3, "1g.5gb", indexes=[1]), "the indexes 1, and"),
    ],
)
def test_what_slurmd_does_not_come_to(one, words):
    (reason,) = slurm_gres([one])["autodetect"]
    assert words in reason


H200, B200, NVL = "NVIDIA H200", "NVIDIA B200", "NVIDIA H100 NVL"
MAXQ = "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"
# Slurm 22.05's roundl() and today's name of the MIG device; Max-Q's is too long for most releases.
DETECTED = [
    ("22.05.8", H200, "1g.18gb", 16384, "nvidia_h200_1g.16gb"),
    ("22.05.8", NVL, "1g.12gb", 11008, "nvidia_h100_nvl_1g.11gb"),
    ("22.05", B200, "1g.23gb", 20992, "nvidia_b200_1g.21gb"),
    ("22.05", B200, "1g.23gb", 20991, "nvidia_b200_1g.20gb"),
    ("21.08.8", A100, "3g.20gb", 20096, "nvidia_a100_3g.20gb"),
    ("23.02", H200, "1g.18gb", 16384, "nvidia_h200_1g.16gb"),
    ("23.02.5", H200, "1g.18gb", 16384, "nvidia_h200_1g.16gb"),
    ("23.02.6", H200, "1g.18gb", 16384, "nvidia_h200_1g.18gb"),
    ("23.11.0", H200, "1g.18gb", 16384, "nvidia_h200_1g.18gb"),
    ("", H200, "1g.18gb", 16384, "nvidia_h200_1g.18gb"),
    ("0", H200, "1g.18gb", 16384, "nvidia_h200_1g.18gb"),
    ("?", H200, "1g.18gb", 16384, "nvidia_h200_1g.18gb"),
    ("22.05", A100, "1g.5gb+me", 4864, "nvidia_a100_1g.5gb"),
    # Nobody has told its memory.
    ("22.05", H200, "1g.18gb", None, "nvidia_h200_1g.18gb"),
    ("25.11.1", MAXQ, "4g.96gb", 97280, "nvidia_rtx_pro_6000_blackwell_max_4g.95gb"),
    ("25.11.1", MAXQ, "1c.4g.96gb", 97280, "nvidia_rtx_pro_6000_blackwell_max_1c.4g.95gb"),
    ("26.05.0", MAXQ, "4g.96gb", 97280, "nvidia_rtx_pro_6000_blackwell_max_4g.96gb"),
]


@pytest.mark.parametrize(("release", "product", "profile", "memory_mib", "name"), DETECTED)
def test_a_type_is_what_slurmd_of_that_release_calls_it(release, product, profile, memory_mib, name):
    """Of the MIG device's own memory once it is there, of its profile's before; slurmd finds it in both."""
    there = gpu(0, profile, product=product)
    there["instances"][0]["compute_instances"][0]["memory_mib"] = memory_mib
    outer = profile.rpartition("c.")[2]
    there["profiles"] = [{"name": outer, "memory_mib": 4096}] if memory_mib else []
    comes = gpu(0, product=product, mode="disabled")
    comes["profiles"] = [{"name": outer, "memory_mib": memory_mib}] if memory_mib else []
    inside = [{"profile": profile, "placement": 0}]
    target = [{"gpus": ["GPU-0"], "instances": [{"profile": outer, "compute_instances": inside}]}]
    for found in (slurm_gres([there], release=release), slurm_gres([comes], target=target, release=release)):
        assert found["gres"] == f"gpu:{name}:1"
        assert found["autodetect"] == []
        assert f"Type={name} " in found["lines"][0]


PER_PROFILE = {"NVIDIA A100*": {"1g.5gb": "1g.5gb", "2g.10gb": "a100_10g", "*": "a100"}}


def test_types_per_product_and_profile():
    gpus = [gpu(0, "1g.5gb", "2g.10gb", "3g.20gb"), gpu(1, mode="disabled"), gpu(2, "1g.10gb", product=H100)]
    found = slurm_gres(gpus, "", PER_PROFILE)
    mine = "gpu:1g.5gb:1,gpu:a100_10g:1,gpu:a100_3g.20gb:1,gpu:a100:1"
    assert found["gres"] == f"{mine},gpu:nvidia_h100_80gb_hbm3_1g.10gb:1"
    # Any part of the detected name will do for slurmd, and nothing else.
    (reason,) = found["autodetect"]
    assert reason == (
        "Slurm calls the 2g.10gb MIG-1 on GPU 0 nvidia_a100_2g.10gb, and a100_10g of mig_slurm_types is no part of that"
    )
    assert slurm_gres([gpus[1], gpu(0, "1g.5gb", "3g.20gb")], "", PER_PROFILE)["autodetect"] == []


def test_a_type_of_a_media_profile_is_the_same_before_and_after():
    """The driver calls the compute instance of a 1g.5gb+me a 1g.5gb."""
    there = gpu(0, "1g.5gb+me")
    there["instances"][0]["compute_instances"][0]["driver_name"] = "1g.5gb"
    inside = [{"profile": "1g.5gb+me", "placement": 0}]
    target = [{"gpus": ["GPU-0"], "instances": [{"profile": "1g.5gb+me", "compute_instances": inside}]}]
    for types, name in (
        ({}, "nvidia_a100_1g.5gb"),
        ({"*": {"1g.5gb": "small"}}, "small"),
        ({"*": {"1g.5gb": "small", "1g.5gb+me": "a100"}}, "a100"),
    ):
        for release in ("22.05.8", "24.11.5"):
            now = slurm_gres([there], types=types, release=release)
            comes = slurm_gres([there], types=types, target=target, release=release)
            assert now["gres"] == comes["gres"] == f"gpu:{name}:1"


def test_slurm_counts_plain_and_media_together_and_goes_by_the_drivers_name():
    """From 23.02.6 on it takes the MIG device's name, which the driver tells of what is there."""
    plain_and_media = gpu(0, "1g.5gb", "1g.5gb+me")
    found = slurm_gres([plain_and_media], release="24.11.5")
    assert (found["gres"], found["autodetect"]) == ("gpu:nvidia_a100_1g.5gb:2", [])
    # Of other attributes it is not known: then what the driver says of the device counts.
    there = gpu(0, "1g.5gb+gfx", "1g.5gb+xyz2")
    assert slurm_gres([there])["gres"] == "gpu:nvidia_a100_1g.5gb+gfx:1,gpu:nvidia_a100_1g.5gb+xyz2:1"
    for instance in there["instances"]:
        instance["compute_instances"][0]["driver_name"] = "1g.5gb"
    found = slurm_gres([there])
    assert (found["gres"], found["autodetect"]) == ("gpu:nvidia_a100_1g.5gb:2", [])
    named = slurm_gres([there], types={"*": {"1g.5gb+gfx": "a100", "1g.5gb+xyz2": "nvidia"}})
    assert "all nvidia_a100_1g.5gb, so it cannot tell a100, nvidia apart" in named["autodetect"][0]


@pytest.mark.parametrize(
    ("release", "types", "profiles", "words"),
    [
        ("22.05.8", {}, ["1c.3g.20gb"], ["Slurm 22.05.8 calls the 1c.3g.20gb", "nvidia_a100_3g.20gb, and",
                                         "nvidia_a100_1c.3g.20gb is no part of that"]),
        ("24.11.5", {"*": "h100"}, ["1g.5gb", "1g.5gb"], ["Slurm 24.11.5 calls the 1g.5gb MIG-0 on GPU 0 and 1 more",
                                                          "h100_1g.5gb of mig_slurm_types is no part of that"]),
        ("22.05.8", {"*": {"1g.5gb": "a100", "1g.5gb+me": "nvidia"}}, ["1g.5gb", "1g.5gb+me"],
         ["all nvidia_a100_1g.5gb, so it cannot tell a100, nvidia apart"]),
        # The longest type that fits is taken first: a 2g.10gb would get what the 1g.5gb is to have.
        ("24.11.5", {"*": {"1g.5gb": "nvidia_a100", "2g.10gb": "a100"}}, ["1g.5gb", "2g.10gb"],
         ["would give the 1g.5gb MIG-0 on GPU 0 the type a100 instead of nvidia_a100",
          "would give the 2g.10gb MIG-1 on GPU 0 the type nvidia_a100 instead of a100"]),
    ],
)  # fmt: skip
def test_a_name_that_slurmd_cannot_give(release, types, profiles, words):
    one = gpu(0, *profiles)
    for instance in one["instances"]:
        instance["compute_instances"][0]["memory_mib"] = 20096 if "3g" in str(profiles) else 4864
    said = " ".join(slurm_gres([one], types=types, release=release)["autodetect"])
    assert [one for one in words if one not in said] == [], said


@pytest.mark.parametrize(
    ("types", "words"),
    [
        ({"*": None}, "mig_slurm_types calls * None."),
        ({"*": "a b"}, "mig_slurm_types calls * 'a b'."),
        ({"*": ["a"]}, "mig_slurm_types calls * a list of 1."),
        ({"*": {"1g.5gb": "a:b"}}, "mig_slurm_types calls 1g.5gb of * 'a:b'."),
        ({"*": {"1g.5gb": {"x": "y"}}}, "mig_slurm_types calls 1g.5gb of * a dictionary of 1."),
        ({"*": {"1G.5GB": "a"}}, "mig_slurm_types has '1G.5GB' for *. Expected is a profile"),
    ],
)
def test_types_that_are_none(types, words):
    refused = slurm_gres(GPUS, MINORS, types)
    assert refused["refusal"].startswith(words)
    assert (refused["gres"], refused["lines"]) == ("", [])


def test_the_layout_to_come_counts_for_the_gpus_that_it_names():
    target = [
        {"gpus": ["GPU-1"], "instances": [{"compute_instances": [{"profile": "1c.3g.20gb"}]},
                                          {"compute_instances": [{"profile": "2c.3g.20gb"}]}]},
        {"gpus": ["GPU-0"], "mig_enabled": False},
    ]  # fmt: skip
    comes = slurm_gres(GPUS, MINORS, target=target)
    assert comes["gres"] == ("gpu:nvidia_a100-sxm4-40gb:2,gpu:nvidia_a100_1c.3g.20gb:1,gpu:nvidia_a100_2c.3g.20gb:1")
    # Which indexes they will have nobody knows yet.
    assert comes["autodetect"] == []
    old = " ".join(slurm_gres(GPUS, MINORS, target=target, release="22.05")["autodetect"])
    assert "cannot tell nvidia_a100_1c.3g.20gb, nvidia_a100_2c.3g.20gb apart" in old


def test_slurmd_that_has_it_all():
    assert slurmd_gres_problems(PRINTED, HAS["devices"]) == []
    assert slurmd_gres_problems("", []) == []


def test_slurmd_that_has_something_else():
    lines = PRINTED.replace("nvidia-cap84", "nvidia-cap93").splitlines()
    text = "\n".join([*lines, "slurmd-gpu: fatal: no such thing.", "slurmd-gpu: error: no such thing"])
    assert slurmd_gres_problems(text, HAS["devices"]) == [
        "It lacks gpu:nvidia_a100_1g.5gb (the 1g.5gb MIG-1 on GPU 0).",
        "It has gpu:nvidia_a100_1g.5gb (/dev/nvidia1,/dev/nvidia-caps/nvidia-cap93,/dev/nvidia-caps/nvidia-cap85),"
        " which is not there.",
        "slurmd says: no such thing.",
    ]
    twice = PRINTED + PRINTED.splitlines()[4]
    assert slurmd_gres_problems(twice, HAS["devices"]) == ["It has a device twice."]


def test_files_of_several_devices_in_one_line():
    whole = slurm_gres([gpu(index, mode="disabled") for index in (0, 1, 2)], types={"*": "a100"})["devices"]
    text = "slurmd: Gres Name=gpu Type=a100 Count=3 Index=0 ID=1 File=/dev/nvidia[0-1],/dev/nvidia2 (null)"
    assert slurmd_gres_problems(text, whole) == []


@pytest.mark.parametrize(
    "text",
    [
        "slurmd: Gres Name=gpu Type=a Count=2 File=/dev/nvidia[0-99999999999]",
        "slurmd: Gres Name=gpu Type=a Count=" + "9" * 5000 + " File=/dev/nvidia0",
        "slurmd: Gres Name=gpu Type=a Count=٢ File=/dev/nvidia0",
        "Gres Name=gpu Count=1 " * 200_000,
        ("Gres Name=gpu Count=1 " * 150 + "\n") * 500,
        "slurmd: error: " * 200_000,
        "slurmd: Gres Name=gpu Type=a Count=1 File=" + "/dev/nvidia[0-" * 200_000,
    ],
)
def test_a_text_that_was_made_to_be_read_for_ever(text):
    """A controller that reads it is done in no time, and lacks what it should have read."""
    start = time.process_time()
    problems = slurmd_gres_problems(text, HAS["devices"])
    assert time.process_time() - start < 5
    assert problems[0].startswith("It lacks gpu:nvidia_a100_3g.20gb (")
    assert sum(map(len, problems)) < 20_000


def test_a_count_that_was_made_to_be_read_for_ever():
    start = time.process_time()
    assert gres_differences("", "(" * 200_000 + "gpu:a:" + "9" * 5000 + ",gpu:b:²") != []
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "product", ["NVIDIA A100\nPrologSlurmctld=/shared/evil", "NVIDIA A100 # x", "NVIDIA \\", "A100\r", 'A "100"', "A\0"]
)
def test_a_product_is_no_configuration(product):
    """It would be written into the files of another host, as root."""
    wanted = slurm_gres([gpu(0, mode="disabled"), gpu(3, mode="disabled", product=product)])
    assert (wanted["gres"], wanted["lines"]) == ("", [])
    assert "GPU 3" in wanted["refusal"]


@pytest.mark.parametrize(
    ("there", "differences"),
    [
        ("gpu:a:2(S:0-1),gpu:b:1(S:0),mps:100", []),
        ("gpu:b:1,gpu:a:1,gpu:a:1", []),
        ("gpu:a:7(S:0),gpu:c:1", ["gpu:a: 2 expected, 7 there", "gpu:b: 1 expected, 0 there",
                                  "gpu:c: 0 expected, 1 there"]),
        ("", ["gpu:a: 2 expected, 0 there", "gpu:b: 1 expected, 0 there"]),
        ("(null)", ["gpu:a: 2 expected, 0 there", "gpu:b: 1 expected, 0 there"]),
    ],
)  # fmt: skip
def test_differences(there, differences):
    assert gres_differences("gpu:a:2,gpu:b:1", there) == differences
