# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a check of a host means, and where it can have nvidia-ml-py from."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.driver import driver_check, pynvml_offered
from ansible_collections.gpufleet.mig.plugins.plugin_utils.lending import controllers_copy, controllers_nvidia_ml_py


def finding(check, severity="error"):
    return {"check": check, "severity": severity}


def checked(*findings, problem=None, advice=None, check_mode=False, **more):
    result = {"findings": list(findings), "problem": problem, "advice": advice, **more}
    return driver_check(result, "gpu-7", check_mode)


@pytest.mark.parametrize(
    ("findings", "said", "check_mode", "message", "failed"),
    [
        ([], {}, False, "", False),
        ([finding("ecc", "warning")], {"advice": "A warning."}, False, "A warning.", False),
        ([finding("driver")], {"problem": "An error."}, True, "An error.", True),
        (
            [finding("driver"), finding("ecc", "warning")],
            {"problem": "An error.", "advice": "A warning."},
            False,
            "An error. A warning.",
            True,
        ),
        ([finding("nvidia_ml_py")], {"problem": "It is missing."}, False, "It is missing.", True),
        ([finding("nvidia_ml_py")], {"problem": "It is missing."}, True, "It is missing.", False),
        ([finding("nvidia_ml_py"), finding("driver")], {"problem": "Both."}, True, "Both.", True),
    ],
)
def test_findings_are_said_and_errors_fail_the_host(findings, said, check_mode, message, failed):
    found = checked(*findings, check_mode=check_mode, **said)
    assert (found["message"], found["failed"]) == (message, failed)


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_host_that_was_not_reached_fails(check_mode):
    found = driver_check({"unreachable": True, "msg": "No route to host"}, "gpu-7", check_mode)
    assert (found["message"], found["failed"]) == ("No route to host", True)


def test_what_it_means_that_nvidia_ml_py_would_be_brought():
    brought = "nvidia-ml-py would be brought to gpu-7."
    assert checked(nvidia_ml_py="temporary")["would_bring"] == brought
    assert checked(nvidia_ml_py="missing")["would_bring"] == (
        f"{brought} Until it is there, nothing that NVML tells can be checked or rehearsed: the driver's version, and"
        " mode, instances and processes of the GPUs."
    )


def test_the_python_is_a_path():
    assert checked(evidence={"python": "/usr/bin/python3"})["no_python"] == ""
    assert "The Python of the modules is '/opt/../evil'." in checked(evidence={"python": "/opt/../evil"})["no_python"]


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
