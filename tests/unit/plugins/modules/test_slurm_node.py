# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""slurm_node with a Slurm that takes what it is told, or refuses it."""

from __future__ import annotations

import pytest
from fake_slurm import FakeSlurm
from modules import run_module

OURS = "gpufleet.mig: gres of gpu-7"
DRAIN, RESUME = f"update NodeName=gpu-7 State=DRAIN Reason={OURS}", "update NodeName=gpu-7 State=RESUME"
REASON = "   Reason={} [root@2026-11-21T15:59:35]"


@pytest.fixture
def node(simulated_host, tmp_path):
    """node(slurm, state, **options): (a run of the module on the node of that slurm, what it asked scontrol)."""
    host = simulated_host()

    def start(slurm, state, reason=OURS, name="gpu-7", beginnings=(), **options):
        slurm.install(tmp_path)
        params = {"name": name, "state": state, "reason": reason, "beginnings": list(beginnings)}
        run = run_module(host, "slurm_node", {**params, "directory": str(tmp_path)}, **options)
        log = tmp_path / "asked"
        asked = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return run, asked

    return start


def out(reason, **options):
    return FakeSlurm([], "IDLE+DRAIN", REASON.format(reason), **options)


@pytest.mark.parametrize("check", [True, False])
def test_a_node_is_drained(node, check):
    run, asked = node(FakeSlurm([]), "drained", check=check, diff=True)
    result = run.ok()
    assert result["changed"]
    assert result["node"]["states"] == ["IDLE"]
    assert result["diff"] == {
        "before": {"in_service": True, "reason": None}, "after": {"in_service": False, "reason": OURS}
    }  # fmt: skip
    assert asked == ["show node gpu-7", *([] if check else [DRAIN])]


def test_a_node_is_resumed_by_the_reason_of_its_drain(node):
    run, asked = node(out(OURS), "resumed")
    assert run.ok()["changed"]
    assert asked == ["show node gpu-7", RESUME]
    run, asked = node(out("gres/gpu count reported lower than configured (0 < 2)"), "resumed", beginnings=["gres/gpu"])
    assert run.ok()["changed"]
    run, asked = node(out("fan broken"), "resumed")
    result = run.ok()
    assert not result["changed"]
    assert (result["node"]["in_service"], result["node"]["reason"]) == (False, "fan broken")
    assert result["diff"]["before"] == result["diff"]["after"]
    assert asked == ["show node gpu-7"]


def test_a_drain_is_taken_over(node):
    run, asked = node(out("gpufleet.mig: change of MIG c-1"), "taken_over", beginnings=["gpufleet.mig: change"])
    assert run.ok()["changed"]
    assert asked == ["show node gpu-7", DRAIN]


def test_what_slurm_refuses_is_told(node):
    failed = node(FakeSlurm([], takes=False), "drained")[0].failed()
    assert failed["said"] == "slurm_update error: Invalid user id"
    assert failed["msg"].endswith("exit status 1: slurm_update error: Invalid user id")
    unknown = node(FakeSlurm([]), "drained", name="nobody")[0].failed()
    assert unknown["msg"] == "Slurm has no node nobody. Give its NodeName in slurm.conf."
    assert "said" not in unknown
