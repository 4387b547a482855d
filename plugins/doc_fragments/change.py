# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that say which change of a host a task belongs to."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  state_dir:
    description:
      - Where the lock, the journal of changes and a run's claim are kept on the GPU host.
      - The default is C(/var/lib/gpufleet-mig) for root, and C($XDG_STATE_HOME/gpufleet-mig)
        (C(~/.local/state/gpufleet-mig)) for other users.
      - A directory that exists but is not writable is an error. So is, for root, one that belongs to another user or
        that every user may write to.
      - Root has a second lock, in C(/run/gpufleet-mig), because this directory may not be available yet at boot.
    type: path
  lock_timeout:
    description: How many seconds to wait while another task changes the same host.
    type: float
    default: 300
  change_id:
    description:
      - The id of this change in the journal. Tasks with the same id are one change, and a rollback
        (gpufleet.mig.rollback) returns to the state before the first of them.
      - By default each task has an id of its own.
    type: str
  claimed:
    description:
      - Whether the task belongs to a run that has claimed the host (M(gpufleet.mig.mig_claim)) with this O(change_id).
        If so, it is refused once that run has lost its claim.
      - With V(false) it is refused while another run has claimed the host.
    type: bool
    default: false
"""
