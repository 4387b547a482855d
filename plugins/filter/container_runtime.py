# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: container_runtime
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find which container engines a host has, and whether they can have its MIG devices
description:
  - Combines P(gpufleet.mig.container_toolkit#filter) with the systemd units of a host. The role
    gpufleet.mig.mig_container_runtime uses it.
positional: toolkit, environment, specifications, directories, engines, host
options:
  _input:
    description: What C(systemctl list-unit-files --no-legend --plain) prints.
    type: str
    required: true
  toolkit:
    description: The result of C(nvidia-ctk --version), with C(rc) and C(stdout).
    type: dict
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
  engines:
    description: The engines to configure. By default detected.
    type: list
    elements: str
  host:
    description: The name of the host in the inventory.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Find Docker
  ansible.builtin.assert:
    that: ('docker.service enabled enabled' | gpufleet.mig.container_runtime(version)).engines == ['docker']
  vars:
    version: {rc: 0, stdout: NVIDIA Container Toolkit CLI version 1.18.0}
"""

RETURN = r"""
_value:
  description:
    - What P(gpufleet.mig.container_toolkit#filter) returns; the C(engines) to configure; and C(refreshes), whether the
      toolkit writes the specification at every boot. C(refusal) says what prevents it, V(null) if nothing does.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.container_runtime import container_runtime


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"container_runtime": container_runtime}
