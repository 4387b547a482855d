#!/usr/bin/python

# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_assignment_info
short_description: Which MIG device each service of a host gets
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Gives each systemd service a MIG device of its own that is what it wants, wherever there is a way to do so.
  - A service keeps the MIG device that it had, as far as that leaves one for every other. Beyond that, the least memory
    is given away, then O(strategy) decides, then the order of services and of placements. The same wishes on the same
    MIG devices give the same answer each time.
  - It changes nothing. The role gpufleet.mig.mig_assign writes down and hands out what it says.
  - What there is to do is told from what a service has, by its files, by what systemd has loaded and by what its main
    process runs with, and from what an earlier run has left undone by its record; never from what was just written.
notes:
  - MIG devices that Kubernetes or Slurm give away are not known to it. Keep them apart by C(gpu) or C(placement).
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
    description: The services and what each wants; it gets a MIG device that is all of that.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - A systemd service, with or without C(.service); letters, digits and C(:_.@-), of which none of C(.@-) is the
            first.
        type: str
        required: true
      profile:
        description: The profile of the MIG device, as V(3g.20gb) or V(1c.3g.20gb), or by its id V(9) or V(1c.9).
        type: str
      memory_mib:
        description: How much memory it has at the least, in MiB. Memory that several compute instances share does not
          count.
        type: int
      placement:
        description: The memory slice at which its GPU instance starts.
        type: int
      gpu:
        description: The GPU or GPUs on which it may be, V(all) or a list of indexes, UUIDs and PCI addresses.
        type: raw
      mps:
        description: Whether the service shares the MIG device by an MPS control daemon.
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
    description: Whether services go to as few of the first GPUs as can be (V(packed)) or evenly to all (V(spread)).
    type: str
    choices: [packed, spread]
    default: packed
  target:
    description:
      - Complete layout entries, as RV(gpufleet.mig.mig_check#module:target) has them. Then the answer is for the MIG
        devices that there will be with them.
      - RV(assignments[].uuid) is V(null) there for a MIG device that is not there yet, and nothing is said of units and
        device files.
    type: list
    elements: dict
  record:
    description: The file in which the role keeps what was assigned last.
    type: path
    default: /etc/gpufleet-mig/assignments.json
"""

EXAMPLES = r"""
- name: Who would get what?
  gpufleet.mig.mig_assignment_info:
    services:
      - {name: train.service, profile: 3g.20gb}
      - {name: notebook.service, memory_mib: 4000, gpu: 1}
  register: who

- name: Say it
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
      description: The memory of its GPU instance in MiB.
      returned: always
      type: int
      sample: 19968
    cdi_device:
      description: What C(nvidia-ctk) calls it with the naming strategy V(uuid).
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
    environment_file:
      description: Its environment file as it is to be, V(null) with O(target).
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
      description: Its drop-in for systemd as it is to be, V(null) with O(target).
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
      description: C(CUDA_VISIBLE_DEVICES) of its main process, empty where it has none, V(null) without a main process.
      returned: always
      type: str
      sample: MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07
    wrong:
      description: What its main process has of the environment file and should not, and what it should have; V(null)
        where that is as it should be.
      returned: always
      type: str
      sample: null
    stale:
      description: Whether it is wrong.
      returned: always
      type: bool
      sample: false
undecided:
  description: With O(target), why nobody can tell yet whether all services can have a MIG device, V(null) where it is
    known. Then RV(assignments) is empty. So it is while MIG is off on a GPU that tells what fits only when it is on.
  returned: success
  type: str
  sample: null
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
  description: Whether systemd has loaded anything else of these services than their files say, or will say.
  returned: success
  type: bool
  sample: false
restart:
  description:
    - Services to restart. They run, with something else than they should have; or failed with something else; or an
      earlier run was to restart them and did not get there.
    - One that was stopped is not among them.
  returned: success
  type: list
  elements: str
  sample: []
device_files:
  description: The capability files of MIG devices that have users or groups. The file of a GPU instance is among them
    only where nobody else computes in that.
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
      description: The file in F(/proc) by which nvidia-modprobe makes it.
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
      description: Whether exactly these may open it already.
      returned: always
      type: bool
      sample: true
device_major:
  description: The major number of these files, V(null) where there is none of them.
  returned: success
  type: int
  sample: 236
access_rules:
  description: What systemd-tmpfiles is to read to give that, empty where there is nothing to give.
  returned: success
  type: str
  sample: ""
revoked:
  description: Device files that had users or groups and have none any more, each with C(path) and C(capability).
  returned: success
  type: list
  elements: dict
  sample: []
revoking_rules:
  description: What systemd-tmpfiles is to read to take RV(revoked) back, empty where there is nothing to take back.
  returned: success
  type: str
  sample: ""
record_before:
  description: What O(record) is to hold before any of this is done, with what is owed then, so that another run ends
    what a killed one began. A service that is restarted because its UUID is another size's has the earlier one in it.
    As RV(record) where nothing is owed.
  returned: success
  type: dict
  sample: {}
record:
  description:
    - What O(record) is to hold once all this is so. Where it says all that already, what it holds, in the form of the
      release that wrote it.
  returned: success
  type: dict
  sample: {}
nvidia_ml_py:
  description:
    - V(missing) where the host has no fit one and the controller could not lend its own, which is why it failed.
    - V(temporary) where the module ran with a copy of the controller's, removed at its end.
  returned: on a host without a fit nvidia-ml-py
  type: str
  sample: temporary
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.assigning import assignment
from ansible_collections.gpufleet.mig.plugins.module_utils.assignment_record import PATH
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
        },
        supports_check_mode=True,
    )
    try:
        result = assignment(module.params, module.run_command)
    except MigError as error:
        module.fail_json(msg=str(error), **error.result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
