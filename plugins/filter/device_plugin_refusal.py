# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: device_plugin_refusal
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Refuse a configuration of the device plugin that would harm other nodes or have no effect
description:
  - Takes the result of P(gpufleet.mig.device_plugin_node#filter).
  - The role gpufleet.mig.mig_device_plugin uses it.
positional: config_maps, has_discovery, options
options:
  _input:
    description: That result.
    type: dict
    required: true
  config_maps:
    description: The ConfigMap that it names, if it exists.
    type: list
    elements: dict
    required: true
  has_discovery:
    description: Whether the cluster has Node Feature Discovery.
    type: bool
    required: true
  options:
    description: The options of the role.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: See that nothing speaks against an empty ConfigMap
  ansible.builtin.assert:
    that: deployment | gpufleet.mig.device_plugin_refusal([], false, {}) is none
  vars:
    deployment: {kind: helm, asks_for_discovery: false}
"""

RETURN = r"""
_value:
  description:
    - A sentence, V(null) if nothing speaks against it.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.node import configuration_refusal


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"device_plugin_refusal": configuration_refusal}
