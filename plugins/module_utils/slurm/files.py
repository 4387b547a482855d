# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""slurm.conf with the files that it includes, and gres.conf, on a host: read whole, changed by one at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile

from ..errors import MigError
from .configuration import (
    default_gres,
    gpu_counts,
    has_gpu_type,
    included,
    logical_lines,
    node_gres,
    with_block,
    with_node_gres,
)

BACKUP = r"\.[0-9]{1,10}\.[0-9]{4}-[0-9]{2}-[0-9]{2}@[0-9]{2}:[0-9]{2}:[0-9]{2}~"  # AnsibleModule.backup_local
DEPTH = 8  # a file that includes itself is one that slurmd refuses, too


class Configuration:
    """The texts of slurm.conf at ``path`` and of all that it includes, in their order, and of gres.conf beside it."""

    def __init__(self, path):
        self.path = os.path.realpath(path)
        # As seen from the name that was given: the other files are beside that one (slurm.conf(5), Include).
        self._directory = os.path.dirname(os.path.abspath(path))
        self.gres_path = os.path.realpath(os.path.join(self._directory, "gres.conf"))
        self.texts = {}
        self._read(self.path, 0)
        self.gres_text = _text(self.gres_path) if os.path.exists(self.gres_path) else ""

    def _read(self, path, depth):
        self.texts[path] = _text(path)
        for line in logical_lines(self.texts[path]):
            name = included(line)
            if name and depth < DEPTH:
                self._read(self._included_path(name), depth + 1)

    def _included_path(self, name):
        return os.path.realpath(os.path.join(self._directory, name))

    def changed(self, node, gres, lines, expand, fold):
        """{path: new text} of the files that differ with these GPUs on that node. Raises MigError."""
        if not any(map(has_gpu_type, self.texts.values())):
            raise MigError(f"{self.path} does not have gpu among its GresTypes. Add GresTypes=gpu, restart slurmctld.")
        changed, found, inherited = {}, False, ""
        for path, text in self.texts.items():
            try:
                new = with_node_gres(text, node, gres, expand, fold, inherited)
            except MigError as error:
                raise MigError(f"{path}: {error}") from None
            inherited = default_gres(text, inherited)
            found = found or new is not None
            if new not in (None, text):
                changed[path] = new
        if not found:
            raise MigError(
                f"{', '.join(self.texts)} has no NodeName={node}. Give the host's name in Slurm; a dynamic node, which"
                " slurm.conf does not name, cannot be changed in it."
            )
        gres_text = self.gres_text if lines is None else with_block(self.gres_text, node, lines)
        if gres_text != self.gres_text:
            changed[self.gres_path] = gres_text
        return changed

    def lost(self, node, gres, expand):
        """A sentence about the types that a node has in slurm.conf and not with these GPUs; None where it keeps all."""
        wanted, inherited = gpu_counts(gres), ""
        for text in self.texts.values():
            there = node_gres(text, node, expand, inherited)
            if there is not None:
                types = ", ".join(
                    f"{name} ({count} in slurm.conf)"
                    for name, count in gpu_counts(there.strip('"')).items()
                    if name not in wanted
                )
                lost = f"Slurm: node {node} is to have no {types} any more. Jobs that ask for that cannot start there."
                return lost if types else None
            inherited = default_gres(text, inherited)
        return None

    def earlier(self, files):
        """{path: its earlier text, None where it was not there} of ``files``, [{path, backup}]. Raises MigError.

        They may come from elsewhere: only what belongs to this configuration is put back, from what was kept beside it.
        """
        earlier = {}
        for file in files:
            path, backup = file["path"], file["backup"]
            if path not in (*self.texts, self.gres_path):
                raise MigError(f"{path!r} is no file of {self.path}, so it is left alone. Nothing was put back.")
            if not backup and path == self.gres_path:
                earlier[path] = None
            elif re.fullmatch(re.escape(path) + BACKUP, backup) and not os.path.islink(backup):
                earlier[path] = _text(backup)
            else:
                raise MigError(
                    f"{backup!r} is no earlier {path}, so nothing was put back. Expected is one beside it with process"
                    f" id and time, such as {path}.4711.2026-11-21@15:59:35~."
                )
        return earlier

    def write_into(self, folder, changed):
        """Write slurm.conf, with what it includes in its place, and gres.conf into another folder."""
        for name, text in (
            ("slurm.conf", self._whole(self.path, changed, 0)),
            ("gres.conf", changed.get(self.gres_path, self.gres_text)),
        ):
            with open(os.path.join(folder, name), "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)

    def _whole(self, path, changed, depth):
        lines = []
        for line in logical_lines(changed.get(path, self.texts[path])):
            name = included(line)
            lines.append(self._whole(self._included_path(name), changed, depth + 1) if name and depth < DEPTH else line)
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        raise MigError(f"{path} cannot be read: {error.strerror}.") from None


@contextlib.contextmanager
def lock(path):
    """Be the only one of the collection's modules, of whatever run, that works on this folder of configuration."""
    directory = os.open(os.path.dirname(os.path.realpath(path)), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def write(path, text, move):
    """Write a file whole or not at all, with the mode and owner that it had; ``move`` is AnsibleModule.atomic_move."""
    try:
        new = not os.path.exists(path)
        descriptor, temporary = tempfile.mkstemp(prefix=".gpufleet-mig-", dir=os.path.dirname(path))
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        move(temporary, path)
        if new:
            os.chmod(path, 0o644)
    except OSError as error:
        raise MigError(f"{path} cannot be written: {error.strerror}. It is as it was.") from None
