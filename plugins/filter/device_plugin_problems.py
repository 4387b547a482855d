# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: device_plugin_problems
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.3.0
short_description: Where a Kubernetes node does not advertise the devices that are there
description:
  - Takes what P(gpufleet.mig.device_plugin#filter) gives and compares it with what the kubelet and the node have.
positional: devices, node, pods, daemon_sets
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
    description: Pods of the node, among them those of the device plugin and feature discovery.
    type: list
    elements: dict
    default: []
  daemon_sets:
    description: The names of their DaemonSets.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: A node that advertises nothing, as it should
  ansible.builtin.assert:
    that: >-
      ({'resources': {}, 'labels': {}} | gpufleet.mig.device_plugin_problems({}, {'metadata': {}})).devices == []
"""

RETURN = r"""
_value:
  description:
    - Lists of sentences, empty where there is no difference. C(devices) is about those that the kubelet has,
      C(allocatable) about their counts in the node's status, C(labels) about its
      labels, C(pods) about containers that do not run.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin_problems import (
    allocatable_problems,
    device_problems,
    label_problems,
    pod_problems,
)


def device_plugin_problems(wanted, devices, node, pods=(), daemon_sets=()):
    """See above."""
    return {
        "devices": device_problems(wanted["resources"], devices),
        "allocatable": allocatable_problems(wanted["resources"], node.get("status", {}).get("allocatable")),
        "labels": label_problems(wanted["labels"], node["metadata"].get("labels")),
        "pods": pod_problems(pods, daemon_sets),
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"device_plugin_problems": device_plugin_problems}
