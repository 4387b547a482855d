# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options and attributes of the modules that change something."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  state_dir:
    description:
      - Where the lock and the journal of changes are kept on the GPU host.
      - The default is C(/var/lib/gpufleet-mig) for root, and C($XDG_STATE_HOME/gpufleet-mig)
        (C(~/.local/state/gpufleet-mig)) for other users.
      - A directory that exists and cannot be written is an error. So is, for root, one that belongs to another user or
        that everybody may write to.
      - Root has a second lock, in C(/run/gpufleet-mig), because at boot this directory may not be there yet.
    type: path
  lock_timeout:
    description: How many seconds to wait while another run changes GPUs of the same host.
    type: float
    default: 300
  journal:
    description: Whether to write what is changed to C(journal.jsonl) in O(state_dir), before the first step and after
      the last.
    type: bool
    default: true
  change_id:
    description:
      - The id that the journal gives to this change. Tasks with the same id are one change, and going back
        (gpufleet.mig.rollback) goes back to before the first of them.
      - The default is an id of its own for each task.
    type: str
  atomic:
    description:
      - With V(false), a GPU that fails is brought back to where it was and the others keep what they reached, because
        GPUs are independent and one to repair is better than eight.
      - With V(true), one GPU's failure undoes the other GPUs too.
    type: bool
    default: false
  rehearse:
    description:
      - Return the plan and change nothing, also outside check mode.
      - Where instances in use or kept are in the way, a rehearsal succeeds and RV(must_be_free) names the smallest
        set of them whose end lets the layout be reached; check mode and a run refuse there.
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
