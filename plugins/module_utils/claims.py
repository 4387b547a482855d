# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One run's claim on a host. Nobody has one yet."""

from __future__ import annotations


def heed_claim(state, change_id, claimed):
    """Raise MigError where another run has the claim on this host; a sentence to warn with, or None."""
