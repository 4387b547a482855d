# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the collection keeps on a host, in ``state_dir``: a lock, so that one change runs at a time, and a journal
of changes.

The hardware is the only state that decides anything; the journal is for people, for going back, and for seeing that
a run was killed. It holds two JSON lines a change, ``begin`` before the first step and ``end`` after the last,
joined by an id.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time

from .errors import MigError

# Far more than one record takes: the journal's end is all that tells whether the last change ended.
TAIL_BYTES = 1 << 20
NOTHING_CHANGED = "Nothing was changed."


def default_state_dir():
    """/var/lib/gpufleet-mig for root, the user's XDG state directory otherwise."""
    if os.geteuid() == 0:
        return "/var/lib/gpufleet-mig"
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "gpufleet-mig")


class HostState:
    """The state directory of a host.

    Everything here raises MigError naming the path when it does not exist and cannot be made, or cannot be written.
    """

    def __init__(self, path=None):
        self.path = path or default_state_dir()
        # It becomes paths of files that root writes, words of commands and a line of a unit.
        control = any(ord(character) < 32 or ord(character) == 127 for character in self.path)
        if not os.path.isabs(self.path) or ".." in self.path.split("/") or control:
            raise MigError(
                f"state_dir: got {self.path[:200]!r}; expected the absolute path of a directory, without '..' and"
                f" control characters, such as {default_state_dir()}. {NOTHING_CHANGED}"
            )
        self.journal = os.path.join(self.path, "journal.jsonl")

    @contextlib.contextmanager
    def lock(self, timeout):
        """Hold the host's lock; another run is waited for ``timeout`` seconds, then MigError says who holds it."""
        path = os.path.join(self.path, "lock")
        with self._writable():
            os.makedirs(self.path, mode=0o755, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + timeout
            while not _try_lock(lock):
                if time.monotonic() >= deadline:
                    holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
                    raise MigError(
                        f"Another change of this host's GPUs is running (process {holder} holds {path}) and did "
                        f"not end within {timeout:g} seconds. Nothing was changed. Wait for it, or raise lock_timeout."
                    )
                time.sleep(0.05)
            with self._writable():
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(lock)

    def begin(self, record):
        """Tell the journal what a change is about to do; ``record`` is a dict of plain values."""
        self._write(dict(record, event="begin"), NOTHING_CHANGED)

    def end(self, record):
        """Tell the journal how a change ended."""
        self._write(dict(record, event="end"), "The change itself is done; only its end is missing in the journal.")

    def _write(self, record, consequence):
        """Append a record to the journal and see it on disk."""
        line = json.dumps(record, sort_keys=True) + "\n"
        with self._writable(consequence):
            journal = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                _end_line(journal, self.journal)
                if os.write(journal, line.encode()) != len(line.encode()):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(journal)
            finally:
                os.close(journal)

    def interrupted(self):
        """The ``begin`` record of the last change if that never ended, else None; also where no journal can be read."""
        last = None
        with contextlib.suppress(OSError), open(self.journal, "rb") as journal:
            journal.seek(max(0, os.fstat(journal.fileno()).st_size - TAIL_BYTES))
            for line in journal:
                # A line that a crash, or the beginning of the tail, cut short is no record.
                with contextlib.suppress(ValueError):
                    last = json.loads(line)
        return last if isinstance(last, dict) and last.get("event") == "begin" else None

    @contextlib.contextmanager
    def _writable(self, consequence=NOTHING_CHANGED):
        try:
            yield
        except OSError as error:
            raise MigError(
                f"The state directory {self.path} cannot be written: {error.strerror}. {consequence} "
                "Give this user write access to it, make room, or name another with state_dir."
            ) from error


def _try_lock(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


def _end_line(journal, path):
    """Close a line that a crash cut short, so that the next record starts on a line of its own."""
    if os.fstat(journal).st_size:
        with open(path, "rb") as written:
            written.seek(-1, os.SEEK_END)
            if written.read(1) != b"\n":
                os.write(journal, b"\n")
