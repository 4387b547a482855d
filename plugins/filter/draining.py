# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: draining
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Decide what a drain does before a change
description:
  - Takes the options of the role P(gpufleet.mig.mig_drain#role), and returns the hooks to run, in order, with their
    task files, and the units and pods that these are about. The role uses it.
positional: directory
options:
  _input:
    description:
      - The options of the entry point C(drain), with their values.
    type: dict
    required: true
  directory:
    description:
      - The directory with the task files of the role's built-in hooks.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: See that a hook must be one of the role's or the path of a task file
  ansible.builtin.assert:
    that: "'nor the absolute path of a .yml file: docker' in (options | gpufleet.mig.draining('/srv')).refusal"
  vars:
    options:
      mig_drain_hooks: [docker]
"""

RETURN = r"""
_value:
  description: C(refusal), why nothing can be drained, empty if something can; C(hooks), each with C(hook), C(file) and
    C(after), the hooks before it; C(gpu_clients), the same for the GPU clients of the operating system, and C(clients),
    their units; C(units), those that the hook C(systemd) stops; C(evict), whether the hook C(kubernetes) evicts pods,
    and C(pods), which ones, missing if it is all of the node.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.draining import draining


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"draining": draining}
