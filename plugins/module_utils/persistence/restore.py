# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What gpufleet-mig.service runs at boot: the saved layout, through the planner and the transaction, without Ansible.

Each GPU stands for itself: what keeps one from getting its layout is said in a sentence, and the others get theirs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from typing import Dict, NamedTuple, Optional, Tuple

from ..apply.claims import modes_to_leave, note_restored, now, read_claim
from ..apply.journal import last_profiles
from ..apply.outcome import Options
from ..apply.run import journal_of, remembering
from ..apply.state_directory import HostState
from ..apply.transaction import change_under_lock
from ..errors import DriverMissing, LibraryMissing, MigError
from ..layout.kept_profiles import Memory, merged
from ..layout.saved_layout import read
from ..model import Gpu, Refusal
from ..nvml.session import Session
from ..plan.host import decide_instances, decide_modes, renamings
from ..results.change import failure_message, said_once

LOCK_SECONDS = 300
POLL_SECONDS = 1


class Restored(NamedTuple):
    """What became of each GPU: UUIDs brought back, UUIDs that were right already, and why others are not right.

    ``problems`` is {UUID: (Gpu or None, sentence)}.
    """

    changed: Tuple[str, ...]
    right: Tuple[str, ...]
    problems: Dict[str, Tuple[Optional[Gpu], str]]
    warnings: Tuple[str, ...] = ()


def main(arguments=None):
    """Bring the saved layout back. Returns the exit status: 0 where every GPU has it, 1 with a sentence where not."""
    options = _parser().parse_args(arguments)
    try:
        entries = read(options.layout)
        host_state, warnings = HostState(options.state_dir), []
        with host_state.lock(LOCK_SECONDS, warnings.append), _driver(options.driver_timeout) as port:
            entries, left_alone = without_modes_of_a_reboot(entries, host_state)
            saved = {uuid: entry.layout.kept for uuid, entry in entries.items()}
            memory = Memory(lambda: merged(saved, last_profiles(host_state.journal)))
            restored = restore(port, entries, _Notes(host_state, warnings), memory)
            _note_in_claim(host_state, warnings)
    except MigError as error:
        _say(str(error))
        return 1
    _print(*dict.fromkeys([*left_alone, *warnings, *restored.warnings]))
    summary = (
        f"{len(entries) - len(restored.problems)} of {len(entries)} GPUs have the saved layout "
        f"({len(restored.changed)} brought back, {len(restored.right)} left as they were)."
    )
    wrong = said_once(restored.problems.values())
    _say(wrong, summary)
    return 1 if wrong else 0


class _Notes:
    """The journal of a HostState, as far as it can be written: what keeps it from that goes into ``warnings``.

    The layout comes back all the same, and nothing is read: whatever is there, the GPUs are as a boot leaves them.
    """

    def __init__(self, host_state, warnings):
        self._host_state = host_state
        self._warnings = warnings

    def begin(self, record):
        self._try(self._host_state.begin, record)

    def end(self, record):
        self._try(self._host_state.end, record)

    def _try(self, write, record):
        try:
            write(record, "The saved layout is brought back all the same.")
        except MigError as error:
            self._warnings.append(str(error))


def _parser():
    parser = argparse.ArgumentParser(description="Bring the saved MIG layout of this host back.")
    parser.add_argument("layout", help="the file with the layout")
    parser.add_argument("--state-dir", help="where the host's lock and journal are")
    parser.add_argument("--driver-timeout", type=float, default=0, help="seconds to wait for the NVIDIA driver")
    return parser


@contextlib.contextmanager
def _driver(seconds):
    """An open Session; the driver may come up for so many seconds."""
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        while True:
            try:
                session = stack.enter_context(Session(run_command))
                break
            except (DriverMissing, LibraryMissing) as error:
                if time.monotonic() >= deadline:
                    raise MigError(f"{error} It did not come up within {seconds:g} seconds.") from None
            time.sleep(POLL_SECONDS)
        yield session


def without_modes_of_a_reboot(entries, host_state):
    """(the saved entries that this boot may bring back, sentences about the others).

    A run that has just had the host reboot for the MIG mode of a GPU goes on after this boot. It loses nothing by
    instances that fit the mode which it has set, and all by another mode.
    """
    try:
        modes = modes_to_leave(read_claim(host_state), now())
    except MigError:
        modes = {}
    left = [uuid for uuid, entry in entries.items() if uuid in modes and modes[uuid] != entry.layout.mig_enabled]
    return {uuid: entry for uuid, entry in entries.items() if uuid not in left}, [
        f"{entries[uuid].gpus[0].text} is left as it is: a run has just set its MIG mode and goes on after this reboot."
        for uuid in left
    ]


def _note_in_claim(host_state, warnings):
    """A run that still has the host learns there that this boot has brought the saved layout back."""
    try:
        note_restored(host_state, now())
    except MigError as error:
        warnings.append(str(error))


def restore(port, entries, host_state, memory=None):
    """Bring each GPU to its saved layout, the mode first, then the instances.

    ``port`` is an open Session, ``entries`` what saved_layout.read returns; the caller holds the lock, and
    ``host_state`` takes the records, with what the host remembers of the names of profiles (``memory``). Returns
    Restored. Raises MigError where nothing can be read at all.
    """
    problems, warnings, changed = {}, [], set()
    for decide in (decide_modes, decide_instances):
        wanted = {uuid: entry for uuid, entry in entries.items() if uuid not in problems}
        journal = journal_of({"journal": True}, "boot", memory)
        decide_each = remembering(_one_by_one(decide, wanted, problems), {} if memory is None else memory)
        change = change_under_lock(port, decide_each, host_state, Options(), journal)
        warnings += change.warnings
        for outcome in change.outcomes:
            gpu = outcome.plan.gpu
            uuid = gpu.uuid.lower()
            changed.add(uuid)
            if outcome.failure:
                problems[uuid] = gpu, failure_message(outcome)
            elif outcome.needs:
                problems[uuid] = (
                    gpu,
                    f"{gpu.name}: its MIG mode is set and becomes active with the next {outcome.needs}.",
                )
    return Restored(
        tuple(uuid for uuid in entries if uuid in changed and uuid not in problems),
        tuple(uuid for uuid in entries if uuid not in changed and uuid not in problems),
        problems,
        tuple(dict.fromkeys(warnings)),
    )


def _one_by_one(decide, entries, problems):
    """A decision of plan/host.py on saved ``entries`` that holds no GPU up for another's sake.

    Why a GPU is left out goes into ``problems``.
    """

    def decide_each(snapshot):
        problems.update(_absent(entries, snapshot.gpus))
        present = tuple(entry for uuid, entry in entries.items() if uuid not in problems)
        decisions, _warnings = decide(snapshot, present)  # they are about GPUs that nothing was saved of
        for decision in decisions:
            if isinstance(decision, Refusal):
                problems[decision.gpu.uuid.lower()] = decision.gpu, decision.message
        names = renamings(snapshot, present) if decide is decide_instances else ()
        return [decision for decision in decisions if not isinstance(decision, Refusal)], names

    return decide_each


def _absent(entries, gpus):
    """The problems of saved GPUs that are not there, do not answer, or have no MIG (any more)."""
    there = {gpu.uuid.lower(): gpu for gpu in gpus if gpu.uuid}
    silent = [f"{gpu.name}: {gpu.problem}" for gpu in gpus if gpu.problem and not gpu.uuid]
    unknown = [gpu.name for uuid, gpu in there.items() if gpu.mig_capable and uuid not in entries]
    absent = {}
    for uuid, entry in entries.items():
        gpu = there.get(uuid)
        if gpu is None and silent:
            why = f"It may be one that does not answer: {' '.join(silent)}"
            absent[uuid] = None, f"{entry.gpus[0].text} is not among the GPUs that can be read. {why}"
        elif gpu is None:
            why = f"Not saved yet: {'; '.join(unknown) or 'none'}. If it was replaced, partition this host again."
            absent[uuid] = None, f"{entry.gpus[0].text} is not among the GPUs of this host (any more). {why}"
        elif gpu.problem:
            absent[uuid] = gpu, f"{gpu.name} could not be read, so it was left alone. {gpu.problem}"
        elif not gpu.mig_capable:
            absent[uuid] = gpu, f"{gpu.name} has no MIG with this driver, and its saved layout needs it."
    return absent


def run_command(command, environ_update):
    """AnsibleModule.run_command as far as a reset needs it, where there is none: (exit status, output, errors)."""
    import subprocess  # only where a GPU is reset

    answer = subprocess.run(  # pylint: disable=ansible-bad-function
        command,
        env={**os.environ, **environ_update},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return answer.returncode, answer.stdout, answer.stderr


def _say(*sentences):
    """To the journal, and as the line that systemctl status shows, see sd_notify(3)."""
    sentences = [sentence for sentence in sentences if sentence]
    _print(*sentences)
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        import socket  # only under systemd

        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.sendto(f"STATUS={' '.join(sentences)}".encode(), address.replace("@", "\0", 1))


def _print(*lines):
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
