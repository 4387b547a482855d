# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: unread_refusal
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Refuse GPUs whose MIG devices could not be read
description:
  - Takes the GPUs as M(gpufleet.mig.mig_facts) returns them, and returns why nothing was changed for those who use
    their MIG devices.
positional: whom
options:
  _input:
    description: The GPUs.
    type: list
    elements: dict
    required: true
  whom:
    description: What nothing was changed for, as the end of a sentence.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that a GPU without MIG is no reason
  ansible.builtin.assert:
    that: ([{'index': 0, 'mig_capable': false, 'layout': none}] | gpufleet.mig.unread_refusal('Slurm')) is none
"""

RETURN = r"""
_value:
  description:
    - A sentence, V(null) if all could be read.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import unread_refusal


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"unread_refusal": unread_refusal}
