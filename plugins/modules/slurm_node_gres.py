#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_node_gres
short_description: The GPUs of a node in slurm.conf and gres.conf
version_added: 0.3.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Writes the GPUs of one node into the C(Gres=) of its C(NodeName=) line in C(slurm.conf), or in a file that it
    includes, and a block of lines about it into C(gres.conf) beside it. All other lines stay as they are.
  - Where one line defines several nodes, the node gets a line of its own after it, with the same settings.
  - Runs that change the files of a host at the same time do so one after the other. Each file is written whole, with
    the mode and owner that it had, and the earlier one is kept beside it.
  - Restarts nothing.
requirements:
  - scontrol, where one line of C(slurm.conf) defines several nodes
options:
  node:
    description: The node, as C(NodeName) in C(slurm.conf) names it.
    type: str
    required: true
  gres:
    description: Its GPUs, as C(Gres=) lists them. Other gres of the node stay.
    type: str
    required: true
  lines:
    description:
      - Its lines in C(gres.conf), between two comments that name the collection and the node; empty for none.
      - Without this option C(gres.conf) stays as it is.
    type: list
    elements: str
  config:
    description: The path of C(slurm.conf).
    type: path
    default: /etc/slurm/slurm.conf
  slurmd:
    description:
      - The path of slurmd. With it nothing is written; RV(would_have) says what slurmd makes of the files as they would
        be.
    type: path
  directory:
    description: The directory of C(scontrol), where it is not on the host's C(PATH).
    type: path
    default: ""
extends_documentation_fragment:
  - gpufleet.mig.linux
attributes:
  check_mode:
    description: Says what it would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows each file before and after.
    support: full
"""

EXAMPLES = r"""
- name: Two MIG devices, which slurmd finds by itself
  gpufleet.mig.slurm_node_gres:
    node: gpu-7
    gres: gpu:nvidia_a100_3g.20gb:2
    lines: [NodeName=gpu-7 AutoDetect=nvml]
  delegate_to: slurm-controller
"""

RETURN = r"""
files:
  description: The files that were changed, or would be in check mode, each with that of the earlier one in C(backup).
  returned: success
  type: list
  elements: dict
  sample:
    - path: /etc/slurm/slurm.conf
      backup: /etc/slurm/slurm.conf.4711.2026-11-21@15:59:35~
would_have:
  description: What C(slurmd -G) prints.
  returned: with O(slurmd)
  type: str
  sample: "slurmd: Gres Name=gpu Type=a100_1g.5gb Count=1 Index=67 File=/dev/nvidia0,/dev/nvidia-caps/nvidia-cap66"
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm_files import Configuration, lock, write
from ansible_collections.gpufleet.mig.plugins.module_utils.visible import said, visible_lines

# slurmd waits some time for each device file that gres.conf names and that is not there.
SECONDS = "60"


def main():
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "gres": {"type": "str", "required": True},
            "lines": {"type": "list", "elements": "str"},
            "config": {"type": "path", "default": "/etc/slurm/slurm.conf"},
            "slurmd": {"type": "path"},
            "directory": {"type": "path", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params

    def scontrol(what, hosts):
        program = os.path.join(params["directory"], "scontrol")
        status, output, errors = module.run_command([program, "show", what, hosts])
        if status:
            raise MigError(f"scontrol show {what} {hosts}: {said(errors or output)}")
        return output.split()

    if not os.path.exists(params["config"]):
        hint = "A slurmd that gets its files from slurmctld (configless) has none of its own: name the controller then."
        module.fail_json(msg=f"There is no {params['config']}. {hint}")
    try:
        with lock(params["config"]):
            found = Configuration(params["config"])
            changed = found.changed(
                params["node"],
                params["gres"],
                params["lines"],
                expand=lambda names: scontrol("hostnames", names),
                fold=lambda names: "".join(scontrol("hostlist", ",".join(names))),
            )
            result = _apply(module, found, changed)
    except (MigError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _apply(module, found, changed):
    """Write what changed, or what would into another folder: the module's result."""
    earlier = {**found.texts, found.gres_path: found.gres_text}
    files = [{"path": path, "backup": ""} for path in changed]
    if module.params["slurmd"]:
        found.write_into(module.tmpdir, changed)
        command = ["timeout", SECONDS, module.params["slurmd"], "-G", "-f", os.path.join(module.tmpdir, "slurm.conf")]
        # A configuration that it does not take is told in what it prints.
        _status, output, errors = module.run_command(command)
        return {"changed": False, "files": files, "would_have": visible_lines(f"{output}\n{errors}")}
    if not module.check_mode:
        for file in files:
            if os.path.exists(file["path"]):
                file["backup"] = module.backup_local(file["path"])
            write(file["path"], changed[file["path"]], module.atomic_move)
    difference = [
        {"before_header": path, "after_header": path, "before": earlier[path], "after": text}
        for path, text in changed.items()
    ]
    return {"changed": bool(changed), "files": files, "diff": difference}


if __name__ == "__main__":
    main()
