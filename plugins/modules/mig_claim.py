#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_claim
short_description: Limit a GPU host to one run at a time
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - A run that drains, changes and restores a host claims it before it plans, until it ends. Until then another run is
    refused, or waits.
  - The roles of this collection that change a host do this by themselves. In a playbook of your own, use it to keep
    other runs away while several tasks work together.
  - The claim is the file C(claim.json) in O(state_dir). It records how long the run may be silent. After that the claim
    lapses, and another run may take over the host. As long as none does, the run continues.
  - A run on the same controller sees whether the claiming process still runs. If not, it takes over the host at once.
  - Tasks that change a host as part of such a run have O(change_id) and the option C(claimed), and are refused once
    another run has claimed the host. Without these options they are refused as long as any run holds the claim.
  - A host without NVIDIA GPUs and without NVIDIA's driver is not claimed.
extends_documentation_fragment:
  - gpufleet.mig.change
  - gpufleet.mig.linux
options:
  state:
    description:
      - V(taken) claims the host. Within a run that has claimed it already, that claim applies, and RV(taken) is
        V(false).
      - V(renewed) begins the next stage, and fails if another run has claimed the host by now.
      - V(released) releases the host, if the claim is this run's.
    type: str
    choices: [taken, renewed, released]
    default: taken
  change_id:
    description: The id of the change. With O(state=taken) one is generated if not given.
    type: str
  stage:
    description: What the run is about to do, shown to the runs that it keeps waiting.
    type: str
    default: check
  claimed:
    description:
      - With O(state=taken), whether the surrounding tasks have claimed the host with this O(change_id). That claim then
        applies, and the host is not contacted. C(module_defaults) for that claim set it.
      - Otherwise whether this run has claimed the host. With V(false) the task does nothing.
    type: bool
    default: false
  deadline:
    description: How many seconds the stage may take.
    type: float
    default: 0
  grace:
    description: How many seconds the run may be silent beyond O(deadline) before the claim lapses.
    type: float
    default: 3600
  timeout:
    description: How many seconds to wait for another run to end.
    type: float
    default: 0
  force:
    description: Take over the host whichever run has claimed it. Only for a host whose run is known to be gone.
    type: bool
    default: false
  gpus:
    description:
      - With the stage V(reboot), the GPUs whose mode the reboot activates, RV(gpufleet.mig.mig_mode#module:gpus). The
        program that runs at boot leaves their mode alone.
    type: list
    elements: dict
  user:
    description: Who claims the host. Set on the controller.
    type: str
    default: unknown
  controller:
    description: What the host is told about the controller and its process. Set on the controller.
    type: dict
    default: {}
  over:
    description: Ids of claims whose processes have ended on the controller. Set on the controller.
    type: list
    elements: str
attributes:
  check_mode:
    description: Takes, renews and releases nothing, and refuses no run.
    support: full
  action_group:
    description: Use C(group/gpufleet.mig.claimed) in C(module_defaults) to pass a claim to all modules that change a
      host.
    support: full
    membership:
      - gpufleet.mig.claimed
  diff_mode:
    description: There is nothing to compare.
    support: none
  action:
    description: Also runs on the controller, which identifies itself to the host.
    support: full
"""

EXAMPLES = r"""
- name: Change a host while no other run does
  block:
    - name: Claim the host
      gpufleet.mig.mig_claim:
        timeout: 600
      register: mine
    - name: Turn MIG on
      gpufleet.mig.mig_mode:
        state: enabled
        change_id: "{{ mine.change_id }}"
        claimed: "{{ mine.claimed }}"
  always:
    - name: Release the host
      gpufleet.mig.mig_claim:
        state: released
        change_id: "{{ mine.change_id }}"
        claimed: "{{ mine.claimed }}"
      when: mine.taken | default(false)
"""

RETURN = r"""
change_id:
  description: The id of the change that the run is part of.
  returned: always
  type: str
  sample: 3f0a1c52-8d0a-4a0e-9d2b-3a4f9d0c7e11
claimed:
  description: Whether the run holds the claim now.
  returned: always
  type: bool
  sample: true
stage:
  description: The stage that O(stage) names.
  returned: always
  type: str
  sample: drain
taken:
  description: Whether this task took the claim, so that a later task has to release it.
  returned: O(state=taken)
  type: bool
  sample: true
unreachable_host:
  description: Whether the host could not be reached.
  returned: when it fails
  type: bool
  sample: false
held:
  description: The claim that prevented this one.
  returned: when it fails for that
  type: dict
  sample: {id: 91b8…, who: alice, where: ctl-1, stage: drain, since: "2026-11-20T03:00:00Z", lapsed: false}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.claiming import claim
from ansible_collections.gpufleet.mig.plugins.module_utils.argspec import CLAIM
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError


def main():
    module = AnsibleModule(argument_spec=CLAIM, supports_check_mode=True)
    try:
        result = claim(module.params)
    except MigError as error:
        module.fail_json(msg=str(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
