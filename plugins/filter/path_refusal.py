# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: path_refusal
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Explain why a host's answer cannot be used as a path
description:
  - A path from a host's answer is used only on that host, and only if it is absolute and plain, without C(..), quotes
    and special characters.
positional: what
options:
  _input:
    description: The path.
    type: raw
    required: true
  what:
    description: What the path is for, as the beginning of a sentence.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that a plain absolute path is accepted
  ansible.builtin.assert:
    that: ('/usr/bin/python3' | gpufleet.mig.path_refusal('The interpreter')) is none
"""

RETURN = r"""
_value:
  description: A sentence, V(null) if the path can be used.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_words import path_refusal


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"path_refusal": path_refusal}
