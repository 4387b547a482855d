# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One run's claim on a host: ``claim.json`` in the state directory, from before the run plans until it has ended.

The lock of state_directory.py keeps one change from another; a claim keeps a whole run (check, drain, change, expose,
restore) from another run, and from what such a run would bring back. It is written only under that lock.

A claim says how long its run may be silent. After that it has lapsed: another run may take it, but as long as none
did, its own run goes on and renews it. Only the host's CLOCK_BOOTTIME together with its boot id decides that; wall
clocks are shown and decide nothing.
"""

from __future__ import annotations

import json
import os
import time
from typing import Dict, NamedTuple, Optional

from ..errors import MigError
from ..host import files as host_files
from ..visible import visible

FILE = "claim.json"
VERSION = 1
MOST_BYTES = 64 * 1024
WAY_OUT = "It tells whose run has this host. If no run is under way, remove it."
# Written just before the role itself reboots the host: the run goes on after this boot.
REBOOT = "reboot"
WORDS = {"change": str, "user": str, "since": str, "stage": str, "boot_id": str, "controller": dict, "modes": dict}
NUMBERS = ("renewed", "silence")


class Claim(NamedTuple):
    """Who has a host.

    ``change`` is the id of the run's change, ``user`` its user on the controller. ``controller`` tells of that: its
    ``name``, the ``host`` that its inventory calls this one and, where it knows, ``boot_id``, ``pid_namespace``,
    ``pid`` and ``started`` of its ansible-playbook. ``since`` is the host's wall clock when it was taken.

    ``renewed`` is the CLOCK_BOOTTIME of the boot ``boot_id``, ``silence`` how many seconds the run may be silent from
    then on. ``modes`` is {GPU UUID: MIG mode} of those that the run's own reboot activates; ``restored`` the boot in
    which the saved layout came back while the claim was there.
    """

    change: str
    user: str
    controller: Dict[str, object]
    since: str
    stage: str
    boot_id: str
    renewed: float
    silence: float
    modes: Dict[str, bool]
    restored: Optional[str] = None


class Clock(NamedTuple):
    """The time of a host as claims know it: its boot, seconds since that, and the wall clock's words."""

    boot_id: str
    seconds: float
    wall: str


def now():
    """The Clock of this host at this moment."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read(64).strip()
    except (OSError, UnicodeDecodeError):
        boot_id = ""
    wall = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Clock(boot_id, time.clock_gettime(time.CLOCK_BOOTTIME), wall)


def has_lapsed(claim, clock):
    """Whether another run may take a claim. Pure.

    One of an earlier boot ended with that, unless the run itself had the host reboot: then its time counts from the
    boot that followed.
    """
    if claim.boot_id == clock.boot_id:
        return clock.seconds - claim.renewed > claim.silence
    if claim.stage != REBOOT or claim.restored not in (None, clock.boot_id):
        return True
    return clock.seconds > claim.silence


def described(claim, clock):
    """A claim in words: who, from where, at which stage, since when, silent for how long. Pure."""
    pid = claim.controller.get("pid")
    process = f", process {pid}" if pid else ""
    silent = _duration(clock.seconds - claim.renewed) if claim.boot_id == clock.boot_id else "its last boot"
    return visible(
        f"{claim.user} from {claim.controller.get('name') or 'an unknown controller'}{process} (stage {claim.stage}, "
        f"since {claim.since}, silent for {silent}, change {claim.change})"
    )


def _duration(seconds):
    seconds = max(0, int(seconds))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def claim_data(claim, clock):
    """A claim as mig_check and mig_facts return it, None without one. Pure."""
    return claim and {
        "id": claim.change,
        "who": claim.user,
        "where": str(claim.controller.get("name") or "") or None,
        "stage": claim.stage,
        "since": claim.since,
        "lapsed": has_lapsed(claim, clock),
        "restored_at_boot": claim.restored is not None,
    }


def known_claim(host_state):
    """(the claim on this host as data, None where there is none; None or why it cannot be read)."""
    try:
        return claim_data(read_claim(host_state), now()), None
    except MigError as error:
        return None, str(error)


def path_of(host_state):
    """The file with the claim on this host."""
    return os.path.join(host_state.path, FILE)


def read_claim(host_state):
    """The Claim on this host, None where there is none. Raises MigError where the file cannot be read as one."""
    path = path_of(host_state)
    data = host_files.read_json(path, MOST_BYTES, WAY_OUT)
    if data is None:
        return None
    known = data.get("version") == VERSION
    fits = known and all(isinstance(data.get(key), kind) for key, kind in WORDS.items())
    fits = fits and all(_is_number(data.get(key)) for key in NUMBERS)
    if not fits or not isinstance(data.get("restored"), (str, type(None))):
        why = "is damaged" if known else f"is not of version {VERSION}: another release of gpufleet.mig wrote it"
        raise MigError(f"{path} {why}. {WAY_OUT}")
    return Claim(*(data.get(field) for field in Claim._fields))


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_free(claim, change, over, clock):
    """Whether the run of ``change`` may take a host with this claim, or None. Pure."""
    return claim is None or claim.change in (change, *over) or has_lapsed(claim, clock)


def take(host_state, wanted, clock, over=(), force=False):
    """Take the host for the Claim ``wanted``: None, or the Claim that is in the way.

    Free is a host without a claim, with a lapsed one, or with one whose change is in ``over``. With ``force`` it is
    taken whoever has it, also where the file is damaged. The caller holds the lock. Raises MigError.
    """
    try:
        there = read_claim(host_state)
    except MigError:
        if not force:
            raise
        there = None
    if not (force or is_free(there, wanted.change, over, clock)):
        return there
    _write(host_state, wanted)
    return None


def renew(host_state, change, stage, silence, clock, modes=None):
    """Renew this run's claim at a stage; returns None, or why it could not be written although it is still this run's.

    The caller holds the lock. Raises MigError where it is this run's no longer.
    """
    there = _own(host_state, change, clock)
    renewed = there._replace(
        stage=stage, silence=silence, boot_id=clock.boot_id, renewed=clock.seconds, modes=modes or {}, restored=None
    )
    try:
        _write(host_state, renewed)
    except MigError as error:
        return str(error)
    return None


def release(host_state, change):
    """Give up this run's claim; nothing happens where it is not this run's any more. The caller holds the lock."""
    try:
        there = read_claim(host_state)
    except MigError:
        return
    if there and there.change == change:
        host_files.remove(path_of(host_state))


def heed_claim(host_state, change, claimed):
    """See that a change may happen: in the critical section of every module that changes something on a host.

    :param change: the id of the change that is about to happen, or None
    :param claimed: whether it belongs to a run that has the host, and must have it still
    :returns: None, or a sentence about a claim that had lapsed and is gone now

    Raises MigError where the host is another run's.
    """
    clock = now()
    if claimed:
        _own(host_state, change, clock)
        return None
    there = read_claim(host_state)
    if not there or there.change == change:
        return None
    who = described(there, clock)
    if not has_lapsed(there, clock):
        raise MigError(
            f"This host is claimed by {who}. Nothing was changed. Wait for that run; if it is gone for good, "
            "gpufleet.mig.restore takes the host from it and restores what it had drained."
        )
    host_files.remove(path_of(host_state))
    return f"The host was claimed by {who}; that claim had lapsed, so it is taken away."


def heeding_claims(module):
    """What a HostState of this module heeds: other runs' claims on the host."""

    def heed(state):
        taken_away = heed_claim(state, module.params["change_id"], module.params["claimed"])
        if taken_away:
            module.warn(taken_away)

    return heed


def note_restored(host_state, clock):
    """Note in a claim of an earlier boot that the saved layout has come back in this one. The caller holds the lock."""
    there = read_claim(host_state)
    if there and there.boot_id != clock.boot_id:
        _write(host_state, there._replace(restored=clock.boot_id))


def modes_to_leave(claim, clock):
    """{GPU UUID: MIG mode} that the boot program leaves alone: those for which a run has just had the host reboot."""
    if not claim or claim.stage != REBOOT or claim.boot_id == clock.boot_id or has_lapsed(claim, clock):
        return {}
    return {uuid.lower(): mode for uuid, mode in claim.modes.items() if isinstance(mode, bool)}


def _own(host_state, change, clock):
    """The claim of this very run. Raises MigError where it has none."""
    there = read_claim(host_state)
    if there and there.change == change:
        return there
    lost = "This run has no claim on the host any more and touches nothing more there"
    if there:
        raise MigError(f"{lost}: it is claimed by {described(there, clock)}.")
    raise MigError(
        f"{lost}: another run took it and has ended since, or somebody removed {path_of(host_state)}. "
        f"{host_state.journal} tells of changes. Run again."
    )


def _write(host_state, claim):
    """Put the claim in place of what is there, whole or not at all, after a power cut too."""
    text = json.dumps(dict(claim._asdict(), version=VERSION), indent=2, sort_keys=True) + "\n"
    host_files.write(path_of(host_state), text.encode(), os.replace)
