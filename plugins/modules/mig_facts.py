#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mig_facts
short_description: Read NVIDIA GPUs and their MIG partitioning
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Reads all NVIDIA GPUs of a host through NVML, with their MIG mode, the profiles and placements they offer, their
    GPU instances and compute instances, and the processes in them.
  - A host without an NVIDIA driver or GPUs is no failure. It has no GPUs, and RV(ansible_facts.mig.reason) says why. So
    the module can run on a mixed fleet, also as a fact module, listed in C(facts_modules).
  - Without root it returns what NVML reports to every user, which is mode, profiles and MIG devices. What NVML hides
    from the caller is V(null) and named in RV(ansible_facts.mig.incomplete).
notes:
  - As a fact module it takes its options from C(module_defaults).
seealso:
  - module: gpufleet.mig.mig_mode
  - module: gpufleet.mig.mig_instances
  - plugin: gpufleet.mig.mig_with_profiles
    plugin_type: filter
extends_documentation_fragment:
  - gpufleet.mig.attributes
  - gpufleet.mig.linux
  - gpufleet.mig.reading
attributes:
  diff_mode:
    description: The module changes nothing, so there is no difference to show.
    support: full
  facts:
    description: Returns C(ansible_facts) and may be listed in C(facts_modules).
    support: full
options:
  gpus:
    description:
      - Which GPUs to return, V(all) or a list of indexes, UUIDs and PCI addresses. V(all) here means every GPU,
        MIG-capable or not.
      - On a host with GPUs, naming an absent one is an error.
    type: raw
    default: all
  gather:
    description:
      - What to read beyond the GPUs and their mode. Leaving out what you do not need saves time.
      - V(processes) includes V(instances), which lists them.
      - V(handles), which includes V(processes), searches all processes of the host for those that have a GPU's device
        file open although NVML does not list them, such as C(nvidia-persistenced) or a monitoring agent. They keep a
        GPU from being reset.
    type: list
    elements: str
    choices: [profiles, instances, processes, handles]
    default: [profiles, instances, processes]
  state_dir:
    description: Where the changing modules keep their journal on this host, if not in the default directory.
    type: path
"""

EXAMPLES = r"""
- name: Read the GPUs of every host
  gpufleet.mig.mig_facts:

- name: Show which profiles the first GPU offers
  ansible.builtin.debug:
    msg: "{{ (ansible_facts.mig | gpufleet.mig.mig_with_profiles).gpus[0].profiles | map(attribute='name') }}"

- name: Show the GPU instances of each GPU
  ansible.builtin.debug:
    msg: "GPU {{ item.index }} ({{ item.product }}): {{ item.instances | map(attribute='profile') | join(', ') }}"
  loop: "{{ ansible_facts.mig.gpus | selectattr('instances') }}"
  loop_control:
    label: "{{ item.uuid }}"

- name: Save the layout of this host, to apply it again later
  ansible.builtin.set_fact:
    layout_before: "{{ ansible_facts.mig.gpus | map(attribute='layout') | select | list }}"

- name: Read one GPU without its processes
  gpufleet.mig.mig_facts:
    gpus: [0]
    gather: [profiles, instances]
"""

RETURN = r"""
ansible_facts:
  description: What was read, in one fact.
  returned: always
  type: dict
  contains:
    mig:
      description: The GPUs of the host.
      returned: always
      type: dict
      contains:
        driver_version:
          description: Version of the NVIDIA driver, V(null) if there is none.
          returned: always
          type: str
          sample: 570.133.20
        nvml_version:
          description: Version of NVML.
          returned: always
          type: str
          sample: 12.570.133.20
        cuda_version:
          description: The newest CUDA version that the driver supports.
          returned: always
          type: str
          sample: "12.8"
        reason:
          description: Why there are no GPUs, V(null) if there are some.
          returned: always
          type: str
          sample: "libnvidia-ml.so.1, the NVML library, was not found."
        incomplete:
          description:
            - What NVML hid from this user. Any of V(memory), V(profiles), V(placements), V(orphans) (GPU instances
              without compute instances), V(instance_profiles) (which of several similar profiles a GPU instance has),
              V(free) and V(processes).
            - V(allocations) is included if the kubelet's allocations could not be read, and V(handles) if the open
              files of some processes are hidden from this user, or a GPU has no minor number to find its file by.
          returned: always
          type: list
          elements: str
          sample: []
        interrupted:
          description:
            - The last change of this host if it was cut short, for example by a power failure, with the user who ran
              it, its steps and the layout before, from the journal. V(null) if the last change ended, successfully or
              not.
          returned: always
          type: dict
          sample: null
        claim:
          description:
            - The run that has claimed this host (M(gpufleet.mig.mig_claim)), as in
              RV(gpufleet.mig.mig_check#module:claim). V(null) if there is none, or if the file cannot be read, which
              causes a warning.
          returned: always
          type: dict
          sample: null
        profile_tables:
          description:
            - The GPU instance profiles that the GPUs offer. Every GPU is asked, and equal answers are stored once; the
              name is the index of the first GPU that gave it. Empty if profiles are not gathered.
            - A profile has a C(name) and the C(driver_name), which differ if the driver gives several profiles the same
              name; each is then named by its id. C(slices) are compute slices, C(max) is how many the GPU holds at
              most, and C(placements) are where it can start and how many memory slices it takes, V(null) if the driver
              does not report it.
          returned: always
          type: dict
          sample:
            "0":
              - name: 3g.20gb
                driver_name: 3g.20gb
                id: 9
                slices: 3
                memory_mib: 19968
                multiprocessors: 42
                engines: {copy: 3, decoder: 2, encoder: 0, jpeg: 0, ofa: 0}
                placements: [{start: 0, size: 4}, {start: 4, size: 4}]
                max: 2
        gpus:
          description: The GPUs in index order.
          returned: always
          type: list
          elements: dict
          contains:
            index:
              description: Index of the GPU, which may change at a reboot.
              returned: always
              type: int
              sample: 0
            uuid:
              description: UUID of the GPU, which never changes.
              returned: always
              type: str
              sample: GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4
            pci_address:
              description: PCI address of the GPU, V(null) if it has none, as an integrated GPU.
              returned: always
              type: str
              sample: "00000000:07:00.0"
            product:
              description: Product name.
              returned: always
              type: str
              sample: NVIDIA A100-SXM4-40GB
            pci_device_id:
              description: PCI device and vendor id, in the form that layouts take.
              returned: always
              type: str
              sample: "0x20B010DE"
            minor:
              description:
                - Minor number of the device file, the N in C(/dev/nvidiaN), which may change with the MIG mode.
                - V(null) if the GPU has none.
              returned: always
              type: int
              sample: 0
            memory_mib:
              description: Memory of the whole GPU in MiB.
              returned: always
              type: int
              sample: 40960
            mig_capable:
              description: Whether the GPU and its driver support MIG.
              returned: always
              type: bool
              sample: true
            mig_mode:
              description: The current MIG mode, V(enabled) or V(disabled), V(null) on a GPU without MIG.
              returned: always
              type: str
              sample: enabled
            mig_mode_pending:
              description: The MIG mode that the next reset or reboot activates.
              returned: always
              type: str
              sample: enabled
            slices:
              description: How many C(memory) and C(compute) slices the GPU has, V(null) if the driver does not report
                it.
              returned: always
              type: dict
              sample: {memory: 8, compute: 7}
            profile_table:
              description:
                - The name of its table in RV(ansible_facts.mig.profile_tables), V(null) if profiles are not gathered.
                - The filter P(gpufleet.mig.mig_with_profiles#filter) gives each GPU its profiles.
              returned: always
              type: str
              sample: "0"
            instances:
              description:
                - The GPU instances, by placement. V(null) if not gathered.
                - Without root, only those with a MIG device, and without placements.
              returned: always
              type: list
              elements: dict
              contains:
                id:
                  description: GPU instance id.
                  returned: always
                  type: int
                  sample: 2
                profile:
                  description: Name of its profile.
                  returned: always
                  type: str
                  sample: 3g.20gb
                profile_id:
                  description: Its id, which stays the same for a model even if a driver renames the profile.
                  returned: always
                  type: int
                  sample: 9
                placement:
                  description: First memory slice and number of memory slices.
                  returned: always
                  type: dict
                  sample: {start: 4, size: 4}
                compute_instances:
                  description:
                    - Its compute instances. An empty list means that it holds memory and nothing can run there.
                    - C(placement) is in the driver's units, which are compute slices of the GPU instance or, on Hopper,
                      B200 and GB200, eighths of it. V(null) if the driver does not report it.
                    - C(index) is the number of the MIG device on its GPU. MIG devices are renumbered after every
                      change, so do not store it.
                    - C(profile) is the name in layouts. C(driver_name) is the name that the driver gives, and therefore
                      nvidia-smi and Slurm. It may differ in an attribute such as C(+me), and is V(null) if the driver
                      gives none.
                    - C(memory_mib) is the memory of the MIG device, which may differ from that of the profile, and
                      V(null) if the driver does not report it.
                    - C(processes) is V(null) if it could not be read.
                    - C(allocated_to) lists the pods to which the kubelet has allocated the MIG device, with C(uid),
                      C(namespace) and C(name), from their admission on, before they run.
                    - C(assigned_to) is the systemd service to which the role gpufleet.mig.mig_assign has assigned it,
                      whether it runs or not.
                  returned: always
                  type: list
                  elements: dict
                  sample:
                    - id: 0
                      profile: 3g.20gb
                      driver_name: 3g.20gb
                      placement: {start: 0, size: 3}
                      uuid: MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07
                      index: 0
                      memory_mib: 19968
                      processes: []
                      allocated_to: []
                      assigned_to: null
                processes:
                  description:
                    - The processes of all its compute instances, V(null) if one of the lists could not be read.
                    - A process belongs to a systemd C(unit) (C(user_unit) is a unit of its user's own manager), a
                      C(container), a Kubernetes C(pod) and a C(slurm_job), as far as its cgroup has names given by
                      root; what is unknown is V(null).
                    - C(claimed), with a C(container), C(pod) and C(slurm_job) or V(null), comes from the part of the
                      cgroup that root has left to the user, such as a rootless container's. Like C(name) and
                      C(user_unit) it is information for people; never base a decision on it.
                  returned: always
                  type: list
                  elements: dict
                  sample:
                    - pid: 4711
                      name: python3
                      user: alice
                      started: "2026-01-31T03:00:00Z"
                      unit: cri-containerd-2a2b18a9c1d14a4c2ba1ee5d9bd2e0f3ea6bb1fda9ad1d9b3a1c3e4d5f607182.scope
                      user_unit: null
                      container:
                        id: 2a2b18a9c1d14a4c2ba1ee5d9bd2e0f3ea6bb1fda9ad1d9b3a1c3e4d5f607182
                        runtime: containerd
                      pod: {uid: 5b0c3a3e-7f3a-4a56-9b57-0f5e6f8b7c11, namespace: ml, name: train-0}
                      slurm_job: null
                      claimed: null
            layout:
              description:
                - One entry for O(gpufleet.mig.mig_instances#module:layout) and O(gpufleet.mig.mig_mode#module:layout)
                  that recreates exactly what was read.
                - V(null) on a GPU without MIG, or if placements are not known.
              returned: always
              type: dict
              sample:
                gpus: [GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4]
                mig_enabled: true
                instances:
                  - profile: 3g.20gb
                    placement: 4
                    compute_instances:
                      - {profile: 3g.20gb, placement: 0}
            free:
              description:
                - For each profile, how many more could be created beside the existing instances if only that profile
                  were used, according to the placements and to the driver, whichever is less.
                - Empty while MIG is off, V(null) if it is not known.
              returned: always
              type: dict
              sample: {1g.5gb: 4, 1g.5gb+me: 1, 1g.10gb: 2, 2g.10gb: 2, 3g.20gb: 1, 4g.20gb: 1, 7g.40gb: 0}
            processes:
              description: While MIG is off or the GPU has no GPU instance, the processes of the whole GPU. Otherwise,
                and if they could not be read, V(null).
              returned: always
              type: list
              elements: dict
              sample: null
            allocated_to:
              description: The pods to which the kubelet has allocated the whole GPU. V(null) if processes are not
                gathered.
              returned: always
              type: list
              elements: dict
              sample: []
            handles:
              description: Processes that have the GPU's device file open and that NVML does not list, in the form of
                RV(ansible_facts.mig.gpus[].instances[].processes). V(null) if not gathered.
              returned: always
              type: list
              elements: dict
              sample: null
            problem:
              description: Why the GPU could not be read; most other values are then V(null).
              returned: always
              type: str
              sample: null
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

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.claims import known_claim
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.journal import UNKNOWN, WAY_OUT
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.assign.record import owners
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.facts.run import read
from ansible_collections.gpufleet.mig.plugins.module_utils.facts.snapshot import facts_of
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.reading import GATHER


def main():
    module = AnsibleModule(
        argument_spec={
            "gpus": {"type": "raw", "default": "all"},
            "gather": {"type": "list", "elements": "str", "choices": [*GATHER, "handles"], "default": list(GATHER)},
            "state_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    gather = module.params["gather"]
    if "handles" in gather:
        gather = [*gather, "processes"]
    try:
        state = HostState(module.params["state_dir"])
        snapshot = read(module.params["gpus"], gather)
    except MigError as error:
        module.fail_json(msg=str(error), **error.result)
    try:
        assigned = _assigned(snapshot.gpus)
    except MigError as error:
        assigned = {}
        module.warn(f"Which service has which MIG device is not known: {error}")
    facts = facts_of(snapshot, gather, assigned)
    facts["interrupted"], problem = state.look_back()
    if problem:
        module.warn(f"{problem} {UNKNOWN} {WAY_OUT}")
    facts["claim"], unreadable = known_claim(state)
    if unreadable:
        module.warn(unreadable)
    module.exit_json(ansible_facts={"mig": facts})


def _assigned(gpus):
    """{UUID of a MIG device: service}. Raises MigError."""
    recorded = owners()
    if not recorded:
        return {}
    # Loaded only where something is assigned, which is on few hosts.
    from ansible_collections.gpufleet.mig.plugins.module_utils.assign.assignment import owners_of

    return owners_of(gpus, recorded)


if __name__ == "__main__":
    main()
