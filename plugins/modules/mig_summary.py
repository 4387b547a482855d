#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_summary
short_description: Summarise the outcome of every host that was to be partitioned
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Shows a table of all hosts of the play, from the fact C(mig_partition_result) that the role
    gpufleet.mig.mig_partition sets on each. Other hosts are shown as lost or not reached.
  - Runs once for all hosts of a batch (C(serial)) and covers those; after the last batch, and if a whole batch has
    failed, it covers the whole play.
  - It is the last task but one of that role and of little use elsewhere.
options:
  report:
    description:
      - Write the same as JSON to this file on the controller. With C(--limit) the hosts of the run are replaced in it.
      - In check mode C(NAME.check.json) beside C(NAME.json) is written instead.
    type: path
attributes:
  check_mode:
    description: Shows what would happen.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  action:
    description: Runs on the controller.
    support: full
  bypass_host_loop:
    description: Runs once for all hosts of a batch.
    support: full
"""

EXAMPLES = r"""
- name: Summarise the outcome of every host
  gpufleet.mig.mig_summary:
    report: "{{ playbook_dir }}/partition.json"
"""

RETURN = r"""
summary:
  description: The lines of the table.
  returned: success
  type: list
  elements: str
  sample:
    - "MIG: 1 as wanted, 1 changed"
    - "as wanted: gpu-1"
    - "HOST   RESULT   CREATED  KEPT  DISRUPTED  DRAINED             RESTORED"
    - "gpu-2  changed       16    40         16  2 by notebooks.yml  notebooks.yml"
    - "    8 x A100-SXM4-40GB: 7 x 1g.5gb"
"""
