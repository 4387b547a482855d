# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: layout_read
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Return the layout of a host's GPUs, or why it could not be read
description:
  - Takes the GPUs as M(gpufleet.mig.mig_facts) returns them. A GPU that has no MIG has no layout, and is left out.
positional: what, consequence
options:
  _input:
    description: The GPUs.
    type: list
    elements: dict
    required: true
  what:
    description: What could not be read, as the beginning of a sentence.
    type: str
    required: true
  consequence:
    description: What follows from that, as the rest of it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that a layout must be read as root
  ansible.builtin.assert:
    that: (gpus | gpufleet.mig.layout_read('The layout', 'it stays')).refusal == expected
  vars:
    gpus: [{index: 0, mig_capable: true}]
    expected: "The layout of GPU 0 could not be read, so it stays. Run as root (become: true)."
"""

RETURN = r"""
_value:
  description: C(layout), an entry for each GPU; and C(refusal), a sentence that names the GPUs that could not be read,
    empty if all could.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import layout_read


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"layout_read": layout_read}
