# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: slurm_state
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Decide what to change so that a Slurm node has the GPUs of its host
description:
  - Takes the GPUs as M(gpufleet.mig.mig_facts) returns them and what was found of Slurm until now, and returns what
    Slurm should have, what it has, and what is to be done.
  - The role gpufleet.mig.mig_slurm uses it.
positional: seen
options:
  _input:
    description: The GPUs.
    type: list
    elements: dict
    required: true
  seen:
    description:
      - The names of the C(host), of the C(controller) and of the C(node); C(autodetect), C(types), C(config) and
        C(config_hosts), the options of the role; the C(target) as in P(gpufleet.mig.slurm_gres#filter).
      - Whether the change is still C(pending), whether this is C(check_mode), and whether the role C(checks_only). The
        target counts where it is pending or checked.
      - The results of the role's tasks, empty for one that has not run. C(minors) and C(cgroup) are what slurp returns
        of C(mig-minors) and C(cgroup.conf); C(unit) and C(controller_unit) what C(systemctl show) prints of slurmd and
        slurmctld; C(version) what C(slurmd -V) prints; C(config_there) whether there is a slurm.conf; C(device_files)
        what M(gpufleet.mig.mig_device_files) returns.
      - C(foreseen), C(detected), C(tried) and C(planned) are results of M(gpufleet.mig.slurm_node_gres), C(record) of
        M(gpufleet.mig.slurm_device_record), C(found) of M(gpufleet.mig.slurm_node_info).
      - C(earlier_start), the start with which slurmd had registered before.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: See that a GPU which could not be read is refused
  ansible.builtin.assert:
    that: ([gpu] | gpufleet.mig.slurm_state(seen)).unread is match('The MIG devices of GPU 0 could not be read')
  vars:
    gpu: {index: 0, mig_capable: true, layout: null}
    seen:
      {host: gpu-7, controller: gpu-7, node: gpu-7, autodetect: auto, types: {}, config: /etc/slurm/slurm.conf,
       config_hosts: [gpu-7], target: [], pending: false, checks_only: false, check_mode: false, minors: {},
       cgroup: {}, unit: {}, controller_unit: {}, version: {}, config_there: {}, device_files: {}, foreseen: {},
       detected: {}, tried: {}, planned: {}, record: {}, found: {}, earlier_start: ''}
"""

RETURN = r"""
_value:
  description:
    - C(service), what the host tells of slurmd, its C(program) among it; C(config), the slurm.conf that slurmd reads;
      C(config_checked), the one that would be written, otherwise C(config); C(wanted), as
      P(gpufleet.mig.slurm_gres#filter) returns it; C(devices), as M(gpufleet.mig.slurm_device_record) records them.
    - C(to_try), each with C(lines) for gres.conf, or without if something else writes it; C(chosen), the first lines
      with which slurmd has exactly the devices, absent if there are none.
    - C(differences), phrases about what slurmctld has; whether it C(writes) any file; whether something is C(wrong);
      whether it is C(unproven) that slurmd has read the devices; whether it C(has_to_change); whether slurmd has
      C(registered) since the earlier start.
    - Sentences, each empty if there is nothing to tell. C(unread), C(refusal), C(unfound), C(under_jobs),
      C(jobs_remain) and C(mismatch) say why the role fails, C(would) what would follow, C(unknown) what is not known.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.state import slurm_state


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"slurm_state": slurm_state}
