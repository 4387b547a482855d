# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: in_the_way
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: List the services, pods and Slurm jobs to move before a change
description:
  - Takes what must be free for a change, and returns the systemd services, Kubernetes pods and Slurm jobs that hold it.
    The role gpufleet.mig.mig_drain uses it.
  - Only what root and the kubelet of the host report counts. C(name), C(user_unit) and C(claimed), which a process can
    choose itself, do not.
options:
  _input:
    description:
      - C(must_be_free) of M(gpufleet.mig.mig_check), which drain hooks get as C(mig_drain_must_be_free).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: See what has to be moved
  ansible.builtin.assert:
    that:
      - found.services == ['train.service']
      - found.slurm_jobs == [4711]
      - found.pods == []
  vars:
    found: "{{ must_be_free | gpufleet.mig.in_the_way }}"
    must_be_free:
      - uuid: MIG-3865483f-9559-58f2-95b1-401a95d3bdd7
        processes:
          - {pid: 101, unit: train.service, container: null, pod: null, slurm_job: null}
          - {pid: 102, unit: slurmstepd.scope, container: null, pod: null, slurm_job: {id: 4711, step: batch}}
        allocated_to: []
"""

RETURN = r"""
_value:
  description: C(services), the names of systemd services; C(pods), each with C(uid), C(namespace) and C(name), of which
    the last two may be null; C(slurm_jobs), the ids of jobs.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.in_the_way import in_the_way


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"in_the_way": in_the_way}
