# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a service's unit is to be read again and the service to be restarted, by what it has and what it should have."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.assign import state
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError

NAME, UUID = "train.service", "MIG-b6f2c9de"
LOADED = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "NeedDaemonReload": "no",
    "DropInPaths": f"/etc/a.conf {state.drop_in_path(NAME)}",
    "Requires": "system.slice",
}
RIGHT = state.variables(NAME, UUID, False)
FOUND = state.Found(LOADED, environment=RIGHT)
MPS = state.Found(
    {**LOADED, "Requires": f"system.slice {state.mps_unit(NAME)}"},
    {"LoadState": "loaded", "ActiveState": "active", "NeedDaemonReload": "no"},
    state.variables(NAME, UUID, True),
    state.variables(NAME, UUID, True),
)


def found(start=FOUND, unit=None, mps_unit=None, **changes):
    """That Found with these properties and changes."""
    mps_unit = None if start.mps_unit is None else {**start.mps_unit, **(mps_unit or {})}
    return start._replace(unit={**start.unit, **(unit or {})}, mps_unit=mps_unit, **changes)


FAILED, STOPPED, UNREAD = {"ActiveState": "failed"}, {"ActiveState": "inactive"}, {"DropInPaths": ""}
CASES = {
    # name: (what is found, reload, restart)
    "all right": (found(), False, False),
    "all right with MPS": (found(MPS), False, False),
    "another MIG device": (found(environment={"CUDA_VISIBLE_DEVICES": "MIG-old"}), False, True),
    "none": (found(environment={}), False, True),
    "right, its file is gone": (found(environment_right=False), False, False),
    "drop-in not written": (found(unit=UNREAD, drop_in_right=False, environment={}), True, True),
    "drop-in written, not read, and systemd has not noticed": (found(unit=UNREAD, environment={}), True, True),
    "another drop-in read": (found(unit={"NeedDaemonReload": "yes"}), True, False),
    "drop-in to be written anew": (found(drop_in_right=False), True, False),
    "no main process, all right": (found(environment=None), False, False),
    "no main process, other file": (found(environment=None, environment_right=False), False, True),
    "no main process, owed": (found(environment=None, owed=True), False, True),
    "owed, and done": (found(owed=True), False, False),
    "stopped": (found(unit=STOPPED, environment=None), False, False),
    "stopped, other file": (found(unit=STOPPED, environment=None, environment_right=False), False, False),
    "stopped, owed": (found(unit=STOPPED, environment=None, owed=True), False, True),
    "being stopped": (found(unit={"ActiveState": "deactivating"}), False, False),
    "failed for reasons of its own": (found(unit=FAILED, environment=None), False, False),
    "failed with another file": (found(unit=FAILED, environment=None, environment_right=False), False, True),
    "failed before the drop-in was read": (found(unit={**FAILED, **UNREAD}, environment=None), True, True),
    "failed, owed": (found(unit=FAILED, environment=None, owed=True), False, True),
    "MPS to come": (found(mps_environment=None)._replace(mps_unit={"LoadState": "not-found"}), True, True),
    "MPS no longer": (found(MPS)._replace(mps_unit=None), True, True),
    "MPS not required yet": (found(MPS, unit={"Requires": "system.slice"}), True, False),
    "MPS stopped": (found(MPS, mps_unit=STOPPED, mps_environment=None), False, True),
    "MPS for another MIG device": (found(MPS, mps_environment={"CUDA_VISIBLE_DEVICES": "MIG-old"}), False, True),
    "MPS unit of another release": (found(MPS, mps_unit={"NeedDaemonReload": "yes"}), True, False),
    "stopped, and so is its MPS": (found(MPS, unit=STOPPED, mps_unit=STOPPED, environment=None), False, False),
    "the service's own MPS": (found(environment={**RIGHT, state.PIPE: "/run/own"}), False, False),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_needed(case):
    there, reload, restart = CASES[case]
    assert (state.needs_reload(there, NAME), state.needs_restart(there, NAME, UUID)) == (reload, restart)


@pytest.mark.parametrize("uuid", ["", "GPU-1", "MIG-1\nLD_PRELOAD=/tmp/x.so", "MIG-1 x", "MIG-%i", "MIG-" + "1" * 100])
def test_what_is_no_uuid_reaches_no_file(uuid):
    with pytest.raises(MigError, match="which is no UUID"):
        state.environment_file(NAME, uuid, False)


def test_uuids_of_every_driver():
    for uuid in ("MIG-b6f2c9de-58a1-5c0c-8a4f-0a7ab50b1f07", "MIG-GPU-5f2cd73b-6a4e-4f4d-8a6f-3d3d7f0ddba4/7/0"):
        assert f"CUDA_VISIBLE_DEVICES={uuid}\n" in state.environment_file(NAME, uuid, True).content


def test_what_a_process_has_is_told_on_one_line():
    told = state.differences({"CUDA_VISIBLE_DEVICES": "a\nTASK \x1b[2J"}, NAME, UUID, False)
    assert told == rf"CUDA_VISIBLE_DEVICES='a\nTASK \x1b[2J'; expected {UUID}"
