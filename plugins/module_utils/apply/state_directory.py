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
import hashlib
import json
import os
import time

from ..errors import MigError
from ..host.files import open_regular
from .journal import last_record

NOTHING_CHANGED = "Nothing was changed."
DONE_WITHOUT = "Its lock is done without."
# Root's second lock: at boot the state directory may be full, read-only or not there.
RUN = "/run/gpufleet-mig"


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

    def __init__(self, path=None, heed=None):
        """``heed`` is a function of this HostState, called as soon as the lock is held; it may raise MigError."""
        self.path = path or default_state_dir()
        self._heed = heed
        # It becomes paths of files that root writes, words of commands and a line of a unit.
        control = any(ord(character) < 32 or ord(character) == 127 for character in self.path)
        if not os.path.isabs(self.path) or ".." in self.path.split("/") or control:
            raise MigError(
                f"state_dir: got {self.path[:200]!r}; expected the absolute path of a directory, without '..' and"
                f" control characters, such as {default_state_dir()}. {NOTHING_CHANGED}"
            )
        self.journal = os.path.join(self.path, "journal.jsonl")

    @contextlib.contextmanager
    def lock(self, timeout, warn=None):
        """Hold the host's lock; another run is waited for ``timeout`` seconds, then MigError says who holds it.

        Root's is two locks, one in the state directory and then one in /run. With ``warn``, a function, one of them
        that cannot be had at all is told, and done without.
        """
        deadline = time.monotonic() + timeout
        run = self._run_lock()
        with contextlib.ExitStack() as held:
            # In the order in which everybody takes them.
            for path in filter(None, (os.path.join(self.path, "lock"), run)):
                try:
                    lock = self._wait_for(path, deadline, timeout)
                except OSError as error:
                    text = self._cannot_be_written(error, DONE_WITHOUT if warn else NOTHING_CHANGED, path == run)
                    if not warn:
                        raise MigError(text) from error
                    warn(text)
                    continue
                held.callback(os.close, lock)
                if path == run:
                    held.callback(_remove, path)
            if self._heed:
                self._heed(self)
            yield

    def _run_lock(self):
        """Root's second lock, however the directory is written; this machine may have several state directories."""
        if os.geteuid() != 0:
            return None
        name = hashlib.sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()[:16]
        return os.path.join(RUN, f"{name}.lock")

    def _wait_for(self, path, deadline, timeout):
        """The descriptor of a lock that is held. Raises OSError, and MigError once it is too late."""
        while True:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            try:
                lock = open_regular(path, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as error:
                raise OSError(error.errno, f"{os.path.basename(path)}: {error.strerror}") from None
            try:
                while not _try_lock(lock):
                    if time.monotonic() >= deadline:
                        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
                        raise MigError(
                            f"Another change of this host's GPUs is running (process {holder} holds {path}) and did "
                            f"not end within {timeout:g} seconds. Nothing was changed. Wait for it, or raise "
                            "lock_timeout."
                        )
                    time.sleep(0.05)
                if os.fstat(lock).st_nlink:
                    # For those who wait; on a full disk they are not told.
                    with contextlib.suppress(OSError):
                        os.ftruncate(lock, 0)
                        os.pwrite(lock, str(os.getpid()).encode(), 0)
                    return lock
            except (OSError, MigError):
                os.close(lock)
                raise
            os.close(lock)  # it was removed before it was free

    def begin(self, record, consequence=NOTHING_CHANGED):
        """Tell the journal what a change is about to do; ``record`` is a dict of plain values.

        ``consequence`` is what a MigError says of the change.
        """
        self._write(dict(record, event="begin"), consequence)

    def end(self, record, consequence="The change itself is done; only its end is missing in the journal."):
        """Tell the journal how a change ended."""
        self._write(dict(record, event="end"), consequence)

    def _write(self, record, consequence):
        """Append a record to the journal and see it on disk."""
        line = json.dumps(record, sort_keys=True) + "\n"
        with self.writable(consequence):
            try:
                journal = open_regular(self.journal, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            except OSError as error:
                raise OSError(error.errno, f"journal.jsonl: {error.strerror}") from None
            try:
                _end_line(journal)
                if os.write(journal, line.encode()) != len(line.encode()):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(journal)
            finally:
                os.close(journal)

    def interrupted(self):
        """The ``begin`` record of the last change if that never ended, else None; also where no journal can be read."""
        return self.look_back()[0]

    def look_back(self):
        """(What interrupted() returns, None or what keeps that from being known: a sentence)."""
        last, problem = last_record(self.journal)
        return (last if last and last["event"] == "begin" else None), problem

    @contextlib.contextmanager
    def writable(self, consequence=NOTHING_CHANGED):
        """Turn an OSError into a MigError that says what could not be written, and the ``consequence``."""
        try:
            yield
        except OSError as error:
            raise MigError(self._cannot_be_written(error, consequence)) from error

    def _cannot_be_written(self, error, consequence, run=False):
        what = f"{RUN}, where root's second lock is," if run else f"The state directory {self.path}"
        way_out = "or make room." if run else "make room, or name another with state_dir."
        return f"{what} cannot be written: {error.strerror}. {consequence} Give this user write access to it, {way_out}"


def _remove(path):
    """While it is held; who waits for it sees that it has no name any more."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def _try_lock(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


def _end_line(journal):
    """Close a line that a crash cut short, so that the next record starts on a line of its own."""
    size = os.fstat(journal).st_size
    if size and os.pread(journal, 1, size - 1) != b"\n":
        os.write(journal, b"\n")
