# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: drain_node
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Decide what to do with a Kubernetes node before a change and after it
description:
  - Takes the node as C(kubernetes.core.k8s_info) returns it, and returns whether pods can be scheduled onto it, and the
    labels that pause the pods of the GPU Operator there or let them run again. The role
    P(gpufleet.mig.mig_drain#role) uses it.
positional: node, host, labels, paused
options:
  _input:
    description:
      - C(resources), a list with the node.
    type: list
    elements: dict
    required: true
  node:
    description:
      - The name of the node.
    type: str
    required: true
  host:
    description:
      - The inventory host that it is.
    type: str
    required: true
  labels:
    description:
      - The labels by which the pods select it.
    type: list
    elements: str
    required: true
  paused:
    description:
      - The value of such a label while its pods are paused.
    type: str
    required: true
  done:
    description:
      - What was done to the node, with C(cordoned) and C(paused).
    type: dict
  evicted:
    description:
      - The result of M(gpufleet.mig.k8s_evict) in check mode.
    type: dict
"""

EXAMPLES = r"""
- name: See that only one of them runs
  ansible.builtin.assert:
    that: (nodes | gpufleet.mig.drain_node('gpu-7', 'gpu-7', ['dcgm', 'nvsm'], 'paused')).running == ['dcgm']
  vars:
    nodes:
      - metadata: {labels: {dcgm: "true", nvsm: "false"}}
"""

RETURN = r"""
_value:
  description: C(refusal), a sentence if there is no such node, otherwise empty; C(unschedulable); C(running), the
    labels by which pods run; C(pause) and C(resume), labels with their values that pause these, and that let those run
    again that were paused; C(would), what a run would do, in words.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.kubernetes_node import drain_node


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"drain_node": drain_node}
