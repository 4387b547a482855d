# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: gres_differences
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Compare the GPUs that Slurm has for a node with those it should have
description:
  - Compares the GPUs in the gres that a node should have with those in another list. Other gres do not count.
positional: there
options:
  _input:
    description: The gres that the node should have.
    type: str
    required: true
  there:
    description: The gres that the node has, as C(scontrol show node) prints them.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Find one MIG device too many
  ansible.builtin.assert:
    that: >-
      'gpu:a100_1g.5gb:2' | gpufleet.mig.gres_differences('gpu:a100_1g.5gb:3(S:0),mps:100')
      == ['gpu:a100_1g.5gb: 2 expected, 3 there']
"""

RETURN = r"""
_value:
  description: A phrase for each gres that differs, none if they are the same.
  type: list
  elements: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.gres import gres_differences


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"gres_differences": gres_differences}
