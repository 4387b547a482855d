# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: containerd_change
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find which configuration files of containerd have to change
description:
  - Compares what C(nvidia-ctk) made in a temporary directory with the files of containerd. The role
    gpufleet.mig.mig_container_runtime uses it.
positional: before, folder, config, drop_in
options:
  _input:
    description: Results of M(ansible.builtin.slurp) for the copy of the configuration and for the drop-in.
    type: list
    elements: dict
    required: true
  before:
    description: The same for the files that containerd has.
    type: list
    elements: dict
    required: true
  folder:
    description: The temporary directory.
    type: str
    required: true
  config:
    description: The path of containerd's configuration.
    type: str
    required: true
  drop_in:
    description: The path of its drop-in.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that a configuration without an import is refused
  ansible.builtin.assert:
    that: >-
      'of version 1' in
      ([{}, {}] | gpufleet.mig.containerd_change([{}, {}], '/tmp/a', '/etc/a.toml', '/etc/a.d/b.toml')).refusal
"""

RETURN = r"""
_value:
  description:
    - C(files) to write, each with C(path) and C(content). C(refusal) says why this is impossible, V(null) if it is
      possible.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.container_runtime import containerd_change


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"containerd_change": containerd_change}
