# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The options that modules share, each written once; plugins/doc_fragments/ documents them."""

from __future__ import annotations

# What belongs to a change of a host, of GPUs or of anything else: doc fragment gpufleet.mig.change.
CHANGE = {
    "state_dir": {"type": "path"},
    "lock_timeout": {"type": "float", "default": 300},
    "change_id": {"type": "str"},
    "claimed": {"type": "bool", "default": False},
}

# Options of the modules that change GPUs: doc fragment gpufleet.mig.changing.
CHANGING = {
    **CHANGE,
    "journal": {"type": "bool", "default": True},
    "atomic": {"type": "bool", "default": False},
    "rehearse": {"type": "bool", "default": False},
}

# mig_claim; user, controller and over are the controller's word, which its action plugin adds.
CLAIM = {
    **CHANGE,
    "state": {"type": "str", "choices": ["taken", "renewed", "released"], "default": "taken"},
    "stage": {"type": "str", "default": "check"},
    "deadline": {"type": "float", "default": 0},
    "grace": {"type": "float", "default": 3600},
    "timeout": {"type": "float", "default": 0},
    "force": {"type": "bool", "default": False},
    "gpus": {"type": "list", "elements": "dict"},
    "user": {"type": "str", "default": "unknown"},
    "controller": {"type": "dict", "default": {}},
    "over": {"type": "list", "elements": "str"},
}

# One entry of the option layout; layout/entries.py checks what stands in it and says more than a type could.
LAYOUT_OPTIONS = {
    "gpus": {"type": "raw", "default": "all"},
    "product": {"type": "str"},
    "pci_device_id": {"type": "raw"},
    "mig_enabled": {"type": "bool", "default": True},
    "instances": {"type": "raw"},
}
