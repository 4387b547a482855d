# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: drain_staying
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find pods of DaemonSets that still run though they were paused
description:
  - Takes the pods of a node, and returns the paused labels by which pods of DaemonSets among them select it. The role
    P(gpufleet.mig.mig_drain#role) waits until there is none.
positional: paused
options:
  _input:
    description:
      - The pods, as C(kubernetes.core.k8s_info) returns them.
    type: list
    elements: dict
    required: true
  paused:
    description:
      - The labels.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: See that the pod of a DaemonSet has not ended yet
  ansible.builtin.assert:
    that: pods | gpufleet.mig.drain_staying(['dcgm', 'nvsm']) == ['dcgm']
  vars:
    pods:
      - metadata: {ownerReferences: [{kind: DaemonSet}]}
        spec: {nodeSelector: {dcgm: "true"}}
"""

RETURN = r"""
_value:
  description: The labels, each once.
  type: list
  elements: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.kubernetes_node import drain_staying


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"drain_staying": drain_staying}
