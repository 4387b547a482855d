# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: said
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Reduce a program's output to one line that is safe to print in a terminal
description:
  - Takes a program's output, puts one space between its words, and escapes what does not print, such as escape
    sequences and marks that change the direction of writing.
  - Lines that only warn, such as those of systemctl about changed unit files, are left out unless there are no others.
options:
  _input:
    description:
      - The text.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show an error, whatever it contains
  ansible.builtin.assert:
    that: errors | gpufleet.mig.said == 'no job \\x1b[2J of alice'
  vars:
    errors: "no job \e[2J\nof alice\n"
"""

RETURN = r"""
_value:
  description: The text in a form that is safe to show.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.module_utils.visible import said


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"said": said}
