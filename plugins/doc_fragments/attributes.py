# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module of the collection can do, stated once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - nvidia-ml-py >= 12.550.52 on the GPU host, where it has an NVIDIA driver
  - NVIDIA driver R450 or later; R460 or later to change GPU instances
attributes:
  platform:
    description: Hosts on which the module runs.
    support: full
    platforms: linux
  action_group:
    description: Use C(group/gpufleet.mig.all) in C(module_defaults) to give all modules of the collection the same options.
    support: full
    membership:
      - gpufleet.mig.all
"""

    FACTS = r"""
attributes:
  check_mode:
    description: The module reads and changes nothing, in check mode as without.
    support: full
  diff_mode:
    description: The module changes nothing, so there is no difference to show.
    support: N/A
  facts:
    description: Returns C(ansible_facts) and may be listed in C(facts_modules).
    support: full
  idempotent:
    description: Reading twice gives the same result where nothing changed in between.
    support: full
"""

    CHANGES = r"""
attributes:
  check_mode:
    description: Returns the plan that a run would execute, and changes nothing.
    support: full
  diff_mode:
    description: Shows each GPU's layout before and after.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
"""
