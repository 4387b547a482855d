#!/usr/bin/python
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_devices_info
short_description: List the devices that the kubelet of this host can allocate to pods
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Asks the kubelet, on its pod-resources socket, for the ids of the devices that device plugins have registered. A
    node's C(status.allocatable) has only their number.
  - Runs on the node, as root. Changes nothing.
requirements:
  - Kubernetes 1.23 or later
options:
  directory:
    description: The kubelet's directory.
    type: path
    default: /var/lib/kubelet
extends_documentation_fragment:
  - gpufleet.mig.linux
  - gpufleet.mig.reading
attributes:
  diff_mode:
    description: There is no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Ask the kubelet for its devices
  gpufleet.mig.kubelet_devices_info:
  register: kubelet
- name: Show the MIG devices that pods can get
  ansible.builtin.debug:
    msg: "{{ kubelet.devices['nvidia.com/mig-1g.5gb'] }}"
"""

RETURN = r"""
devices:
  description:
    - For each resource, the ids of its healthy devices, whether allocated to a pod or not. NVIDIA's device plugin
      identifies a device by its UUID; a shared device has one id per replica, the UUID followed by C(::) and a number.
  returned: success
  type: dict
  sample:
    nvidia.com/mig-1g.5gb: [MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07]
problem:
  description: Why the kubelet could not be asked, V(null) if it answered.
  returned: success
  type: str
  sample: null
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes.kubelet import DIRECTORY, SECONDS
from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes.pod_resources import allocatable


def main():
    module = AnsibleModule(
        argument_spec={"directory": {"type": "path", "default": DIRECTORY}},
        supports_check_mode=True,
    )
    path = f"{module.params['directory']}/pod-resources/kubelet.sock"
    devices, problem = {}, None
    try:
        devices = allocatable(path, SECONDS)
    except (OSError, ValueError) as error:
        problem = f"No kubelet answers on {path}: {error}"
    module.exit_json(devices=devices, problem=problem)


if __name__ == "__main__":
    main()
