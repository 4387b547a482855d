# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: partition_difference
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Say how a host differs from its layout
description:
  - Says for the role gpufleet.mig.mig_partition how a host differs from the layout that it should have.
positional: check, host
options:
  _input:
    description: What M(gpufleet.mig.mig_partition_request) returned.
    type: dict
    required: true
  check:
    description: What M(gpufleet.mig.mig_check) returned with that layout.
    type: dict
    required: true
  host:
    description: The name of the host.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that a host without MIG-capable GPUs does not differ
  ansible.builtin.assert:
    that: (request | gpufleet.mig.partition_difference(check, 'gpu-1')) == ''
  vars:
    request: {wanted: [], no_layout: No layout for gpu-1.}
    check: {ok: true, evidence: {mig_capable: false}}
"""

RETURN = r"""
_value:
  description: A text, empty if the host has its layout.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.decision import difference


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"partition_difference": difference}
