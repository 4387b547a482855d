# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may stand where the collection expects a file of its own."""

from __future__ import annotations

import os
import shutil

SECRET = "root:not to be read:20000:0:99999:7:::\n"
NO_FILES = ("fifo", "directory", "link")
LONG = 100 << 20
# JSON that is none, or no object. Half an object is what a crash leaves.
NO_JSON = {
    "empty": b"",
    "cut": b'{"version": 1, "entries": [{"hook"',
    "garbage": bytes(range(256)) * 16,
    "zeros": bytes(4096),
    "no object": b"[1, 2]\n",
    "deep list": b"[" * 200_000,
    "deep object": b'{"a":' * 200_000,
    "deep and whole": b'{"version": 1, "a": ' + b"[" * 900 + b"]" * 900 + b"}\n",
    "long line": None,
}


def secret(path):
    """The file to which a link at ``path`` leads."""
    return path.with_name(f"{path.name}-secret")


def put(path, kind, text=b"", target=None):
    """Have ``kind`` stand at ``path``: one of NO_FILES or NO_JSON, or ``text``, the bytes of a file.

    A link leads to ``target``, else to a file of this test's that stands for /etc/shadow: code that follows it writes
    there, and a test must never give it a file of the machine's own.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        if target is None:
            target = secret(path)
            target.write_text(SECRET, encoding="utf-8")
        path.symlink_to(target)
    elif kind == "long line":
        with open(path, "wb") as file:
            file.truncate(LONG)  # sparse
    else:
        path.write_bytes(NO_JSON.get(kind, text))
