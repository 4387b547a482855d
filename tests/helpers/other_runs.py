# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims of other runs on a simulated host, as runs of other controllers leave them."""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.claims import Claim, now, path_of, read_claim, take
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState

ELSEWHERE = {"name": "ctl-2", "host": "gpu-host", "boot_id": "another", "pid_namespace": 1, "pid": 1, "started": "1"}


def claim_of_bob(host, *, silent_for=0, silence=3600, **other):
    """The host is claimed by bob's run on another controller, which has been silent for so many seconds."""
    host.state_dir.mkdir(parents=True, exist_ok=True)
    clock = now()
    wanted = Claim(
        "bobs", "bob", ELSEWHERE, clock.wall, "drain", clock.boot_id, clock.seconds - silent_for, silence, {}
    )
    assert take(HostState(str(host.state_dir)), wanted._replace(**other), clock, force=True) is None
    return wanted._replace(**other)


def claim_on(host):
    """The Claim that is on the host now, None where there is none."""
    return read_claim(HostState(str(host.state_dir)))


def claim_file(host):
    """The path of its file."""
    return path_of(HostState(str(host.state_dir)))
