#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_node_gres
short_description: Set the GPUs of a node in slurm.conf and gres.conf
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Writes the GPUs of one node into the C(Gres=) of its C(NodeName=) line in C(slurm.conf), or in a file that it
    includes, and a block of lines about it into C(gres.conf) beside it. All other lines stay as they are.
  - If one line defines several nodes, the node gets a line of its own after it, with the same settings.
  - Runs that change the files of a host at the same time do so one after the other. Each file is written atomically,
    keeps its mode and owner, and leaves the previous one beside it.
  - Accepts only what GPUs can be - types of letters, digits and C(_.+-), and the device files of NVIDIA's driver -
    because a less trusted host may have described its GPUs. Anything else fails, and nothing is written.
  - Warns of a type that the node no longer has, because jobs that request it cannot start there.
  - Restarts nothing.
requirements:
  - scontrol, if one line of C(slurm.conf) defines several nodes
options:
  node:
    description: The node, as C(NodeName) in C(slurm.conf) names it.
    type: str
    required: true
  gres:
    description:
      - Its GPUs, as C(Gres=) lists them, each with type and count. Other gres of the node stay.
      - Required unless O(restore) is given.
    type: str
  lines:
    description:
      - Its lines in C(gres.conf), between two comments that name the collection and the node; empty for none. Each is
        C(NodeName=NODE AutoDetect=nvml), or one from P(gpufleet.mig.slurm_gres#filter) preceded by the node.
      - Without this option C(gres.conf) stays as it is.
    type: list
    elements: str
  restore:
    description:
      - Restores these files, RV(files) of an earlier run, instead of writing GPUs. Only files of this configuration are
        restored, and only from the copies beside them. What they replace is not kept.
    type: list
    elements: dict
    suboptions:
      path:
        description: The file.
        type: str
        required: true
      backup:
        description: The previous file; empty if there was none, in which case the file is removed.
        type: str
        required: true
  config:
    description: The path of C(slurm.conf).
    type: path
    default: /etc/slurm/slurm.conf
  slurmd:
    description:
      - The path of slurmd. If given, nothing is written, and RV(would_have) has what slurmd makes of the files as they
        would be.
    type: path
  directory:
    description: The directory of C(scontrol), if it is not on the host's C(PATH).
    type: path
    default: ""
extends_documentation_fragment:
  - gpufleet.mig.linux
attributes:
  check_mode:
    description: Reports what it would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows each file before and after.
    support: full
"""

EXAMPLES = r"""
- name: Set two MIG devices, which slurmd finds by itself
  gpufleet.mig.slurm_node_gres:
    node: gpu-7
    gres: gpu:nvidia_a100_3g.20gb:2
    lines: [NodeName=gpu-7 AutoDetect=nvml]
  register: written
  delegate_to: slurm-controller
- name: Restore the previous files
  gpufleet.mig.slurm_node_gres:
    node: gpu-7
    restore: "{{ written.files }}"
  delegate_to: slurm-controller
"""

RETURN = r"""
files:
  description:
    - The files that were changed, or would be in check mode, each with the path of the previous one in C(backup).
    - On failure, those that were written before it.
  returned: success, and on failure if some were written
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.run import node_gres


def main():
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "gres": {"type": "str"},
            "lines": {"type": "list", "elements": "str"},
            "restore": {
                "type": "list",
                "elements": "dict",
                "options": {"path": {"type": "str", "required": True}, "backup": {"type": "str", "required": True}},
            },
            "config": {"type": "path", "default": "/etc/slurm/slurm.conf"},
            "slurmd": {"type": "path"},
            "directory": {"type": "path", "default": ""},
        },
        required_one_of=[("gres", "restore")],
        mutually_exclusive=[("gres", "restore"), ("lines", "restore"), ("slurmd", "restore")],
        supports_check_mode=True,
    )
    files = []
    try:
        result = node_gres(module, files)
    except (MigError, OSError) as error:
        module.fail_json(msg=str(error), **({"files": files} if files else {}))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
