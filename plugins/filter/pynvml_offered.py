# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pynvml_offered
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Find out whether a distribution has a suitable nvidia-ml-py
description:
  - Takes the output of C(apt-get --simulate install python3-pynvml). The package is suitable if it is recent enough and
    brings no other package, which may be another NVML library. The role P(gpufleet.mig.mig_driver#role) uses it.
positional: minimum
options:
  _input:
    description:
      - The output.
    type: str
    required: true
  minimum:
    description:
      - The version that is needed at least.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See that the package is recent enough
  ansible.builtin.assert:
    that: "'Inst python3-pynvml (12.550.89-3 Debian)' | gpufleet.mig.pynvml_offered('12.550.52')"
"""

RETURN = r"""
_value:
  description: Whether the package is suitable.
  type: bool
"""

from ansible_collections.gpufleet.mig.plugins.plugin_utils.driver import pynvml_offered


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"pynvml_offered": pynvml_offered}
