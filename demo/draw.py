# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's picture, build/demo/picture.txt with its terminal colours, as an SVG file for README: `draw.py FILE`."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.text import Text

PICTURE = Path(__file__).resolve().parent.parent / "build" / "demo" / "picture.txt"
# Without the fonts that rich would have every reader fetch: the reader's own monospace font does.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main():
    """Draw."""
    text = Text.from_ansi(PICTURE.read_text(encoding="utf-8").rstrip())
    width = max(len(line) for line in text.plain.splitlines()) + 1
    console = Console(file=io.StringIO(), record=True, width=width, force_terminal=True, color_system="truecolor")
    console.print(text, soft_wrap=True)
    console.save_svg(sys.argv[1], title="make demo", code_format=FORMAT, unique_id="demo")


if __name__ == "__main__":
    main()
