# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: device_plugin_problems
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find differences between the devices that a Kubernetes node advertises and those that exist
description:
  - Compares the result of P(gpufleet.mig.device_plugin#filter) with what the kubelet and the node have.
positional: devices, node, pods, deployment, problem
options:
  _input:
    description: What the node should advertise.
    type: dict
    required: true
  devices:
    description: The devices that the kubelet has, RV(gpufleet.mig.kubelet_devices_info#module:devices).
    type: dict
    required: true
  node:
    description: The node.
    type: dict
    required: true
  pods:
    description: The pods of the node, including those of the device plugin and feature discovery.
    type: list
    elements: dict
    default: []
  deployment:
    description: The result of P(gpufleet.mig.device_plugin_deployment#filter). Without it the pods are not checked.
    type: dict
  problem:
    description: Why the kubelet could not be asked, RV(gpufleet.mig.kubelet_devices_info#module:problem).
    type: str
"""

EXAMPLES = r"""
- name: Check a node that should advertise nothing
  ansible.builtin.assert:
    that: >-
      ({'resources': {}, 'labels': {}} | gpufleet.mig.device_plugin_problems({}, {'metadata': {}})).devices == []
"""

RETURN = r"""
_value:
  description:
    - Lists of sentences, empty if there is no difference. C(devices) is about the kubelet's devices, C(allocatable)
      about their counts in the node's status, C(labels) about its labels, C(plugin) about a device plugin that is not
      ready.
    - C(reasons) has possible causes, such as containers that do not run, or a kubelet that keeps devices that are gone.
    - C(wrong_labels) are those of C(labels) that count because feature discovery is deployed; C(difference) has all
      that counts. C(registered) says whether the kubelet has the devices, C(lost) whether the plugin has to register
      again, and C(advertised) whether the node's status and labels are right.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.problems import problems


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"device_plugin_problems": problems}
