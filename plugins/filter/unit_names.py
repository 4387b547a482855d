# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: unit_names
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Return full names of systemd units, or refuse them
description:
  - Adds C(.service) to names without a suffix, as systemctl does, and refuses what cannot be a unit's name, such as
    text that a command would read as an option.
positional: where
options:
  _input:
    description:
      - The names.
    type: list
    elements: str
    required: true
  where:
    description:
      - What to call them in the message of a refusal.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that ssh is a service
  ansible.builtin.assert:
    that: "['ssh', 'notebooks.socket'] | gpufleet.mig.unit_names('mine') == ['ssh.service', 'notebooks.socket']"
"""

RETURN = r"""
_value:
  description: The full names, in the same order.
  type: list
  elements: str
  sample: [ssh.service, notebooks.socket]
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host.units import unit_names


def _filter(value, where):
    try:
        return unit_names(where, value)
    except MigError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"unit_names": _filter}
