#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_node_info
short_description: Read the state of a Slurm node and the jobs that hold its GPUs
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Asks C(scontrol) and C(squeue) for a node and the jobs that hold its GPUs, and can wait until none does.
  - Works wherever these commands reach the cluster, on the node or on another host. Changes nothing, neither on the
    host nor in Slurm.
requirements:
  - scontrol and squeue, of Slurm 20.11 or later
notes:
  - While it waits, it asks for each remaining job by its id, after a second at first and eventually every 15 seconds.
    It reads the whole queue only at the beginning and at the end.
options:
  name:
    description: The node, as C(NodeName) in C(slurm.conf) names it.
    type: str
    required: true
  gres:
    description:
      - Whether to count every job that was given gres C(gpu), C(mps) or C(shard) on the node, and every job for which
        Slurm does not report whether it was.
    type: bool
    default: true
  jobs:
    description: The ids of jobs that always count.
    type: list
    elements: int
    default: []
  timeout:
    description:
      - How many seconds to wait for the last job that counts. V(0) only looks, and so does check mode.
      - Jobs left after that are no failure; RV(jobs) has them.
    type: int
    default: 0
  directory:
    description: The directory of C(scontrol) and C(squeue), if they are not on the host's C(PATH).
    type: path
    default: ""
extends_documentation_fragment:
  - gpufleet.mig.linux
  - gpufleet.mig.reading
attributes:
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Wait up to half an hour for the jobs on the GPUs of this node, on a host that has Slurm's commands
  gpufleet.mig.slurm_node_info:
    name: "{{ inventory_hostname_short }}"
    timeout: 1800
  register: node
  delegate_to: slurm-controller
- name: Show whose jobs are left
  ansible.builtin.debug:
    msg: "{{ node.jobs | map(attribute='user') | unique }}"
"""

RETURN = r"""
node:
  description: The node.
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
    states: [MIXED, DRAIN]
    reason: fan broken
    in_service: false
    gres: gpu:a100_1g.5gb:7(S:0)
    slurmd_start: "2026-11-21T15:59:35"
jobs:
  description: The jobs that still count.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The job's id; a task of an array has one of its own.
      type: int
    task:
      description:
        - The name by which C(scancel) and C(scontrol) address this job alone. For a task of an array or a part of a
          heterogeneous job that is not its id, because the id may stand for all of them.
      type: str
    user:
      description: Whose job it is.
      type: str
    state:
      description: Its state.
      type: str
    name:
      description:
        - Its name, for people, with characters that do not print made visible. The user who submits a job chooses it,
          so never base a decision on it.
      type: str
    gres:
      description:
        - The GPUs that it was given on the node, with Slurm's indexes; empty if it has none.
      type: str
    certain:
      description:
        - Whether Slurm, asked for this job alone, reported that it is on the node and holds GPUs there, or O(jobs) has
          it. Wait for a job that is not certain; do not end it.
      type: bool
  sample:
    - id: 4711
      task: "4711"
      user: alice
      state: RUNNING
      name: train
      gres: gpu:a100_1g.5gb:1(IDX:2)
      certain: true
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.node import Slurm, wait


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "gres": {"type": "bool", "default": True},
            "jobs": {"type": "list", "elements": "int", "default": []},
            "timeout": {"type": "int", "default": 0},
            "directory": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    slurm = Slurm(params["name"], module.run_command, params["directory"])

    def counts(job):
        return job.id in params["jobs"] or (params["gres"] and (job.gres != "" or not job.certain))

    try:
        if params["gres"] or params["jobs"]:
            node, jobs = wait(slurm, counts, 0 if module.check_mode else params["timeout"])
        else:
            node, jobs = slurm.node(), []
    except MigError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        node={**node._asdict(), "in_service": node.in_service},
        jobs=[{**job._asdict(), "certain": job.certain or job.id in params["jobs"]} for job in map(slurm.named, jobs)],
    )


if __name__ == "__main__":
    main()
