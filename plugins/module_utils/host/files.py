# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files of the collection's own on a host: read without being led astray, and written whole or not at all.

What stands in such a file may be cut short, garbage, or somebody else's idea; and where one should be there may be a
link, a FIFO or a directory. Whoever reads one here gets what it says, or one sentence.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import tempfile

from ..errors import MigError
from ..visible import shown

MODE = 0o644
# Far more than any of these files takes, and nothing that a host would feel.
MOST_BYTES = 8 << 20
# A layout in a record nests seven deep. Ansible itself cannot pass on what is hundreds deep.
DEEPEST = 32
MOST_DIGITS = 20
# What wrote a file, for those who cannot read it; as in galaxy.yml.
RELEASE = "0.1.0"
KNOWN_RELEASE = re.compile(r"[0-9A-Za-z.+-]{1,40}")
REMOVE = "Look at it, remove it and run again."
NO_REGULAR_FILE = "It is no regular file"


def open_regular(path, flags=os.O_RDONLY, mode=MODE):
    """The descriptor of a regular file: no link is followed, and nothing is waited for (a FIFO would have one wait).

    As root neither the file nor its directory may be somebody else's: who may put files there could have root read and
    write what they like. Raises OSError, whose ``strerror`` says what is there instead, without a full stop.
    """
    directory, name = os.path.split(path)
    parent = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # The directory may be a link of root's.
        for status in (os.lstat(directory or "."), os.fstat(parent)):
            _check_owner(status, directory)
        try:
            descriptor = os.open(
                name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, mode, dir_fd=parent
            )
        except OSError as error:
            what = {errno.ELOOP: "It is a link", errno.EISDIR: "It is a directory", errno.ENXIO: NO_REGULAR_FILE}
            raise OSError(error.errno, what.get(error.errno, error.strerror)) from None
    finally:
        os.close(parent)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "It is a directory" if stat.S_ISDIR(status.st_mode) else NO_REGULAR_FILE)
        _check_owner(status, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_owner(status, path):
    """Refuse, as root, what others may exchange. Whoever owns / is root, seen from a namespace of users."""
    if os.geteuid() != 0:
        return
    if status.st_uid not in (0, os.stat("/").st_uid):
        raise OSError(errno.EPERM, f"{path} belongs to user {status.st_uid}, not to root")
    open_to_all = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
    if open_to_all and not stat.S_ISLNK(status.st_mode):
        raise OSError(errno.EPERM, f"Everybody may write to {path}")


def read(path, most_bytes=MOST_BYTES, what_to_do=REMOVE):
    """The bytes of a regular file, None where there is none.

    Raises MigError with the path, what is wrong, and ``what_to_do``, a sentence; also for more than ``most_bytes``.
    """
    try:
        with open(open_regular(path), "rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MigError(f"{path} cannot be read: {error.strerror}. {what_to_do}") from None
    if len(content) > most_bytes:
        raise MigError(f"{path} is damaged: It has more than {most_bytes} bytes. {what_to_do}")
    return content


def read_json(path, most_bytes=MOST_BYTES, what_to_do=REMOVE):
    """The JSON object (a dict) in a file, None where there is no file; raises MigError, as read() does.

    What is in the object is for the caller to check, type by type: it is nested at most DEEPEST deep, its strings can
    be encoded and its numbers are finite, and nothing else is certain.
    """
    content = read(path, most_bytes, what_to_do)
    if content is None:
        return None
    try:
        return parsed(content)
    except ValueError as error:
        raise MigError(f"{path} is damaged: {error}. {what_to_do}") from None


def check_version(path, data, newest, what_to_do):
    """Raise MigError, with what wrote the file, where the ``version`` in its ``data`` is none from 1 to ``newest``."""
    version = data.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and 1 <= version <= newest:
        return
    release = data.get("written_by")
    known = isinstance(release, str) and KNOWN_RELEASE.fullmatch(release)
    has = "no version" if version is None else f"the version {shown(version)}"
    raise MigError(
        f"{path} has {has} and this program reads version {newest}: "
        f"{f'release {release}' if known else 'another release'} of gpufleet.mig wrote it. {what_to_do}"
    )


def parsed(content):
    """The JSON object in some bytes. Raises ValueError that says in a few words what is wrong; never anything else."""
    if not content.strip():
        raise ValueError("It is empty")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("It is not UTF-8") from None
    try:
        data = json.loads(text, parse_int=_whole_number, parse_constant=_no_number)
    except (RecursionError, MemoryError):
        raise ValueError(f"It is nested more than {DEEPEST} deep") from None
    except ValueError as error:
        raise ValueError(f"It is no JSON, {error}") from None
    if not isinstance(data, dict):
        raise ValueError("It is no JSON object")
    _check_values(data)
    return data


def _whole_number(digits):
    # Python takes a time that grows with the square of the digits, or refuses in a way of its own.
    if len(digits) > MOST_DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _no_number(word):
    raise ValueError(f"{word} is no number")


def _check_values(data):
    """Refuse what Python's JSON lets through and its output, or Ansible's, does not."""
    level, depth = [data], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"It is nested more than {DEEPEST} deep")
        values = []
        for one in level:
            values += [*one, *one.values()] if isinstance(one, dict) else one
        for value in values:
            if isinstance(value, str) and not _can_be_encoded(value):
                raise ValueError("It has half a character (a surrogate)")
            if isinstance(value, float) and value in (float("inf"), float("-inf")):
                raise ValueError("It has a number that is too large")
        level = [value for value in values if isinstance(value, (dict, list))]


def _can_be_encoded(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def found(path):
    """The bytes of a file that may be replaced, None where there is nothing; what is no file, or far too long, counts
    as an empty one. Raises MigError.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MigError(f"{path} cannot be read: {error.strerror}.") from None
    if stat.S_ISDIR(status.st_mode):
        raise MigError(f"{path} is a directory. Remove it and run again.")
    return read(path) if stat.S_ISREG(status.st_mode) and status.st_size <= MOST_BYTES else b""


def differs(path, content):
    """True where a file is not there as it should be; ``content`` None: where it is there at all."""
    if found(path) != content:
        return True
    return content is not None and stat.S_IMODE(os.lstat(path).st_mode) != MODE


def write(path, content, move, mode=MODE):
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
        os.chmod(path, mode)
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
