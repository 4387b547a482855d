# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host shows of its GPUs, read from a folder that stands for its root."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.host.evidence import (
    HostEvidence,
    PciDevice,
    library_version,
    read_evidence,
)

CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.07  Sat Feb 17 22:55:48 UTC 2024\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.64  Release Build  (root@host)\n"


@pytest.fixture
def root(tmp_path):
    """A function that writes files below the root that it returns: root({"proc/x": "text"})."""

    def write(files=()):
        for name, text in dict(files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return str(tmp_path)

    return write


def pci(address, pci_class, pci_id, driver=None):
    """The uevent file of a PCI device."""
    text = f"PCI_CLASS={pci_class}\nPCI_ID={pci_id}\nPCI_SUBSYS_ID=10DE:134F\nPCI_SLOT_NAME={address}\n"
    return {f"sys/bus/pci/devices/{address}/uevent": (f"DRIVER={driver}\n" if driver else "") + text}


def read(root, **options):
    return read_evidence(root, **options)._replace(user=0)


def test_an_empty_host_has_nothing(root):
    assert read(root()) == HostEvidence()
    assert not HostEvidence().nvidia_devices


def test_gpus_and_nvswitches_are_told_from_everything_else_on_the_bus(root):
    found = read(
        root(
            {
                **pci("0000:00:00.0", "60000", "8086:7190"),
                **pci("0000:07:00.0", "30200", "10DE:20B0", "nvidia"),
                **pci("0000:08:00.0", "30000", "10DE:20B7"),
                **pci("0000:08:00.1", "40300", "10DE:1AEF", "snd_hda_intel"),
                **pci("0000:0c:00.0", "68000", "10DE:1AF1", "nvidia-nvswitch"),
                **pci("0001:01:00.0", "30000", "1002:7310", "amdgpu"),
            }
        )
    )
    assert found.gpus == (
        PciDevice("0000:07:00.0", 0x20B010DE, "nvidia"),
        PciDevice("0000:08:00.0", 0x20B710DE, None),
    )
    assert found.nvswitches == ("0000:0c:00.0",)
    assert found.nvidia_devices


@pytest.mark.parametrize(("text", "version"), [(CLOSED, "535.161.07"), (OPEN, "575.64"), ("nonsense", None)])
def test_the_version_of_the_kernel_module(root, text, version):
    assert read(root({"proc/driver/nvidia/version": text})).kernel_module == version


def test_the_version_of_the_kernel_module_where_proc_has_none(root):
    assert read(root({"sys/module/nvidia/version": "470.57.02\n"})).kernel_module == "470.57.02"


def test_device_files_count_where_the_bus_is_hidden(root):
    assert not read(root({"dev/nvidiactl": ""})).nvidia_devices
    assert read(root({"dev/nvidia0": ""})).nvidia_devices


@pytest.mark.parametrize("hierarchy", ["sys/fs/cgroup", "sys/fs/cgroup/systemd"])
def test_services_that_run(root, hierarchy):
    assert not read(root(pci("0000:0c:00.0", "68000", "10DE:1AF1"))).fabric_manager
    for unit in ("nvidia-persistenced", "nvidia-fabricmanager"):
        root({f"{hierarchy}/system.slice/{unit}.service/cgroup.procs": "1\n"})
    found = read(root())
    assert found.persistence_daemon
    assert found.fabric_manager


def test_fabric_manager_is_looked_for_where_there_are_nvswitches(root):
    assert not read(root({"sys/fs/cgroup/system.slice/nvidia-fabricmanager.service/cgroup.procs": ""})).fabric_manager


def test_fabric_manager_in_a_container_is_found_by_its_name(root):
    switch = pci("0000:0c:00.0", "68000", "10DE:1AF1")
    assert not read(root({**switch, "proc/1/comm": "systemd\n", "proc/self/comm": "nv-fabricmanage\n"})).fabric_manager
    assert read(root({"proc/4711/comm": "nv-fabricmanage\n"})).fabric_manager


def test_the_rest(root):
    found = read(
        root(
            {
                "sys/module/nouveau/initstate": "live\n",
                "proc/driver/nvidia-caps/mig-minors": "config 1\n",
                "dev/nvidia-caps/nvidia-cap1": "",
            }
        )
    )
    assert (found.nouveau, found.capability_minors, found.capability_devices) == (True, True, True)


@pytest.mark.parametrize(
    ("answers", "version"),
    [
        ({"nvidia-ctk": "NVIDIA Container Toolkit CLI version 1.17.4\ncommit: 9b69590c\n"}, "1.17.4"),
        ({"nvidia-container-cli": "version: 1.2.0\nbuild date: 2020-07-21\n"}, "1.2.0"),
        ({}, ""),
    ],
)
def test_the_container_toolkit_is_asked_where_it_matters(root, answers, version):
    def run_command(command, **_options):
        if command[0] not in answers:
            raise FileNotFoundError(command[0])
        return 0, answers[command[0]], ""

    assert read(root(), run_command=run_command).container_toolkit == version
    assert read(root()).container_toolkit is None


def test_the_version_of_the_library_that_is_loaded(root):
    line = "7f00-7f01 r-xp 00000000 08:01 42   /usr/lib/x86_64-linux-gnu/{}\n"
    maps = line.format("libc.so.6") + line.format("libnvidia-ml.so.535.183.01")
    assert library_version(root({"proc/self/maps": maps})) == "535.183.01"
    assert library_version(root({"proc/self/maps": line.format("libnvidia-ml.so.1")})) is None
