#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_node
short_description: Drain a Slurm node, or resume one that was drained for the same reason
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Takes a node out of Slurm's service, or returns it. The reason of a drain tells whose it is, and a node that is out
    of service for any other reason stays as it is.
  - Works wherever C(scontrol) reaches the cluster, on the node or on another host.
  - Does not wait for jobs; M(gpufleet.mig.slurm_node_info) does.
requirements:
  - scontrol, of Slurm 20.11 or later, as root, SlurmUser or one of Slurm's operators
options:
  name:
    description: The node, as C(NodeName) in C(slurm.conf) names it.
    type: str
    required: true
  state:
    description:
      - With V(drained), a node that is in service is drained for O(reason).
      - With V(resumed), a node that is out of service for O(reason), or a reason in O(beginnings), is resumed.
      - With V(taken_over), a node that is out of service for a reason in O(beginnings) stays out of service, for
        O(reason).
    type: str
    choices: [drained, resumed, taken_over]
    required: true
  reason:
    description: The reason of the drain.
    type: str
    required: true
  beginnings:
    description: How other reasons begin whose drain may be resumed or taken over. V(drained) does not use it.
    type: list
    elements: str
    default: []
  directory:
    description: The directory of C(scontrol), if it is not on the host's C(PATH).
    type: path
    default: ""
extends_documentation_fragment:
  - gpufleet.mig.linux
attributes:
  check_mode:
    description: Reports what it would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows before and after whether the node is in service, and the reason if it is not.
    support: full
"""

EXAMPLES = r"""
- name: Drain a node before its memory is replaced
  gpufleet.mig.slurm_node:
    name: gpu-7
    state: drained
    reason: memory is replaced
  delegate_to: slurm-controller
- name: Resume it, unless somebody else has found another reason
  gpufleet.mig.slurm_node:
    name: gpu-7
    state: resumed
    reason: memory is replaced
  delegate_to: slurm-controller
"""

RETURN = r"""
node:
  description: The node as it was found.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    states:
      description: The words of its state.
      type: list
      elements: str
    reason:
      description: The reason given for its state, without the name of the user who gave it; null if there is none.
        Characters that do not print are made visible.
      type: str
    in_service:
      description: Whether Slurm starts any job there; false if it is drained, down, failing or in maintenance.
      type: bool
    gres:
      description: Its gres according to slurmctld, each with the sockets it is near; empty if it has none.
      type: str
    slurmd_start:
      description: When its slurmd started, or last read its configuration, as slurmd reported it to slurmctld.
      type: str
  sample:
    name: gpu-7
    states: [IDLE]
    reason: null
    in_service: true
    gres: gpu:a100_1g.5gb:7(S:0)
    slurmd_start: "2026-11-21T15:59:35"
said:
  description: What scontrol printed.
  returned: if it was asked to change the node, and failed
  type: str
  sample: "slurm_update error: Invalid user id"
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.commands import CommandFailed
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.draining import STATES, result_of, update_for
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.node import Slurm


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": STATES, "required": True},
            "reason": {"type": "str", "required": True},
            "beginnings": {"type": "list", "elements": "str", "default": []},
            "directory": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    slurm = Slurm(params["name"], module.run_command, params["directory"])
    try:
        node = slurm.node()
    except MigError as error:
        module.fail_json(msg=str(error))
    update = update_for(node, params["state"], params["reason"], params["beginnings"])
    try:
        if update and not module.check_mode:
            slurm.update(*update.settings)
    except CommandFailed as error:
        module.fail_json(msg=str(error), said=error.said)
    module.exit_json(**result_of(node, update))


if __name__ == "__main__":
    main()
