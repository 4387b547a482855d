# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: assignment_failure
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Say which services do not use the MIG devices that they were given
description:
  - Takes what M(gpufleet.mig.mig_assignment_info) returned after services were restarted. The role
    P(gpufleet.mig.mig_assign#role) uses it.
positional: restarted, host
options:
  _input:
    description:
      - The result of the module, also if it failed or was skipped.
    type: dict
    required: true
  restarted:
    description:
      - The services that were restarted.
    type: list
    elements: str
    required: true
  host:
    description:
      - The host's name in the inventory.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that a service that was restarted runs
  ansible.builtin.assert:
    that: "{'assignments': []} | gpufleet.mig.assignment_failure(['train.service'], 'gpu-7') == ''"
"""

RETURN = r"""
_value:
  description: Sentences, empty if all services use their MIG devices.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.assignments import assignment_failure


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"assignment_failure": assignment_failure}
