# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: device_plugin_deployment
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find out how NVIDIA's device plugin is deployed on a Kubernetes node
description:
  - Takes the DaemonSets of a cluster and returns which of them run NVIDIA's device plugin and GPU feature discovery on
    a node and which ConfigMap has their configurations, or why a configuration cannot reach them.
positional: cluster_policies, node, strategy, wanted, config_maps, config_name
options:
  _input:
    description: All DaemonSets of the cluster.
    type: list
    elements: dict
    required: true
  cluster_policies:
    description: The objects of NVIDIA's GPU Operator of kind C(ClusterPolicy).
    type: list
    elements: dict
    required: true
  node:
    description: The node.
    type: dict
    required: true
  strategy:
    description: The MIG strategy that the node should have.
    type: str
    required: true
  wanted:
    description: C(gpu_operator), C(helm) or C(daemonset), if it must be that one.
    type: str
  config_maps:
    description: The ConfigMap that an earlier answer named, if it exists.
    type: list
    elements: dict
    default: []
  config_name:
    description: The configuration to put into it.
    type: str
"""

EXAMPLES = r"""
- name: Check a cluster without NVIDIA's device plugin
  ansible.builtin.assert:
    that: >-
      ([] | gpufleet.mig.device_plugin_deployment([], {'metadata': {'name': 'a'}}, 'mixed')).kind == 'daemonset'
"""

RETURN = r"""
_value:
  description:
    - C(kind) is C(gpu_operator), C(helm) or C(daemonset), the last also if nothing is deployed yet. C(namespace) and
      C(config_map) say where configurations are, C(parts) has the names of the DaemonSets of C(plugin),
      C(feature_discovery) and C(mps). C(refusal) says what prevents it, V(null) if nothing does.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.deployment import deployment


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"device_plugin_deployment": deployment}
