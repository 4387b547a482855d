#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_start_units
short_description: Start systemd units that were stopped, as many as possible
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Starts stopped units again, sockets first, then in the reverse order of their stopping. A unit that does not start
    holds up no other, and is tried again as long as others start, because it may need them.
  - Units that are still stopping are waited for first. A unit that does not finish stopping is not started, nor is its
    socket.
  - Running units are left alone. A socket is not started by ending the service that runs in its place.
  - It fails at the end with all units that do not run, each with the reason and what to do.
options:
  units:
    description: The units, in the order in which they were stopped.
    type: list
    elements: str
    required: true
  timeout:
    description: How many seconds each may take, and also how many to wait for units that are still stopping.
    type: int
    default: 600
extends_documentation_fragment:
  - gpufleet.mig.linux
attributes:
  check_mode:
    description: Reports which do not run, and starts none.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
  idempotent:
    description: A second run starts nothing.
    support: full
"""

EXAMPLES = r"""
- name: Start a service again together with what depends on it
  gpufleet.mig.systemd_start_units:
    units: [notebooks.socket, notebook-watch.service, notebooks.service]
"""

RETURN = r"""
started:
  description: Units that did not run and do now (in check mode, that would be started).
  returned: always
  type: list
  elements: str
  sample: [notebooks.socket, notebooks.service]
left:
  description: Units that do not run, in their order.
  returned: always
  type: list
  elements: str
  sample: [notebook-watch.service]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.drain.starting import check_names, start, would_start
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError


def main():
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    units = module.params["units"]
    try:
        check_names(units)
        if module.check_mode:
            started, left = would_start(units, module.run_command), {}
        else:
            started, left = start(units, module.run_command, module.params["timeout"])
    except MigError as error:
        module.fail_json(msg=str(error))
    result = {"changed": bool(started), "started": started, "left": list(left)}
    if left:
        module.fail_json(msg=" ".join(left.values()), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
