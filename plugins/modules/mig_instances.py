#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_instances
short_description: Partition NVIDIA GPUs into MIG GPU instances and compute instances
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Gives each GPU that a layout names exactly the GPU instances and compute instances of that layout.
  - Of all ways to get there it takes the one that destroys least, then creates least, then leaves the most room.
    Instances that can stay are left alone, and so are the processes in them. An instance in use is never destroyed. If
    one is in the way, nothing is changed, and the message names it and its processes.
  - A change is planned completely before its first step, verified by reading the hardware again, and rolled back if a
    step fails. What a GPU instance offers inside can be read only once it exists; until then it is a forecast.
  - If the driver refuses a place, the GPU is read again. If something differs from what was planned for, the rest is
    planned again, once (RV(replanned)). If not, the message says which combination this driver does not allow and what
    it still offers, and no GPU of that model is given that combination in this run.
  - GPUs that the layout does not name are not touched.
notes:
  - MIG mode must be on; M(gpufleet.mig.mig_mode) turns it on.
  - A host has one change at a time; a second run waits for it for O(lock_timeout).
  - The UUID of a MIG device that was created again may differ from the old one, or be the same although the profile
    differs. The MIG devices of a GPU are renumbered. Read both again after a change.
extends_documentation_fragment:
  - gpufleet.mig.attributes
  - gpufleet.mig.linux
  - gpufleet.mig.change
  - gpufleet.mig.changing
options:
  layout:
    description:
      - What each GPU should have, a list of entries.
      - An entry that names a GPU takes precedence over one that names its product or device id, which takes precedence
        over plain V(all).
      - Mutually exclusive with O(gpus) and O(instances).
    type: list
    elements: dict
    suboptions:
      gpus:
        description:
          - Which GPUs the entry is for, V(all) (every MIG-capable one) or a list of indexes, UUIDs and PCI addresses.
        type: raw
        default: all
      product:
        description: A shell pattern that the product name must match, such as V(NVIDIA A100*).
        type: str
      pci_device_id:
        description: One or more PCI device and vendor ids such as V(0x20B010DE), as in mig-parted's device-filter.
        type: raw
      mig_enabled:
        description: Entries with V(false) are left to M(gpufleet.mig.mig_mode).
        type: bool
        default: true
      instances:
        description:
          - >-
            As a mapping, how many MIG devices of each profile there should be, in any arrangement, such as V({3g.20gb:
            1, 1g.5gb: 4}). An empty mapping empties the GPU.
          - As a list, the GPU instances one by one. An item is a profile, or a mapping with C(profile), optionally
            C(placement), the memory slice it starts at, and C(compute_instances), a list of compute instance profiles
            or of mappings with C(profile) and C(placement). Without C(compute_instances) one compute instance spans the
            GPU instance. A C(placement) there is in the driver's units, which are compute slices or, on Hopper, B200
            and GB200, eighths of the GPU instance. It is kept or the change fails. Without one the driver chooses the
            place.
          - >-
            Instead of a name, the id of a GPU instance profile as C(nvidia-smi mig -lgip) shows it: V({19: 7}), or
            C(profile: 19) in a list, and V(1c.9) for a part of one. Names depend on the model and the driver, ids only
            on the model. A name that two profiles of a GPU share is refused, with their ids.
        type: raw
  gpus:
    description: With O(instances), the GPUs to change, V(all) or a list of indexes, UUIDs and PCI addresses.
    type: raw
  instances:
    description: The short form of a O(layout) with one entry, like O(layout[].instances).
    type: raw
  keep:
    description:
      - UUIDs of MIG devices that must survive even if no process uses them, for example because they are allocated to a
        job that has not started its work. Devices that the kubelet of this host has allocated to pods need not be
        named.
    type: list
    elements: str
    default: []
  busy_timeout:
    description: How many seconds to wait for instances in use that are in the way.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Cut every GPU of the host into seven slices
  gpufleet.mig.mig_instances:
    instances: {1g.5gb: 7}

- name: Give GPU 0 two sizes, whatever else is on the host
  gpufleet.mig.mig_instances:
    gpus: [0]
    instances: {3g.20gb: 1, 1g.5gb: 4}

- name: A mixed host, with two compute instances sharing one GPU instance
  gpufleet.mig.mig_instances:
    layout:
      - instances: {2g.10gb: 3}
      - gpus: [0]
        instances:
          - profile: 3g.20gb
            placement: 4
            compute_instances: [1c.3g.20gb, 2c.3g.20gb]
          - profile: 1g.5gb

- name: See what would have to be freed first, without changing anything
  gpufleet.mig.mig_instances:
    instances: {7g.40gb: 1}
    rehearse: true
  register: rehearsal
"""

RETURN = r"""
plan:
  description:
    - The ordered steps from the current to the wanted layout. Check mode and a run return the same plan.
    - Empty when the change is refused.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: One of C(set_mig_mode), C(reset_gpu), C(destroy_compute_instance), C(destroy_gpu_instance),
        C(create_gpu_instance) and C(create_compute_instance).
      type: str
    gpu:
      description: Index, UUID and PCI address of the GPU.
      type: dict
    profile:
      description: The profile of the instance.
      type: str
    placement:
      description:
        - Where the instance is, in memory slices of the GPU or, for a compute instance, in the driver's units of its
          GPU instance.
        - An item in a new GPU instance has only a C(start) if the layout gives one, and no placement otherwise. The
          driver reports both once the GPU instance exists.
      type: dict
    gpu_instance:
      description: For a compute instance, the placement of its GPU instance.
      type: dict
    gpu_instance_id:
      description: The id of the GPU instance, if it already exists.
      type: int
    compute_instance_id:
      description: The id of the compute instance, if it already exists.
      type: int
    uuid:
      description: The UUID of the MIG device, if it already exists.
      type: str
    mig_enabled:
      description: The mode that is set, or that a reset makes active.
      type: bool
  sample:
    - action: create_gpu_instance
      gpu: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
      profile: 3g.20gb
      placement: {start: 4, size: 4}
not_checked:
  description: The GPUs not planned yet, because MIG is off and their driver reports profiles only while it is on.
  returned: in check mode and with O(rehearse)
  type: list
  elements: dict
  sample: []
actions:
  description: The same as sentences.
  returned: always
  type: list
  elements: str
  sample: ["GPU 0: create GPU instance 3g.20gb at slices 4-7"]
kept:
  description: UUIDs of the MIG devices that stayed.
  returned: unless the change is refused
  type: list
  elements: str
  sample: [MIG-3865483f-9559-58f2-95b1-401a95d3bdd7]
disrupted:
  description: UUIDs of the MIG devices that were destroyed.
  returned: unless the change is refused
  type: list
  elements: str
  sample: []
must_be_free:
  description:
    - The smallest set of MIG devices in use or kept that must be freed before the layout can be reached, with what
      holds them.
    - C(because) is one of V(busy), V(unreadable) (a process list that could not be read counts as busy), V(allocated)
      (the kubelet has allocated it to the pods in C(allocated_to), which do not run anything in it yet) and V(kept).
    - Without a UUID it is the whole GPU that must be free. While it has no GPU instance, processes on it prevent the
      first one. C(profile_id) is the GPU instance's.
  returned: when the change is refused, and for a rehearsal
  type: list
  elements: dict
  sample:
    - gpu: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
      uuid: MIG-3865483f-9559-58f2-95b1-401a95d3bdd7
      profile: 1g.5gb
      profile_id: 19
      placement: {start: 0, size: 1}
      because: busy
      processes:
        - {pid: 4711, name: python, user: alice, started: "2026-01-31T03:00:00Z", unit: train.service, user_unit: null,
           container: null, pod: null, slurm_job: null, claimed: null}
      allocated_to: []
blockers:
  description:
    - The processes in the way, each with the GPU and the MIG device that it holds. If NVML lists none, those that have
      the device file open.
    - C(unit) is its systemd unit and C(user_unit) a unit of its user's own manager, C(container) has C(id) and
      C(runtime), C(pod) has C(uid), C(namespace) and C(name), C(slurm_job) has C(id), C(step) and C(name). What is
      unknown is V(null).
    - These come from root and Slurm. C(claimed), with a C(container), C(pod) and C(slurm_job) or V(null), comes from
      the part of the cgroup that root has left to the user, such as a rootless container's. Like C(name) and
      C(user_unit) it is information for people; never base a decision on it.
    - C(pid) is V(null) for a pod to which the kubelet has allocated the device and which does not run anything in it
      yet.
  returned: when the change is refused or failed, and for a rehearsal
  type: list
  elements: dict
  sample:
    - pid: 4711
      name: python
      user: alice
      started: "2026-01-31T03:00:00Z"
      unit: slurmstepd.scope
      user_unit: null
      container: null
      pod: null
      slurm_job: {id: 123, step: batch, name: train}
      claimed: null
      gpu: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
      uuid: MIG-3865483f-9559-58f2-95b1-401a95d3bdd7
done:
  description:
    - The steps that were executed, with the ids and UUIDs of what they created. What was created in a new GPU instance
      has its C(placement) there, and C(replanned), whether that or its profile id differs from the plan.
  returned: after a change, and on failure
  type: list
  elements: dict
  sample:
    - action: create_gpu_instance
      gpu: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
      profile: 3g.20gb
      placement: {start: 4, size: 4}
      gpu_instance_id: 2
replanned:
  description:
    - Whether a part of RV(plan) had to be planned again. Either a compute instance got another profile id or place than
      planned; those steps of RV(done) have C(replanned) and the place. Or the driver refused a place because something
      else had changed the GPU, or because a new GPU instance offers something other than forecast.
    - The layout is still reached, unless the run failed.
  returned: unless the change is refused, and not in check mode
  type: bool
  sample: false
replanned_steps:
  description: Which steps of RV(plan) these were, as sentences.
  returned: as RV(replanned)
  type: list
  elements: str
  sample: []
undone:
  description: The steps that were rolled back after a failure.
  returned: on failure
  type: list
  elements: dict
  sample: []
pending:
  description: The steps of RV(plan) that were not executed.
  returned: on failure
  type: list
  elements: dict
  sample: []
left:
  description: What could not be restored after a failure, in sentences.
  returned: on failure
  type: list
  elements: str
  sample: []
failed_step:
  description: The step that failed; null if every step succeeded and reading again shows something else.
  returned: on failure
  type: dict
  sample:
    action: destroy_gpu_instance
    gpu: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
    profile: 1g.5gb
    placement: {start: 0, size: 1}
    gpu_instance_id: 7
nvml_code:
  description: NVML's answer, without C(NVML_ERROR_).
  returned: on failure
  type: str
  sample: IN_USE
nearest:
  description: For each GPU (by UUID) that the layout does not fit, alone or beside what is in use, the nearest mapping
    for C(instances) that does.
  returned: when a layout is refused
  type: dict
  sample: {"GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4": {"3g.20gb": 2}}
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

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.run import run
from ansible_collections.gpufleet.mig.plugins.module_utils.argspec import CHANGING, LAYOUT_OPTIONS
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import short_form, validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances
from ansible_collections.gpufleet.mig.plugins.module_utils.results.change import not_checked, result_of


def main():
    module = AnsibleModule(
        argument_spec=dict(
            CHANGING,
            layout={"type": "list", "elements": "dict", "options": LAYOUT_OPTIONS},
            gpus={"type": "raw"},
            instances={"type": "raw"},
            keep={"type": "list", "elements": "str", "default": []},
            busy_timeout={"type": "float", "default": 0},
        ),
        mutually_exclusive=[("layout", "instances"), ("layout", "gpus")],
        required_one_of=[("layout", "instances")],
        supports_check_mode=True,
    )
    params = module.params
    rehearsing = module.check_mode or params["rehearse"]

    def decide(snapshot):
        return decide_instances(snapshot, entries, params["keep"], rehearsing)

    try:
        if params["layout"] is None:
            entries = validate_layout(short_form(params["gpus"], params["instances"]), prefix="")
        else:
            entries = validate_layout(params["layout"])
        change = run(module, decide)
    except MigError as error:
        module.fail_json(msg=str(error), **error.result)
    for warning in change.warnings:
        module.warn(warning)
    result, problem = result_of(change, not rehearsing, params["rehearse"])
    if problem:
        module.fail_json(msg=problem, **result)
    if rehearsing:
        result["not_checked"] = not_checked(change)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
