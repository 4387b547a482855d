# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: missing_device_files
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: List the device files of MIG devices that a host lacks
description:
  - Takes devices as P(gpufleet.mig.cdi_devices#filter) returns them.
positional: files
options:
  _input:
    description: The devices.
    type: list
    elements: dict
    required: true
  files:
    description: The files that the host has, each with its C(path), as M(ansible.builtin.find) returns them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: See that nothing is missing
  ansible.builtin.assert:
    that: ([{'capabilities': []}] | gpufleet.mig.missing_device_files([])) == []
"""

RETURN = r"""
_value:
  description:
    - C(path) of each missing file, and the C(capability) in C(/proc) from which C(nvidia-modprobe -f) makes it.
  type: list
  elements: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.cdi import missing_device_files


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"missing_device_files": missing_device_files}
