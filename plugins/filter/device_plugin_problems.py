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
positional: devices, node, pods, deployment
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
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.problems import (
    allocatable_problems,
    device_problems,
    forgotten_problems,
    label_problems,
    plugin_problems,
    pod_problems,
)


def device_plugin_problems(wanted, devices, node, pods=(), deployment=None):
    """See above."""
    resources, plugin, reasons = wanted["resources"], [], []
    if deployment:
        parts = deployment["parts"]
        pods = [pod for pod in pods if pod["metadata"]["namespace"] == deployment["namespace"]]
        plugin = plugin_problems(pods, parts["plugin"])
        reasons = pod_problems(pods, parts.values()) + (forgotten_problems(resources, devices) if not plugin else [])
    return {
        "devices": device_problems(resources, devices),
        "allocatable": allocatable_problems(resources, node.get("status", {}).get("allocatable")),
        "labels": label_problems(wanted["labels"], node["metadata"].get("labels")),
        "plugin": plugin,
        "reasons": reasons,
    }


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"device_plugin_problems": device_plugin_problems}
