#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_node_info
short_description: The state of a Slurm node, and the jobs that hold its GPUs
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Asks C(scontrol) and C(squeue) for a node and for the jobs that hold its GPUs, and can wait until none does.
  - Works wherever these commands reach the cluster, on the node or on another host. Changes nothing, neither on the
    host nor in Slurm.
requirements:
  - scontrol and squeue, of Slurm 20.11 or later
notes:
  - While it waits, it asks for the jobs that are left, each by its id, after a second at first and every 15 seconds in
    the end. The whole queue is read at the beginning and at the end only.
options:
  name:
    description: The node, as C(NodeName) in C(slurm.conf) names it.
    type: str
    required: true
  gres:
    description:
      - Whether every job counts that was given gres C(gpu), C(mps) or C(shard) on the node, and every job of which
        Slurm does not tell whether it was.
    type: bool
    default: true
  jobs:
    description: The ids of jobs that count whatever they were given.
    type: list
    elements: int
    default: []
  timeout:
    description:
      - How many seconds to wait at most until no job counts any more. V(0) only looks, and so does check mode.
      - That jobs are left after that is no failure; RV(jobs) has them.
    type: int
    default: 0
  directory:
    description: The directory of C(scontrol) and C(squeue), where they are not on the host's C(PATH).
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
- name: Wait half an hour for the jobs on the GPUs of this node, as a host sees it that has Slurm's commands
  gpufleet.mig.slurm_node_info:
    name: "{{ inventory_hostname_short }}"
    timeout: 1800
  register: node
  delegate_to: slurm-controller
- name: Say whose jobs are left
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
      description: >-
        The reason that was given for its state, without who gave it; null where there is none. What does not print is
        made visible in it.
      type: str
    in_service:
      description: Whether Slurm starts any job there; not where it is drained, down, failing or in maintenance.
      type: bool
    gres:
      description: Its gres as slurmctld has them, each with the sockets it is near; empty where it has none.
      type: str
    slurmd_start:
      description: When its slurmd started, or last took up its configuration; slurmctld hears of it from slurmd.
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
        - What C(scancel) and C(scontrol) call this job alone. That is not the id of a task of an array or of a part
          of a heterogeneous job, because it may stand for all of them.
      type: str
    user:
      description: Whose job it is.
      type: str
    state:
      description: Its state.
      type: str
    name:
      description:
        - Its name, for people, with what does not print made visible. Whoever submits a job writes it, so nothing may
          be decided by it.
      type: str
    gres:
      description:
        - The GPUs that it was given on the node, with the indexes that Slurm numbers them by; empty where it has none.
      type: str
    certain:
      description:
        - Whether Slurm, asked for this job alone, said that it is on the node and holds GPUs there, or O(jobs) has it.
          A job that is not certain is to be waited for, and not to be ended.
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
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm_node import Slurm, wait


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
