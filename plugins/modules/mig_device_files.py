#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_device_files
short_description: Create missing device files of MIG devices
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Whoever computes in a MIG device opens the device files of its capabilities. The driver creates them only when a
    program of NVIDIA asks for it. This module has C(nvidia-modprobe) create those that are missing.
options:
  devices:
    description:
      - The MIG devices, each with C(capabilities), a list of C(path) and C(capability), the device file and the file in
        F(/proc) from which C(nvidia-modprobe) creates it.
    type: list
    elements: dict
    required: true
extends_documentation_fragment:
  - gpufleet.mig.linux
attributes:
  check_mode:
    description: Reports which are missing, and creates none.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
  idempotent:
    description: A second run creates nothing.
    support: full
"""

EXAMPLES = r"""
- name: Create the device files of a MIG device
  gpufleet.mig.mig_device_files:
    devices:
      - capabilities:
          - path: /dev/nvidia-caps/nvidia-cap21
            capability: /proc/driver/nvidia/capabilities/gpu0/mig/gi2/access
"""

RETURN = r"""
missing:
  description: The capabilities whose device files were missing.
  returned: success
  type: list
  elements: dict
  sample:
    - path: /dev/nvidia-caps/nvidia-cap21
      capability: /proc/driver/nvidia/capabilities/gpu0/mig/gi2/access
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host.device_files import make_missing


def main():
    # A device has more keys, for others.
    module = AnsibleModule(
        argument_spec={"devices": {"type": "list", "elements": "dict", "required": True}}, supports_check_mode=True
    )
    capabilities = [one for device in module.params["devices"] for one in device.get("capabilities") or ()]
    try:
        missing = make_missing(capabilities, None if module.check_mode else module.run_command)
    except MigError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(missing), missing=missing)


if __name__ == "__main__":
    main()
