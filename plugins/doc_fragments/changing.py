# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options and attributes of the modules that change GPUs."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  journal:
    description: Whether to record changes in C(journal.jsonl) in O(state_dir), before the first step and after the
      last.
    type: bool
    default: true
  atomic:
    description:
      - With V(false), a GPU that fails is rolled back and the others keep what they reached, because GPUs are
        independent and repairing one is better than repairing eight.
      - With V(true), one GPU's failure rolls the other GPUs back, too.
    type: bool
    default: false
  rehearse:
    description:
      - Return the plan and change nothing, even outside check mode.
      - If instances in use or kept are in the way, a rehearsal succeeds and RV(must_be_free) names the smallest set
        that must be freed; check mode and a run refuse instead.
    type: bool
    default: false
attributes:
  check_mode:
    description: Returns the plan that a run would execute, and changes nothing.
    support: full
  diff_mode:
    description: Shows each GPU's layout before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""
