# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module of the collection can do, stated once."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - nvidia-ml-py >= 12.550.52 on the GPU host, if it has an NVIDIA driver
  - NVIDIA driver R450 or later; R460 or later to change GPU instances
attributes:
  action_group:
    description: Use C(group/gpufleet.mig.all) in C(module_defaults) to give all modules of the collection the same
      options.
    support: full
    membership:
      - gpufleet.mig.all
"""
