# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a host shows of its GPUs and their driver without NVML: /proc, /sys and /dev.

Every run pays for this, so files are read and no process is started; only the container toolkit tells its version to
nobody but its own command, and is asked where it is used.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple, Optional, Tuple

NVIDIA = "10DE"
DISPLAY, BRIDGE = "3", "680"  # PCI classes, as uevent writes them: 30000 and 30200 are GPUs, 68000 an NVSwitch
VERSION = re.compile(r"\b[0-9]{3,}\.[0-9]+(?:\.[0-9]+)?\b")
GPU_DEVICE = re.compile(r"nvidia[0-9]+")


class PciDevice(NamedTuple):
    """An NVIDIA GPU on the PCI bus; ``pci_device_id`` is as NVML has it (0x20B010DE), ``driver`` None without one."""

    pci_address: str
    pci_device_id: int
    driver: Optional[str]


class HostEvidence(NamedTuple):
    """What was found; versions are None where there are none.

    ``kernel_module`` is the version of the loaded nvidia module. ``capability_minors`` tells whether the driver hands
    out MIG capabilities, ``capability_devices`` whether their device files are there. ``user`` is who reads.
    ``container_toolkit`` is "" where it is not installed and None if not asked for.
    """

    gpus: Tuple[PciDevice, ...] = ()
    nvswitches: Tuple[str, ...] = ()
    device_files: bool = False
    kernel_module: Optional[str] = None
    nouveau: bool = False
    persistence_daemon: bool = False
    fabric_manager: bool = False
    capability_minors: bool = False
    capability_devices: bool = False
    user: int = 0
    container_toolkit: Optional[str] = None

    @property
    def nvidia_devices(self):
        """Whether the host has any NVIDIA GPU: on the PCI bus, or as device files where /sys does not show that bus."""
        return bool(self.gpus) or self.device_files


def read_evidence(root="/", run_command=None):
    """Read a host and return a HostEvidence.

    ``root`` is where /proc, /sys and /dev are looked for. ``run_command`` is AnsibleModule's, given where the container
    toolkit is of interest.
    """
    gpus, nvswitches = _pci_devices(os.path.join(root, "sys/bus/pci/devices"))
    proc = os.path.join(root, "proc")
    return HostEvidence(
        gpus=gpus,
        nvswitches=nvswitches,
        device_files=any(GPU_DEVICE.fullmatch(name) for name in _names(os.path.join(root, "dev"))),
        kernel_module=_version(os.path.join(proc, "driver/nvidia/version"))
        or _version(os.path.join(root, "sys/module/nvidia/version")),
        nouveau=os.path.isdir(os.path.join(root, "sys/module/nouveau")),
        persistence_daemon=_runs(root, "nvidia-persistenced"),
        fabric_manager=bool(nvswitches) and fabric_manager_runs(root),  # only NVSwitch machines pay for the search
        capability_minors=os.path.exists(os.path.join(proc, "driver/nvidia-caps/mig-minors")),
        capability_devices=bool(_names(os.path.join(root, "dev/nvidia-caps"))),
        user=os.geteuid(),
        container_toolkit=run_command and _container_toolkit(run_command),
    )


def fabric_manager_runs(root="/"):
    """Whether Fabric Manager runs, also in a container, as with NVIDIA's GPU operator.

    Rule: reset peers
    """
    return _runs(root, "nvidia-fabricmanager") or _process(os.path.join(root, "proc"), "nv-fabricmanage")


def drives_nvswitches(root="/"):
    """Whether the driver has found NVSwitches: those of HGX A100 and H100, which it drives itself.

    Rule: reset peers
    """
    return bool(_names(os.path.join(root, "proc/driver/nvidia-nvswitch/devices")))


def library_version(root="/"):
    """The version of the libnvidia-ml.so.1 that this process has loaded, by the name of its file; None if not known."""
    found = re.search(r"/libnvidia-ml\.so\.([0-9.]{5,})$", _text(os.path.join(root, "proc/self/maps")), re.MULTILINE)
    return found and found.group(1)


def _pci_devices(directory):
    """(GPUs, addresses of NVSwitches) of NVIDIA on the PCI bus, by address."""
    gpus, nvswitches = [], []
    for address in sorted(_names(directory)):
        lines = _text(os.path.join(directory, address, "uevent")).split("\n")
        facts = dict(line.split("=", 1) for line in lines if "=" in line)
        vendor, _colon, device = facts.get("PCI_ID", "").partition(":")
        if vendor.upper() != NVIDIA:
            continue
        kind = facts.get("PCI_CLASS", "")
        if kind.startswith(DISPLAY):
            gpus.append(PciDevice(address, int(device + NVIDIA, 16), facts.get("DRIVER")))
        elif kind.startswith(BRIDGE):
            nvswitches.append(address)
    return tuple(gpus), tuple(nvswitches)


def _version(path):
    found = VERSION.search(_text(path))
    return found and found.group()


def _runs(root, unit):
    """Whether a systemd service runs: then it has a control group, in version 2 or version 1 of their hierarchy."""
    return any(
        os.path.isdir(os.path.join(root, "sys/fs/cgroup", hierarchy, "system.slice", unit + ".service"))
        for hierarchy in ("", "systemd")
    )


def _process(proc, name):
    """Whether a process of that name runs; the kernel keeps the first 15 characters."""
    return any(pid.isdigit() and _text(os.path.join(proc, pid, "comm")).strip() == name for pid in _names(proc))


def _container_toolkit(run_command):
    """The version of the NVIDIA Container Toolkit, "" where it is not installed."""
    # Releases before 1.9 have no nvidia-ctk; their library's command has the same version.
    for command in (["nvidia-ctk", "--version"], ["nvidia-container-cli", "--version"]):
        try:
            _status, output, _errors = run_command(command, environ_update={"LC_ALL": "C"}, handle_exceptions=False)
        except OSError:
            continue
        found = re.search(r"version:? +v?([0-9]+\.[0-9]+\.[0-9]+)", output)
        if found:
            return found.group(1)
    return ""


def _names(directory):
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
