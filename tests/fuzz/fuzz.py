# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fuzzes one target of parser_targets.py with atheris: fuzz.py TARGET INPUTS [options of libFuzzer] [corpus...].

Prints a line for each hundredth of the inputs that came to the parser, "inputs valid ones", and ends after the last.
An input for which the target does not hold ends the process with a traceback, and libFuzzer keeps it in a file.
"""

from __future__ import annotations

import os
import sys
from collections import Counter

import atheris

with atheris.instrument_imports(include=["ansible_collections"]):
    from parser_targets import TARGETS


def main():
    target, inputs = TARGETS[sys.argv[1]], int(sys.argv[2])
    counted = Counter()

    def one_input(data):
        valid = target(data.decode("utf-8", "surrogateescape"))
        if valid is None:
            return
        counted[valid] += 1
        number = counted[True] + counted[False]
        if number % (inputs // 100) == 0:
            print(number, counted[True], flush=True)
        if number == inputs:
            os._exit(0)

    atheris.Setup([sys.argv[0], *sys.argv[3:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
