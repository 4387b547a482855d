# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: device_plugin_restarts
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find the pods of a Kubernetes node that have to read its GPUs again
description:
  - Takes the result of P(gpufleet.mig.device_plugin_problems#filter).
  - The role gpufleet.mig.mig_device_plugin uses it.
positional: found, pods, node, config_map_changed, first
options:
  _input:
    description: That result.
    type: dict
    required: true
  found:
    description: The result of P(gpufleet.mig.device_plugin_node#filter).
    type: dict
    required: true
  pods:
    description: The pods of the node.
    type: list
    elements: dict
    required: true
  node:
    description: The node before its labels were changed.
    type: dict
    required: true
  config_map_changed:
    description: Whether its configuration is new.
    type: bool
    default: false
  first:
    description: Whether nothing was restarted yet.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: See that what is right is left alone
  ansible.builtin.assert:
    that: not (right | gpufleet.mig.device_plugin_restarts(found, [], node)).needed
  vars:
    right: {devices: [], plugin: [], wrong_labels: [], registered: true}
    found: {wanted: {config_name: a}, parts: {plugin: nvidia-device-plugin}, namespace: gpu-operator}
    node: {metadata: {labels: {nvidia.com/device-plugin.config: a}}}
"""

RETURN = r"""
_value:
  description:
    - C(pods), each with C(name) and C(namespace), and whether anything is C(needed), restarting or waiting.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.node import restarts


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"device_plugin_restarts": restarts}
