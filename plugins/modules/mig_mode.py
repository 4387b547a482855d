#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_mode
short_description: Turn the MIG mode of NVIDIA GPUs on or off
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Sets the MIG mode of GPUs and sees to it that the mode is active, not only pending.
  - On Ampere a change needs a reset of the GPU. The module resets exactly that GPU, with C(nvidia-smi --gpu-reset -i),
    and only when nobody uses it. From Hopper on the mode changes without a reset, and is lost on reboot.
  - A change of the mode takes the GPU's instances with it. Idle ones are destroyed as part of the plan; one that is in
    use is never destroyed, and then nothing is changed and the message names it and its processes.
notes:
  - On a GPU that is passed through to a virtual machine the mode stays pending until the virtual machine reboots; the
    task succeeds and RV(reboot_required) is true.
extends_documentation_fragment:
  - gpufleet.mig.attributes
  - gpufleet.mig.changing
options:
  state:
    description: The wanted mode of all O(gpus). Mutually exclusive with O(layout).
    type: str
    choices: [enabled, disabled]
  gpus:
    description: Which GPUs, V(all) (every MIG-capable one) or a list of indexes, UUIDs and PCI addresses.
    type: raw
    default: all
  layout:
    description:
      - The wanted mode of each GPU as its entry in a layout says, the same layout that M(gpufleet.mig.mig_instances)
        takes. Its C(instances) are left to that module.
    type: list
    elements: dict
  when_busy:
    description:
      - What to do about a GPU in use. V(fail) changes nothing; V(pending) sets the mode, which then becomes active with
        the next reset or reboot, and counts that as right.
    type: str
    choices: [fail, pending]
    default: fail
  reset:
    description: Whether a GPU that needs a reset to change its mode may be reset.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Turn MIG on everywhere
  gpufleet.mig.mig_mode:
    state: enabled

- name: Turn MIG off on one GPU
  gpufleet.mig.mig_mode:
    gpus: [0]
    state: disabled

- name: Set the mode now and let the next reboot activate it where a job runs
  gpufleet.mig.mig_mode:
    state: enabled
    when_busy: pending
  register: mode

- name: The modes that a layout wants
  gpufleet.mig.mig_mode:
    layout:
      - instances: {1g.5gb: 7}
      - gpus: [0]
        mig_enabled: false
"""

RETURN = r"""
gpus:
  description: The GPUs concerned, with their mode before, after (in check mode, what it would be) and pending.
  returned: always
  type: list
  elements: dict
  sample:
    - index: 0
      uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4
      pci_address: "00000000:07:00.0"
      before: disabled
      after: enabled
      pending: enabled
reset_required:
  description: Whether a mode stays pending until a GPU is reset.
  returned: always
  type: bool
  sample: false
reboot_required:
  description: Whether a mode stays pending until the (virtual) machine reboots.
  returned: always
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.argspec import CHANGING
from ansible_collections.gpufleet.mig.plugins.module_utils.changing import run
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host_planner import decide_modes
from ansible_collections.gpufleet.mig.plugins.module_utils.layout import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.results import mode_data, result_of


def main():
    module = AnsibleModule(
        argument_spec=dict(
            CHANGING,
            state={"type": "str", "choices": ["enabled", "disabled"]},
            gpus={"type": "raw", "default": "all"},
            layout={"type": "list", "elements": "dict"},
            when_busy={"type": "str", "choices": ["fail", "pending"], "default": "fail"},
            reset={"type": "bool", "default": True},
        ),
        mutually_exclusive=[("state", "layout")],
        required_one_of=[("state", "layout")],
        supports_check_mode=True,
    )
    params = module.params
    pending = params["when_busy"] == "pending"
    rehearsing = module.check_mode or params["rehearse"]
    layout = params["layout"]
    if layout is None:
        layout = [{"gpus": params["gpus"], "mig_enabled": params["state"] == "enabled", "instances": {}}]

    def decide(session, snapshot):
        return decide_modes(snapshot, entries, params["reset"], pending)

    try:
        entries = validate_layout(layout)
        change = run(params, module.check_mode, decide, leave_pending=pending)
    except MigError as error:
        module.fail_json(msg=str(error))
    for warning in change.warnings:
        module.warn(warning)
    result, problem = result_of(change, not rehearsing, params["rehearse"])
    result.update(mode_data(change))
    if problem:
        module.fail_json(msg=problem, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
