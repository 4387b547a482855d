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

import json
import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host import files as host_files

VERSION = 2
NOT_KNOWN = "So which devices slurmd has read is not known; the role mig_slurm restarts slurmd once to know it."


def recorded(path, there=()):
    """The devices that are written down, None where nothing is; one without its place gets that of the device that is
    ``there``. Raises MigError.
    """
    record = host_files.read_json(path, what_to_do=NOT_KNOWN)
    if record is None:
        return None
    host_files.check_version(path, record, VERSION, NOT_KNOWN)
    devices = record.get("devices")
    if not isinstance(devices, list) or not all(map(_is_device, devices)):
        raise MigError(f"{path} is damaged: it has no devices as this release writes them. {NOT_KNOWN}")
    return [one if len(one) == 4 else next((new for new in there if new[:3] == one), one) for one in devices]


def _is_device(one):
    """A type, a UUID, device files and, since release 0.1.0, what it is besides; a whole GPU is a device, too."""
    return (
        isinstance(one, list)
        and len(one) in (3, 4)
        and all(word is None or isinstance(word, str) for word in one[:2])
        and isinstance(one[2], list)
        and all(isinstance(file, str) for file in one[2])
        and (len(one) == 3 or one[3] is None or _is_place(one[3]))
    )


def _is_place(numbers):
    return (
        isinstance(numbers, list)
        and len(numbers) == 4
        and all(one is None or (isinstance(one, int) and not isinstance(one, bool)) for one in numbers)
    )


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
            content = (
                json.dumps({"version": VERSION, "written_by": host_files.RELEASE, "devices": devices}) + "\n"
            ).encode()
            changed = host_files.differs(path, content)
            if changed and not module.check_mode:
                host_files.write(path, content, module.atomic_move)
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
