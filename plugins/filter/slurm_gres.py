# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: slurm_gres
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Convert the GPUs and MIG devices of a host to Slurm's gres
description:
  - Takes the GPUs as M(gpufleet.mig.mig_facts) returns them. A GPU without MIG is a gres, and so is every MIG device; a
    GPU with MIG on and without MIG devices is none.
  - The role gpufleet.mig.mig_slurm uses it.
positional: minors, types, target, release
options:
  _input:
    description: The GPUs.
    type: list
    elements: dict
    required: true
  minors:
    description: The text of C(/proc/driver/nvidia-caps/mig-minors).
    type: str
    default: ""
  types:
    description:
      - What Slurm's users call a product, by a glob of its name. A MIG device is then C(NAME_PROFILE). Instead of the
        name, a dictionary has the whole type by profile, and in C(*) the name for all other profiles and for the GPU
        without MIG. The first glob that matches counts.
      - Without it, types are those that Slurm's own NVML plugin gives.
    type: dict
  target:
    description: The layout to come, complete entries for GPUs by UUID. Other GPUs are taken as they are.
    type: list
    elements: dict
  release:
    description:
      - The release of slurmd, such as V(22.05.8); the newest if not given.
      - Since 23.02.6 its plugin takes the profile from the name of the MIG device. Before, it derives one from slices
        and memory, so that a 1g.18gb with 16384 MiB is C(1g.16gb).
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: See what a GPU without MIG is called
  ansible.builtin.assert:
    that: ([gpu] | gpufleet.mig.slurm_gres).gres == 'gpu:nvidia_a100-sxm4-40gb:1'
  vars:
    gpu: {index: 0, uuid: GPU-5f2cd73b, minor: 0, product: NVIDIA A100-SXM4-40GB, mig_mode: disabled, instances: []}
- name: See what jobs call a MIG device
  ansible.builtin.assert:
    that: ([gpu] | gpufleet.mig.slurm_gres('', types)).gres == 'gpu:1g.5gb:1'
  vars:
    types: {NVIDIA A100*: {1g.5gb: 1g.5gb}}
    gpu:
      index: 0
      uuid: GPU-5f2cd73b
      minor: 0
      product: NVIDIA A100-SXM4-40GB
      mig_mode: enabled
      instances:
        - {id: 7, profile: 1g.5gb, compute_instances: [{id: 0, profile: 1g.5gb, uuid: MIG-2c0a, index: 0}]}
"""

RETURN = r"""
_value:
  description: C(gres) as the node's line in slurm.conf lists it, C(lines) of gres.conf without AutoDetect and NodeName,
    C(devices) with C(what), C(type), C(uuid), C(files), C(place), C(capabilities) and their name in slurmd
    (C(detected)), and in C(autodetect) sentences why AutoDetect=nvml cannot find them. C(refusal) names GPUs whose
    values no driver reports, such as a product with a newline, which are therefore not written anywhere; the others are
    then empty. Otherwise it is V(null).
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.gres import slurm_gres


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"slurm_gres": slurm_gres}
