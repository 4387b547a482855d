# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host says is data: how much of it is read on the controller, and what a path and a JSON text may be. Pure."""

from __future__ import annotations

import base64
import json
import posixpath
import re
from collections.abc import Mapping

LONGEST_TEXT = 2 * 1024 * 1024  # far more than a configuration, a CDI specification or what a command prints of GPUs
LONGEST_LINE = 4096
LONGEST_PATH = 1024
LONGEST_SHOWN = 80
# No quotes, nothing that a shell or systemd would expand, no control characters.
PATH = re.compile(r"(?:/[A-Za-z0-9_.+@~,=: -]+)+")


def shown(value):
    """A value for a sentence: quoted, its control characters visible, and not longer than a line."""
    if isinstance(value, (Mapping, list, tuple)):
        return f"a {'dictionary' if isinstance(value, Mapping) else 'list'} of {len(value)}"
    text = ascii(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}… ({len(text)} characters)"


def lines(text):
    """The lines of a text, as far as anything reads them: expressions over longer ones could take hours."""
    return [line for line in str(text)[:LONGEST_TEXT].splitlines() if len(line) <= LONGEST_LINE]


def path_refusal(path, what):
    """Why this, said by a host, is not used as the path of a file there: a sentence, or None. ``what`` it should be."""
    if (
        isinstance(path, str)
        and len(path) <= LONGEST_PATH
        and PATH.fullmatch(path)
        and path == posixpath.normpath(path)
    ):
        return None
    return (
        f"{what} is {shown(path)}. Expected is an absolute path without .., quotes and special characters. Nothing is"
        " done with another; correct it on that host."
    )


def slurped(file):
    """The text of a file, of which that is the text already or a result of slurp; "" where it could not be read."""
    if isinstance(file, str):
        return file
    return base64.b64decode(file.get("content") or "").decode(errors="surrogateescape")


def json_data(text, what):
    """(data, None) of a JSON text from a host, or (None, why it cannot be read)."""
    if len(text) > LONGEST_TEXT:
        return None, f"{what} has {len(text)} characters; at most {LONGEST_TEXT} are read."
    try:
        return json.loads(text), None
    except RecursionError:
        return None, f"{what} is nested too deeply to be a configuration."
    except ValueError as error:
        return None, f"{what} is no JSON: {error}."


def json_change(text, before, what):
    """Whether two JSON texts say something else: {changed, refusal}. An empty one says {}. ``what`` the first one is.

    ``before`` may be a result of slurp.

    ``refusal`` says why they cannot be compared, else it is None.
    """
    new, why = json_data(text, what)
    old, why_old = json_data(slurped(before).strip() or "{}", f"What {what[:1].lower()}{what[1:]} would replace")
    if why or why_old:
        return {"changed": False, "refusal": why or why_old}
    try:
        return {"changed": new != old, "refusal": None}
    except RecursionError:
        return {"changed": False, "refusal": f"{what} is nested too deeply to be a configuration."}
