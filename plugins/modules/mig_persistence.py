#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_persistence
short_description: Keep the MIG layout of a host across reboots
version_added: 0.2.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - MIG instances do not survive a reboot, and from Hopper on neither does the MIG mode. This module saves a layout on
    the host and installs a systemd unit that brings it back at boot, before kubelet, container engines, slurmd and
    other users of the GPUs start.
  - The unit, C(gpufleet-mig.service), runs the collection's own planner and transaction with the host's Python; it
    needs neither Ansible nor a network. It waits for the driver, changes nothing that is right already, and never
    destroys an instance in use.
  - It fails where a GPU does not get its layout, and C(systemctl status gpufleet-mig) says which one and why. The other
    GPUs get theirs. A GPU that was replaced by another is reported, not guessed.
  - Whenever the module changes something it starts the unit at once (see O(start)), which proves that it works. With
    the layout that the host has, that changes no GPU.
notes:
  - The host needs systemd and, for the interpreter that runs this module, nvidia-ml-py.
  - The lock and the journal in O(state_dir) stay with O(state=absent); they belong to all changes of the host.
extends_documentation_fragment:
  - gpufleet.mig.attributes
options:
  state:
    description:
      - V(present) saves O(layout); V(absent) ends what either backend was given to keep, and changes no GPU.
    type: str
    choices: [present, absent]
    default: present
  layout:
    description:
      - What to keep, the entries that M(gpufleet.mig.mig_facts) returns as C(layout), one a GPU. Each names one GPU by
        its UUID, and every instance with its placement.
      - Required with O(state=present). GPUs that it does not name are left alone at boot.
    type: list
    elements: dict
  backend:
    description:
      - V(builtin) is the unit described above.
      - V(nvidia-mig-manager) is for hosts on which C(nvidia-mig-manager.service) is enabled. That service gets a
        configuration of its own and is not restarted. It keeps how many MIG devices of each profile there are, not
        their placements, which the module warns about; a layout that such counts cannot say is refused, and one that
        leaves a MIG-capable GPU of the host out.
    type: str
    choices: [builtin, nvidia-mig-manager]
    default: builtin
  state_dir:
    description:
      - Where the unit finds the lock and the journal, the same directory that the changing modules use.
      - The default is C(/var/lib/gpufleet-mig).
    type: path
  start:
    description:
      - Whether to start the unit at once where something changed, or where its last run failed.
      - V(false) is for a layout that the host gets with the next reboot, such as a MIG mode that is pending until then.
    type: bool
    default: true
  driver_timeout:
    description: How many seconds the unit waits for the NVIDIA driver at boot.
    type: float
    default: 120
attributes:
  check_mode:
    description: Says what would be written and done, and does nothing.
    support: full
  diff_mode:
    description: Shows each file before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Read what is there
  gpufleet.mig.mig_facts:

- name: Keep it across reboots
  gpufleet.mig.mig_persistence:
    layout: "{{ ansible_facts.mig.gpus | map(attribute='layout') | select | list }}"

- name: End that
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
  description: What systemd said of C(gpufleet-mig.service) before.
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
      description: Its own words about its last run, where there was one since the boot.
      type: str
  sample:
    enabled: true
    active: true
    status: 8 of 8 GPUs have the saved layout (8 brought back, 0 left as they were).
"""

import sys

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils import host_files, persistence, saved_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host_state import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.units import systemctl, units


def wanted_files(module, mig_manager):
    """Every file that either backend may write, as it should be. Raises MigError."""
    params = module.params
    if params["state"] == "absent":
        return persistence.no_files()
    entries = saved_layout.exact_entries(params["layout"])
    if params["backend"] == "builtin":
        if mig_manager.enabled:
            raise MigError(
                f"{persistence.MIG_MANAGER} is enabled on this host and would bring another layout at boot. Use the "
                f"backend nvidia-mig-manager, or disable it: systemctl disable --now {persistence.MIG_MANAGER}"
            )
        state_dir = HostState(params["state_dir"]).path
        return persistence.builtin_files(entries, sys.executable, state_dir, params["driver_timeout"])
    if not mig_manager.enabled:
        raise MigError(
            f"{persistence.MIG_MANAGER} is not enabled on this host, so it would bring nothing back at boot. Enable "
            "it, or use the backend builtin."
        )
    module.warn(
        f"{persistence.MIG_MANAGER} keeps how many MIG devices of each profile a GPU has and chooses their placements "
        "itself, so that they may differ after a reboot. The backend builtin keeps placements."
    )
    from ansible_collections.gpufleet.mig.plugins.module_utils.nvml import Session  # only for this backend

    with Session() as session:
        gpus = session.read(gather=()).gpus
    return persistence.mig_manager_files(entries, gpus)


def execute(module, step):
    """Do one step. Raises MigError."""
    if not isinstance(step, persistence.File):
        try:
            systemctl(module.run_command, *step)
        except MigError as error:
            if "restart" not in step:
                raise
            said = units(module.run_command, persistence.UNIT)[persistence.UNIT].status
            raise MigError(
                f"The layout is saved and {persistence.UNIT} brings it back at boot, but its run just now failed. "
                f"{said or error}"
            ) from None
    elif step.content is None:
        host_files.remove(step.path)
    else:
        host_files.write(step.path, step.content, module.atomic_move)


def keep(module, result):
    """Bring the host to what the options say; ``result`` grows as it goes. Raises MigError."""
    known = units(module.run_command, persistence.UNIT, persistence.MIG_MANAGER)
    unit = known[persistence.UNIT]
    result["unit"] = unit.data()
    files = wanted_files(module, known[persistence.MIG_MANAGER])
    files = [file for file in files if host_files.differs(file.path, file.content)]
    keeping = module.params["state"] == "present" and module.params["backend"] == "builtin"
    for step in persistence.steps(files, unit, keeping, module.params["start"]):
        if isinstance(step, persistence.File):
            result["diff"].append(step.diff(host_files.read(step.path)))
        if not module.check_mode:
            execute(module, step)
        result["changed"] = True
        result["actions"].append(persistence.sentence(step))


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "layout": {"type": "list", "elements": "dict"},
            "backend": {"type": "str", "choices": ["builtin", "nvidia-mig-manager"], "default": "builtin"},
            "state_dir": {"type": "path"},
            "start": {"type": "bool", "default": True},
            "driver_timeout": {"type": "float", "default": 120},
        },
        required_if=[("state", "present", ["layout"])],
        supports_check_mode=True,
    )
    result = {"changed": False, "actions": [], "diff": []}
    try:
        keep(module, result)
    except MigError as error:
        module.fail_json(msg=str(error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
