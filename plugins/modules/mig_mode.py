#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_mode
short_description: Turn the MIG mode of NVIDIA GPUs on or off
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Sets the MIG mode of GPUs and makes sure that the mode is active, not only pending.
  - On Ampere a change needs a reset of the GPU. The module resets exactly that GPU, with C(nvidia-smi --gpu-reset -i),
    and only when no process uses it. From Hopper on the mode changes without a reset, and is lost on reboot; if the
    driver still leaves it pending, the GPU is reset, too, and RV(replanned) is true.
  - Ampere GPUs on NVSwitches (HGX A100) can only be reset all together while Fabric Manager is not running. The change
    is then refused unless every one of them is named. Those whose mode stays must be free too, and get their instances
    back.
  - A mode change takes the GPU's instances with it. Idle ones are destroyed as part of the plan. If one is in use,
    nothing is changed, and the message names it and its processes.
notes:
  - If the driver cannot reset a GPU, as with most that are passed through to a virtual machine, the mode stays pending
    until the (virtual) machine reboots; the task succeeds and RV(reboot_required) is true.
extends_documentation_fragment:
  - gpufleet.mig.attributes
  - gpufleet.mig.linux
  - gpufleet.mig.change
  - gpufleet.mig.changing
options:
  state:
    description: The wanted mode of all O(gpus). Mutually exclusive with O(layout).
    type: str
    choices: [enabled, disabled]
  gpus:
    description: Which GPUs, V(all) (every MIG-capable one) or a list of indexes, UUIDs and PCI addresses.
    type: raw
    default: all
  layout:
    description:
      - The wanted mode of each GPU from its entry in a layout, the same layout that M(gpufleet.mig.mig_instances)
        takes. That module handles its C(instances).
    type: list
    elements: dict
  when_busy:
    description:
      - What to do about a GPU in use. V(fail) changes nothing; V(pending) sets the mode, which becomes active with the
        next reset or reboot, and counts as success.
    type: str
    choices: [fail, pending]
    default: fail
  reset:
    description: Whether a GPU that needs a reset to change its mode may be reset.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Turn MIG on everywhere
  gpufleet.mig.mig_mode:
    state: enabled

- name: Turn MIG off on one GPU
  gpufleet.mig.mig_mode:
    gpus: [0]
    state: disabled

- name: Set the mode now and let the next reboot activate it where a job runs
  gpufleet.mig.mig_mode:
    state: enabled
    when_busy: pending
  register: mode

- name: Set the modes that a layout wants
  gpufleet.mig.mig_mode:
    layout:
      - instances: {1g.5gb: 7}
      - gpus: [0]
        mig_enabled: false
"""

RETURN = r"""
plan:
  description:
    - The ordered steps from the current to the wanted mode. Check mode and a run return the same plan.
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
      description: Where the instance is, in memory slices of the GPU, or in the units of its GPU instance.
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
    peers:
      description: For a reset that takes other GPUs along, index, UUID and PCI address of each. One reset serves all.
      type: list
      elements: dict
  sample:
    - action: set_mig_mode
      gpu: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
      mig_enabled: true
actions:
  description: The same as sentences.
  returned: always
  type: list
  elements: str
  sample: ["GPU 0: enable MIG mode", "GPU 0: reset the GPU at 00000000:07:00.0 if the mode is not active by then"]
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
    - The smallest set of MIG devices in use or kept that must be freed before the mode can change, with what holds
      them.
    - C(because) is one of V(busy), V(unreadable) (a process list that could not be read counts as busy), V(allocated)
      (the kubelet has allocated it to the pods in C(allocated_to), which do not run anything in it yet) and V(kept).
    - Without a UUID it is the whole GPU that must be free. C(profile_id) is the GPU instance's.
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
    - action: set_mig_mode
      gpu: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
      mig_enabled: true
      activation: SUCCESS
replanned:
  description:
    - Whether a part of RV(plan) had to be planned again. Either a compute instance got another profile id or place than
      planned; those steps of RV(done) have C(replanned) and the place. Or the driver refused a place because something
      else had changed the GPU, or because a new GPU instance offers something other than forecast. Or it left a mode
      pending that should have been active at once, and the GPU was reset.
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
    action: reset_gpu
    gpu: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
    mig_enabled: true
nvml_code:
  description: NVML's answer, without C(NVML_ERROR_).
  returned: on failure
  type: str
  sample: IN_USE
gpus:
  description: The GPUs concerned, with their mode before, after (in check mode, what it would be) and pending.
  returned: always
  type: list
  elements: dict
  sample:
    - index: 0
      uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4
      pci_address: "00000000:07:00.0"
      before: disabled
      after: enabled
      pending: enabled
reset_required:
  description: Whether a mode stays pending until a GPU is reset.
  returned: always
  type: bool
  sample: false
reboot_required:
  description: Whether a mode stays pending until the (virtual) machine reboots.
  returned: always
  type: bool
  sample: false
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
from ansible_collections.gpufleet.mig.plugins.module_utils.argspec import CHANGING
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.reading import GATHER_FOR_RESET
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_modes
from ansible_collections.gpufleet.mig.plugins.module_utils.results.change import mode_data, result_of


def main():
    module = AnsibleModule(
        argument_spec=dict(
            CHANGING,
            state={"type": "str", "choices": ["enabled", "disabled"]},
            gpus={"type": "raw", "default": "all"},
            layout={"type": "list", "elements": "dict"},
            when_busy={"type": "str", "choices": ["fail", "pending"], "default": "fail"},
            reset={"type": "bool", "default": True},
        ),
        mutually_exclusive=[("state", "layout")],
        required_one_of=[("state", "layout")],
        supports_check_mode=True,
    )
    params = module.params
    pending = params["when_busy"] == "pending"
    rehearsing = module.check_mode or params["rehearse"]
    layout = params["layout"]
    prefix = "layout[{}]."
    if layout is None:
        prefix = ""
        layout = [{"gpus": params["gpus"], "mig_enabled": params["state"] == "enabled", "instances": {}}]

    def decide(snapshot):
        return decide_modes(snapshot, entries, params["reset"], pending)

    try:
        entries = validate_layout(layout, prefix)
        change = run(module, decide, pending, GATHER_FOR_RESET)
    except MigError as error:
        module.fail_json(msg=str(error), **error.result)
    for warning in change.warnings:
        module.warn(warning)
    result, problem = result_of(change, not rehearsing, params["rehearse"])
    result.update(mode_data(change))
    if problem:
        module.fail_json(msg=problem, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
