# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: label_changes
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find the labels of a Kubernetes object that have to change
description:
  - Takes a Kubernetes object and the labels that it should have, and returns those that it has otherwise.
positional: labels
options:
  _input:
    description: The object, such as a node.
    type: dict
    required: true
  labels:
    description: The labels by name; V(null) for one that should not be there.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: See that what is right is left alone
  ansible.builtin.assert:
    that: (node | gpufleet.mig.label_changes(wanted)).keys() | list == ['b']
  vars:
    node: {metadata: {labels: {a: "1"}}}
    wanted: {a: "1", b: "2"}
"""

RETURN = r"""
_value:
  description:
    - The labels that differ, as they should be.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.deployment import label_changes


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"label_changes": label_changes}
