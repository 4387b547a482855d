# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: to_mig_parted
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Convert a layout to the data of an nvidia-mig-parted configuration file
description:
  - Takes a layout as O(gpufleet.mig.mig_instances#module:layout) does, and returns the data of a configuration file of
    nvidia-mig-parted, version V(v1), that has it under a label.
  - nvidia-mig-parted counts MIG devices on GPUs that it identifies by index and PCI device id, and applies every entry
    that matches a GPU, in order. A list of instances becomes counts if they mean the same.
  - What such a file cannot express is an error, never dropped. That is a placement, a GPU instance without compute
    instances, which GPU instance holds which compute instances, C(product), a GPU named by UUID or PCI address, and
    entries for one GPU that would fail if applied one after the other.
options:
  _input:
    description:
      - The layout.
    type: list
    elements: dict
    required: true
  label:
    description:
      - The label for the layout in C(mig-configs).
    type: str
    required: true
positional: label
seealso:
  - plugin: gpufleet.mig.from_mig_parted
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show a layout as nvidia-mig-parted reads it
  ansible.builtin.debug:
    msg: "{{ layout | gpufleet.mig.to_mig_parted('training') | to_nice_yaml }}"
  vars:
    layout:
      - gpus: [0, 1]
        instances:
          - profile: 3g.20gb
            compute_instances: [1c.3g.20gb, 2c.3g.20gb]
          - profile: 3g.20gb
      - gpus: [2]
        mig_enabled: false
"""

RETURN = r"""
_value:
  description: The data of the configuration file.
  type: dict
  sample:
    version: v1
    mig-configs:
      training:
        - devices: [0, 1]
          mig-enabled: true
          mig-devices: {1c.3g.20gb: 1, 2c.3g.20gb: 1, 3g.20gb: 1}
        - devices: [2]
          mig-enabled: false
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.mig_parted import to_mig_parted


def _filter(value, label):
    try:
        return to_mig_parted(value, label)
    except LayoutError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"to_mig_parted": _filter}
