# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: way_back
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Decide which GPUs a failed change may roll back, and to what
description:
  - Decides for the role gpufleet.mig.mig_partition which GPUs of a host roll back to what they had, and which are not
    touched because something other than the change has changed them.
positional: now, results
options:
  _input:
    description: What M(gpufleet.mig.mig_check) returned before the change.
    type: dict
    required: true
  now:
    description: What it returns now, without a layout.
    type: dict
    required: true
  results:
    description: The results of M(gpufleet.mig.mig_check), M(gpufleet.mig.mig_mode) and M(gpufleet.mig.mig_instances)
      in the change. What they wanted, planned and did is the change's own.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Check a GPU that only this change has touched
  ansible.builtin.assert:
    that: (check | gpufleet.mig.way_back(check)).is_back
  vars:
    check:
      before: [{gpus: [GPU-5f2c], mig_enabled: false}]
      target: [{gpus: [GPU-5f2c], mig_enabled: true, instances: []}]
      mig: {gpus: [{index: 0, uuid: GPU-5f2c, mig_mode: disabled, mig_mode_pending: disabled}]}
      plan: [{action: set_mig_mode, gpu: {uuid: GPU-5f2c}}]
"""

RETURN = r"""
_value:
  description:
    - C(layout), the entries to restore; C(is_back), whether there is nothing to do; C(lost), the UUIDs of GPUs that can
      no longer be read; C(foreign), a list of C(uuid) and C(message) of GPUs that are not touched.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.way_back import way_back_of


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"way_back": way_back_of}
