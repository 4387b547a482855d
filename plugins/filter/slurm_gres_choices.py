# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: slurm_gres_choices
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: List the ways a Slurm node can have the GPUs of its host, or why it cannot
description:
  - Takes the result of P(gpufleet.mig.slurm_gres#filter) and what was found of Slurm on the host, and returns which
    lines of gres.conf to try.
  - The role gpufleet.mig.mig_slurm uses it.
positional: node, autodetect, seen
options:
  _input:
    description: What Slurm should have.
    type: dict
    required: true
  node:
    description: The C(NodeName).
    type: str
    required: true
  autodetect:
    description: V(nvml), V(off), or V(auto) for whichever fits.
    type: str
    required: true
  seen:
    description:
      - C(host) and whether it has the unit C(slurmd); C(controller) and whether it has the unit C(slurmctld).
      - The C(release) of Slurm; whether C(cgroup.conf) C(constrains) jobs to their devices; what C(slurmd -G)
        C(detected), if it was run; whether the C(device_files) of all devices exist.
      - The results of M(gpufleet.mig.slurm_node_gres) as C(files), by C(item), the host, and whether the files are
        C(ours) to write.
      - The C(refusal) of P(gpufleet.mig.slurmd_service#filter).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: List the lines to try if slurmd may find the GPUs by itself
  ansible.builtin.assert:
    that: >-
      ({'gres': '', 'lines': [], 'autodetect': []} | gpufleet.mig.slurm_gres_choices('gpu-7', 'nvml', seen)).lines
      == [[], ['NodeName=gpu-7 AutoDetect=nvml']]
  vars:
    seen:
      {host: gpu-7, slurmd: true, controller: gpu-7, slurmctld: true, release: '24.11', constrains: false,
       detected: '', files: [], ours: true, device_files: true}
"""

RETURN = r"""
_value:
  description: C(lines) are the blocks to try, the best first, with an empty one for gres.conf as it is; C(undetected)
    has reasons why slurmd cannot find the devices through NVML; C(names_devices) says whether gres.conf may name them,
    C(restarts_controller) whether a change takes a restart of slurmctld. C(refusal) says why it is impossible, V(null)
    if it is possible.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.choices import slurm_gres_choices


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"slurm_gres_choices": slurm_gres_choices}
