# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resetting a GPU through nvidia-smi, played by a program of the test's own."""

from __future__ import annotations

import shutil

import pytest
from nvml_steps import run_command

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import NvmlError
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.reset import reset_gpus

ADDRESS = "00000000:07:00.0"


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put an nvidia-smi on PATH that notes its arguments, prints a text and ends with a status."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(says, status):
        program = tmp_path / "nvidia-smi"
        (tmp_path / "says").write_text(says, encoding="utf-8")
        script = f'#!/bin/sh\ncd {tmp_path}\necho "$#" "$@" > arguments\ncat says\nexit {status}\n'
        program.write_text(script, encoding="utf-8")
        program.chmod(0o755)
        return tmp_path / "arguments"

    return make


def test_exactly_one_gpu_is_named(nvidia_smi):
    arguments = nvidia_smi("GPU was successfully reset.\nAll done.\n", 0)
    reset_gpus([ADDRESS], run_command)
    assert arguments.read_text(encoding="utf-8") == f"3 --gpu-reset -i {ADDRESS}\n"


@pytest.mark.parametrize(
    ("says", "status", "code", "kind"),
    [
        (f"GPU {ADDRESS} is currently in use by another process.\n", 255, "IN_USE", "busy"),
        ("1 device is currently being used by one or more other processes\n", 255, "IN_USE", "busy"),
        (f"Resetting GPU {ADDRESS} is not supported.\n", 3, "NOT_SUPPORTED", "unsupported"),
        ("Insufficient Permissions\n", 4, "NO_PERMISSION", "permission"),
        ("Unable to determine the device handle for GPU0000:07:00.0: Unknown Error\n", 15, "GPU_IS_LOST", "lost"),
        (f"GPU Reset couldn't run because GPU {ADDRESS} is the primary GPU.\n", 3, "NOT_SUPPORTED", "unsupported"),
        ("Failed to initialize NVML: Driver/library version mismatch\n", 255, "LIB_RM_VERSION_MISMATCH", "driver"),
        # An exit status is no return code of NVML.
        *(("Something else\n", status, "UNKNOWN", "failed") for status in (2, 3, 4, 10, 15, 19, 255)),
        # Nor does 0 mean that a GPU was reset.
        (f"The following GPUs could not be reset:\n  GPU {ADDRESS}: In use by another client\n", 0, "IN_USE", "busy"),
    ],
)
def test_failures_are_classified_and_quoted(nvidia_smi, says, status, code, kind):
    nvidia_smi(says, status)
    with pytest.raises(NvmlError) as raised:
        reset_gpus([ADDRESS], run_command)
    assert (raised.value.code, raised.value.kind) == (code, kind)
    assert str(raised.value).startswith(f"nvidia-smi --gpu-reset -i {ADDRESS} failed: {' '.join(says.split())}")


@pytest.mark.parametrize(
    ("says", "status"),
    [
        # Of a GPU whose infoROM is corrupted nvidia-smi says so each time, by its exit status, too.
        (f"GPU {ADDRESS} was successfully reset.\nWARNING: infoROM is corrupted at gpu {ADDRESS}\n", 14),
        ("GPU was reset.\nAll done.\n", 0),
    ],
)
def test_what_was_reset_is_told_by_words(nvidia_smi, says, status):
    nvidia_smi(says, status)
    reset_gpus([ADDRESS], run_command)


def test_one_of_two_gpus_was_not_reset(nvidia_smi):
    other = "00000000:0F:00.0"
    nvidia_smi(f"GPU {ADDRESS} was successfully reset.\nGPU {other} is currently in use by another process.\n", 0)
    with pytest.raises(NvmlError) as raised:
        reset_gpus([ADDRESS, other], run_command)
    assert raised.value.code == "IN_USE"


def test_a_host_without_nvidia_smi(tmp_path, monkeypatch):
    (tmp_path / "timeout").symlink_to(shutil.which("timeout"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NvmlError, match="no nvidia-smi on PATH"):
        reset_gpus([ADDRESS], run_command)
