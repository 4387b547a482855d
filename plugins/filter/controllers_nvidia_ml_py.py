# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: controllers_nvidia_ml_py
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: List the files of the controller's nvidia-ml-py that a host needs
description:
  - Finds the Python package nvidia-ml-py with which Ansible itself runs. The role P(gpufleet.mig.mig_driver#role)
    copies it to hosts that can get it nowhere else.
options:
  _input:
    description:
      - The directory on the host into which they are to be copied.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: List the files
  ansible.builtin.debug:
    msg: "{{ '/opt/python' | gpufleet.mig.controllers_nvidia_ml_py }}"
"""

RETURN = r"""
_value:
  description: The files, each with C(src) on the controller, C(folder) and C(dest) on the host; none if the controller
    has no suitable package.
  type: list
  elements: dict
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.lending import controllers_nvidia_ml_py


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"controllers_nvidia_ml_py": controllers_nvidia_ml_py}
