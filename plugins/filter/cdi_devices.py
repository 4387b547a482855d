# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cdi_devices
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: List the devices that a host's CDI specification should have
description:
  - Takes the GPUs as M(gpufleet.mig.mig_facts) returns them, and returns the GPUs without MIG and the MIG devices, each
    with its names in a CDI specification of C(nvidia-ctk) and its device files. The role
    gpufleet.mig.mig_container_runtime uses it.
positional: minors, strategies
options:
  _input:
    description: The GPUs.
    type: list
    elements: dict
    required: true
  minors:
    description: The text of C(/proc/driver/nvidia-caps/mig-minors), or the result of M(ansible.builtin.slurp) for it.
    type: raw
    required: true
  strategies:
    description: How the toolkit names devices, any of V(index), V(type-index) and V(uuid).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: See what a GPU without MIG is called
  ansible.builtin.assert:
    that: ([gpu] | gpufleet.mig.cdi_devices('', ['index', 'uuid']))[0].names == ['0', 'GPU-5f2cd73b']
  vars:
    gpu: {index: 0, uuid: GPU-5f2cd73b, minor: 0, mig_mode: disabled}
"""

RETURN = r"""
_value:
  description: C(what) it is in words, its C(names), its C(files), and C(capabilities), the files in C(/proc) from which
    C(nvidia-modprobe -f) makes some of them, each with that C(path).
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.gpufleet.mig.plugins.plugin_utils.cdi import cdi_devices


def _filter(gpus, minors, strategies):
    try:
        return cdi_devices(gpus, minors, strategies)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"cdi_devices": _filter}
