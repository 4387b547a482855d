# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text that others wrote, as it is shown."""

from __future__ import annotations

import runpy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.module_utils import visible as module
from ansible_collections.gpufleet.mig.plugins.module_utils.visible import said, visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, None),
        ("", ""),
        ("python3 -m train", "python3 -m train"),
        ("Größe 大きさ", "Größe 大きさ"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("a\u202eb\u2028c\u200bd\u00a0e", r"a\u202eb\u2028c\u200bd\xa0e"),
        ("\udc9b", r"\udc9b"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_does_not_print_is_escaped(text, shown):
    assert visible(text) == shown


@settings(deadline=None)
@given(st.text(st.characters()))
def test_what_is_shown_prints(text):
    assert visible(text).isprintable()
    visible(text).encode()
    assert visible(visible(text)) == visible(text)


def test_what_a_command_said_is_one_line():
    assert said("error: a\x1b[1m\n  and b\n") == r"error: a\x1b[1m and b"


def test_what_a_command_only_warned_of_is_no_part_of_its_reason():
    changed = "Warning: The unit file of a.service changed on disk. Run 'systemctl daemon-reload' to reload units."
    assert said(f"{changed}\nJob for a.service failed.\nSee systemctl status.\n") == (
        "Job for a.service failed. See systemctl status."
    )
    assert said(changed + "\n") == changed
    assert said("error: Warnings are\n\n  errors here\n") == "error: Warnings are errors here"
    assert said("Warning: so\nw: not found\n") == "w: not found"
    python = "x.py:1: DeprecationWarning: old\n  import old\n"
    assert said(f"{python}Traceback:\n  File\n{python}ImportError: no\n") == "Traceback: File ImportError: no"


def test_lines_stay_lines():
    assert visible_lines("a\x1b[1m\nb\r\n") == "a\\x1b[1m\nb\\r\n"


def test_what_was_written_is_quoted_in_one_way_whichever_modules_are_loaded():
    shown = runpy.run_path(module.__file__)["shown"]
    path = "/var/lib/gpufleet-mig/of-a-host-with-a-long-name"
    assert shown(path) == repr(path)
    assert shown([[[["deep"]]]]) == "[[[...]]]"
    assert len(shown("x" * 1000)) == 80
