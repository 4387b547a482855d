# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: failure_message
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Extract the sentence from a failed task's result
description:
  - Takes the result of a failed task, such as C(ansible_failed_result) in a C(rescue), and returns its message. For a
    loop it returns those of the failed items, each once; for a program also the last line of its error output.
  - Warnings, and what ssh prints before its own reason, are left out.
options:
  _input:
    description:
      - The result of the task.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show why a command failed
  ansible.builtin.assert:
    that: result | gpufleet.mig.failure_message == 'non-zero return code unit not found'
  vars:
    result: {failed: true, msg: non-zero return code, stderr: unit not found}
"""

RETURN = r"""
_value:
  description: The message.
  type: str
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.host import failure_message


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"failure_message": failure_message}
