#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_persistence
short_description: Keep the MIG layout of a host across reboots
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - MIG instances do not survive a reboot, and from Hopper on neither does the MIG mode. This module saves a layout on
    the host and installs a systemd unit that restores it at boot, before kubelet, container engines, slurmd and other
    users of the GPUs start.
  - The unit, C(gpufleet-mig.service), runs the collection's own planner and transaction with the host's Python; it
    needs neither Ansible nor a network. It waits for the driver, changes nothing that is already right, and never
    destroys an instance in use.
  - It fails if a GPU does not get its layout, and C(systemctl status gpufleet-mig) says which one and why. The other
    GPUs still get theirs. A replaced GPU is reported, never guessed.
  - Whenever the module changes something it starts the unit at once (see O(start)), which proves that it works. If the
    host already has that layout, this changes no GPU.
notes:
  - The host needs systemd and, for the interpreter that runs this module, nvidia-ml-py.
  - O(state=absent) keeps the lock and the journal in O(state_dir), which belong to all changes of the host.
extends_documentation_fragment:
  - gpufleet.mig.attributes
  - gpufleet.mig.change
  - gpufleet.mig.linux
options:
  state:
    description:
      - V(present) saves O(layout); V(absent) removes what either backend was given to keep, and changes no GPU.
    type: str
    choices: [present, absent]
    default: present
  layout:
    description:
      - The layout to keep, one entry per GPU as M(gpufleet.mig.mig_facts) returns in C(layout). Each names one GPU by
        its UUID, and every instance with its placement.
      - Required with O(state=present). GPUs that it does not name are left alone at boot.
    type: list
    elements: dict
  backend:
    description:
      - V(builtin) is the unit described above.
      - V(nvidia-mig-manager) is for hosts on which C(nvidia-mig-manager.service) is enabled. That service gets a
        configuration of its own and is not restarted. It keeps the number of MIG devices of each profile, not their
        placements, which the module warns about. A layout that such counts cannot express is refused, and so is one
        that leaves out a MIG-capable GPU of the host.
    type: str
    choices: [builtin, nvidia-mig-manager]
    default: builtin
  start:
    description:
      - Whether to start the unit at once if something changed, or if its last run failed.
      - V(false) is for a layout that should apply only from the next reboot on, such as a MIG mode that is pending
        until then.
    type: bool
    default: true
  driver_timeout:
    description: How many seconds the unit waits for the NVIDIA driver at boot.
    type: float
    default: 120
attributes:
  check_mode:
    description: Reports what would be written and done, and does nothing.
    support: full
  diff_mode:
    description: Shows each file before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Read the current layout
  gpufleet.mig.mig_facts:

- name: Keep it across reboots
  gpufleet.mig.mig_persistence:
    layout: "{{ ansible_facts.mig.gpus | map(attribute='layout') | select | list }}"

- name: Stop keeping it
  gpufleet.mig.mig_persistence:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done or, in check mode, would be done, in sentences.
  returned: always
  type: list
  elements: str
  sample:
    - write /etc/gpufleet-mig/layout.json
    - restart gpufleet-mig.service
unit:
  description: The state of C(gpufleet-mig.service) in systemd before.
  returned: always
  type: dict
  contains:
    enabled:
      description: Whether it runs at boot.
      type: bool
    active:
      description: Whether its last run succeeded.
      type: bool
    status:
      description: Its message about its last run, if there was one since the boot.
      type: str
  sample:
    enabled: true
    active: true
    status: 8 of 8 GPUs have the saved layout (8 brought back, 0 left as they were).
nvidia_ml_py:
  description:
    - V(missing) if the host has no suitable one and the controller could not lend its own, which is why the module
      failed.
    - V(temporary) if the module ran with a copy of the controller's, removed at its end.
  returned: on a host without a suitable nvidia-ml-py
  type: str
  sample: temporary
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.argspec import CHANGE, PERSISTENCE
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.persistence.run import keep


def main():
    module = AnsibleModule(
        argument_spec={
            **PERSISTENCE,
            "layout": {"type": "list", "elements": "dict"},
            **CHANGE,
        },
        required_if=[("state", "present", ["layout"])],
        supports_check_mode=True,
    )
    result = {"changed": False, "actions": [], "diff": []}
    try:
        keep(module, result)
    except MigError as error:
        module.fail_json(msg=str(error), **{**result, **error.result})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
