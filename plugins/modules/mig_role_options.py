#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_role_options
short_description: Take the variables of a role of this collection once, and none from a host
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - A host's answer to any module may hold facts, and facts outrank inventory and role defaults. So whoever is root on a
    host could set the variables of this collection, among them task files, paths and hosts that the controller uses.
    This refuses a host among whose facts (C(ansible_facts)) is the name of a variable of this collection, C(mig_*) but
    not C(mig). It contacts no host.
  - In a role of this collection it also returns the variables of an entry point, each evaluated once and of the type
    that the role's argument spec gives it.
  - A variable C(mig_*) that was given by C(-e), with a role, in the play or in the inventory, and that no role of the
    collection takes, is refused where it is plain which one was meant. Where its name begins like those of a role, a
    warning names it.
  - It is the first task of each of the roles, and of little use elsewhere.
options:
  entry_point:
    description:
      - The entry point of the role that the task belongs to, as C(meta/argument_specs.yml) names it. Without one it
        returns no variables.
    type: str
  together:
    description:
      - Refuse a play in which each host goes its own way (strategies C(free) and C(host_pinned)), since the role does
        something once for all hosts. Under those ansible-core ends all hosts there, wherever each of them is.
    type: bool
    default: false
  one_of:
    description:
      - Variables of the entry point of which the first that has a value counts. Where another has one, too, a warning
        says that it is passed over; both given at one place (by C(-e), with the role, in the play, for one host or for
        one group) are refused.
    type: list
    elements: str
    default: []
  fail:
    description:
      - Whether it fails where variables are wrong. Otherwise RV(refusal) says so, for a role that tells of all hosts
        together at its end. Facts that are named like variables, and the strategy of the play, always fail.
    type: bool
    default: true
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
- name: Refuse a host whose facts are named like variables of gpufleet.mig
  gpufleet.mig.mig_role_options:
"""

RETURN = r"""
options:
  description: The variables of the entry point that have a value, by their names.
  returned: success
  type: dict
  sample:
    mig_driver_minimum: 535.161.07
    mig_driver_container_runtime: false
refusal:
  description: What is wrong with variables of this host, V(null) where nothing is. Then some may lack in RV(options).
  returned: with O(fail=false)
  type: str
  sample: null
"""
