# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make prove` shows while it runs, and the figures that it puts into docs/reliability.md."""

from __future__ import annotations

import sys
import threading
import time

from paths import ROOT

PAGE = ROOT / "docs" / "reliability.md"


class Progress:
    """A bar on the terminal and, at its end, how long it took; a context manager. Any thread may count."""

    def __init__(self, name, total, shown=True):
        self._name, self._total, self._shown = name, total, shown
        self._done, self._share, self._lock = 0, None, threading.Lock()

    def __enter__(self):
        self._started = time.monotonic()
        return self

    def __exit__(self, *exception):
        if self._shown:
            print(f"\n{self._name}: {self._done} of {self._total}, {self.seconds} s", file=sys.__stderr__, flush=True)

    @property
    def seconds(self):
        """How long it has taken so far."""
        return round(time.monotonic() - self._started)

    def step(self, number=1):
        """So many more are done."""
        with self._lock:
            self._done += number
            share = 100 * self._done // self._total
            if self._shown and share != self._share:
                self._share = share
                line = f"[{'#' * (share * 2 // 5):<40}] {share:3}% {self.seconds:6} s"
                print(f"\r{self._name} {line}", end="", file=sys.__stderr__, flush=True)


def write_evidence(part, lines):
    """Put lines of Markdown between the marks of a part of docs/reliability.md, in place of what stands there."""
    begin, end = f"<!-- {part}: written by make prove -->\n", f"<!-- end of {part} -->\n"
    head, rest = PAGE.read_text(encoding="utf-8").split(begin)
    _old, tail = rest.split(end)
    PAGE.write_text("".join([head, begin, *(f"{line}\n" for line in lines), end, tail]), encoding="utf-8")


def table(head, rows):
    """Lines of a Markdown table; every column but the first holds numbers."""
    cells = [[str(cell) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---", *["---:"] * (len(head) - 1)], *cells)]
