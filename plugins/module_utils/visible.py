# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How text that others wrote is shown: names of processes, units, pods and jobs, reasons, what commands say. Pure."""

from __future__ import annotations


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


def said(text):
    """What a command said, in one line: words with a space between them, each visible."""
    return visible(" ".join(text.split()))


def visible_lines(text):
    """The same for text of several lines, which stay lines."""
    return "\n".join(map(visible, text.split("\n")))
