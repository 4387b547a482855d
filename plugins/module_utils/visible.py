# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How text that others wrote is shown: names of processes, units, pods and jobs, reasons, what commands say. Pure."""

from __future__ import annotations

import re
from reprlib import Repr

# How a line begins that is about something else than what failed: warnings of the program itself and of Python, pip,
# apt, logfmt and klog, what ssh says of its connection, and where ssh or Ansible was asked to say more.
_BESIDE_THE_POINT = re.compile(
    r"\s*(?:(?:\S{1,99}: )?\[?(?:deprecation )?(?:warning|notice)\b"
    r"|\S{1,999}:[0-9]+: [A-Za-z]*Warning: "
    r"|(?:time|ts)=.{1,99} level=warn"
    r"|(?-i:W: |W[0-9]{4} [0-9:.]+ )"
    r"|(?:shared )?connection to \S+ closed|debug[1-3]: )",
    re.IGNORECASE,
)
_OF_PYTHON = re.compile(r"\S+:[0-9]+: [A-Za-z]*Warning: ")


def visible(text):
    r"""The text in one line that does nothing to a terminal: what does not print is escaped, such as \n or \x1b.

    That is all of Unicode's controls, formats (which turn the direction of writing, too), line ends and lone
    surrogates, and every space but the plain one. None stays None.
    """
    if text is None or text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode("ascii") for one in text
    )


def reasons(text):
    """The lines of what a program said when it failed that may say why: without warnings, and without empty lines."""
    found, of_python = [], False
    for line in text.splitlines():
        # Below its warning Python shows the line of the source.
        if line.strip() and not _BESIDE_THE_POINT.match(line) and not (of_python and line[0].isspace()):
            found.append(line)
        of_python = bool(_OF_PYTHON.match(line))
    return found


def said(text):
    """What a command said, in one line: words with a space between them, each visible.

    Without warnings, unless it said nothing else.
    """
    return visible(" ".join(" ".join(reasons(text) or [text]).split()))


def visible_lines(text):
    """The same for text of several lines, which stay lines."""
    return "\n".join(map(visible, text.split("\n")))


_short = Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 2, 80, 80


def shown(value):
    """How messages quote what was written: never more than a line of it, and quick for any nesting."""
    try:
        text = _short.repr(value)
    except ValueError:  # Python does not print an int of thousands of digits
        text = "a number without end"
    return text if len(text) <= 80 else text[:77] + "..."
