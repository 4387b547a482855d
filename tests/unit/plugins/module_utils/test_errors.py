# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Return codes are classified once, and every message says what to do."""

from __future__ import annotations

import pynvml
import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils import errors

NVML_CODES = {name[11:]: getattr(pynvml, name) for name in dir(pynvml) if name.startswith("NVML_ERROR_")}


@pytest.mark.parametrize("name", sorted(NVML_CODES))
def test_codes_have_the_numbers_of_nvml(name):
    value = NVML_CODES[name]
    assert value == 999 or errors.CODES[value] == name


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("IN_USE", "busy"),
        ("NO_PERMISSION", "permission"),
        ("NOT_SUPPORTED", "unsupported"),
        ("FUNCTION_NOT_FOUND", "unsupported"),
        ("RESET_REQUIRED", "reset_required"),
        ("GPU_IS_LOST", "lost"),
        ("INSUFFICIENT_RESOURCES", "insufficient_resources"),
        ("NOT_FOUND", "not_found"),
        ("INVALID_ARGUMENT", "bug"),
        ("TIMEOUT", "failed"),
        ("UNKNOWN", "failed"),
        ("UNKNOWN_77", "failed"),
    ],
)
def test_kinds(code, kind):
    assert errors.NvmlError("nvmlDeviceSetMigMode", code).kind == kind


@pytest.mark.parametrize("code", sorted(NVML_CODES))
def test_a_message_names_function_and_code_and_what_to_do(code):
    error = errors.NvmlError("nvmlDeviceSetMigMode", code)
    assert str(error).startswith(f"nvmlDeviceSetMigMode answered NVML_ERROR_{code}. ")
    assert str(error).endswith(errors.what_to_do(error.kind))


def test_a_binding_that_is_too_old_is_named_with_version_and_path():
    error = errors.BindingMissing("nvidia-ml-py>=2", "/usr/bin/python3", ("1.0", "/opt/pynvml.py"))
    for part in ("nvidia-ml-py>=2", "1.0", "/opt/pynvml.py", "/usr/bin/python3 -m pip install 'nvidia-ml-py>=2'"):
        assert part in str(error)
