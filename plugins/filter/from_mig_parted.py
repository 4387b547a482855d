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

import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.mig_parted import from_mig_parted


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, of which YAML would silently keep the last."""

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value!r} is there twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return node


def _data(text):
    # JSON is YAML but for tabs between its tokens, which are the only tabs that it may have.
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")
    try:
        return yaml.load(text, _Loader)
    except Exception as error:  # besides YAMLError, what PyYAML lets through for tags such as !!int on what is none
        raise LayoutError(f"nvidia-mig-parted configuration: cannot be read as YAML or JSON: {error}") from error


def _filter(value, label=None):
    try:
        return from_mig_parted(_data(value) if isinstance(value, str) else value, label)
    except LayoutError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"from_mig_parted": _filter}
