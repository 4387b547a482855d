# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: partition_keep
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: List the MIG devices that a change must let live
description:
  - Decides for the role gpufleet.mig.mig_partition which MIG devices must survive. These are the ones that are
    allocated now and the ones that the checked plan keeps; only what was drained may go.
positional: check
options:
  _input:
    description: UUIDs of MIG devices that are allocated now, C(mig_partition_keep).
    type: list
    elements: str
    required: true
  check:
    description: What M(gpufleet.mig.mig_driver_check) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: See that what was drained may go
  ansible.builtin.assert:
    that: (['MIG-1', 'MIG-2'] | gpufleet.mig.partition_keep(check)) == ['MIG-1', 'MIG-3']
  vars:
    check: {kept: [MIG-3], must_be_free: [{uuid: MIG-2}]}
"""

RETURN = r"""
_value:
  description: The UUIDs.
  type: list
  elements: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.decision import keep_now


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"partition_keep": keep_now}
