# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role mig_driver makes of the check of a host."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.driver import judged, pynvml_offered
from ansible_collections.gpufleet.mig.plugins.plugin_utils.lending import controllers_copy, controllers_nvidia_ml_py


def finding(check, severity="error"):
    return {"check": check, "severity": severity}


def found(*findings, problem=None, advice=None, **more):
    evidence = {"nvidia_devices": True, "mig_capable": True, "python": "/usr/bin/python3"}
    return {"findings": list(findings), "problem": problem, "advice": advice, "evidence": evidence, **more}


def test_a_host_without_findings_is_right():
    result = judged(found(), "gpu-1", False, False)
    assert not result.get("failed")
    assert not result["bring"]
    assert "warnings" not in result


def test_an_error_fails_with_all_that_was_found():
    result = judged(found(finding("driver"), problem="No driver.", advice="ECC is off."), "gpu-1", False, False)
    assert (result["failed"], result["msg"]) == (True, "No driver. ECC is off.")


def test_a_warning_is_told_with_the_hosts_name():
    result = judged(found(finding("ecc", "warning"), advice="ECC is off.", warnings=["x"]), "gpu-1", False, False)
    assert result["warnings"] == ["x", "gpu-1: ECC is off."]
    assert not result.get("failed")


@pytest.mark.parametrize("state", ["missing", "temporary"])
def test_nvidia_ml_py_is_brought_once(state):
    lacks = found(finding("nvidia_ml_py"), problem="It is missing.", nvidia_ml_py=state)
    first = judged(lacks, "gpu-1", False, False)
    assert first["bring"]
    assert not first.get("failed")
    assert ("Until it is there" in first["would_bring"]) is (state == "missing")
    assert judged(lacks, "gpu-1", False, True)["failed"]


def test_in_check_mode_a_host_is_not_at_fault_for_lacking_it_but_for_everything_else():
    lacks = found(finding("nvidia_ml_py"), problem="x", nvidia_ml_py="missing")
    assert not judged(lacks, "gpu-1", True, False).get("failed")
    lacks["findings"].append(finding("nouveau"))
    assert judged(lacks, "gpu-1", True, False)["failed"]


def test_an_interpreter_that_is_none_is_refused():
    lacks = found(nvidia_ml_py="missing")
    assert judged(lacks, "gpu-1", False, False)["interpreter_refusal"] is None
    lacks["evidence"]["python"] = "/usr/bin/python3; reboot"
    assert "The Python of the modules" in judged(lacks, "gpu-1", False, False)["interpreter_refusal"]


def test_a_failure_of_the_module_stays_one():
    failed = {"failed": True, "msg": "no", "ansible_facts": {"mig_partition_drain": ["x"]}}
    assert judged(failed, "gpu-1", False, False) == {"failed": True, "msg": "no", "bring": False, "settled": False}


@pytest.mark.parametrize(
    "nonsense",
    [
        {"findings": "none"},
        {"findings": [{"check": "driver"}]},
        {"evidence": None},
        {"problem": ["x"]},
        {"plan": [{"action": "reset_gpu"}]},
        {"plan": [{"action": "reset_gpu", "gpu": {"uuid": 7}}]},
        {"must_be_free": {"uuid": "x"}},
    ],
)
def test_what_the_modules_do_not_return_is_refused(nonsense):
    result = judged({**found(), **nonsense}, "gpu-1", False, False)
    assert result["failed"]
    assert "gpu-1" in result["msg"]


@pytest.mark.parametrize(
    ("printed", "offered"),
    [
        ("Reading lists\nInst python3-pynvml (12.550.89-3 Debian:13/stable [all])\nConf python3-pynvml\n", True),
        ("Inst python3-pynvml (12.550.52 Debian)", True),
        ("Inst python3-pynvml (11.515.48-1 Debian)", False),
        ("Inst libnvidia-ml1 (535.1 Debian)\nInst python3-pynvml (12.550.89-3 Debian)", False),
        ("Inst libnvidia-ml1 (999.0 Debian)", False),
        ("Inst python3-pynvml (unknown)", False),
        ("E: Unable to locate package python3-pynvml", False),
        ("", False),
    ],
)
def test_a_package_serves_that_is_recent_and_brings_no_other(printed, offered):
    assert pynvml_offered(printed, "12.550.52") is offered


def test_the_controllers_own_files():
    module, metadata = controllers_nvidia_ml_py("/opt/mig")
    assert module == {"src": controllers_copy(), "folder": "/opt/mig", "dest": "/opt/mig/pynvml.py"}
    assert metadata["src"].endswith(".dist-info/METADATA")
    assert metadata["folder"].startswith("/opt/mig/nvidia_ml_py-")
    assert metadata["dest"] == f"{metadata['folder']}/METADATA"
