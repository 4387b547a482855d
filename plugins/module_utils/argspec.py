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

# What of it a check takes.
_CHECK_CLAIM = {
    **{name: CLAIM[name] for name in ("stage", "grace", "timeout", "user", "controller", "over", "claimed")},
    "change_id": {"type": "str", "required": True},
    "keep": {"type": "bool", "default": False},
}

# mig_persistence.
PERSISTENCE = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "backend": {"type": "str", "choices": ["builtin", "nvidia-mig-manager"], "default": "builtin"},
    "start": {"type": "bool", "default": True},
    "driver_timeout": {"type": "float", "default": 120},
}

# One entry of the option layout; layout/entries.py checks what stands in it and says more than a type could.
LAYOUT_OPTIONS = {
    "gpus": {"type": "raw", "default": "all"},
    "product": {"type": "str"},
    "pci_device_id": {"type": "raw"},
    "mig_enabled": {"type": "bool", "default": True},
    "instances": {"type": "raw"},
}

# mig_check.
CHECK = {
    "layout": {"type": "list", "elements": "dict", "options": LAYOUT_OPTIONS},
    "keep": {"type": "list", "elements": "str", "default": []},
    "minimum": {"type": "str"},
    "container_runtime": {"type": "bool", "default": False},
    "state_dir": {"type": "path"},
}

# mig_driver_check; "brought" matters to its action plugin.
DRIVER_CHECK = {
    **CHECK,
    "lock_timeout": CHANGE["lock_timeout"],
    "brought": {"type": "bool", "default": False},
    "claim": {"type": "dict", "options": _CHECK_CLAIM},
    "persistence": {"type": "dict", "options": PERSISTENCE},
}
