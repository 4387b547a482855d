# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Units of systemd that were stopped are started again: as many as can be, in an order that can work."""

from __future__ import annotations

import time
from typing import NamedTuple, Tuple

from ..errors import MigError
from ..host.units import is_unit, systemctl
from ..visible import said

# The kinds of unit that are stopped, and so started again.
KINDS = (".service", ".socket", ".timer", ".path", ".mount", ".automount")
RUNNING = ("active", "activating", "reloading", "refreshing")
PROPERTIES = "Id,LoadState,ActiveState,Triggers,Job"
# The exit status of timeout(1).
TIMED_OUT = 124


class Unit(NamedTuple):
    """What systemd says of a unit: whether it is there, whether it runs, which units it would start, and whether
    systemd is still to do something with it.
    """

    load_state: str
    active_state: str
    triggers: Tuple[str, ...]
    has_job: bool


def check_names(names):
    """Raise MigError where one of them is no name of a unit that may be started."""
    for name in names:
        if not is_unit(name, KINDS):
            raise MigError(f"units: got {name[:80]!r}; expected the name of a unit, such as notebooks.service.")


def in_order(names):
    """Sockets first, for systemd refuses to start one whose service runs; then the last first. Pure."""
    last_first = list(dict.fromkeys(reversed(names)))
    return [one for one in last_first if one.endswith(".socket")] + [
        one for one in last_first if not one.endswith(".socket")
    ]


def start(names, run_command, seconds, sleep=time.sleep, clock=time.monotonic):
    """Start the units ``names``, which were stopped in this order: ([those that did not run], {name: why not}).

    What is still stopping is waited for. None keeps the others from being started, and each is tried again for as long
    as others start: it may need them. What runs is not disturbed. ``run_command`` is AnsibleModule's; the waiting, and
    each unit, may take so many ``seconds``.
    """
    seconds = max(1, seconds)
    stopping = _wait(names, run_command, seconds, sleep, clock)
    started, late, failed, waiting = [], {}, {}, in_order(names)
    while waiting:
        failed, progress = {}, False
        for name in waiting:
            unit = _show(run_command, name)
            blocking = sorted(stopping & {name, *unit.triggers})
            if blocking:
                late[name] = _still_stopping(name, blocking, seconds)
                continue
            # Not what would have systemd give up the stopping of another unit: then that could not be followed by the
            # start of its socket.
            command = ["timeout", str(seconds), "systemctl", "start", "--job-mode=fail", "--", name]
            status, _output, errors = run_command(command, environ_update={"LC_ALL": "C"})
            if status == 0:
                started += [] if unit.active_state in RUNNING else [name]
                progress = True
            elif status == TIMED_OUT:
                late[name] = f"{name} did not start within {seconds} seconds: see systemctl status {name}."
            else:
                failed[name] = errors
        waiting = list(failed) if progress else []
    why = {name: _why(name, errors, run_command) for name, errors in failed.items()}
    return started, {name: {**late, **why}[name] for name in names if name in late or name in why}


def would_start(names, run_command):
    """Which of the units do not run."""
    return [name for name in in_order(names) if _show(run_command, name).active_state not in RUNNING]


def _wait(names, run_command, seconds, sleep, clock):
    """Wait until none of the units is stopping any more, or to be stopped: those that are after so many seconds."""
    end = clock() + seconds
    while True:
        units = {name: _show(run_command, name) for name in names}
        stopping = {name for name, unit in units.items() if unit.active_state == "deactivating"}
        if not (stopping or any(unit.has_job for unit in units.values())) or clock() >= end:
            return stopping
        sleep(0.2)


def _still_stopping(name, blocking, seconds):
    if name in blocking:
        return f"{name} is still stopping after {seconds} seconds: see systemctl status {name}."
    return f"{name} can start once {' '.join(blocking)} has stopped."


def _show(run_command, name):
    answer = systemctl(run_command, "show", f"--property={PROPERTIES}", "--", name)
    facts = dict(line.partition("=")[::2] for line in answer.splitlines())
    return Unit(
        facts.get("LoadState", ""),
        facts.get("ActiveState", ""),
        tuple(facts.get("Triggers", "").split()),
        facts.get("Job", "") not in ("", "0"),
    )


def _why(name, errors, run_command):
    """Why a unit did not start, and what to do, in a sentence."""
    unit = _show(run_command, name)
    if unit.load_state == "masked":
        return f"{name} is masked: systemctl unmask {name}."
    if unit.load_state == "not-found":
        return f"{name} is not there any more: install it again."
    running = [one for one in unit.triggers if _show(run_command, one).active_state in RUNNING]
    if name.endswith(".socket") and running:
        names = " ".join(running)
        return (
            f"{name} cannot start while {names} runs, and what runs is not disturbed. When it may be interrupted: "
            f"systemctl stop {names} && systemctl start {name} {names}."
        )
    words = said(errors) or "systemctl gave no reason"
    return f"{name} did not start: {words.rstrip('.')}. See systemctl status {name}."
