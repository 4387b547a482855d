# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: json_change
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Compare two JSON texts of a host by content
description:
  - Ignores the order of keys and white space. Texts from a host are read up to a size and a depth.
positional: before, what
options:
  _input:
    description: The new text.
    type: str
    required: true
  before:
    description: The earlier text, or the result of M(ansible.builtin.slurp) for it; an empty one stands for C({}).
    type: raw
    required: true
  what:
    description: What the new text is, as the beginning of a sentence.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that another order is no change
  ansible.builtin.assert:
    that: not (new | gpufleet.mig.json_change(old, 'The configuration')).changed
  vars:
    new: '{"a":1,"b":2}'
    old: '{"b": 2, "a": 1}'
"""

RETURN = r"""
_value:
  description: Whether it has C(changed). C(refusal) says why they cannot be compared, V(null) if they can.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_words import json_change


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"json_change": json_change}
