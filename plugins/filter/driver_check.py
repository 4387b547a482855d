# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: driver_check
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Say what was found when a host was checked, and whether it fails
description:
  - Takes what M(gpufleet.mig.mig_check) returned, or its failure. The role P(gpufleet.mig.mig_driver#role) uses it.
positional: host, check_mode
options:
  _input:
    description:
      - The result of the module.
    type: dict
    required: true
  host:
    description:
      - The host's name in the inventory.
    type: str
    required: true
  check_mode:
    description:
      - Whether the run is in check mode, in which a host does not fail because it lacks nvidia-ml-py.
    type: bool
    required: true
"""

EXAMPLES = r"""
- name: See that a host without findings does not fail
  ansible.builtin.assert:
    that: not ({'findings': []} | gpufleet.mig.driver_check('gpu-7', false)).failed
"""

RETURN = r"""
_value:
  description: C(message), all findings in words, empty if there are none; C(failed), whether the host fails because of
    them; C(no_python), why the host's Python cannot get nvidia-ml-py, empty if it can; C(would_bring), that it would
    get it.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.driver import driver_check


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"driver_check": driver_check}
