# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: container_toolkit
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Collect what a host reports about the NVIDIA Container Toolkit
description:
  - Extracts from the output of programs on a host what the role gpufleet.mig.mig_container_runtime needs.
positional: environment, specifications, directories
options:
  _input:
    description: What C(nvidia-ctk --version) prints.
    type: str
    required: true
  environment:
    description: The environment of C(nvidia-cdi-refresh.service), one variable per line; empty without that service.
    type: str
    default: ""
  specifications:
    description: The paths of CDI specifications that name GPUs, one per line.
    type: str
    default: ""
  directories:
    description: The directories in which they are.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Read the release of the toolkit
  ansible.builtin.assert:
    that: ('NVIDIA Container Toolkit CLI version 1.18.0' | gpufleet.mig.container_toolkit).version == '1.18.0'
"""

RETURN = r"""
_value:
  description: The C(version), V(0) if there is none; C(settings) of the toolkit, by name; the path of the CDI
    C(specification); C(strategies), how devices are named; C(others), the paths of other specifications. C(refusal)
    says what of this cannot be used and why, V(null) if all can.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.container_runtime import container_toolkit


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"container_toolkit": container_toolkit}
