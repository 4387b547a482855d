# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mig_with_profiles
author: gpufleet.mig contributors (@gpufleet)
version_added: 0.1.0
short_description: Give each GPU of mig_facts its profiles
description:
  - M(gpufleet.mig.mig_facts) stores equal tables of profiles once, and each GPU names its own. This filter returns the
    same facts in which each GPU has them as C(profiles), V(null) if it names none.
  - GPUs that have C(profiles) already, as in facts of the first releases, stay as they are.
options:
  _input:
    description: What M(gpufleet.mig.mig_facts) returned as C(ansible_facts.mig).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Read the GPUs
  gpufleet.mig.mig_facts:
- name: Show the names of each GPU's profiles
  ansible.builtin.debug:
    msg: "GPU {{ item.index }} offers {{ item.profiles | map(attribute='name') | join(', ') }}"
  loop: "{{ (ansible_facts.mig | gpufleet.mig.mig_with_profiles).gpus | selectattr('profiles') }}"
  loop_control:
    label: "{{ item.uuid }}"
"""

RETURN = r"""
_value:
  description: The facts with C(gpus[].profiles). A GPU that names a table that is not there is an error.
  type: dict
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import with_profiles


def mig_with_profiles(facts):
    """See above."""
    try:
        return with_profiles(facts)
    except ValueError as error:
        raise AnsibleFilterError(f"mig_with_profiles: {error}") from None


class FilterModule:
    """What Ansible loads."""

    def filters(self):
        """The filter by its name."""
        return {"mig_with_profiles": mig_with_profiles}
