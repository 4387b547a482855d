# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: journal_before
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.2.0
short_description: The layout before the last change in a host's journal
description:
  - Takes the text of a host's C(journal.jsonl), or its end, and gives the layout that the GPUs concerned had before
    the last change, for the O(gpufleet.mig.mig_instances#module:layout) option of the modules.
  - Records of one change (O(gpufleet.mig.mig_instances#module:change_id)) count together. What came back after a boot
    is no change.
  - Empty where there is none.
options:
  _input:
    description:
      - The text of the journal.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See what a GPU had before
  ansible.builtin.assert:
    that: "journal | gpufleet.mig.journal_before == [{'gpus': ['GPU-1'], 'mig_enabled': false}]"
  vars:
    journal: >-
      {"event": "begin", "change": "1", "before": [{"gpus": ["GPU-1"], "mig_enabled": false}]}
"""

RETURN = r"""
_value:
  description: The layout.
  type: list
  elements: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.journal import journal_before


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"journal_before": journal_before}
