#!/usr/bin/python

# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_driver_check
short_description: Check a GPU host for the role mig_driver
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Takes the variables of the role P(gpufleet.mig.mig_driver#role), runs M(gpufleet.mig.mig_check) on the host with
    them, and fails if a finding is an error.
  - For P(gpufleet.mig.mig_partition#role) it also claims the host, as M(gpufleet.mig.mig_claim) does, before anything
    is read. If nothing is left to do, the host is released again, so that such a run is this one task.
  - It is the first task of the role mig_driver and of little use elsewhere.
extends_documentation_fragment:
  - gpufleet.mig.attributes
  - gpufleet.mig.linux
  - gpufleet.mig.reading
attributes:
  diff_mode:
    description: Shows each GPU's layout before and after the change that it rehearses.
    support: full
  action:
    description: Also runs on the controller, which has the role's variables.
    support: full
options:
  brought:
    description: Whether nvidia-ml-py was installed since the check before.
    type: bool
    default: false
  layout:
    description: As for M(gpufleet.mig.mig_check). This and the options below are set on the controller.
    type: list
    elements: dict
    suboptions:
      gpus:
        description: As there.
        type: raw
        default: all
      product:
        description: As there.
        type: str
      pci_device_id:
        description: As there.
        type: raw
      mig_enabled:
        description: As there.
        type: bool
        default: true
      instances:
        description: As there.
        type: raw
  keep:
    description: As for M(gpufleet.mig.mig_check).
    type: list
    elements: str
    default: []
  minimum:
    description: As for M(gpufleet.mig.mig_check).
    type: str
  container_runtime:
    description: As for M(gpufleet.mig.mig_check).
    type: bool
    default: false
  state_dir:
    description: As for M(gpufleet.mig.mig_claim).
    type: path
  lock_timeout:
    description: As for M(gpufleet.mig.mig_claim).
    type: float
    default: 300
  claim:
    description: The claim to take before the check. Nothing is claimed in check mode.
    type: dict
    suboptions:
      change_id:
        description: The id of the change.
        type: str
        required: true
      claimed:
        description: Whether the run has claimed the host already.
        type: bool
        default: false
      keep:
        description: Whether the run has more to do than the layout, so that the host is never settled.
        type: bool
        default: false
      timeout:
        description: How many seconds to wait for another run to end.
        type: float
        default: 0
      grace:
        description: How many seconds the run may be silent before the claim lapses.
        type: float
        default: 3600
      stage:
        description: What the run is about to do, shown to the runs that it keeps waiting.
        type: str
        default: check
      user:
        description: Who claims the host.
        type: str
        default: unknown
      controller:
        description: What the host is told about the controller and its process.
        type: dict
        default: {}
      over:
        description: Ids of claims whose processes have ended on the controller.
        type: list
        elements: str
  persistence:
    description: Options of M(gpufleet.mig.mig_persistence). RV(settled) then also says whether that module would have
      nothing to do.
    type: dict
    suboptions:
      state:
        description: As there.
        type: str
        choices: [present, absent]
        default: present
      backend:
        description: As there.
        type: str
        choices: [builtin, nvidia-mig-manager]
        default: builtin
      start:
        description: As there.
        type: bool
        default: true
      driver_timeout:
        description: As there, in seconds.
        type: float
        default: 120
"""

EXAMPLES = r"""
- name: Check driver and GPUs
  ansible.builtin.include_role:
    name: gpufleet.mig.mig_driver
    rolespec_validate: false
"""

RETURN = r"""
ok:
  description: This and all else that M(gpufleet.mig.mig_check) returns.
  returned: always, unless another run has claimed the host
  type: bool
  sample: true
bring:
  description: Whether nvidia-ml-py is to be installed, and the host to be checked again.
  returned: always
  type: bool
  sample: false
settled:
  description: Whether a run has nothing to do on this host. The layout is reached, nothing is drained and, with
    O(persistence), the layout is kept across reboots.
  returned: with O(claim) or O(persistence)
  type: bool
  sample: true
change_id:
  description: The id of the change that O(claim) is for.
  returned: with O(claim)
  type: str
  sample: 3f0a1c52-8d0a-4a0e-9d2b-3a4f9d0c7e11
claimed:
  description: Whether the run holds the claim now.
  returned: with O(claim)
  type: bool
  sample: true
taken:
  description: Whether this task took the claim and holds it still, so that a later task has to release it.
  returned: with O(claim)
  type: bool
  sample: true
held:
  description: The claim that prevented this one. Nothing was read then.
  returned: with O(claim), if another run has claimed the host
  type: dict
  sample: {id: 91b8…, who: alice, where: ctl-1, stage: drain, since: "2026-11-20T03:00:00Z", lapsed: false}
unreachable_host:
  description: Whether the host could not be reached.
  returned: when it fails
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.argspec import DRIVER_CHECK
from ansible_collections.gpufleet.mig.plugins.module_utils.check.claimed import check_within_claim
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError


def main():
    module = AnsibleModule(argument_spec=DRIVER_CHECK, supports_check_mode=True)
    try:
        result, warnings = check_within_claim(module.params, module.run_command, module.check_mode)
    except MigError as error:
        module.fail_json(msg=str(error))
    for warning in warnings:
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
