#!/usr/bin/python

# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_assignment_info
short_description: Show which MIG device each service of a host gets
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Assigns each systemd service a MIG device of its own that meets its needs, whenever that is possible for all of
    them.
  - A service keeps its MIG device if that leaves one for every other. Beyond that, the assignment that uses the least
    memory wins, then O(strategy) decides, then the order of services and of placements. The same needs and the same MIG
    devices always give the same answer.
  - It changes nothing. The role gpufleet.mig.mig_assign records and carries out the answer.
  - What needs doing is decided from what a service has (its files, what systemd has loaded, and what its main process
    runs with) and from the record of what an earlier run left undone; never from what was just written.
notes:
  - It does not see which MIG devices Kubernetes or Slurm allocate. Keep them apart by C(gpu) or C(placement).
seealso:
  - module: gpufleet.mig.mig_facts
extends_documentation_fragment:
  - gpufleet.mig.attributes
  - gpufleet.mig.linux
  - gpufleet.mig.reading
attributes:
  diff_mode:
    description: There is no difference to show.
    support: none
options:
  services:
    description: The services and what each needs; a service gets a MIG device that meets all of it.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - A systemd service, with or without C(.service). Letters, digits and C(:_.@-); the first may not be one of
            C(.@-).
        type: str
        required: true
      profile:
        description: The profile of the MIG device, such as V(3g.20gb) or V(1c.3g.20gb), or its id, V(9) or V(1c.9). A
          name that it had under another driver is accepted, with a warning, if the host remembers it.
        type: str
      memory_mib:
        description: The least memory it needs, in MiB. Memory that several compute instances share does not count.
        type: int
      placement:
        description: The memory slice at which its GPU instance starts.
        type: int
      gpu:
        description: The GPU or GPUs to choose from, V(all) or a list of indexes, UUIDs and PCI addresses.
        type: raw
      mps:
        description: Whether the service shares the MIG device through an MPS control daemon.
        type: bool
        default: false
      users:
        description: Users who may open the device files of the MIG device.
        type: list
        elements: str
        default: []
      groups:
        description: Groups whose members may open them.
        type: list
        elements: str
        default: []
  strategy:
    description: Whether services go to as few of the first GPUs as possible (V(packed)) or evenly to all (V(spread)).
    type: str
    choices: [packed, spread]
    default: packed
  target:
    description:
      - Complete layout entries, as in RV(gpufleet.mig.mig_check#module:target). The answer is then for the MIG devices
        that these entries will create.
      - In that case RV(assignments[].uuid) is V(null) for a MIG device that does not exist yet, and nothing is returned
        about units and device files.
    type: list
    elements: dict
  record:
    description: The file in which the role keeps the last assignment.
    type: path
    default: /etc/gpufleet-mig/assignments.json
  state_dir:
    description: Where the changing modules keep their journal on this host, if they were told another directory. It
      tells what a profile was called under another driver.
    type: path
"""

EXAMPLES = r"""
- name: Find out which service would get which MIG device
  gpufleet.mig.mig_assignment_info:
    services:
      - {name: train.service, profile: 3g.20gb}
      - {name: notebook.service, memory_mib: 4000, gpu: 1}
  register: who

- name: Show it
  ansible.builtin.debug:
    msg: "{{ who.assignments | items2dict(key_name='service', value_name='uuid') }}"
"""

RETURN = r"""
assignments:
  description: The services in the order of O(services).
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: The service.
      returned: always
      type: str
      sample: train.service
    uuid:
      description: UUID of its MIG device.
      returned: always
      type: str
      sample: MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07
    gpu:
      description: The GPU that it is on.
      returned: always
      type: dict
      sample: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
    profile:
      description: Its profile.
      returned: always
      type: str
      sample: 3g.20gb
    placement:
      description: The memory slice at which its GPU instance starts.
      returned: always
      type: int
      sample: 4
    memory_mib:
      description: Its memory in MiB as the driver tells it, with O(target) that of its profile.
      returned: always
      type: int
      sample: 19968
    cdi_device:
      description: Its name in C(nvidia-ctk) with the naming strategy V(uuid).
      returned: always
      type: str
      sample: nvidia.com/gpu=MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07
    users:
      description: As in O(services).
      returned: always
      type: list
      elements: str
      sample: [alice]
    groups:
      description: As in O(services).
      returned: always
      type: list
      elements: str
      sample: []
    mps:
      description: As in O(services).
      returned: always
      type: bool
      sample: true
    mps_clients:
      description: How many CUDA contexts its MPS server serves at the same time, V(null) without MPS.
      returned: always
      type: int
      sample: 20
    kept:
      description: Whether it had this MIG device before.
      returned: always
      type: bool
      sample: true
    foreseen:
      description: What a run would do for it, in words.
      returned: always
      type: str
      sample: train.service would keep the 3g.20gb at slice 4 of GPU 0.
    environment_file:
      description: The environment file that it should have, V(null) with O(target).
      returned: always
      type: dict
      contains:
        path:
          description: The file.
          returned: always
          type: str
          sample: /etc/gpufleet-mig/services/train.service.env
        content:
          description: Its text.
          returned: always
          type: str
          sample: |
            CUDA_VISIBLE_DEVICES=MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07
    drop_in:
      description: The systemd drop-in that it should have, V(null) with O(target).
      returned: always
      type: dict
      contains:
        path:
          description: The file.
          returned: always
          type: str
          sample: /etc/systemd/system/train.service.d/50-gpufleet-mig.conf
        content:
          description: Its text.
          returned: always
          type: str
          sample: |
            [Service]
            EnvironmentFile=/etc/gpufleet-mig/services/train.service.env
    load_state:
      description: Whether systemd knows the service, as C(LoadState) of C(systemctl show).
      returned: always
      type: str
      sample: loaded
    active_state:
      description: Whether it runs, as C(ActiveState).
      returned: always
      type: str
      sample: active
    running_with:
      description: C(CUDA_VISIBLE_DEVICES) of its main process, empty if not set, V(null) without a main process.
      returned: always
      type: str
      sample: MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07
    wrong:
      description: What its main process wrongly has of the environment file, and what it should have; V(null) if that
        is right.
      returned: always
      type: str
      sample: null
    stale:
      description: Whether it is wrong.
      returned: always
      type: bool
      sample: false
undecided:
  description: With O(target), why it is not yet known whether all services can have a MIG device, V(null) if it is
    known. RV(assignments) is then empty. This happens while MIG is off on a GPU that reports what fits only when it is
    on.
  returned: success
  type: str
  sample: null
mps:
  description: Whether any of O(services) wants MPS.
  returned: success
  type: bool
  sample: true
missing:
  description: Services that systemd does not know, none with O(target).
  returned: success
  type: list
  elements: str
  sample: []
stale:
  description: Services whose main process runs with something else than it should, none with O(target).
  returned: success
  type: list
  elements: str
  sample: []
removed:
  description: Services that had a MIG device and are no longer among O(services).
  returned: success
  type: list
  elements: str
  sample: []
mps_removed:
  description: Services whose MPS control daemon is no longer wanted.
  returned: success
  type: list
  elements: str
  sample: []
reload:
  description: Whether what systemd has loaded of these services differs from what their files say, or will say.
  returned: success
  type: bool
  sample: false
restart:
  description:
    - Services to restart. They run with the wrong device, failed with it, or were to be restarted by an earlier run
      that did not get that far.
    - Stopped services are not included.
  returned: success
  type: list
  elements: str
  sample: []
device_files:
  description: The capability files of MIG devices that have users or groups. The file of a GPU instance is included
    only if that has no other compute instance.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The device file.
      returned: always
      type: str
      sample: /dev/nvidia-caps/nvidia-cap21
    minor:
      description: Its minor number.
      returned: always
      type: int
      sample: 21
    capability:
      description: The file in F(/proc) from which nvidia-modprobe makes it.
      returned: always
      type: str
      sample: /proc/driver/nvidia/capabilities/gpu0/mig/gi2/access
    users:
      description: Who may open it.
      returned: always
      type: list
      elements: str
      sample: [alice]
    groups:
      description: Whose members may open it.
      returned: always
      type: list
      elements: str
      sample: []
    given:
      description: Whether exactly these may already open it.
      returned: always
      type: bool
      sample: true
access_given:
  description: Whether exactly these may already open all of RV(device_files).
  returned: success
  type: bool
  sample: true
device_major:
  description: The major number of these files, V(null) if there are none.
  returned: success
  type: int
  sample: 236
access_rules:
  description: The input for systemd-tmpfiles that grants this access, empty if there is nothing to grant.
  returned: success
  type: str
  sample: ""
revoked:
  description: Device files that had users or groups and no longer have any, each with C(path) and C(capability).
  returned: success
  type: list
  elements: dict
  sample: []
revoking_rules:
  description: The input for systemd-tmpfiles that revokes access to RV(revoked), empty if there is nothing to revoke.
  returned: success
  type: str
  sample: ""
record_before:
  description: What O(record) must hold before any of this is done, including what is still to be done, so that another
    run can finish what a killed one began. If a service is restarted because its UUID now belongs to another size, the
    record has its earlier device. Equal to RV(record) if nothing is to be done.
  returned: success
  type: dict
  sample: {}
record:
  description:
    - What O(record) must hold once all this is done. If it already says all that, its present content, in the format of
      the release that wrote it.
  returned: success
  type: dict
  sample: {}
nvidia_ml_py:
  description:
    - V(missing) if the host has no suitable one and the controller could not lend its own, which is why the module
      failed.
    - V(temporary) if the module ran with a copy of the controller's, removed at its end.
  returned: on a host without a suitable nvidia-ml-py
  type: str
  sample: temporary
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.assign.record import PATH
from ansible_collections.gpufleet.mig.plugins.module_utils.assign.run import assignment
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError

SERVICE = {
    "name": {"type": "str", "required": True},
    "profile": {"type": "str"},
    "memory_mib": {"type": "int"},
    "placement": {"type": "int"},
    "gpu": {"type": "raw"},
    "mps": {"type": "bool", "default": False},
    "users": {"type": "list", "elements": "str", "default": []},
    "groups": {"type": "list", "elements": "str", "default": []},
}


def main():
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "dict", "required": True, "options": SERVICE},
            "strategy": {"type": "str", "choices": ["packed", "spread"], "default": "packed"},
            "target": {"type": "list", "elements": "dict"},
            "record": {"type": "path", "default": PATH},
            "state_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        result = assignment(module.params, module.run_command, module.warn)
    except MigError as error:
        module.fail_json(msg=str(error), **error.result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
