# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: slurm_files_back
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: List the files of Slurm to restore after a failed change, by host
description:
  - Takes what a loop of M(gpufleet.mig.slurm_node_gres) over hosts has returned, and lists what it wrote on hosts that
    the role was told of.
  - The role gpufleet.mig.mig_slurm uses it.
positional: hosts
options:
  _input:
    description: The result of the loop, whose items are the hosts.
    type: dict
    required: true
  hosts:
    description: The hosts on which files may be restored.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Restore nothing on a host that was not reached
  ansible.builtin.assert:
    that: (written | gpufleet.mig.slurm_files_back(['control', 'gpu-7'])) == expected
  vars:
    expected: [{host: control, files: []}]
    written:
      results:
        - {item: control, files: []}
        - {item: gpu-7, msg: it was not reached}
"""

RETURN = r"""
_value:
  description: For each host with written files its name as C(host), and the C(files) as M(gpufleet.mig.slurm_node_gres)
    restores them.
  type: list
  elements: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.state import slurm_files_back


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"slurm_files_back": slurm_files_back}
