# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host tells of NVIDIA's Container Toolkit, and what of it is not used."""

from __future__ import annotations

import time

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.container_runtime import container_toolkit

VERSION = "NVIDIA Container Toolkit CLI version 1.18.0\ncommit: 1.2\n"
ENVIRONMENT = """PATH=/usr/bin
LD_PRELOAD=/tmp/evil.so
NVIDIA_VISIBLE_DEVICES=all
NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/run/cdi/nvidia.yaml
NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES=index,uuid,type-index
NVIDIA_CTK_CDI_GENERATE_DISABLED_HOOKS=a=b
"""
DIRECTORIES = ["/etc/cdi", "/var/run/cdi"]
WITHOUT = {"settings": {}, "specification": "/etc/cdi/nvidia.yaml", "strategies": ["index", "uuid"]}


def environment(**settings):
    """What env prints of these settings."""
    return "".join(f"NVIDIA_CTK_{name}={value}\n" for name, value in settings.items())


def test_what_it_tells():
    found = container_toolkit(VERSION, ENVIRONMENT, "/var/run/cdi/nvidia.yaml\n/etc/cdi/old.yaml\n", DIRECTORIES)
    assert found == {
        "version": "1.18.0",
        "settings": {
            "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH": "/run/cdi/nvidia.yaml",
            "NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES": "index,uuid,type-index",
            "NVIDIA_CTK_CDI_GENERATE_DISABLED_HOOKS": "a=b",
        },
        "specification": "/run/cdi/nvidia.yaml",
        "strategies": ["index", "uuid", "type-index"],
        "others": ["/etc/cdi/old.yaml"],
        "refusal": None,
    }
    assert container_toolkit("") == {**WITHOUT, "version": "0", "others": [], "refusal": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (environment(CDI_OUTPUT_FILE_PATH="/etc/cdi/../passwd.yaml"), "is '/etc/cdi/../passwd.yaml'. Expected"),
        (environment(CDI_OUTPUT_FILE_PATH="/etc/cdi/.."), "is '/etc/cdi/..'"),
        (environment(CDI_OUTPUT_FILE_PATH="nvidia.yaml"), "is 'nvidia.yaml'"),
        (environment(CDI_OUTPUT_FILE_PATH=""), "is ''"),
        (environment(CDI_OUTPUT_FILE_PATH="/etc/passwd"), "is /etc/passwd, but a CDI specification ends in"),
        (environment(CDI_OUTPUT_FILE_PATH="/etc/cdi/$(id).yaml"), "is '/etc/cdi/$(id).yaml'"),
        (environment(CDI_GENERATE_DEVICE_NAME_STRATEGIES="index,evil"), "has 'evil'; there are index, type-index"),
        ("NVIDIA_CTK_X=a\x1b[2J\n", r"gives 'NVIDIA_CTK_X=a\x1b[2J', which is no setting of one line."),
        ("NVIDIA_CTK_x=1\n", "gives 'NVIDIA_CTK_x=1'"),
        ("NVIDIA_CTK_X\n", "gives 'NVIDIA_CTK_X'"),
    ],
)
def test_settings_that_are_not_used(text, words):
    found = container_toolkit(VERSION, text)
    assert words in found["refusal"]
    assert found["refusal"].isprintable()
    assert {key: found[key] for key in WITHOUT} == WITHOUT


def test_only_the_toolkits_own_settings_are_handed_on():
    text = "LD_PRELOAD=x\nNVIDIA_X=1\nXNVIDIA_CTK_X=1\n NVIDIA_CTK_X=1\nNVIDIA_CTK_A=1\n"
    assert container_toolkit(VERSION, text)["settings"] == {"NVIDIA_CTK_A": "1"}


def test_a_path_for_nobody_to_copy_into_a_shell():
    found = container_toolkit("", "", "/etc/cdi/$(rm -r x).yaml\n/root/x.yaml\n-rf\n/etc/cdi/a\x1b.yaml\n", DIRECTORIES)
    assert found["others"] == ["'/etc/cdi/$(rm -r x).yaml'", r"'/etc/cdi/a\x1b.yaml'"]


def test_a_version_that_was_made_to_be_read_for_ever():
    start = time.process_time()
    assert container_toolkit("version " + "9" * 10**6)["version"] == "0"
    assert container_toolkit("version " + "9" * 4000)["version"] == "9999"
    assert time.process_time() - start < 5
