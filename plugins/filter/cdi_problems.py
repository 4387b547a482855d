# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cdi_problems
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find devices that a host's CDI specifications lack, and devices in them that do not exist
description:
  - Compares the devices from P(gpufleet.mig.cdi_devices#filter) with those that containers can name.
positional: listed, specification
options:
  _input:
    description: The devices that should be there.
    type: list
    elements: dict
    required: true
  listed:
    description: The output of C(nvidia-ctk cdi list).
    type: str
    required: true
  specification:
    description:
      - The text of the specification that the toolkit generated, empty if there is none. A text that would take too
        much to parse - too long, too deep or with aliases - is not parsed, and reported as a problem, too.
      - Or its data, or the result of M(ansible.builtin.slurp) for it.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Find a MIG device that is gone
  ansible.builtin.assert:
    that: >-
      [] | gpufleet.mig.cdi_problems('nvidia.com/gpu=0:1', {}) == ['Named, but not there: nvidia.com/gpu=0:1.']
"""

RETURN = r"""
_value:
  description: A sentence for each problem, none if the specification is right.
  type: list
  elements: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.cdi import cdi_problems


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"cdi_problems": cdi_problems}
