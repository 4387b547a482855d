# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: gpus_refusal
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Explain why a host's answer about its GPUs cannot be used
description:
  - Takes the GPUs as M(gpufleet.mig.mig_facts) returns them. Names, numbers and counts that NVIDIA's driver would not
    report come from someone who controls the host, and are not passed on to anything else.
positional: target, needs
options:
  _input:
    description: The GPUs.
    type: list
    elements: dict
    required: true
  target:
    description: The layout to come, complete entries for GPUs by their UUIDs.
    type: list
    elements: dict
  needs:
    description: The values that each GPU must have, V(product) and V(minor).
    type: list
    elements: str
    default: [product, minor]
"""

EXAMPLES = r"""
- name: See that an index must be a number
  ansible.builtin.assert:
    that: "'GPU 0: its index is' in ([{'index': 'a'}] | gpufleet.mig.gpus_refusal)"
"""

RETURN = r"""
_value:
  description: A sentence that names the GPU, V(null) if a driver could have reported all of this.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import gpus_refusal


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"gpus_refusal": gpus_refusal}
