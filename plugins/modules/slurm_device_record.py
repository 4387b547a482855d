#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_device_record
short_description: Record which MIG devices slurmd of this host has read
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Slurm does not report which device files its slurmd has read. The role gpufleet.mig.mig_slurm records that in
    C(slurm.json), and compares it with the existing devices.
  - A damaged record counts as none, with a warning, because the role makes a new one when it restarts slurmd.
options:
  state_dir:
    description: The directory of C(slurm.json).
    type: path
    required: true
  devices:
    description:
      - What slurmd has read, to be recorded. For each device, a list of its type, its UUID, its device files and its
        identity, because a device of another size can have the first three once this one is gone. The identity is a
        list of its profile's id, its place, its compute slices (V(null) for all of the GPU instance's) and its place in
        the GPU instance; it is V(null) for a GPU.
      - Without this option nothing is written.
    type: list
    elements: list
  there:
    description:
      - The existing devices, in the form of O(devices). Release 0.1.0 recorded only type, UUID and files; recorded
        devices that match an existing one in these are returned with its identity.
    type: list
    elements: list
    default: []
extends_documentation_fragment:
  - gpufleet.mig.linux
attributes:
  check_mode:
    description: Reports whether it would write, and writes nothing.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Read the record of slurmd's devices
  gpufleet.mig.slurm_device_record:
    state_dir: /var/lib/gpufleet-mig
  register: record
- name: Record the devices that slurmd has read
  gpufleet.mig.slurm_device_record:
    state_dir: /var/lib/gpufleet-mig
    devices:
      - - a100_1g.5gb
        - MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07
        - [/dev/nvidia0, /dev/nvidia-caps/nvidia-cap66]
        - [19, 4, null, 0]
"""

RETURN = r"""
devices:
  description: The record, V(null) if there is none.
  returned: success
  type: list
  elements: list
  sample:
    - - a100_1g.5gb
      - MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07
      - [/dev/nvidia0, /dev/nvidia-caps/nvidia-cap66]
      - [19, 4, null, 0]
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.record import record, recorded


def main():
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path", "required": True},
            "devices": {"type": "list", "elements": "list"},
            "there": {"type": "list", "elements": "list", "default": []},
        },
        supports_check_mode=True,
    )
    path, devices = os.path.join(module.params["state_dir"], "slurm.json"), module.params["devices"]
    try:
        if devices is not None:
            changed = record(path, devices, None if module.check_mode else module.atomic_move)
            module.exit_json(changed=changed, devices=devices)
    except MigError as error:
        module.fail_json(msg=str(error))
    try:
        devices = recorded(path, module.params["there"])
    except MigError as error:
        module.warn(str(error))
    module.exit_json(changed=False, devices=devices)


if __name__ == "__main__":
    main()
