# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: slurm_drain
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Decide which jobs of a Slurm node to wait for before a change, and how
description:
  - Takes the steps that follow and what Slurm has answered until now, and returns which jobs are in the way, how they
    are waited for or ended, and what to say.
  - The role gpufleet.mig.mig_drain uses it.
positional: deadline, seen
options:
  _input:
    description: The steps, C(steps) of M(gpufleet.mig.mig_check).
    type: list
    elements: dict
    required: true
  deadline:
    description: How many seconds to wait at most.
    type: int
    required: true
  seen:
    description:
      - C(must_be_free) as in P(gpufleet.mig.in_the_way#filter); the names of the C(node) and of the C(host) with
        Slurm's commands; what becomes of C(jobs), V(wait), V(requeue) or V(cancel).
      - The results of the role's tasks, empty for one that has not run. C(found) is of M(gpufleet.mig.slurm_node_info),
        C(drained) of M(gpufleet.mig.slurm_node), C(ended) of the loop that ends jobs.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: See that a reset makes other MIG devices of all of a node's jobs
  ansible.builtin.assert:
    that: (plan | gpufleet.mig.slurm_drain(600, seen)).gres
  vars:
    plan: [{action: reset_gpu}]
    seen: {must_be_free: [], node: gpu-7, host: control, jobs: wait, found: {}, drained: {}, ended: {}}
"""

RETURN = r"""
_value:
  description:
    - C(gres), whether every job with a GPU of the node is in the way, and C(jobs), the ids of those that are in any
      case; C(timeout), how many seconds to wait at a time, and C(retries), how often again.
    - C(end), the program and the word that end a job, and C(ends), the names of the jobs to end.
    - Sentences. C(would) says what would be done, C(not_drained) that Slurm did not drain the node, C(refusal) that the
      node is still in use.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.slurm_node import slurm_drain


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"slurm_drain": slurm_drain}
