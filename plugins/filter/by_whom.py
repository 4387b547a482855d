# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: by_whom
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Say who else changed the GPUs that a failed change leaves alone
description:
  - Adds to the messages of gpufleet.mig.way_back about such GPUs who last changed them, as far as the journal shows it.
positional: gpus
options:
  _input:
    description: C(foreign) from gpufleet.mig.way_back.
    type: list
    elements: dict
    required: true
  gpus:
    description: The last change of each GPU, RV(gpufleet.mig.mig_journal_info#module:gpus).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show who changed the GPUs
  ansible.builtin.debug:
    msg: "{{ foreign | gpufleet.mig.by_whom(journal.gpus) }}"
  vars:
    foreign: [{uuid: GPU-5f2c, message: GPU 0 is not touched any more.}]
    journal: {gpus: {GPU-5f2c: {user: root, sudo_user: bob, time: "2026-11-20T03:12:00Z"}}}
"""

RETURN = r"""
_value:
  description: A sentence or two for each.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.way_back import by_whom


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"by_whom": by_whom}
