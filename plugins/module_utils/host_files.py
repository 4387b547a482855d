# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files of the collection's own on a host: what differs from what should be, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

from .errors import MigError

MODE = 0o644


def read(path):
    """The bytes of a file, None where there is none. Raises MigError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MigError(f"{path} cannot be read: {error.strerror}.") from None


def differs(path, content):
    """True where a file is not there as it should be; ``content`` None: where it is there at all."""
    if read(path) != content:
        return True
    return content is not None and stat.S_IMODE(os.stat(path).st_mode) != MODE


def write(path, content, move):
    """Write a file that at any moment has either its old or its new content, after a power cut too.

    ``move`` is AnsibleModule.atomic_move, which gives it the label that SELinux wants there. Raises MigError.
    """
    directory = os.path.dirname(path)
    temporary = None
    try:
        _make_directory(directory)
        descriptor, temporary = tempfile.mkstemp(prefix=".gpufleet-mig-", dir=directory)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        move(temporary, path)
        os.chmod(path, MODE)
        _sync(directory)
    except OSError as error:
        raise MigError(
            f"{path} cannot be written: {error.strerror}. It is as it was. Make room, or run as root (become: true)."
        ) from None
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def remove(path):
    """Remove a file, and its directory where that is the collection's and empty then. Raises MigError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise MigError(f"{path} cannot be removed: {error.strerror}. Run as root (become: true).") from None
    directory = os.path.dirname(path)
    with contextlib.suppress(OSError):
        _sync(directory)
        if os.path.basename(directory) == "gpufleet-mig":
            os.rmdir(directory)


def _make_directory(path):
    if not os.path.isdir(path):
        _make_directory(os.path.dirname(path))
        os.mkdir(path)
        os.chmod(path, 0o755)  # whatever the umask


def _sync(directory):
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
