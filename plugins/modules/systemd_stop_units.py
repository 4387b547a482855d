#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_stop_units
short_description: Stop systemd units, those that belong together at once
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Stops groups of units one after the other, each with one C(systemctl stop). The filter
    P(gpufleet.mig.units_to_stop#filter) returns such groups.
  - It fails at the first group of which a unit does not stop, and names what still runs. Groups after that are not
    stopped.
options:
  groups:
    description: Lists of units. Those of one list are stopped together.
    type: list
    elements: list
    required: true
  timeout:
    description: How many seconds all of them may take.
    type: int
    default: 600
extends_documentation_fragment:
  - gpufleet.mig.linux
attributes:
  check_mode:
    description: Stops nothing, and is skipped.
    support: none
  diff_mode:
    description: There is no difference to show.
    support: none
  action:
    description: Runs one command on the host for each group.
    support: full
"""

EXAMPLES = r"""
- name: Stop a service together with the socket that would start it again
  gpufleet.mig.systemd_stop_units:
    groups:
      - [notebooks.socket, notebooks.service]
"""

RETURN = r"""
"""
