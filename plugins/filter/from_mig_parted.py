# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: from_mig_parted
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Convert an nvidia-mig-parted configuration file to a layout
description:
  - Takes a configuration file of nvidia-mig-parted, version V(v1), and returns the layout under a label, for the
    O(gpufleet.mig.mig_instances#module:layout) option of the modules.
  - If several entries of the file match one GPU, the last one applies, as with nvidia-mig-parted.
  - What a layout cannot express is an error, never dropped. That is a C(device-filter) with a subsystem
    (V(0x233010DE:0x16C110DE)), and entries for which a GPU's model would decide which one applies.
  - An index that no GPU has is ignored by nvidia-mig-parted, but is an error when the layout is applied.
options:
  _input:
    description:
      - The text of the file, YAML or JSON, or the data that it holds.
    type: raw
    required: true
  label:
    description:
      - Which of the C(mig-configs) to take. Optional if there is only one.
    type: str
positional: label
seealso:
  - plugin: gpufleet.mig.to_mig_parted
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read the configuration that nvidia-mig-parted has under a label
  ansible.builtin.set_fact:
    layout: "{{ configuration | gpufleet.mig.from_mig_parted('all-balanced') }}"
  vars:
    # Of a file on the controller: lookup('ansible.builtin.file', 'mig-parted.yaml')
    configuration: |
      version: v1
      mig-configs:
        all-disabled:
          - devices: all
            mig-enabled: false
        all-balanced:
          - device-filter: ["0x20B010DE"]
            devices: all
            mig-enabled: true
            mig-devices:
              "1g.5gb": 2
              "2g.10gb": 1
              "3g.20gb": 1

- name: Check that it is one entry for all A100 with 40 GB
  ansible.builtin.assert:
    that:
      - layout == [expected]
  vars:
    expected:
      gpus: all
      pci_device_id: ["0x20B010DE"]
      instances: {1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}
"""

RETURN = r"""
_value:
  description: The layout, in the form that counts MIG devices.
  type: list
  elements: dict
  sample:
    - gpus: all
      pci_device_id: ["0x20B010DE"]
      instances: {1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError
from ansible_collections.gpufleet.mig.plugins.plugin_utils.mig_parted import read_mig_parted


def _filter(value, label=None):
    try:
        return read_mig_parted(value, label)
    except LayoutError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"from_mig_parted": _filter}
