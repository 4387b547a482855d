# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a CDI specification should have, and the sentences about one that has something else."""

from __future__ import annotations

import base64
import json
import time

import pytest
import yaml

from ansible_collections.gpufleet.mig.plugins.plugin_utils.cdi import (
    cdi_devices,
    cdi_problems,
)

# Index and minor number of a GPU need not be the same.
GPUS = [
    {
        "index": 0,
        "uuid": "GPU-0",
        "minor": 1,
        "mig_mode": "enabled",
        "instances": [
            {"id": 2, "compute_instances": [{"id": 0, "profile": "3g.20gb", "uuid": "MIG-a", "index": 0}]},
            {"id": 9, "compute_instances": [{"id": 0, "profile": "1g.5gb", "uuid": "MIG-b", "index": 1}]},
            {"id": 10, "compute_instances": []},
        ],
    },
    {"index": 1, "uuid": "GPU-1", "minor": 0, "mig_mode": "disabled", "instances": []},
    {"index": 2, "uuid": "GPU-2", "minor": 2, "mig_mode": None, "instances": None},
]
MINORS = """config 1
monitor 2
gpu1/gi2/access 21
gpu1/gi2/ci0/access 22
gpu1/gi9/access 84
gpu1/gi9/ci0/access 85
"""
DEVICES = cdi_devices(GPUS, MINORS, ["index", "uuid"])
NAMES = ["0:0", "0:1", "1", "2", "GPU-1", "GPU-2", "MIG-a", "MIG-b", "all"]
FILES = {
    "0:0": ["/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap21", "/dev/nvidia-caps/nvidia-cap22"],
    "MIG-b": ["/dev/nvidia1", "/dev/nvidia-caps/nvidia-cap84", "/dev/nvidia-caps/nvidia-cap85"],
    "1": ["/dev/nvidia0"],
}


def listed(names):
    """What nvidia-ctk prints, with a device of another kind."""
    return "".join(f"nvidia.com/gpu={name}\n" for name in names) + "k8s.device-plugin.nvidia.com/gpu=MIG-old\n"


def specification(files):
    """A specification with these device files."""
    return {
        "devices": [
            {"name": name, "containerEdits": {"deviceNodes": [{"path": path} for path in paths]}}
            for name, paths in files.items()
        ]
    }


@pytest.mark.parametrize(
    ("strategies", "names"),
    [
        (["index", "uuid"], [["0:0", "MIG-a"], ["0:1", "MIG-b"], ["1", "GPU-1"], ["2", "GPU-2"]]),
        (["type-index"], [["mig0:0"], ["mig0:1"], ["gpu1"], ["gpu2"]]),
    ],
)
def test_names(strategies, names):
    assert [device["names"] for device in cdi_devices(GPUS, MINORS, strategies)] == names


def test_capabilities_are_found_by_the_minor_number_of_the_gpu():
    assert DEVICES[1]["capabilities"] == [
        {
            "capability": "/proc/driver/nvidia/capabilities/gpu1/mig/gi9/access",
            "path": "/dev/nvidia-caps/nvidia-cap84",
        },
        {
            "capability": "/proc/driver/nvidia/capabilities/gpu1/mig/gi9/ci0/access",
            "path": "/dev/nvidia-caps/nvidia-cap85",
        },
    ]
    assert [device["files"] for device in DEVICES[2:]] == [["/dev/nvidia0"], ["/dev/nvidia2"]]
    assert cdi_devices(GPUS, "", ["uuid"])[0]["files"] == ["/dev/nvidia1"]


@pytest.mark.parametrize(
    ("names", "files", "problems"),
    [
        (NAMES, FILES, []),
        (
            [name for name in NAMES if name not in ("0:1", "MIG-b")],
            FILES,
            ["Missing: nvidia.com/gpu=0:1, nvidia.com/gpu=MIG-b (the 1g.5gb MIG-b on GPU 0)."],
        ),
        ([*NAMES, "MIG-z", "0:7"], FILES, ["Named, but not there: nvidia.com/gpu=0:7, nvidia.com/gpu=MIG-z."]),
        ([*NAMES, "0"], FILES, ["Named, but not there: nvidia.com/gpu=0."]),
        (
            NAMES,
            {**FILES, "0:0": ["/dev/nvidia1"]},
            [
                "nvidia.com/gpu=0:0 (the 3g.20gb MIG-a on GPU 0) gives containers no /dev/nvidia-caps/nvidia-cap21,"
                " /dev/nvidia-caps/nvidia-cap22."
            ],
        ),
    ],
)
def test_problems(names, files, problems):
    assert cdi_problems(DEVICES, listed(names), specification(files)) == problems


@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps])
def test_the_text_of_a_specification(dump):
    assert cdi_problems(DEVICES, listed(NAMES), dump(specification(FILES))) == []
    without = {**FILES, "1": []}
    assert cdi_problems(DEVICES, listed(NAMES), dump(specification(without))) == [
        "nvidia.com/gpu=1 (GPU 1) gives containers no /dev/nvidia0."
    ]


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "it has a YAML alias (line 2), and no specification has any"),
        ("devices: &a\n- *a\n", "it has a YAML alias (line 2)"),
        ("[" * 50, "it has more than 20 levels (line 1)"),
        ("[" * 10**6, "line 1"),
        ("{a: " * 10**5, "it has more than 20 levels (line 1)"),
        ("- " * 10**5, "it has more than 20 levels (line 1)"),
        ("a" * 3 * 10**6, "it has 3000000 characters; at most 2097152 are read"),
        ("a: [", "line 2: "),
        ("a: \x00", "it is no YAML"),
        ("? [a]\n: b\n", "found unhashable key"),
        ("a: 1\n---\nb: 2\n", "but found another document"),
        ("devices: 7\n", "devices is '7', and no list"),
        ("devices: [7]\n", "where containerEdits should be it has '7'"),
        ("devices: [{name: x, containerEdits: {deviceNodes: [7]}}]\n", "where path should be it has '7'"),
        ("just a word", "where devices should be it has 'just a word'"),
    ],
)
def test_a_specification_that_was_made_to_break_its_reader(text, words):
    start = time.process_time()
    (problem,) = cdi_problems(DEVICES, listed(NAMES), text)
    assert time.process_time() - start < 20
    assert problem.startswith("It cannot be read: ")
    assert words in problem
    assert problem.isprintable()


def test_numbers_in_a_specification_are_words():
    """As a number this one would take seconds, and the next one is none that Python reads."""
    text = (
        f"devices: []\na: {':'.join(['1'] * 10**5)}\nb: {'9' * 5000}\nc: 2026-99-99\nd: !!python/object:os.system x\n"
    )
    start = time.process_time()
    assert cdi_problems([], "", text) == []
    assert time.process_time() - start < 5


def test_no_more_is_shown_than_somebody_can_read():
    (problem,) = cdi_problems([], listed(map(str, range(10**5))), {})
    assert problem.endswith(" and 99980 more.")
    assert len(problem) < 1000


def test_a_gpu_that_no_driver_tells_of():
    with pytest.raises(ValueError, match=r"GPU 1: its minor number is '\.\./sda'"):
        cdi_devices([GPUS[0], {**GPUS[1], "minor": "../sda"}], MINORS, ["index"])


def test_a_host_without_devices_needs_no_specification():
    assert cdi_problems([], "", {}) == []
    assert cdi_problems([], "", "") == []


def test_files_may_be_as_they_were_read():
    def read(text):
        return {"content": base64.b64encode(text.encode()).decode(), "encoding": "base64"}

    assert cdi_problems([], "", {"failed": True}) == cdi_problems([], "", {}) == []
    assert cdi_problems([], "", read("devices: 7")) == ["It cannot be read: devices is '7', and no list."]
    assert cdi_devices([], read("a 1\n"), []) == cdi_devices([], {"failed": True}, []) == []
