# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: device_plugin
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Predict what NVIDIA's device plugin derives from a host's GPUs
description:
  - Takes the GPUs from M(gpufleet.mig.mig_facts) and returns the resources and labels of a Kubernetes node with them
    and the plugin's configuration file, or why the plugin would refuse.
positional: strategy, time_slicing, mps
options:
  _input:
    description: The GPUs, with their profiles (P(gpufleet.mig.mig_with_profiles#filter)) and instances.
    type: list
    elements: dict
    required: true
  strategy:
    description: The MIG strategy, V(none), V(single) or V(mixed).
    type: str
    required: true
  time_slicing:
    description: What is shared by time slicing, as C(sharing.timeSlicing) of the plugin's configuration file.
    type: dict
  mps:
    description: What is shared by MPS, as C(sharing.mps).
    type: dict
  flags:
    description: Further C(flags) of the configuration file.
    type: dict
  target:
    description: Complete layout entries, as in RV(gpufleet.mig.mig_check#module:target). The answer is then for these.
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Read the GPUs
  gpufleet.mig.mig_facts:
- name: Show what a node with these GPUs advertises
  ansible.builtin.debug:
    msg: "{{ (gpus | gpufleet.mig.device_plugin('mixed')).labels }}"
  vars:
    gpus: "{{ (ansible_facts.mig | gpufleet.mig.mig_with_profiles).gpus }}"
"""

RETURN = r"""
_value:
  description:
    - C(resources) has the ids of the devices by resource, V(null) for one that does not exist yet; C(labels) those of
      GPU feature discovery. C(config_name) and C(config) are the configuration and its text. C(refusal) says why this
      is impossible, V(null) if it is possible. It also names GPUs with values that no driver reports, such as a product
      with a newline.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.expected import expected
from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.sharing import config


def device_plugin(gpus, strategy, time_slicing=None, mps=None, flags=None, target=None):
    """See above."""
    name, text = config(strategy, time_slicing, mps, flags)
    return {**expected(gpus, strategy, time_slicing, mps, target), "config_name": name, "config": text}


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"device_plugin": device_plugin}
