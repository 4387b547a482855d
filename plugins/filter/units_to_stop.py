# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: units_to_stop
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: List the systemd units to stop so that the wanted ones stop and stay stopped
description:
  - Takes the output of C(systemctl show '*'), and returns the units to stop, in order, to be started again in reverse.
    The role gpufleet.mig.mig_drain uses it.
  - These are the wanted units that run and, before each, the sockets, timers and paths that would start it again, and
    the units that would be stopped with it.
positional: wanted, host
options:
  _input:
    description:
      - The output of systemctl.
    type: str
    required: true
  wanted:
    description:
      - Names of units, in the order in which to stop them; C(.service) may be left out.
    type: list
    elements: str
    required: true
  host:
    description:
      - What to call the host in a refusal.
    type: str
    default: this host
"""

EXAMPLES = r"""
- name: See that a socket is stopped before its service
  ansible.builtin.assert:
    that: (shown | gpufleet.mig.units_to_stop(['notebooks.service'])).units == ['notebooks.socket', 'notebooks.service']
  vars:
    shown: |
      Id=notebooks.service
      Names=notebooks.service
      ActiveState=active
      Transient=no
      TriggeredBy=notebooks.socket

      Id=notebooks.socket
      Names=notebooks.socket
      ActiveState=active
      Transient=no
"""

RETURN = r"""
_value:
  description: C(units), the names in order; C(groups), the same names in lists of what is stopped together;
    C(refusals), those that cannot be stopped or started again, each with the reason; and C(refusal), these in words,
    empty if there are none.
  type: dict
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.systemd_units import units_to_stop


def _filter(text, wanted, host="this host"):
    try:
        return units_to_stop(text, wanted, host)
    except MigError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"units_to_stop": _filter}
