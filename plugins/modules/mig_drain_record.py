#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_drain_record
short_description: Keep the record of what is drained on a host
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Reads and writes C(drain.json) in O(state_dir), in which the role P(gpufleet.mig.mig_drain#role) records each step
    of a hook before it is taken, so it can be restored after a reboot, from another controller, or after a run was
    killed.
  - Each change is merged into the current content, under the host's lock. The file is on disk when the module ends, and
    is removed when nothing is drained.
  - It drains and restores nothing. A hook of your own records a step with the role's C(tasks_from=remember), which runs
    this module.
notes:
  - Root on the host controls what the file says. It must never become a host, a path or a command elsewhere.
extends_documentation_fragment:
  - gpufleet.mig.change
  - gpufleet.mig.linux
options:
  state:
    description:
      - V(read) returns what is drained and changes nothing.
      - V(begun) adds an entry of O(hook), with nothing done yet, after all others.
      - V(present) sets the last entry of O(hook) and O(change_id) to O(done), and adds one if there is none; with
        O(ids) it replaces those entries with one whose content is O(done).
      - V(absent) removes the entries O(ids).
    type: str
    choices: [read, begun, present, absent]
    default: read
  hook:
    description: The hook, one of the role's own names or the path of a task file on the controller.
    type: str
  done:
    description: What it did, the fact C(mig_drain_done).
    type: raw
  ids:
    description: Entries by their RV(entries[].id). An entry that is gone, or has changed, is left alone.
    type: list
    elements: str
  change_id:
    description:
      - The change that a new entry belongs to; letters, digits, dots, colons, dashes, underscores and spaces. An entry
        without one belongs to no change.
      - If a run has claimed the host, what is written must belong to its change.
    type: str
attributes:
  action_group:
    description: Use C(group/gpufleet.mig.all) in C(module_defaults) to give all modules of the collection the same
      options.
    support: full
    membership:
      - gpufleet.mig.all
  check_mode:
    description: Returns what the file would say, and changes nothing.
    support: full
  diff_mode:
    description: Shows the entries before and after.
    support: full
  idempotent:
    description: A second run changes nothing, except with O(state=begun), which always adds an entry.
    support: partial
"""

EXAMPLES = r"""
- name: Record that a hook is about to stop a service
  gpufleet.mig.mig_drain_record:
    state: present
    hook: /srv/hooks/notebooks.yml
    done: {running: true}
    change_id: ticket-4711

- name: Read what is drained
  gpufleet.mig.mig_drain_record:
  register: drained

- name: Remove the entry once it is restored
  gpufleet.mig.mig_drain_record:
    state: absent
    ids: "{{ drained.entries | selectattr('change', 'equalto', 'ticket-4711') | map(attribute='id') | list }}"
"""

RETURN = r"""
entries:
  description: What is drained now (in check mode, what would be), in the order in which it was drained.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Identifies the entry by its content.
      type: str
    hook:
      description: The hook.
      type: str
    done:
      description: What it did.
      type: raw
    change:
      description: The change that it belongs to, V(null) if it belongs to none.
      type: str
  sample:
    - id: 4f5c1d5b5a2f4f0b6c6e1a6d0f6f0a58d3b9f5f6a3a3d1ce7e28d8a4c9b7e6a1
      hook: systemd
      done: {units: [notebooks.socket, notebooks.service]}
      change: 2b7a1d6e-2f57-5c0e-8a39-0d6a3a3f9e42
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.claims import heeding_claims
from ansible_collections.gpufleet.mig.plugins.module_utils.argspec import CHANGE
from ansible_collections.gpufleet.mig.plugins.module_utils.drain.record import drain_record
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["read", "begun", "present", "absent"], "default": "read"},
            "hook": {"type": "str"},
            "done": {"type": "raw"},
            "ids": {"type": "list", "elements": "str"},
            **CHANGE,
        },
        required_if=[
            ("state", "begun", ["hook"]),
            ("state", "present", ["done"]),
            ("state", "present", ["hook", "ids"], True),
            ("state", "absent", ["ids"]),
        ],
        mutually_exclusive=[("hook", "ids")],
        supports_check_mode=True,
    )
    try:
        result = drain_record(module.params, module.check_mode, module.atomic_move, heeding_claims(module))
    except MigError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
