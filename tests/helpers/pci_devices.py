# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What /sys/bus/pci/devices shows of GPUs, for programs that look for them there before they ask NVML."""

from __future__ import annotations


def write_pci_devices(folder, gpus):
    """Make a folder like /sys/bus/pci/devices of the GPUs that `mig-simulator show --json` has; returns it."""
    for gpu in gpus:
        device = folder / gpu["pci_address"].lower().removeprefix("0000")
        device.mkdir(parents=True)
        files = {"vendor": "0x10de", "class": "0x030200", "device": f"{gpu['pci_device_id'] >> 16:#06x}"}
        files |= {"numa_node": "0", "resource": "0x00000000c0000000 0x00000000c0ffffff 0x0000000000040200"}
        for name, text in files.items():
            (device / name).write_text(f"{text}\n")
    return folder
