# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: device_plugin_labels
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find the labels of a Kubernetes node that have to change for its device plugin
description:
  - Takes a node and returns its labels that do not name what it has.
  - The role gpufleet.mig.mig_device_plugin uses it.
positional: found, options, compared
options:
  _input:
    description: The node.
    type: dict
    required: true
  found:
    description: The result of P(gpufleet.mig.device_plugin_node#filter).
    type: dict
    required: true
  options:
    description: The options of the role.
    type: dict
    required: true
  compared:
    description: The result of M(gpufleet.mig.mig_check) for the configuration that a label names, if there is one.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: See which configuration a node has to name
  ansible.builtin.assert:
    that: >-
      (node | gpufleet.mig.device_plugin_labels({'wanted': {'config_name': 'a'}}, {'mig_device_plugin_mig_config': ''},
                                                {})) == {'nvidia.com/device-plugin.config': 'a'}
  vars:
    node: {metadata: {name: gpu-1}}
"""

RETURN = r"""
_value:
  description:
    - The labels that have to change; V(null) for one that has to go.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.node import configuration_labels


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"device_plugin_labels": configuration_labels}
