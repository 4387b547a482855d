# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: reconcile_request
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find the layout that a Kubernetes node asks for
description:
  - Takes the node of a host and returns which nvidia-mig-parted configuration its label C(nvidia.com/mig.config) names,
    or why the node cannot be reconciled. The role gpufleet.mig.mig_reconcile uses it.
positional: daemon_sets, name, host
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
  name:
    description: The name of the host's node.
    type: str
    required: true
  host:
    description: The name of the host in the inventory.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See what a node asks for
  ansible.builtin.assert:
    that: ([node] | gpufleet.mig.reconcile_request([], 'a', 'a')).config == 'all-balanced'
  vars:
    node: {metadata: {name: a, labels: {nvidia.com/mig.config: all-balanced}}}
"""

RETURN = r"""
_value:
  description:
    - C(config) is the name of the configuration, empty if the node asks for none. C(refusal) says why the node cannot
      be reconciled, V(null) if it can.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.deployment import request


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"reconcile_request": request}
