# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options that modules share, each written once; plugins/doc_fragments/ documents them."""

from __future__ import annotations

# Options of the modules that change something: doc fragment gpufleet.mig.changing.
CHANGING = {
    "state_dir": {"type": "path"},
    "lock_timeout": {"type": "float", "default": 300},
    "journal": {"type": "bool", "default": True},
    "change_id": {"type": "str"},
    "atomic": {"type": "bool", "default": False},
    "rehearse": {"type": "bool", "default": False},
}

# One entry of the option layout; layout.py checks what stands in it and says more than a type could.
LAYOUT_OPTIONS = {
    "gpus": {"type": "raw", "default": "all"},
    "product": {"type": "str"},
    "pci_device_id": {"type": "raw"},
    "mig_enabled": {"type": "bool", "default": True},
    "instances": {"type": "raw"},
}
