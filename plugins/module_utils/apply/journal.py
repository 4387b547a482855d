# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading the journal of a host's changes (apply/state_directory.py writes it), from its end, in bounded memory.

A line that a crash cut short is no record: its change had not begun. Other lines that are none count as damage.
"""

from __future__ import annotations

import contextlib
import json
import os
import re

from ..errors import MigError
from ..host.files import open_regular, parsed
from ..visible import visible

BLOCK = 1 << 16
# A record of 16 GPUs with seven instances each takes less than 100 KiB.
MOST_LINE = 1 << 20
# More than one record takes: the journal's end is all that tells whether the last change ended.
TAIL_BYTES = 2 * MOST_LINE
MOST_GPUS = 4096
UNKNOWN = "Whether the last change of this host ended is not known."
WAY_OUT = "Run as root (become: true); or move it away, and the next change begins a new one."

# What a record has, as journal_record (results/change.py) and journal_of (apply/run.py) make it.
WORDS = ("change", "cause", "user", "sudo_user", "time")
WHO = ("change", "cause", "user", "sudo_user", "time")
# As json.dumps writes them. Inside a string quotes have a backslash before them, so nothing else can look like this.
BEGIN, END, BOOT = b'"event": "begin"', b'"event": "end"', b'"cause": "boot"'
PROFILES = b'"profiles": '
CUT = b'{"actions": '
GPU = re.compile(rb'"(GPU-[^"\\]{1,64})"')
TOUCHED = re.compile(rb'"touched": \[([^\]]*)\]')
UUID = re.compile(r"GPU-[0-9A-Za-z-]{1,64}")


def backwards(descriptor, most_bytes=None):
    """The lines of a file from its last to its first, as bytes; None stands for one longer than MOST_LINE.

    No more than about ``most_bytes`` are read. The first line is left out where that cuts it.
    """
    position = os.fstat(descriptor).st_size
    end = 0 if most_bytes is None else max(0, position - most_bytes)
    pieces, length = [], 0
    while position > end:
        start = max(end, position - BLOCK)
        block = os.pread(descriptor, position - start, start)
        position = start
        for number, piece in enumerate(reversed(block.split(b"\n"))):
            if number:
                yield b"".join(reversed(pieces)) if length <= MOST_LINE else None
                pieces, length = [], 0
            length += len(piece)
            pieces = [*pieces, piece] if length <= MOST_LINE else []
    if length > MOST_LINE:
        yield None
    elif not end:
        yield b"".join(reversed(pieces))


def record_of(line):
    """The record in a line of the journal, a dict; None where the line is none, or not one of this collection's.

    Each key that a record of the collection has is there with its type, or is absent.
    """
    try:
        record = parsed(line or b"")
    except ValueError:
        return None
    before, actions = record.get("before", []), record.get("actions", [])
    if record.get("event") not in ("begin", "end") or not isinstance(before, list) or not isinstance(actions, list):
        return None
    if not all(map(_names_a_gpu, before)) or not all(isinstance(action, str) for action in actions):
        return None
    touched = record.get("touched", [])
    if not isinstance(touched, list) or not all(isinstance(uuid, str) for uuid in touched):
        return None
    if not isinstance(record.get("pid", 0), int):
        return None
    for word in WORDS:
        value = record.get(word)
        if isinstance(value, str):
            # A user's name comes from the environment.
            record[word] = visible(value[:200])
        elif value is not None:
            return None
    return record


def _names_a_gpu(entry):
    gpus = entry.get("gpus") if isinstance(entry, dict) else None
    return isinstance(gpus, list) and len(gpus) == 1 and isinstance(gpus[0], str) and bool(UUID.fullmatch(gpus[0]))


def last_record(path):
    """(The last record or None, None or what keeps that from being known: a sentence)."""
    found = False
    try:
        with _opened(path) as descriptor:
            for line in backwards(descriptor, TAIL_BYTES):
                record = record_of(line)
                if record:
                    return record, None
                found = found or line is None or bool(line.strip(b"\0 "))
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"{path} cannot be read: {error.strerror}."
    return None, f"{path} is damaged: there is no record at its end." if found else None


def last_profiles(path):
    """{GPU UUID in lower case: KeptProfiles} of the newest change that wrote them down; {} where none can be read.

    Releases up to 0.1.0 did not.
    """
    from ..layout.kept_profiles import from_data

    with contextlib.suppress(OSError, ValueError), _opened(path) as descriptor:
        for line in backwards(descriptor, TAIL_BYTES):
            record = record_of(line) if line and PROFILES in line else None
            if record and "profiles" in record:
                return from_data(record["profiles"])
    return {}


@contextlib.contextmanager
def _opened(path):
    descriptor = open_regular(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class History:
    """What a journal tells of the past; what came back after a boot is nobody's change.

    ``last`` is the newest record of the last change or None; ``layout`` has an entry for each GPU as it was before
    that. ``gpus`` is {UUID: the newest record of a change of that GPU, a boot's too}. ``damaged`` counts the lines
    that are no records and may have belonged to the last change or to one after it.
    """

    def __init__(self):
        self.last = None
        self.gpus = {}
        self.damaged = 0
        self._before = {}
        self._settled = False

    @property
    def layout(self):
        """Entries of the layout option, in the order in which the change came to the GPUs."""
        return list(self._before.values())

    def add(self, line):
        """Take one more line, an older one than all before."""
        if line is None or not (BEGIN in line or END in line):
            self._count(line)
        elif BEGIN in line and (self._is_news(line) or self._may_be_of_the_last(line)):
            record = record_of(line)
            if record:
                self._take(record)
            else:
                self._count(line)

    def _count(self, line):
        """Count a line that is no record, unless a crash has cut it or older changes are all that it may tell of."""
        cut = line is not None and (not line.strip(b"\0 ") or (line.startswith(CUT) and not line.endswith(b"}")))
        self.damaged += not cut and not self._settled

    def _is_news(self, line):
        """Whether it touches a GPU of which nothing is known yet; parsing each line would take minutes."""
        touched = TOUCHED.search(line)
        named = GPU.findall(touched.group(1) if touched else line)
        return len(self.gpus) < MOST_GPUS and any(uuid.decode(errors="replace") not in self.gpus for uuid in named)

    def _may_be_of_the_last(self, line):
        if not self._settled:
            return BOOT not in line
        return self.last.get("change") is not None and json.dumps(self.last["change"]).encode() in line

    def _take(self, record):
        if record["event"] != "begin":
            return
        entries = {entry["gpus"][0]: entry for entry in record.get("before", ())}
        for uuid in record.get("touched", entries):
            if len(self.gpus) < MOST_GPUS:
                self.gpus.setdefault(uuid, record)
        if record.get("cause") == "boot":
            return
        if self.last is None:
            self.last, self._before = record, entries
        elif record.get("change") is not None and record.get("change") == self.last.get("change"):
            # The first record that names a GPU knows what was on it before the change.
            self._before = {**entries, **{uuid: one for uuid, one in self._before.items() if uuid not in entries}}
        else:
            self._settled = True


def history(path):
    """What mig_journal_info returns, for a journal that need not be there. Raises MigError where it cannot be read."""
    from ..errors import LayoutError
    from ..layout.entries import validate_layout

    told = History()
    try:
        with _opened(path) as descriptor:
            for line in backwards(descriptor):
                if line != b"":
                    told.add(line)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise MigError(f"{path} cannot be read: {error.strerror}. {WAY_OUT}") from None
    problem = None
    try:
        validate_layout(told.layout, prefix="before[{}].")
    except LayoutError as error:
        problem = f"{path} is damaged: what was there before the last change is no layout ({error})."
    if told.damaged:
        lines = "1 line" if told.damaged == 1 else f"{told.damaged} lines"
        problem = f"{path} is damaged: {lines} of the last change, or after it, cannot be read."
    return {
        "layout": [] if problem else told.layout,
        "last": told.last and {key: told.last.get(key) for key in WHO},
        "gpus": {uuid: {key: record.get(key) for key in WHO} for uuid, record in told.gpus.items()},
        "problem": problem,
    }
