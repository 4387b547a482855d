# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host tells of NVIDIA's Container Toolkit, and what of it is not used."""

from __future__ import annotations

import base64
import time

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.container_runtime import (
    container_runtime,
    container_toolkit,
    containerd_change,
)

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


DOCKER, CONTAINERD = "docker.service enabled enabled\n", "containerd.service disabled enabled\n"
REFRESH = "nvidia-cdi-refresh.service {} enabled\n"


def host(units=DOCKER, version="1.18.0", rc=0, **given):
    """What the toolkit of gpu-1 is found to be."""
    toolkit = {"rc": rc, "stdout": f"NVIDIA Container Toolkit CLI version {version}"} if version else {"rc": 127}
    return container_runtime(units, toolkit, directories=DIRECTORIES, host="gpu-1", **given)


@pytest.mark.parametrize(
    ("units", "named", "engines"),
    [
        (DOCKER + CONTAINERD, None, ["docker"]),
        (CONTAINERD, None, ["containerd"]),
        ("", None, []),
        (DOCKER, [], []),
        (DOCKER + CONTAINERD, ["containerd", "docker"], ["containerd", "docker"]),
        ("  docker.service indented\nunit\n", None, []),
    ],
)
def test_which_engines_are_configured(units, named, engines):
    found = host(units, engines=named)
    assert (found["engines"], found["refusal"]) == (engines, None)


def test_the_service_that_writes_at_every_boot():
    assert [host(REFRESH.format(one))["refreshes"] for one in ("enabled", "disabled")] == [True, False]
    assert host()["refreshes"] is False


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (
            {"version": ""},
            "There is no nvidia-ctk on PATH. Install the package nvidia-container-toolkit from NVIDIA's repository.",
        ),
        (
            {"version": "1.14.6"},
            "The NVIDIA Container Toolkit is 1.14.6; it takes 1.15.0 or later. Upgrade the package"
            " nvidia-container-toolkit.",
        ),
        (
            {"units": CONTAINERD, "version": "1.17.9"},
            "The NVIDIA Container Toolkit is 1.17.9; it takes 1.18.0 or later with containerd. Upgrade the package"
            " nvidia-container-toolkit.",
        ),
        ({"version": "1.15.0"}, None),
        ({"units": CONTAINERD, "version": "1.18.0"}, None),
        (
            {"engines": ["docker", "containerd"], "units": ""},
            "mig_container_runtime_engines names docker, containerd, but this host has no such service.",
        ),
        (
            {"specifications": "/etc/cdi/a.yaml\n/var/run/cdi/b.yaml\n"},
            "The CDI specification of this host is /etc/cdi/nvidia.yaml, but /etc/cdi/a.yaml, /var/run/cdi/b.yaml names"
            " GPUs as well, and would go on naming MIG devices that are gone. Remove it.",
        ),
    ],
)
def test_hosts_where_it_cannot_work(given, refusal):
    assert host(**given)["refusal"] == refusal


def test_odd_settings_are_the_hosts():
    found = host(environment=environment(CDI_GENERATE_DEVICE_NAME_STRATEGIES="evil"))
    assert found["refusal"].startswith("gpu-1: NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES in ")


def read(text):
    """A result of slurp."""
    return {"content": base64.b64encode(text.encode()).decode(), "encoding": "base64"}


CONFIG, DROP_IN = "/etc/containerd/config.toml", "/etc/containerd/conf.d/99-nvidia.toml"
MADE = 'imports = ["/tmp/x/drop-in/*.toml"]\n'


@pytest.mark.parametrize(
    ("before", "drop_in", "written"),
    [
        (None, None, {DROP_IN: "new", CONFIG: 'imports = ["/etc/containerd/conf.d/*.toml"]\n'}),
        ("# imports = '/etc/containerd/conf.d/*.toml'\n", "new", {DROP_IN, CONFIG}),
        ("imports = ['/etc/containerd/conf.d/*.toml']\n", "old", {DROP_IN: "new"}),
        ("imports = ['/etc/containerd/conf.d/*.toml']\n", None, {DROP_IN: "new"}),
        ("a = 1\n  imports = ['/x', \"/etc/containerd/conf.d/*.toml\"]\n", "new", {}),
        ("imports = ['/etc/containerd/conf.d/xtoml']\n", "new", {DROP_IN, CONFIG}),
    ],
)
def test_containerds_files_are_written_where_they_say_something_else(before, drop_in, written):
    there = [{"failed": True} if one is None else read(one) for one in (before, drop_in)]
    found = containerd_change([read(MADE), read("new")], there, "/tmp/x", CONFIG, DROP_IN)
    assert found["refusal"] is None
    files = {one["path"]: one["content"] for one in found["files"]}
    assert (files if isinstance(written, dict) else files.keys()) == written


def test_a_configuration_without_imports_is_refused():
    found = containerd_change([read("root = '/data'"), read("new")], [{}, {}], "/tmp/x", CONFIG, DROP_IN)
    assert found == {
        "files": [],
        "refusal": f"{CONFIG} is a containerd configuration of version 1, which cannot import the toolkit's file. Bring"
        " it to version 2 or later (containerd config migrate).",
    }
