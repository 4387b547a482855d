# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which lines of gres.conf are tried for a node, and what is refused with which way out."""

from __future__ import annotations

import time

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.choices import slurm_gres_choices, slurmd_service

WANTED = {"gres": "gpu:a100_1g.5gb:1", "lines": ["Name=gpu Type=a100_1g.5gb MultipleFiles=a,b"], "autodetect": []}
NVML, NAMED = ["NodeName=gpu-7 AutoDetect=nvml"], ["NodeName=gpu-7 Name=gpu Type=a100_1g.5gb MultipleFiles=a,b"]
HOLE = "slurmd stops at a hole"
SEEN = {
    "host": "gpu-7.example.com",
    "slurmd": True,
    "controller": "control",
    "slurmctld": True,
    "release": "24.11",
    "constrains": False,
    "detected": "",
    "files": [{"item": "control", "files": []}, {"item": "gpu-7.example.com", "files": [{"path": "slurm.conf"}]}],
    "ours": True,
    "device_files": True,
}


def choices(autodetect="auto", reasons=(), **seen):
    return slurm_gres_choices({**WANTED, "autodetect": list(reasons)}, "gpu-7", autodetect, {**SEEN, **seen})


@pytest.mark.parametrize(
    ("autodetect", "seen", "lines"),
    [
        ("auto", {}, [[], NVML]),
        ("auto", {"constrains": True}, [[], NVML, NAMED]),
        ("nvml", {"constrains": True}, [[], NVML]),
        ("off", {}, [NAMED]),
        # In check mode slurmd cannot be asked about files that are still to be made.
        ("auto", {"constrains": True, "device_files": False}, [[], NVML]),
        # What somebody else writes is only looked at.
        ("auto", {"ours": False, "constrains": True}, [[]]),
        ("off", {"ours": False}, [[]]),
    ],
)
def test_lines_are_tried_from_the_least_change_on(autodetect, seen, lines):
    assert choices(autodetect, **seen)["lines"] == lines


@pytest.mark.parametrize(
    ("release", "restarts"), [("22.05.8", True), ("23.02.7", True), ("23.11.0", False), ("0", True)]
)
def test_an_older_slurmctld_has_to_restart(release, restarts):
    assert choices(release=release)["restarts_controller"] is restarts


def test_what_slurmd_does_not_find():
    assert choices(reasons=[HOLE], constrains=True)["undetected"] == [HOLE]
    said = "slurmd: error: Failed to find libnvidia-ml.so.1\nslurmd: error: other\n"
    assert choices(detected=2 * said, constrains=True)["undetected"] == ["Failed to find libnvidia-ml.so.1"]


@pytest.mark.parametrize(
    ("autodetect", "reasons", "seen", "words"),
    [
        ("auto", [], {"slurmd": False}, ["no slurmd.service on gpu-7.example.com", "slurm in mig_partition_expose"]),
        ("auto", [], {"files": [{"item": "control", "msg": "no NodeName"}]}, ["On control: no NodeName"]),
        ("auto", [], {"ours": False}, ["mig_slurm_config_hosts: []", "It takes Gres=gpu:a100_1g.5gb:1."]),
        ("auto", [], {"release": "22.05", "slurmctld": False}, ["Slurm 22.05", "control has no", "Set mig_slurm_host"]),
        ("nvml", [HOLE], {"constrains": True}, ["With mig_slurm_autodetect: nvml", HOLE, "Choose another"]),
        ("auto", [HOLE], {}, ["AutoDetect=nvml does not find", HOLE, "ConstrainDevices=yes in cgroup.conf"]),
    ],
)
def test_what_is_refused_says_the_way_out(autodetect, reasons, seen, words):
    refusal = choices(autodetect, reasons, **seen)["refusal"]
    assert [one for one in words if one not in refusal] == [], refusal


@pytest.mark.parametrize(
    ("autodetect", "reasons", "seen"),
    [
        ("auto", [], {}),
        ("auto", [HOLE], {"constrains": True}),
        ("off", [HOLE], {}),
        ("auto", [], {"release": "24.11", "slurmctld": False}),
        ("auto", [], {"ours": False, "files": [{"item": "gpu-7", "files": []}]}),
    ],
)
def test_what_can_be_is_not_refused(autodetect, reasons, seen):
    assert choices(autodetect, reasons, **seen)["refusal"] is None


SHOWN = """ExecStart={ path=/usr/sbin/slurmd ; argv[]=/usr/sbin/slurmd -D -s $SLURMD_OPTIONS ; ignore_errors=no }
LoadState=loaded
ActiveState=active
"""


def test_what_a_host_tells_of_slurmd():
    assert slurmd_service(SHOWN, "slurm-wlm 22.05.8\n", "# x\n ConstrainDevices = Yes # y\n") == {
        "loaded": True, "active": True, "program": "/usr/sbin/slurmd", "release": "22.05.8", "constrains": True,
        "refusal": None,
    }  # fmt: skip
    assert slurmd_service("LoadState=not-found\nActiveState=inactive\n") == {
        "loaded": False, "active": False, "program": "slurmd", "release": "0", "constrains": False, "refusal": None,
    }  # fmt: skip
    assert slurmd_service(SHOWN, "slurm 23.11.0-0rc1\n")["release"] == "23.11.0"
    # What is started cannot speak for the unit, nor a comment for what follows it.
    fooled = slurmd_service(
        "ExecStart={ path=/bin/x ; argv[]=LoadState=loaded ActiveState=active ; }\nLoadState=masked\n"
    )
    assert (fooled["loaded"], fooled["active"]) == (False, False)
    assert not slurmd_service(SHOWN, "", "#ConstrainDevices=yes\nConstrainDevices=no\n")["constrains"]


@pytest.mark.parametrize(
    "path", ["slurmd", "/bin/../sh", "/bin/$(id)", "/bin/sh -c id;", "/bin/{{ x }}", "/bin/\x1b[2J", ""]
)
def test_what_it_starts_is_a_path(path):
    told = slurmd_service(f"ExecStart={{ path={path} ; argv[]=x ; }}\nLoadState=loaded\n")
    assert told["program"] == "slurmd"
    refusal = choices(refusal=told["refusal"])["refusal"]
    assert refusal.startswith("gpu-7.example.com: What slurmd.service starts (ExecStart=) is '")
    assert refusal.isprintable()


def test_a_refusal_of_what_the_host_says_of_its_gpus_comes_first():
    refused = {"gres": "", "lines": [], "autodetect": [], "devices": [], "refusal": "GPU 3: its product is 'x\\n'."}
    found = slurm_gres_choices(refused, "gpu-7", "auto", {**SEEN, "slurmd": False})
    assert found["refusal"] == "gpu-7.example.com: GPU 3: its product is 'x\\n'."


def test_texts_that_were_made_to_be_read_for_ever():
    start = time.process_time()
    assert slurmd_service("ExecStart={ path=" * 10**5, "1" * 10**6, "\n" * 10**6)["release"] == "0"
    slurmd_service("\n" * 10**6, "slurm " * 10**5, " " * 10**6)
    said = choices(detected=("error: " * 500 + "\n") * 500 + "error: gpu_nvml x\n" * 10 + "error: gpu_nvml y\n")
    assert time.process_time() - start < 10
    assert said["undetected"] == ["gpu_nvml x", "gpu_nvml y"]
