#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_claim
short_description: One run at a time on a GPU host
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - A run that drains, changes and restores a host claims it from before it plans until it has ended. Another run is
    refused meanwhile, or waits.
  - The roles of this collection that change a host do this by themselves. In a playbook of your own it keeps other runs
    away from what several tasks do together.
  - The claim is the file C(claim.json) in O(state_dir). It says how long the run may be silent. After that it has
    lapsed, and another run may take the host. As long as none did, the run goes on.
  - A run on the same controller sees whether the process that has the claim still lives, and takes the host from one
    that does not at once.
  - What changes a host as part of such a run has O(change_id) and the option C(claimed), and is refused once the host
    is another run's. Without them it is refused as long as a run has the host.
  - A host without NVIDIA GPUs and without NVIDIA's driver is not claimed.
extends_documentation_fragment:
  - gpufleet.mig.change
  - gpufleet.mig.linux
options:
  state:
    description:
      - V(taken) claims the host. Within a run that has claimed it already, that claim counts, and RV(taken) is
        V(false).
      - V(renewed) begins the next stage, and fails where the host is another run's by now.
      - V(released) gives the host up, where it is this run's.
    type: str
    choices: [taken, renewed, released]
    default: taken
  change_id:
    description: The id of the change. With O(state=taken) it is made where it is not given.
    type: str
  stage:
    description: What the run is about to do, for those that it keeps waiting.
    type: str
    default: check
  claimed:
    description:
      - With O(state=taken), whether what surrounds the task has claimed the host with this O(change_id). That claim
        counts then, and the host is not asked. It is what C(module_defaults) of that claim say.
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
    description: How many seconds to wait for another run's end.
    type: float
    default: 0
  force:
    description: Take the host whoever has it. Only for a host whose run is known to be gone.
    type: bool
    default: false
  gpus:
    description:
      - With the stage V(reboot), the GPUs whose mode the reboot activates, RV(gpufleet.mig.mig_mode#module:gpus). The
        boot leaves their mode alone.
    type: list
    elements: dict
  user:
    description: Who claims the host. It is set on the controller.
    type: str
    default: unknown
  controller:
    description: What the host is told of the controller and its process. It is set there.
    type: dict
    default: {}
  over:
    description: Ids of claims whose processes have ended on the controller. It is set there.
    type: list
    elements: str
attributes:
  check_mode:
    description: Neither takes, renews nor releases anything, and nobody is refused.
    support: full
  action_group:
    description: Use C(group/gpufleet.mig.claimed) in C(module_defaults) to tell all modules that change a host of a
      claim.
    support: full
    membership:
      - gpufleet.mig.claimed
  diff_mode:
    description: There is nothing to compare.
    support: none
  action:
    description: Runs on the controller, too, which tells the host who it is.
    support: full
"""

EXAMPLES = r"""
- name: Change a host while no other run does
  block:
    - name: Claim the host
      gpufleet.mig.mig_claim:
        timeout: 600
      register: mine
    - name: MIG on
      gpufleet.mig.mig_mode:
        state: enabled
        change_id: "{{ mine.change_id }}"
        claimed: "{{ mine.claimed }}"
  always:
    - name: Give it up
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
  description: Whether the run has the host now.
  returned: always
  type: bool
  sample: true
taken:
  description: Whether this task took it, so that what follows has to give it up.
  returned: O(state=taken)
  type: bool
  sample: true
unreachable_host:
  description: Whether the host could not be reached.
  returned: when it fails
  type: bool
  sample: false
held:
  description: The claim that is in the way.
  returned: when it fails for that
  type: dict
  sample: {id: 91b8…, who: alice, where: ctl-1, stage: drain, since: "2026-11-20T03:00:00Z", lapsed: false}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.argspec import CLAIM
from ansible_collections.gpufleet.mig.plugins.module_utils.claiming import claim
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
