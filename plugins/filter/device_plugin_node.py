# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: device_plugin_node
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find what a Kubernetes node should advertise and how its device plugin is configured
description:
  - Combines P(gpufleet.mig.device_plugin#filter) and P(gpufleet.mig.device_plugin_deployment#filter) for the node of a
    host. The role gpufleet.mig.mig_device_plugin uses it.
positional: daemon_sets, cluster_policies, gpus, options, host, to_come
options:
  _input:
    description: The nodes that the cluster has by the name of the host's node.
    type: list
    elements: dict
    required: true
  daemon_sets:
    description: All DaemonSets of the cluster.
    type: list
    elements: dict
    required: true
  cluster_policies:
    description: The objects of NVIDIA's GPU Operator of kind C(ClusterPolicy).
    type: list
    elements: dict
    required: true
  gpus:
    description: The GPUs of the host, with their profiles and instances.
    type: list
    elements: dict
    required: true
  options:
    description: The options of the role.
    type: dict
    required: true
  host:
    description: The name of the host in the inventory.
    type: str
    required: true
  to_come:
    description: Whether it is for the layout to come in the options, and not for the GPUs as they are.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: See that a node must be there
  ansible.builtin.assert:
    that: >-
      'has no node a' in
      ([] | gpufleet.mig.device_plugin_node([], [], [], {'mig_device_plugin_kubernetes_node': 'a'}, 'a')).refusal
"""

RETURN = r"""
_value:
  description:
    - What P(gpufleet.mig.device_plugin_deployment#filter) returns; C(wanted), what P(gpufleet.mig.device_plugin#filter)
      returns; C(named), whether the host has to be compared with the configuration that a label names; and
      C(asks_for_discovery), whether the cluster needs Node Feature Discovery. C(refusal) says why this is impossible,
      V(null) if it is possible.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.node import node_deployment


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"device_plugin_node": node_deployment}
