# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mig_manager_refusal
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Refuse a layout that NVIDIA's MIG Manager would undo
description:
  - Takes the DaemonSets of a Kubernetes cluster and returns why no layout of this collection can stay on a node.
positional: node
options:
  _input:
    description: All DaemonSets of the cluster.
    type: list
    elements: dict
    required: true
  node:
    description: The node.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Check a node without NVIDIA's MIG Manager
  ansible.builtin.assert:
    that: >-
      ([] | gpufleet.mig.mig_manager_refusal({'metadata': {'name': 'a'}})) is none
"""

RETURN = r"""
_value:
  description: A sentence that ends in the command that helps, V(null) if no MIG Manager runs on the node.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.deployment import mig_manager_refusal


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"mig_manager_refusal": mig_manager_refusal}
