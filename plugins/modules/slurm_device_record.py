#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_device_record
short_description: Which MIG devices slurmd of this host has read
version_added: 0.3.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Slurm does not tell which device files its slurmd has read. The role gpufleet.mig.mig_slurm writes that down in
    C(slurm.json), and compares it with what is there.
  - A record that is damaged counts as none, with a warning, because the role makes a new one when it restarts slurmd.
options:
  state_dir:
    description: The directory of C(slurm.json).
    type: path
    required: true
  devices:
    description:
      - What slurmd has read, to be written down. Of each device a list of its type, its UUID and its device files.
      - Without this option nothing is written.
    type: list
    elements: list
extends_documentation_fragment:
  - gpufleet.mig.linux
attributes:
  check_mode:
    description: Says whether it would write, and writes nothing.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Read which devices slurmd has read
  gpufleet.mig.slurm_device_record:
    state_dir: /var/lib/gpufleet-mig
  register: record
- name: Write it down
  gpufleet.mig.slurm_device_record:
    state_dir: /var/lib/gpufleet-mig
    devices:
      - [a100_1g.5gb, MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07, [/dev/nvidia0, /dev/nvidia-caps/nvidia-cap66]]
"""

RETURN = r"""
devices:
  description: What is written down, V(null) where that is not known.
  returned: success
  type: list
  elements: list
  sample: [[a100_1g.5gb, MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07, [/dev/nvidia0, /dev/nvidia-caps/nvidia-cap66]]]
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils import host_files
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError

NOT_KNOWN = "So which devices slurmd has read is not known; the role mig_slurm restarts slurmd once to know it."


def recorded(path):
    """The devices that are written down, None where nothing is. Raises MigError."""
    record = host_files.read_json(path, what_to_do=NOT_KNOWN)
    if record is None:
        return None
    devices = record.get("devices")
    if record.get("version") != 1 or not isinstance(devices, list) or not all(map(_is_device, devices)):
        raise MigError(f"{path} is damaged: it has no devices as this release writes them. {NOT_KNOWN}")
    return devices


def _is_device(one):
    """A type, a UUID and device files; a whole GPU is a device, too."""
    return (
        isinstance(one, list)
        and len(one) == 3
        and all(word is None or isinstance(word, str) for word in one[:2])
        and isinstance(one[2], list)
        and all(isinstance(file, str) for file in one[2])
    )


def main():
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path", "required": True},
            "devices": {"type": "list", "elements": "list"},
        },
        supports_check_mode=True,
    )
    path, devices = os.path.join(module.params["state_dir"], "slurm.json"), module.params["devices"]
    try:
        if devices is not None:
            content = (json.dumps({"version": 1, "devices": devices}) + "\n").encode()
            changed = host_files.differs(path, content)
            if changed and not module.check_mode:
                host_files.write(path, content, module.atomic_move)
            module.exit_json(changed=changed, devices=devices)
    except MigError as error:
        module.fail_json(msg=str(error))
    try:
        devices = recorded(path)
    except MigError as error:
        module.warn(str(error))
    module.exit_json(changed=False, devices=devices)


if __name__ == "__main__":
    main()
