# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: gpu_clients
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Decide which of the operating system's GPU clients to stop for a change
description:
  - Decides for the role gpufleet.mig.mig_partition which services that watch GPUs, such as DCGM, are stopped.
  - For a change of MIG mode or a reset, all of them. Otherwise those that hold what must be free, or that have a device
    file open for which the driver refused the change with C(IN_USE). A process of a pod, container or Slurm job counts
    only as that.
positional: clients
options:
  _input:
    description:
      - The result of M(gpufleet.mig.mig_check) before a change, or of M(gpufleet.mig.mig_instances) when it failed.
    type: dict
    required: true
  clients:
    description:
      - Names of systemd units; C(.service) may be left out.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: See that DCGM is stopped if the driver reports a GPU as in use
  ansible.builtin.assert:
    that: (failed | gpufleet.mig.gpu_clients(['nvsm', 'nvidia-dcgm'])).stop == ['nvidia-dcgm']
  vars:
    failed:
      nvml_code: IN_USE
      blockers:
        - {pid: 812, name: nv-hostengine, unit: nvidia-dcgm.service, container: null, pod: null, slurm_job: null}
"""

RETURN = r"""
_value:
  description: C(stop), the clients to stop, in order; C(others), the parts of C(must_be_free) that something else
    holds, too.
  type: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.gpu_clients import gpu_clients


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"gpu_clients": gpu_clients}
