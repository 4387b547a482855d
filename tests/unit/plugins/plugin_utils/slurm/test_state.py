# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role mig_slurm finds wrong with a node, does about it, and says."""

from __future__ import annotations

import base64

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.state import slurm_files_back, slurm_state

GPU = {
    "index": 0, "uuid": "GPU-5f2cd73b-2c0a-4b0e-8a4f-0a7ab50b1f07", "minor": 0, "product": "NVIDIA A100-SXM4-40GB",
    "driver_name": "NVIDIA A100-SXM4-40GB", "mig_capable": True, "mig_mode": "enabled", "layout": {"gpus": [0]},
    "profiles": [],
    "instances": [{"id": 7, "profile": "1g.5gb", "profile_id": 19, "placement": {"start": 0, "size": 1},
                   "compute_instances": [{"id": 0, "profile": "1g.5gb", "index": 0, "uuid": "MIG-2c0a",
                                          "placement": {"start": 0, "size": 1}}]}],
}  # fmt: skip
TYPE = "gpu:nvidia_a100_1g.5gb"
CAPS = ["/dev/nvidia-caps/nvidia-cap66", "/dev/nvidia-caps/nvidia-cap67"]
FILES = ["/dev/nvidia0", *CAPS]
MINORS = {"content": base64.b64encode(b"gpu0/gi7/access 66\ngpu0/gi7/ci0/access 67\n").decode()}
DEVICE = ["nvidia_a100_1g.5gb", "MIG-2c0a", FILES, [19, 0, None, 0]]
FINDS = f"slurmd: Gres Name=gpu Type=nvidia_a100_1g.5gb Count=1 Index=66 File={','.join(FILES)}"
NVML = ["NodeName=gpu-7 AutoDetect=nvml"]
NODE = {"states": ["IDLE"], "reason": None, "in_service": True, "gres": f"{TYPE}:1(S:0)", "slurmd_start": "T1"}
JOB = {"task": "4711", "user": "alice", "name": "train", "gres": f"{TYPE}:1(IDX:0)"}
UNIT = "LoadState=loaded\nActiveState={}\nExecStart={{ path=/usr/sbin/slurmd ; argv[]=/usr/sbin/slurmd ; }}"
SEEN = {
    "host": "gpu-7.example.com", "controller": "control", "node": "gpu-7", "autodetect": "auto", "types": {},
    "target": [], "config": "/etc/slurm/slurm.conf", "config_hosts": ["control", "gpu-7.example.com"],
    "pending": False, "checks_only": False, "check_mode": False, "minors": MINORS,
    "unit": {"stdout": UNIT.format("active")}, "version": {"stdout": "slurm 24.11.5"},
    "controller_unit": {"stdout": "LoadState=loaded"},
    "config_there": {"stat": {"exists": True}}, "cgroup": {}, "foreseen": {}, "detected": {},
    "device_files": {"missing": []},
    "tried": {"results": [{"item": {"lines": []}, "would_have": ""}, {"item": {"lines": NVML}, "would_have": FINDS}]},
    "planned": {}, "record": {"devices": [DEVICE]}, "found": {"node": NODE, "jobs": []}, "earlier_start": "T0",
}  # fmt: skip


def state(gpu=GPU, **seen):
    return slurm_state([gpu], {**SEEN, **seen})


def found(jobs=(), **node):
    return {"node": {**NODE, **node}, "jobs": list(jobs)}


SENTENCES = ("unread", "refusal", "unfound", "under_jobs", "jobs_remain", "would", "unknown", "mismatch")


def test_where_all_is_right_nothing_is_done_and_nothing_said():
    right = state()
    assert right["wanted"]["gres"] == f"{TYPE}:1"
    assert right["devices"] == [DEVICE]
    assert right["service"]["program"] == "/usr/sbin/slurmd"
    assert right["differences"] == []
    assert (right["wrong"], right["unproven"], right["has_to_change"]) == (False, False, False)
    assert {name: right[name] for name in SENTENCES} == dict.fromkeys(SENTENCES, "")


def test_before_anything_was_asked_there_is_an_answer():
    nothing = {name: {} for name, value in SEEN.items() if isinstance(value, dict)}
    assert state(**nothing)["unread"] == ""


@pytest.mark.parametrize(
    ("seen", "unproven"),
    [
        ({"found": found(gres="gpu:a100:1")}, False),
        ({"found": found(states=["IDLE", "DRAIN", "INVALID_REG"], reason="x")}, False),
        ({"unit": {"stdout": UNIT.format("failed")}}, False),
        ({"record": {"devices": [[*DEVICE[:3], [19, 1, None, 0]]]}}, False),
        ({"planned": {"results": [{"files": []}, {"files": [{"path": "/etc/slurm/gres.conf"}]}]}}, False),
        ({"record": {"devices": None}}, True),
    ],
)
def test_what_has_to_change(seen, unproven):
    told = state(**seen)
    assert told["has_to_change"]
    assert told["wrong"] is not unproven
    assert told["unproven"] is unproven
    assert told["would"].endswith(f"slurmd of gpu-7.example.com would be restarted, for {TYPE}:1.")


def test_what_somebody_else_writes_is_no_reason():
    planned = {"results": [{"files": [{"path": "/etc/slurm/gres.conf"}]}]}
    assert not state(planned=planned, config_hosts=[])["has_to_change"]


def test_slurmd_is_left_alone_where_only_its_reading_is_not_known():
    told = state(record={"devices": None}, found=found([JOB]))
    assert not told["has_to_change"]
    assert told["unknown"].startswith(f"Slurm has the right gres, and job 4711 (alice, train, {TYPE}:1(IDX:0)) hold")
    assert state(record={"devices": None}, found=found([JOB], gres=""))["unknown"] == ""


def test_jobs_that_would_be_aborted_are_named():
    told = state(found=found([JOB, {**JOB, "task": "8", "gres": ""}], gres=""))
    named = f"job 4711 (alice, train, {TYPE}:1(IDX:0)), job 8 (alice, train, perhaps with GPUs) on node gpu-7 would be"
    assert named in told["under_jobs"]
    assert told["under_jobs"].endswith("mig_partition_drain: [slurm].")
    assert named in told["jobs_remain"]
    assert told["jobs_remain"].endswith(f"run again. {TYPE}: 1 expected, 0 there")


def test_what_slurmctld_has_instead_is_told():
    invalid = found(gres="", states=["IDLE", "INVALID_REG"], reason="too few")
    assert state(found=invalid)["mismatch"] == (
        "Slurm: slurmctld does not have the GPUs and MIG devices of gpu-7.example.com (node gpu-7) that are there."
        f" {TYPE}: 1 expected, 0 there; its state is IDLE+INVALID_REG (too few)."
    )
    assert "(no reason)" in state(found=found(states=["INVAL"]))["mismatch"]


@pytest.mark.parametrize(("release", "how"), [("22.05.8", "restarted"), ("24.11.5", "told by scontrol reconfigure")])
def test_how_slurmctld_would_read_the_files(release, how):
    planned = {"results": [{"files": [{"path": "/etc/slurm/gres.conf"}]}]}
    would = state(planned=planned, version={"stdout": f"slurm {release}"})["would"]
    assert would.startswith(f"slurmctld would be {how}, and slurmd of gpu-7.example.com would be restarted")


def test_the_first_lines_with_which_nothing_is_wrong_are_chosen():
    assert state()["chosen"] == NVML
    both = {"results": [{"item": {"lines": []}, "would_have": FINDS}, {"item": {"lines": NVML}, "would_have": FINDS}]}
    assert state(tried=both)["chosen"] == []
    none = {"results": [{"item": {"lines": []}, "would_have": ""}]}
    told = state(tried=none)
    assert "chosen" not in told
    assert "It lacks gpu:nvidia_a100_1g.5gb" in told["unfound"]
    assert told["unfound"].endswith("beside /etc/slurm/slurm.conf that are not this collection's.")
    hole = {**GPU, "instances": [{**GPU["instances"][0], "compute_instances": [
        {**GPU["instances"][0]["compute_instances"][0], "index": 1}]}]}  # fmt: skip
    assert state(hole, tried=none)["unfound"].endswith("in cgroup.conf: then the role can name the devices.")
    # A configuration that slurmctld serves.
    assert "beside /run/slurm/conf/slurm.conf" in state(tried=none, config_there={})["unfound"]


def test_in_check_mode_slurmd_cannot_be_asked_about_device_files_that_are_to_come():
    seen = {
        "device_files": {"missing": [{"path": CAPS[1]}]},
        "tried": {"results": [{"item": {"lines": []}, "would_have": ""}]},
    }
    told = state(**seen, check_mode=True)
    assert told["unfound"] == ""
    assert told["would"]
    # They were made.
    told = state(**seen)
    assert told["unfound"]
    assert told["would"] == ""
    # Before they were looked for, each of them may be missing.
    assert state(**{**seen, "device_files": {}}, check_mode=True)["unfound"] == ""


def test_of_a_layout_to_come_slurmd_is_not_asked():
    told = state(pending=True, tried={})
    assert told["to_try"] == []
    assert told["unfound"] == ""
    assert told["would"]
    assert state()["to_try"] == [{"lines": []}, {"lines": NVML}]


def test_what_somebody_else_writes_is_tried_as_it_is():
    assert state(config_hosts=[])["to_try"] == [{}]
    told = state(config_hosts=[], tried={"results": [{"item": {}, "would_have": FINDS}]})
    assert "chosen" not in told
    assert told["unfound"] == ""


@pytest.mark.parametrize(("seen", "counts"), [({}, False), ({"pending": True}, True), ({"checks_only": True}, True)])
def test_where_the_layout_to_come_counts(seen, counts):
    target = [{"gpus": [GPU["uuid"]], "mig_enabled": False, "instances": []}]
    gres = state(target=target, **seen)["wanted"]["gres"]
    assert (gres == f"{TYPE}:1") is not counts


def test_a_gpu_that_could_not_be_read_is_refused():
    unread = {**GPU, "layout": None, "problem": "The driver failed."}
    words = "The MIG devices of GPU 0 could not be read, so nothing was changed for Slurm. {}"
    assert state(unread)["unread"] == words.format("The driver failed.")
    assert state({**unread, "problem": None})["unread"] == words.format("Run as root (become: true).")
    assert state({**unread, "mig_capable": False, "mig_mode": None})["unread"] == ""


@pytest.mark.parametrize(
    ("seen", "config"),
    [
        ({}, "/etc/slurm/slurm.conf"),
        ({"config_there": {}}, "/etc/slurm/slurm.conf"),
        ({"config_hosts": []}, "/etc/slurm/slurm.conf"),
        ({"config_there": {}, "config_hosts": []}, "/run/slurm/conf/slurm.conf"),
    ],
)
def test_the_file_that_is_checked_is_the_one_that_would_be_written(seen, config):
    assert state(**seen)["config_checked"] == config


def test_what_is_refused_begins_with_slurm():
    assert state(unit={})["refusal"].startswith("Slurm: There is no slurmd.service on gpu-7.example.com.")


@pytest.mark.parametrize(
    ("start", "registered"), [("", False), ("None", False), ("Unknown", False), ("T0", False), ("T1", True)]
)
def test_whether_slurmd_has_registered_again(start, registered):
    assert state(found=found(slurmd_start=start))["registered"] is registered
    assert not state(found={"msg": "no answer"})["registered"]


def test_files_go_back_on_the_hosts_of_this_role_alone():
    files = [{"path": "/etc/slurm/slurm.conf", "backup": "/etc/slurm/slurm.conf.1~"}]
    results = [{"item": "control", "files": files}, {"item": "gpu-7", "msg": "x"}, {"item": "victim", "files": files}]
    assert slurm_files_back({"results": results}, ["control", "gpu-7"]) == [{"host": "control", "files": files}]
    assert slurm_files_back({}, ["control"]) == []
