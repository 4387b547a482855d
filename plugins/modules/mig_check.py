#!/usr/bin/python

# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_check
short_description: Check whether a host can have a MIG layout, and what the change would take
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Checks driver, NVML, CUDA, NVSwitch fabric, permissions and the state of each GPU against a layout's requirements,
    before anything is touched. Each finding has what was found, what is needed and how to get it.
  - With O(layout) it also rehearses the whole change, mode and instances together, and names what is in the way.
  - It changes nothing, takes no lock and needs no root. Without root, the findings say what was hidden.
  - Findings do not fail the module, so that a playbook can decide. Only bad input does.
  - A host without an NVIDIA GPU has no findings, and has reached every layout.
notes:
  - The role P(gpufleet.mig.mig_driver#role) runs this module and fails if there is an error.
seealso:
  - module: gpufleet.mig.mig_mode
  - module: gpufleet.mig.mig_instances
extends_documentation_fragment:
  - gpufleet.mig.attributes
  - gpufleet.mig.linux
  - gpufleet.mig.reading
attributes:
  diff_mode:
    description: With O(layout), shows each GPU's layout before and after the change that it rehearses.
    support: full
options:
  layout:
    description: What each GPU should have, as in M(gpufleet.mig.mig_instances). Without it every GPU is checked.
    type: list
    elements: dict
    suboptions:
      gpus:
        description: Which GPUs the entry is for, V(all) or a list of indexes, UUIDs and PCI addresses.
        type: raw
        default: all
      product:
        description: A shell pattern that the product name must match, such as V(NVIDIA A100*).
        type: str
      pci_device_id:
        description: One or more PCI device and vendor ids such as V(0x20B010DE).
        type: raw
      mig_enabled:
        description: Whether MIG mode should be on.
        type: bool
        default: true
      instances:
        description: The MIG devices by profile, or the GPU instances one by one.
        type: raw
  keep:
    description: UUIDs of MIG devices that must survive even if no process uses them. Devices that the kubelet of this
      host has allocated to pods need not be named.
    type: list
    elements: str
    default: []
  minimum:
    description: The lowest driver version to accept, whatever the GPUs need.
    type: str
  container_runtime:
    description: Whether containers will use the MIG devices; if so, the NVIDIA Container Toolkit is checked, too.
    type: bool
    default: false
  state_dir:
    description: Where the changing modules keep their journal on this host, if not in the default directory.
    type: path
"""

EXAMPLES = r"""
- name: Check driver and GPUs
  gpufleet.mig.mig_check:
  register: check

- name: Show the findings
  ansible.builtin.debug:
    msg: "{{ check.findings | map(attribute='message') | list }}"

- name: Check whether these hosts could have this layout, and what would be in the way
  gpufleet.mig.mig_check:
    layout:
      - instances: {1g.5gb: 7}
    minimum: "535.161.07"
  register: rehearsal

- name: Show the steps it would take
  ansible.builtin.debug:
    msg: "{{ rehearsal.problem or rehearsal.refusal or rehearsal.actions }}"
"""

RETURN = r"""
ok:
  description: Whether no finding is an error.
  returned: success
  type: bool
  sample: false
problem:
  description: All errors as text, V(null) if there are none.
  returned: success
  type: str
  sample: >-
    GPU 0 (NVIDIA A100-SXM4-40GB, GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, 00000000:07:00.0): The NVIDIA driver is
    470.57.02. 1g.10gb on A100 40GB needs 525.60.13 or later. Install it from the distribution or from NVIDIA's
    repository, then reboot or reload the kernel modules.
advice:
  description: All warnings as text, V(null) if there are none.
  returned: success
  type: str
  sample: null
findings:
  description: What is not as it should be.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description:
        - The check. V(nvml_version), V(nvml), V(driver), V(nvidia_ml_py), V(driver_minimum), V(driver_model),
          V(driver_profile), V(driver_age), V(cuda), V(container_toolkit), V(nouveau), V(permission), V(mig),
          V(fabric_manager), V(fabric), V(capability_devices), V(persistence), V(pass-through), V(vgpu), V(ecc),
          V(pending_mode), V(lost), V(reset_required), V(unreadable), V(interrupted), V(journal) or V(claim).
      returned: success
      type: str
      sample: driver_profile
    severity:
      description: V(error) if the layout cannot work as requested, V(warning) if you should know this first.
      returned: success
      type: str
      sample: error
    gpu:
      description: The GPU concerned, with C(index) and C(uuid) V(null) if it is visible only on the PCI bus. V(null)
        for the host.
      returned: success
      type: dict
      sample: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
    found:
      description: What was found.
      returned: success
      type: str
      sample: The NVIDIA driver is 470.57.02.
    needed:
      description: What is needed, or what it means.
      returned: success
      type: str
      sample: 1g.10gb on A100 40GB needs 525.60.13 or later.
    remedy:
      description: How to get it.
      returned: success
      type: str
      sample: Install it from the distribution or from NVIDIA's repository, then reboot or reload the kernel modules.
    message:
      description: All of it, with the GPU's names.
      returned: success
      type: str
      sample: >-
        GPU 0 (NVIDIA A100-SXM4-40GB, GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, 00000000:07:00.0): The NVIDIA driver is
        470.57.02. 1g.10gb on A100 40GB needs 525.60.13 or later. Install it from the distribution or from NVIDIA's
        repository, then reboot or reload the kernel modules.
evidence:
  description: The data behind the findings.
  returned: success
  type: dict
  contains:
    nvidia_devices:
      description: Whether the host has any NVIDIA GPU.
      returned: success
      type: bool
      sample: true
    mig_capable:
      description: Whether any of them is MIG-capable, according to the driver or, if none answers, to its PCI device
        id.
      returned: success
      type: bool
      sample: true
    python:
      description: The Python interpreter that runs the modules on this host.
      returned: success
      type: str
      sample: /usr/bin/python3
    nvidia_ml_py:
      description: C(version) and C(path) of the Python package nvidia-ml-py, V(null) if no suitable one was found.
      returned: success
      type: dict
      sample: {version: 12.575.51, path: /usr/local/lib/gpufleet-mig/python/pynvml.py}
    driver_version:
      description: Version of the driver according to NVML, V(null) if it does not answer.
      returned: success
      type: str
      sample: 470.57.02
    cuda_version:
      description: The newest CUDA version that the driver supports.
      returned: success
      type: str
      sample: "11.4"
    kernel_module:
      description: Version of the loaded kernel module, V(null) if none is loaded or F(/proc) does not show it.
      returned: success
      type: str
      sample: 470.57.02
    pci_devices:
      description: NVIDIA GPUs on the PCI bus, each with C(pci_address), C(pci_device_id) and C(driver), its kernel
        driver.
      returned: success
      type: list
      elements: dict
      sample: [{pci_address: "0000:07:00.0", pci_device_id: "0x20B010DE", driver: nvidia}]
    nvswitches:
      description: PCI addresses of NVSwitches.
      returned: success
      type: list
      elements: str
      sample: []
    fabric_manager:
      description: Whether Fabric Manager runs. Checked only on machines with NVSwitches.
      returned: success
      type: bool
      sample: false
    persistence_daemon:
      description: Whether nvidia-persistenced runs.
      returned: success
      type: bool
      sample: true
    container_toolkit:
      description: Version of the NVIDIA Container Toolkit, V(null) if it was not checked or is not installed.
      returned: success
      type: str
      sample: null
    user:
      description: The numeric id of the user that the module ran as.
      returned: success
      type: int
      sample: 0
    gpus:
      description:
        - What else was checked on each MIG-capable GPU, C(null) if NVML does not report it. C(ecc) and C(ecc_pending),
          C(persistence), C(virtualization) (V(none), V(pass-through), V(vgpu), V(host_vgpu) or V(host_vsga)) and
          C(fabric) (V(not_started), V(in_progress) or V(completed)).
      returned: success
      type: list
      elements: dict
      sample:
        - index: 0
          uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4
          pci_address: "00000000:07:00.0"
          ecc: true
          ecc_pending: true
          persistence: true
          virtualization: none
          fabric: null
interrupted:
  description: The last change of this host if it was cut short, as in M(gpufleet.mig.mig_facts).
  returned: success
  type: dict
  sample: null
claim:
  description:
    - The run that has claimed this host (M(gpufleet.mig.mig_claim)). C(id) is the id of its change, C(who) and C(where)
      its user and controller, C(stage) and C(since) what it is doing; C(lapsed), whether another run may take over the
      host; and C(restored_at_boot), whether the saved layout was restored at a boot meanwhile. V(null) if there is
      none.
  returned: success
  type: dict
  sample: null
drained:
  description: Whether something is drained on this host that the role gpufleet.mig.mig_drain has not restored yet.
  returned: success
  type: bool
  sample: false
mig:
  description:
    - What was read, in the form of C(ansible_facts.mig) of M(gpufleet.mig.mig_facts), without profiles, and with
      C(free) counted by placements alone.
  returned: success
  type: dict
  sample: {}
before:
  description:
    - The current layout entry of each MIG-capable GPU, by UUID and with exact placements, so that it can be applied
      again. GPUs whose placements could not be read are left out.
  returned: success
  type: list
  elements: dict
  sample:
    - gpus: [GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4]
      mig_enabled: true
      instances:
        - profile: 3g.20gb
          placement: 4
          compute_instances:
            - {profile: 3g.20gb, placement: 0}
reached:
  description: Whether there is nothing to do and nothing pending. This and everything below only with O(layout).
  returned: with O(layout)
  type: bool
  sample: false
refusal:
  description: Why the layout cannot be reached, V(null) if it can. Busy instances in the way are no refusal.
  returned: with O(layout)
  type: str
  sample: null
nothing_to_compare:
  description:
    - A sentence if no entry of O(layout) applies to any MIG-capable GPU of the host, otherwise V(null). RV(reached) is
      then true, as there is nothing to do.
  returned: with O(layout)
  type: str
  sample: null
in_the_way:
  description: The message with which a run would refuse because of RV(must_be_free), V(null) if that is empty.
  returned: with O(layout)
  type: str
  sample: null
target:
  description:
    - The layout entry of each GPU that O(layout) names as RV(plan) leaves it, by UUID and with exact placements. GPUs
      whose profiles the driver reports only while MIG is on are left out while it is off.
    - While RV(plan) has steps, the placements of compute instances in GPU instances that do not exist yet are a
      forecast, and up to the driver. Read the final placements after the change, when the plan is empty.
  returned: with O(layout)
  type: list
  elements: dict
  sample:
    - gpus: [GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4]
      mig_enabled: false
not_checked:
  description:
    - The GPUs for which RV(plan) has only the mode, because MIG is off and their driver reports profiles only while it
      is on. A layout whose profile names ask for more slices than such a GPU has is still refused. Any other is
      planned, and may be refused, once MIG is on.
  returned: with O(layout)
  type: list
  elements: dict
  sample:
    - {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
plan:
  description: The steps of mig_mode and then mig_instances for each GPU, as these modules return them.
  returned: with O(layout)
  type: list
  elements: dict
  sample:
    - action: set_mig_mode
      gpu: {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
      mig_enabled: true
actions:
  description: The same in sentences.
  returned: with O(layout)
  type: list
  elements: str
  sample: ["GPU 0: enable MIG mode"]
diff:
  description: Each GPU's layout before and after.
  returned: with O(layout)
  type: dict
  sample: {before: "", after: ""}
kept:
  description: UUIDs of the MIG devices that would stay.
  returned: with O(layout)
  type: list
  elements: str
  sample: []
disrupted:
  description: UUIDs of the MIG devices that would be destroyed.
  returned: with O(layout)
  type: list
  elements: str
  sample: [MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07]
must_be_free:
  description: The smallest set of busy or kept MIG devices (or whole GPUs) that must be freed before the plan can be
    executed.
  returned: with O(layout)
  type: list
  elements: dict
  sample: []
blockers:
  description: The processes in them, as M(gpufleet.mig.mig_instances) returns them.
  returned: with O(layout)
  type: list
  elements: dict
  sample: []
reset_gpus:
  description: The GPUs that are reset during the change unless the driver activates their mode without.
  returned: with O(layout)
  type: list
  elements: dict
  sample:
    - {index: 0, uuid: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4, pci_address: "00000000:07:00.0"}
reset_required:
  description: Whether there are any such GPUs.
  returned: with O(layout)
  type: bool
  sample: true
reboot_required:
  description:
    - Whether a mode change will probably need a reboot, because the GPU is passed through to this virtual machine. A
      run tries to reset it first.
  returned: with O(layout)
  type: bool
  sample: false
nearest:
  description: For each GPU (by UUID) that the layout does not fit, alone or beside what is in use, the nearest mapping
    for C(instances) that does.
  returned: with O(layout), if it does not fit
  type: dict
  sample: {"GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4": {"3g.20gb": 2}}
nvidia_ml_py:
  description:
    - V(missing) if the host has no suitable one and the controller could not lend its own. Nothing that depends on NVML
      was then checked.
    - V(temporary) if the module ran with a copy of the controller's, removed at its end.
  returned: on a host without a suitable nvidia-ml-py
  type: str
  sample: temporary
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.argspec import CHECK
from ansible_collections.gpufleet.mig.plugins.module_utils.check.run import check
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError


def main():
    module = AnsibleModule(argument_spec=CHECK, supports_check_mode=True)
    try:
        result, warnings = check(module.params, module.run_command)
    except MigError as error:
        module.fail_json(msg=str(error))
    for warning in warnings:
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
