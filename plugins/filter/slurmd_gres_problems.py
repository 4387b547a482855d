# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: slurmd_gres_problems
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find devices that slurmd would report but that do not exist, and devices it would miss
description:
  - Compares the output of C(slurmd -G) with the devices from P(gpufleet.mig.slurm_gres#filter).
positional: devices
options:
  _input:
    description: The output of C(slurmd -G).
    type: str
    required: true
  devices:
    description: The devices that are there.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Find a GPU that does not exist
  ansible.builtin.assert:
    that: >-
      'slurmd: Gres Name=gpu Type=a100 Count=1 Index=0 File=/dev/nvidia0' | gpufleet.mig.slurmd_gres_problems([])
      == ['It has gpu:a100 (/dev/nvidia0), which is not there.']
"""

RETURN = r"""
_value:
  description: A sentence for each problem, including errors that slurmd reports; none if it has exactly these devices.
  type: list
  elements: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.gres import slurmd_gres_problems


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"slurmd_gres_problems": slurmd_gres_problems}
