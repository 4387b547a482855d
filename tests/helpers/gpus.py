# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GPUs as values, for tests that need no simulated host."""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.module_utils.model import Gpu

A100, A100_80, H100, L40S = 0x20B010DE, 0x20B210DE, 0x233010DE, 0x26B910DE
PRODUCTS = {
    A100: "NVIDIA A100-SXM4-40GB",
    A100_80: "NVIDIA A100-SXM4-80GB",
    H100: "NVIDIA H100 80GB HBM3",
    L40S: "NVIDIA L40S",
}


def gpu(index, device_id=A100, **fields):
    """A Gpu with MIG on and nothing on it; an L40S has no MIG."""
    return Gpu(
        index=index,
        uuid=f"GPU-00000000-0000-0000-0000-{index:012d}",
        pci_address=f"00000000:{index + 7:02X}:00.0",
        product=PRODUCTS[device_id],
        pci_device_id=device_id,
        minor=index,
        memory_mib=40960,
        mig_mode=None if device_id == L40S else True,
    )._replace(**fields)


def host(*device_ids):
    """The GPUs of a host with these models, in index order."""
    return tuple(gpu(index, device_id) for index, device_id in enumerate(device_ids))
