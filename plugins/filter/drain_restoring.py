# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: drain_restoring
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Decide which parts of a host's drain record to restore, and with which task files
description:
  - Takes the entries that M(gpufleet.mig.mig_drain_record) returned, and returns what to restore, stage by stage. The
    role P(gpufleet.mig.mig_drain#role) uses it.
  - Root on the host controls the entries. They choose among the hooks and places in this controller's variables; no
    file, host, directory or node is taken from them.
  - A hook that is a task file is the one at that path, otherwise the only one with that file name.
positional: host, hooks, directory, variables, labels, stage
options:
  _input:
    description:
      - The entries.
    type: list
    elements: dict
    required: true
  host:
    description:
      - The host's name in the inventory.
    type: str
    required: true
  hooks:
    description:
      - The hooks that this controller knows.
    type: list
    elements: str
    required: true
  directory:
    description:
      - The directory with the task files of the role's built-in hooks.
    type: path
    required: true
  variables:
    description:
      - C(mig_drain_slurm_node), C(mig_drain_slurm_host), C(mig_drain_slurm_directory) and C(mig_drain_kubernetes_node)
        with their values.
    type: dict
    required: true
  labels:
    description:
      - The labels that the hook C(kubernetes) may have paused.
    type: list
    elements: str
    required: true
  stage:
    description:
      - V(clients) restores paused GPU clients, V(workloads) scheduling and workloads, V(all) one after the other.
    type: str
    choices: [clients, workloads, all]
    default: all
"""

EXAMPLES = r"""
- name: See that a hook unknown to this controller is not restored
  ansible.builtin.assert:
    that:
      - restoring.workloads == []
      - "'/home/alice/notebooks.yml' in restoring.refusals[0]"
  vars:
    restoring: "{{ entries | gpufleet.mig.drain_restoring('gpu-7', [], '/srv', {}, []) }}"
    entries:
      - id: 4f5c1d5b5a2f4f0b6c6e1a6d0f6f0a58d3b9f5f6a3a3d1ce7e28d8a4c9b7e6a1
        hook: /home/alice/notebooks.yml
        done: {running: true}
        change: null
"""

RETURN = r"""
_value:
  description: C(clients) and C(workloads), the two stages, each an ordered list of what to restore, with C(hook),
    C(file), C(done), C(ids), C(last) and C(after), what is restored before it; and C(refusals), a sentence for
    everything else, in the last stage.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.restoring import drain_restoring


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"drain_restoring": drain_restoring}
