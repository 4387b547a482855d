# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What mig_facts reads: from its options to a Snapshot, through one NVML session."""

from __future__ import annotations

from ..errors import DriverMissing, LibraryMissing
from ..model import Snapshot, processes_of
from ..nvml.reading import REMAINING
from ..nvml.session import Session


def read(gpus, gather):
    """Read the host and return a Snapshot; raises MigError."""
    only = None
    if gpus != "all":
        # Loaded only where it is used: compiling it is a good part of what reading costs.
        from ..layout.selectors import select_gpus

        def only(found):
            return select_gpus(gpus, found, mig_capable_only=False) if found else found

    try:
        with Session() as session:
            snapshot = session.read((*gather, REMAINING) if gather else gather, only)
    except (DriverMissing, LibraryMissing) as error:
        return Snapshot(reason=str(error))
    return with_holders(snapshot, gather)


def with_holders(snapshot, gather):
    """The Snapshot with all that can be known of who holds its devices. What is not needed is not even loaded."""
    if "processes" in gather and snapshot.gpus:
        from ..kubernetes.kubelet import allocations, with_allocations

        allocated, problem = allocations()
        snapshot = with_allocations(snapshot, allocated)
        if problem:
            snapshot = snapshot._replace(incomplete=(*snapshot.incomplete, "allocations"))
    if "handles" in gather or any(map(processes_of, snapshot.gpus)):
        from ..holders.naming import with_handles, with_origins

        snapshot = with_origins(snapshot)
        if "handles" in gather:
            snapshot = with_handles(snapshot)
    return snapshot
