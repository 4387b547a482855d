# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's GPUs are as gres, and the sentences about a Slurm that has something else."""

from __future__ import annotations

import time

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm_gres import (
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


@pytest.mark.parametrize(
    ("one", "types", "gres"),
    [
        (gpu(0, "1g.10gb", product=H100), None, "gpu:nvidia_h100_80gb_hbm3_1g.10gb:1"),
        (gpu(0, "1g.10gb", product=H100), {"NVIDIA A100*": "a100", "NVIDIA H100*": "h100"}, "gpu:h100_1g.10gb:1"),
        (gpu(0, mode="disabled", product=H100), {"*": "h100"}, "gpu:h100:1"),
        (gpu(0, "1c.3g.20gb", "1c.3g.20gb", "1g.5gb+me"), None,
         "gpu:nvidia_a100_1c.3g.20gb:2,gpu:nvidia_a100_1g.5gb+me:1"),
        (gpu(0), None, ""),
    ],
)  # fmt: skip
def test_types(one, types, gres):
    assert slurm_gres([one], "", types)["gres"] == gres


@pytest.mark.parametrize(
    ("one", "before", "words"),
    [
        (gpu(3), None, "GPU 3 has MIG on and no MIG device"),
        (gpu(3, "1g.5gb", "1g.5gb", indexes=[0, 2]), None, "GPU 3 have the indexes 0, 2, and slurmd stops at a hole"),
        (gpu(3, "1g.5gb", indexes=[1]), None, "the indexes 1, and"),
        (gpu(3, "1c.3g.20gb"), "23.11", "does not know 1c.3g.20gb"),
        (gpu(3, "1g.5gb", "1g.5gb+me"), "23.11", "does not know 1g.5gb+me"),
    ],
)
def test_what_slurmd_cannot_detect(one, before, words):
    (reason,) = slurm_gres([one])["autodetect"]
    assert words in reason["why"]
    assert reason.get("before") == before


def test_the_layout_to_come_counts_for_the_gpus_that_it_names():
    target = [
        {"gpus": ["GPU-1"], "instances": [{"compute_instances": [{"profile": "1c.3g.20gb"}]},
                                          {"compute_instances": [{"profile": "2c.3g.20gb"}]}]},
        {"gpus": ["GPU-0"], "mig_enabled": False},
    ]  # fmt: skip
    comes = slurm_gres(GPUS, MINORS, target=target)
    assert comes["gres"] == ("gpu:nvidia_a100-sxm4-40gb:2,gpu:nvidia_a100_1c.3g.20gb:1,gpu:nvidia_a100_2c.3g.20gb:1")
    # Which indexes they will have nobody knows yet.
    assert [reason["before"] for reason in comes["autodetect"]] == ["23.11"]


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
