#!/usr/bin/python

# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_evict
short_description: Evict pods from a Kubernetes node, all of them or those that are named
version_added: 0.1.0
author:
  - gpufleet.mig contributors (@gpufleet)
description:
  - Evicts pods from a node through the Eviction API and waits until they are gone, each with its own grace period.
  - Which pods may be evicted follows the rules of C(kubectl drain). If one may not, none is evicted.
  - If a PodDisruptionBudget does not allow an eviction, the module tries again until O(timeout). It asks the API server
    about all pods before evicting the first, so a budget that prevents one eviction prevents all.
  - It neither cordons nor uncordons the node; M(kubernetes.core.k8s_drain) does. This module exists because that one
    evicts all pods of a node or those of a label selector, and fails at the first budget that prevents an eviction.
  - Runs where the API server can be reached, usually with C(delegate_to=localhost).
seealso:
  - module: kubernetes.core.k8s_drain
requirements:
  - kubernetes >= 24.2.0, the Python client
attributes:
  check_mode:
    description: Asks the API server (with a dry run) and evicts nothing.
    support: full
  diff_mode:
    description: The pods that are evicted, before and after.
    support: full
  idempotent:
    description: A pod that is gone is not evicted again.
    support: full
options:
  node:
    description: Name of the node.
    type: str
    required: true
  pods:
    description:
      - The pods to evict. Pods that are not on the node count as gone.
      - Without it, all pods of the node are evicted except those that C(kubectl drain) leaves.
    type: list
    elements: dict
    suboptions:
      uid:
        description:
          - The UID. If given, it alone decides, and a pod of the same name with another UID is left alone.
          - For a static pod it may be the UID that the kubelet gave it.
        type: str
      namespace:
        description: The namespace, needed without O(pods[].uid).
        type: str
      name:
        description: The name, needed without O(pods[].uid).
        type: str
  timeout:
    description: How many seconds the whole task may take, until the last pod is gone.
    type: int
    default: 600
  ignore_daemonsets:
    description: Skip DaemonSet pods instead of refusing.
    type: bool
    default: false
  force:
    description: Also evict pods that no controller replaces, and those of a DaemonSet that is gone.
    type: bool
    default: false
  delete_emptydir_data:
    description: Also evict pods with emptyDir volumes, whose data is lost.
    type: bool
    default: false
  ignore_node_selectors:
    description:
      - Names of node labels. DaemonSet pods that select their node by one of these labels are skipped, because they
        leave when the label changes.
    type: list
    elements: str
    default: []
  kubeconfig:
    description:
      - Path of a kubeconfig file where the module runs. Without it and O(context), a pod's in-cluster configuration is
        used, otherwise the user's default file.
      - If not given, the environment variable E(K8S_AUTH_KUBECONFIG) is read.
    type: path
  context:
    description:
      - The context of that file, if not the current one.
      - If not given, the environment variable E(K8S_AUTH_CONTEXT) is read.
    type: str
"""

EXAMPLES = r"""
- name: Evict one pod from a node that is already cordoned
  gpufleet.mig.k8s_evict:
    node: gpu-1
    pods:
      - {namespace: ml, name: train-0}
    timeout: 300
  delegate_to: localhost

- name: Evict everything, as kubectl drain would
  gpufleet.mig.k8s_evict:
    node: gpu-1
    ignore_daemonsets: true
    delete_emptydir_data: true
    kubeconfig: /etc/kubernetes/admin.conf
  delegate_to: localhost
"""

RETURN = r"""
pods:
  description: The pods that were evicted and are gone; in check mode, those that a run would evict.
  returned: success
  type: list
  elements: dict
  sample:
    - {namespace: ml, name: train-0, uid: 5b0c3a3e-7f3a-4a56-9b57-0f5e6f8b7c11}
remarks:
  description: What an eviction costs, and why other pods were skipped.
  returned: success
  type: list
  elements: str
  sample: ["ml/train-0: its emptyDir data is lost"]
blocked:
  description: Pods that the API server would not evict now, with the reason. A run waits for them.
  returned: in check mode
  type: dict
  sample: {ml/train-0: "PodDisruptionBudget ml/train allows 0 disruptions: it needs 1 healthy pods and has 1 currently"}
diff:
  description: The pods that are evicted.
  returned: success
  type: dict
  sample: {before: "ml/train-0\n", after: ""}
"""

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes.eviction import Refused
from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes.run import MISSING, eviction


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "pods": {
                "type": "list",
                "elements": "dict",
                "options": {"uid": {"type": "str"}, "namespace": {"type": "str"}, "name": {"type": "str"}},
                "required_one_of": [["uid", "name"]],
                "required_together": [["namespace", "name"]],
            },
            "timeout": {"type": "int", "default": 600},
            "ignore_daemonsets": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "delete_emptydir_data": {"type": "bool", "default": False},
            "ignore_node_selectors": {"type": "list", "elements": "str", "default": []},
            "kubeconfig": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
            "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=MISSING)
    try:
        module.exit_json(**eviction(module.params, module.check_mode))
    except Refused as refused:
        module.fail_json(msg=str(refused))


if __name__ == "__main__":
    main()
