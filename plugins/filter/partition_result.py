# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: partition_result
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Derive a host's outcome from the results of its tasks
description:
  - Makes the fact C(mig_partition_result) of the role gpufleet.mig.mig_partition from the results of the role's tasks.
    docs/report.md describes it.
options:
  _input:
    description:
      - What the role's tasks registered and set, by C(request), C(check), C(claim), C(decision), C(changes),
        C(after), C(now), C(left), C(failures), C(drained), C(stopped), C(rebooted), C(brought_back), C(check_mode),
        C(host), C(facts) and C(time).
      - Of a run that only compares it is C(verified), the result of M(gpufleet.mig.mig_check), with C(request),
        C(host), C(facts) and C(time).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Check the outcome of a host that is already as wanted
  ansible.builtin.assert:
    that: result.state == 'unchanged'
  vars:
    result: "{{ run | gpufleet.mig.partition_result }}"
    run:
      request: {claim: {change_id: 3f0a1c52}}
      check: {evidence: {mig_capable: true}}
      claim: {}
      decision: {}
      changes: []
      failures: []
      drained: false
      stopped: []
      rebooted: {}
      brought_back: null
      check_mode: false
      host: gpu-1
      facts: []
"""

RETURN = r"""
_value:
  description: The result of the host.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.outcome import outcome


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"partition_result": outcome}
