#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_journal_info
short_description: Read the past changes of a host from its journal
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Reads the journal that M(gpufleet.mig.mig_mode) and M(gpufleet.mig.mig_instances) keep, from its end. Returns the
    layout that the GPUs had before the last change, and who last changed each GPU.
  - Records of one change (O(gpufleet.mig.mig_instances#module:change_id)) count as one. Layouts restored at a boot are
    not counted as changes, however many boots there were.
  - A host without a journal has had no change. A journal that is not a regular file, or that this user may not read, is
    an error.
  - It changes nothing, needs no driver, and takes little memory, however long the journal is.
seealso:
  - module: gpufleet.mig.mig_facts
  - module: gpufleet.mig.mig_instances
extends_documentation_fragment:
  - gpufleet.mig.attributes
  - gpufleet.mig.linux
  - gpufleet.mig.reading
attributes:
  diff_mode:
    description: There is no difference to show.
    support: none
options:
  state_dir:
    description: Where the changing modules keep their journal on this host, if not in the default directory.
    type: path
"""

EXAMPLES = r"""
- name: Read the journal
  gpufleet.mig.mig_journal_info:
  register: journal

- name: Show who last changed which GPU
  ansible.builtin.debug:
    msg: "{{ journal.gpus }}"
"""

RETURN = r"""
layout:
  description:
    - An entry for each GPU of the last change, as that GPU was before it, for the
      O(gpufleet.mig.mig_instances#module:layout) option of the modules. Empty if there was no change, or with
      RV(problem).
  returned: success
  type: list
  elements: dict
  sample:
    - gpus: [GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4]
      mig_enabled: false
last:
  description: The last change not made at a boot, V(null) if there was none.
  returned: success
  type: dict
  sample: null
  contains:
    change:
      description: Its id.
      returned: success
      type: str
      sample: 4e1cf7a2-1c5d-4d0e-9a55-6f7f5a1c2b3d
    cause:
      description: V(ansible), or V(boot) for a saved layout restored at boot.
      returned: success
      type: str
      sample: ansible
    user:
      description: The user as whom it ran.
      returned: success
      type: str
      sample: root
    sudo_user:
      description: The user who became that user with sudo, otherwise V(null).
      returned: success
      type: str
      sample: alice
    time:
      description: When it began.
      returned: success
      type: str
      sample: "2026-11-21T15:59:35Z"
gpus:
  description: By UUID, the last change of the GPU, including those at a boot, in the form of RV(last).
  returned: success
  type: dict
  sample:
    GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4:
      change: 4e1cf7a2-1c5d-4d0e-9a55-6f7f5a1c2b3d
      cause: ansible
      user: root
      sudo_user: alice
      time: "2026-11-21T15:59:35Z"
problem:
  description:
    - Why the layout before the last change is unknown, V(null) if it is known. In that case there are invalid lines
      where the records of that change, or of a later one, would be, and RV(last) may be an earlier one.
  returned: success
  type: str
  sample: null
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.journal import history
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError


def main():
    module = AnsibleModule(argument_spec={"state_dir": {"type": "path"}}, supports_check_mode=True)
    try:
        told = history(HostState(module.params["state_dir"]).journal)
    except MigError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**told)


if __name__ == "__main__":
    main()
