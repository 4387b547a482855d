# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: partition_decision
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Decide what a change does with a host
description:
  - Decides for the role gpufleet.mig.mig_partition, once the host has been checked, what is drained and changed there,
    and what follows.
positional: check, claim, check_mode
options:
  _input:
    description: What M(gpufleet.mig.mig_partition_request) returned.
    type: dict
    required: true
  check:
    description: What M(gpufleet.mig.mig_driver_check) returned; empty if the host was not checked.
    type: dict
    required: true
  claim:
    description: What M(gpufleet.mig.mig_claim) returned, if a task before the check has claimed the host.
    type: dict
    required: true
  check_mode:
    description: Whether nothing is changed.
    type: bool
    required: true
"""

EXAMPLES = r"""
- name: See that nothing is changed on a host that could not be checked
  ansible.builtin.assert:
    that: not (request | gpufleet.mig.partition_decision({}, {}, false)).change
  vars:
    request: {options: {}, wanted: [], no_layout: No layout for gpu-1.}
"""

RETURN = r"""
_value:
  description: The decision, as plugins/plugin_utils/partition/decision.py describes it.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.decision import decision


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"partition_decision": decision}
