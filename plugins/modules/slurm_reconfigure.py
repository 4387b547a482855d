#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_reconfigure
short_description: Make slurmctld read a configuration that changed since it started
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Asks slurmctld when it started and compares that with the times of its configuration files. If one of them is newer,
    slurmctld reads them again; otherwise nothing is done. So a play over many nodes restarts it once.
  - Since Slurm 23.11 this is C(scontrol reconfigure), which starts every daemon anew and has it take over from the old
    one; if a new one does not start, the old one continues. Older releases do not accept another number of GPUs that
    way, so C(slurmctld.service) of this host is restarted. Jobs continue in either case.
requirements:
  - scontrol, as root, SlurmUser or a Slurm administrator; with Slurm before 23.11 root on the host of slurmctld
options:
  config:
    description: The path of C(slurm.conf). The files it includes, and C(gres.conf) beside it, count as well.
    type: path
    default: /etc/slurm/slurm.conf
  force:
    description:
      - Make slurmctld read them even if it already has. It then forgets what else it knew about the gres of nodes, such
        as those that a node had registered before.
    type: bool
    default: false
  timeout:
    description: How many seconds to wait until slurmctld answers again.
    type: int
    default: 60
  directory:
    description: The directory of C(scontrol), if it is not on the host's C(PATH).
    type: path
    default: ""
extends_documentation_fragment:
  - gpufleet.mig.linux
attributes:
  check_mode:
    description: Reports what it would do with the present configuration, and does nothing.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Make slurmctld read the nodes that slurm.conf now has
  gpufleet.mig.slurm_reconfigure:
  delegate_to: slurm-controller
"""

RETURN = r"""
command:
  description: What was done, or would be in check mode; empty if nothing was.
  returned: success
  type: str
  sample: scontrol reconfigure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.controller import Controller
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.files import Configuration, lock


def main():
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "path", "default": "/etc/slurm/slurm.conf"},
            "force": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
            "directory": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    controller = Controller(module.run_command, params["directory"])
    try:
        with lock(params["config"]):
            found = Configuration(params["config"])
            command = controller.command_for([*found.texts, found.gres_path], params["force"])
            if command and not module.check_mode:
                controller.apply(command, params["timeout"])
    except (MigError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(command), command=" ".join(command))


if __name__ == "__main__":
    main()
