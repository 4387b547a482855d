# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the GPUs of a simulated host hold, in a form to compare: read from the simulator, not through the modules."""

from __future__ import annotations

from collections import Counter


def profiles(host):
    """The MIG devices of each GPU by index: [{profile: count}, ...]; None where MIG is off or there is none."""
    return [
        dict(Counter(device["profile"] for instance in gpu["instances"] for device in instance["compute_instances"]))
        if gpu["mig_mode"]
        else None
        for gpu in host.show()["gpus"]
    ]
