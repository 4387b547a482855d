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
  - A host's answer to any module may contain facts, and facts outrank inventory and role defaults. So root on a host
    could set the variables of this collection, among them task files, paths and hosts that the controller uses. This
    module refuses a host whose facts (C(ansible_facts)) include the name of a variable of this collection, C(mig_*)
    except C(mig). It contacts no host.
  - In a role of this collection it also returns the variables of an entry point, each evaluated once and converted to
    the type in the role's argument spec.
  - A variable C(mig_*) given with C(-e), with a role, in the play or in the inventory that no role of the collection
    takes is refused if it is plainly a misspelling. If its name merely begins like a role's, a warning names it.
  - It is the first task of each role, and of little use elsewhere.
options:
  entry_point:
    description:
      - The entry point of the role that the task belongs to, as named in C(meta/argument_specs.yml). Without one, no
        variables are returned.
    type: str
  together:
    description:
      - Refuse a play in which each host runs on its own (strategies C(free) and C(host_pinned)), because the role does
        something once for all hosts. With those strategies ansible-core would end all hosts at that point, wherever
        each of them is.
    type: bool
    default: false
  one_of:
    description:
      - Variables of the entry point of which the first that has a value is used. If another has a value, too, a warning
        says that it is ignored. If both are given in the same place (with C(-e), with the role, in the play, for one
        host or for one group), they are refused.
    type: list
    elements: str
    default: []
  fail:
    description:
      - Whether to fail if variables are wrong. Otherwise RV(refusal) has the reason, for a role that reports all hosts
        together at its end. Facts named like variables, and a wrong strategy of the play, always fail.
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
  description: The variables of the entry point that have a value, by name.
  returned: success
  type: dict
  sample:
    mig_driver_minimum: 535.161.07
    mig_driver_container_runtime: false
refusal:
  description: What is wrong with variables of this host, V(null) if nothing is. Some may then be missing from
    RV(options).
  returned: with O(fail=false)
  type: str
  sample: null
"""
