# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: slurmd_service
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Collect what a host reports about its slurmd
description:
  - Extracts from the output of commands about slurmd on a host what the role gpufleet.mig.mig_slurm needs.
positional: version, cgroup
options:
  _input:
    description: What C(systemctl show) prints of C(LoadState), C(ActiveState) and C(ExecStart) of C(slurmd.service).
    type: str
    required: true
  version:
    description: What C(slurmd -V) prints.
    type: str
    default: ""
  cgroup:
    description: The text of C(cgroup.conf).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: See which program the service starts
  ansible.builtin.assert:
    that: (shown | gpufleet.mig.slurmd_service).program == '/usr/sbin/slurmd'
  vars:
    shown: |
      LoadState=loaded
      ExecStart={ path=/usr/sbin/slurmd ; argv[]=/usr/sbin/slurmd -D }
"""

RETURN = r"""
_value:
  description: Whether it is C(loaded) and C(active); C(program), the path that it starts, V(slurmd) if it is not
    reported; C(release) of Slurm, V(0) if it is not reported; whether C(cgroup.conf) C(constrains) jobs to their
    devices. C(refusal) says why what it starts cannot be used, V(null) if it can.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.choices import slurmd_service


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"slurmd_service": slurmd_service}
