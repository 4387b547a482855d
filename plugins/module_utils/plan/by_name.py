# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the names of profiles alone say of a layout, for a GPU whose driver does not tell yet what it can hold. Pure.

Before R550 a driver tells profiles only while MIG is on. A name has the compute slices of its GPU instance and,
rounded, its memory. Whatever is not certain by that is no reason to refuse: the driver tells once MIG is on.
"""

from __future__ import annotations

from collections import Counter

from ..driver_releases import model_of
from ..model import PROFILE_NAME

MIB = 1024


def excess(gpu, layout):
    """(compute or memory, slices that a GpuLayout needs at least, slices that the Gpu has), None where it may fit.

    Rule: names of profiles alone
    """
    model = model_of(gpu.pci_device_id)
    if not model:
        return None
    wanted = [(PROFILE_NAME.match(name), count) for name, count in _gpu_instances(layout).items()]
    wanted = [(name, count) for name, count in wanted if name]  # an id says nothing of a size
    compute = max(gpu.compute_slices, model.compute_slices)
    needed = sum(int(name["slices"]) * count for name, count in wanted)
    if compute and needed > compute:
        return "compute", needed, compute
    memory = max(gpu.memory_slices, model.memory_slices)
    gib = -(-(gpu.memory_mib or 0) // MIB)
    # Rounded down: names are rounded either way, and a memory slice of less than its share is none that is certain.
    needed = sum(memory * int(name["memory"]) // gib * count for name, count in wanted) if gib else 0
    return ("memory", needed, memory) if memory and needed > memory else None


def _gpu_instances(layout):
    """The fewest GPU instances that a GpuLayout needs: {profile: how many}. Three 1c.3g.20gb fit into one 3g.20gb."""
    if layout.instances is not None:
        return Counter(want.profile for want in layout.instances)
    slices, taken = {}, Counter()
    for name, count in layout.counts:
        found = PROFILE_NAME.match(name)
        if not found:
            continue
        slices[found["gpu_instance"]] = int(found["slices"])
        taken[found["gpu_instance"]] += count * int(found["compute"] or found["slices"])
    return {name: -(-taken[name] // slices[name]) for name in taken}
