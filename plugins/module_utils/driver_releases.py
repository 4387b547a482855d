# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which driver a GPU model and its profiles need for MIG: the one table of such facts, each with its source.

It serves to say what is missing before a driver answers, or why one does not offer MIG or a profile, and to refuse
what a GPU surely has no slices for where its driver does not tell yet. What a GPU offers is never read from here but
asked of the GPU.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

# The collection's own needs, by the functions that nvml.h has in that release.
PLACES_GPU_INSTANCES = "460.32.03"  # nvmlDeviceCreateGpuInstanceWithPlacement; the first data center driver of R460
PLACES_COMPUTE_INSTANCES = "525.60.13"  # nvmlGpuInstanceCreateComputeInstanceWithPlacement; likewise of R525
# MIG User Guide, "Getting Started with MIG", prerequisites: nvidia-docker2 2.5.0, of the time of this toolkit (2020).
CONTAINER_TOOLKIT = "1.3.0"


class Model(NamedTuple):
    """GPUs that have MIG: PCI device ids without the vendor, the driver and CUDA version that know MIG on them, and
    the profiles that came with a later driver: {name: version}. The slices are 0 where any driver that knows MIG on
    them tells what they hold with MIG off, too. ``compute_mode`` has the device ids that have MIG in compute mode and
    none in display mode: {id: the first VBIOS that can}."""

    name: str
    pci_device_ids: Tuple[int, ...]
    minimum_driver: str
    cuda: str
    later_profiles: Dict[str, str] = {}  # noqa: RUF012 - never changed
    memory_slices: int = 8
    compute_slices: int = 7
    compute_mode: Dict[int, str] = {}  # noqa: RUF012 - never changed


# minimum_driver and cuda: MIG User Guide, "Deployment Considerations", edition 620. (An earlier edition mixes up the
# rows of A100/A30 and H100/H200. For GB300 in a DGX Station it has 595.58.03, and GPUs of that name are on 580.) Of
# those in no edition, PG506 and H100 96GB: as the other boards with that chip, beside which they stand in the
# config-default.yaml of nvidia-mig-parted. later_profiles: the same guide, "Supported MIG Profiles", notes below the
# tables of A30 and A100; they name branches, of which these are the first data center drivers. PCI device ids: pci.ids
# and the list of supported GPUs in NVIDIA's open kernel modules. Slices: the guide's tables of profiles. compute_mode:
# what NVIDIA writes about MIG on its workstation cards (DisplayModeSelector).
MODELS = (
    Model(
        "A100 40GB",
        (0x20B0, 0x20B1, 0x20BD, 0x20F1, 0x20F6),
        "450.80.02",
        "11.0",
        {"1g.5gb+me": "470.42.01", "1g.10gb": "525.60.13"},
    ),
    Model("A100 64GB", (0x20B3,), "450.80.02", "11.0"),
    Model(
        "A100 80GB",
        (0x20B2, 0x20B5, 0x20B8, 0x20F3, 0x20F5, 0x20FD),
        "450.80.02",
        "11.0",
        {"1g.10gb+me": "470.42.01", "1g.20gb": "525.60.13"},
    ),
    Model("PG506 96GB", (0x20B6,), "450.80.02", "11.0"),
    Model("A30", (0x20B7, 0x20B9), "460.73.01", "11.0", {"1g.6gb+me": "470.42.01", "2g.12gb+me": "525.60.13"}, 4, 4),
    Model(
        "H100",
        (0x2302, 0x2313, 0x2321, 0x2322, 0x2324, 0x2330, 0x2331, 0x2336, 0x2337, 0x2339, 0x233A, 0x233D),
        "525.85.12",
        "12.0",
    ),
    Model("GH200", (0x2342, 0x2345), "525.85.12", "12.0"),
    Model("GH200 144GB", (0x2348,), "550.90.07", "12.0"),
    Model("H20", (0x2329, 0x232C), "535.161.07", "12.0"),
    Model("H200", (0x2335, 0x233B), "550.90.07", "12.0"),
    Model("B200", (0x2901, 0x2920), "570.133.20", "12.0"),
    Model("GB200", (0x2941,), "570.133.20", "12.0"),
    Model("B300", (0x3182,), "580.82.07", "12.9"),
    Model("GB300", (0x31C2, 0x31C3), "580.82.07", "12.9"),
    Model(
        "RTX PRO 6000 Blackwell",
        (0x2BB1, 0x2BB4, 0x2BB5),
        "575.51.03",
        "12.0",
        memory_slices=0,
        compute_slices=0,
        compute_mode={0x2BB1: "98.02.55.00.00", 0x2BB4: "98.02.6A.00.00"},
    ),
    Model(
        "RTX PRO 5000 Blackwell",
        (0x2BB3,),
        "575.57.08",
        "12.0",
        memory_slices=0,
        compute_slices=0,
        compute_mode={0x2BB3: "98.02.73.00.00"},
    ),
    Model("RTX PRO 4500 Blackwell", (0x2C31, 0x2C3A), "575.64", "12.0", memory_slices=0, compute_slices=0),
)
_BY_ID = {device_id: model for model in MODELS for device_id in model.pci_device_ids}


def model_of(pci_device_id):
    """The Model of a PCI device id as NVML has it (0x20B010DE), None for one without MIG or not known here.

    Rule: models that have MIG
    """
    return None if pci_device_id is None else _BY_ID.get(pci_device_id >> 16)


def vbios_of_compute_mode(pci_device_id):
    """The first VBIOS with which a GPU has MIG in compute mode, where it has none in display mode; else None.

    Rule: MIG in compute mode only
    """
    model = model_of(pci_device_id)
    return model and model.compute_mode.get(pci_device_id >> 16)


def is_older(version, than):
    """Whether a version in numbers and dots is older than another: 470.57.02 is older than 525.60.13."""
    return _numbers(version) < _numbers(than)


def _numbers(version):
    return [int(part) for part in version.split(".") if part.isdigit()]
