# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: visible
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.3.0
short_description: Text in one line that does nothing to a terminal
description:
  - Takes text that others wrote, such as a job's name or what a program says of an error, and escapes in it what does not
    print, line ends, escape sequences and marks that turn the direction of writing among it.
options:
  _input:
    description:
      - The text.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show a name whatever it holds
  ansible.builtin.assert:
    that: name | gpufleet.mig.visible == 'train\\x1b[2J\\nof alice'
  vars:
    name: "train\e[2J\nof alice"
"""

RETURN = r"""
_value:
  description: The text as it can be shown.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.module_utils.visible import visible


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"visible": visible}
