#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_partition_request
short_description: Take the variables of the role mig_partition, and what they ask for
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Takes the variables of an entry point of P(gpufleet.mig.mig_partition#role) as M(gpufleet.mig.mig_role_options)
    does, reads the nvidia-mig-parted file if one is named, and decides which layout the host is to have. It contacts no
    host.
  - It is the first task of that role and of little use elsewhere.
options:
  entry_point:
    description:
      - The entry point of the role that the task belongs to. With V(verify) wrong variables fail; with V(main)
        RV(refusal) has the reason, because that role reports all hosts together at its end.
    type: str
    choices: [main, verify]
    default: main
attributes:
  check_mode:
    description: It changes nothing.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  action:
    description: Runs on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Take the variables
  gpufleet.mig.mig_partition_request:
    entry_point: verify
"""

RETURN = r"""
options:
  description: The variables of the entry point that have a value, by name.
  returned: success
  type: dict
  sample: {mig_partition_drain: [kubernetes]}
wanted:
  description: The layout that the host is to have; empty if none is given.
  returned: success
  type: list
  elements: dict
  sample: [{instances: {1g.5gb: 7}}]
no_layout:
  description: What a host with MIG-capable GPUs is told if RV(wanted) is empty.
  returned: success
  type: str
  sample: No layout for gpu-1.
refusal:
  description: Why nothing can be done with these variables, V(null) if nothing is wrong.
  returned: success
  type: str
  sample: null
begins:
  description: Whether something comes before the check, a refusal or a task file of the user.
  returned: success
  type: bool
  sample: false
label:
  description: The label of a nvidia-mig-parted file that gave RV(wanted), V(null) if something else did.
  returned: success
  type: str
  sample: all-balanced
claim:
  description: The claim to take on the host, as options of M(gpufleet.mig.mig_driver_check). V(null) if the run is
    limited to tags.
  returned: success
  type: dict
  sample: {change_id: 3f0a1c52-8d0a-4a0e-9d2b-3a4f9d0c7e11, claimed: false, keep: false, timeout: 0, grace: 3600}
persistence:
  description: The options of M(gpufleet.mig.mig_persistence) with which the layout is kept across reboots, V(null) if
    it is not.
  returned: success
  type: dict
  sample: {state: present, backend: builtin, start: true, driver_timeout: 120}
"""
