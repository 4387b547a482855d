# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of what a host says is read on the controller, and what may be a path."""

from __future__ import annotations

import base64

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_words import json_change, lines, path_refusal, shown


@pytest.mark.parametrize(
    "path",
    [
        "/usr/sbin/slurmd",
        "/opt/slurm-24.11/sbin/slurmd",
        "/root/.pyenv/versions/3.12.1/bin/python3.12",
        "/etc/cdi/a b.yaml",
    ],
)
def test_a_path(path):
    assert path_refusal(path, "It") is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "slurmd",
        "./slurmd",
        "//bin/sh",
        "/usr/../bin/sh",
        "/usr/bin/..",
        "/usr/bin/.",
        "/usr/bin/",
        "/bin//sh",
        "/bin/sh\n",
        "/bin/sh\nx",
        "/bin/\0",
        "/bin/$(id)",
        "/bin/`id`",
        "/bin/{{ x }}",
        "/bin/sh;id",
        "/bin/'",
        '/bin/"',
        "/bin/\\",
        "/bin/%i",
        "/bin/é",
        "/" + "a" * 1024,
        None,
        7,
        ["/bin/sh"],
        {"a": 1},
    ],
)
def test_what_is_no_path(path):
    said = path_refusal(path, "What it starts")
    assert said.startswith("What it starts is ")
    assert "Expected is an absolute path" in said
    assert said.isprintable()
    assert len(said) < 400


def test_what_is_shown_fits_a_line_and_hides_nothing():
    assert shown("a\n\x1b[2Jb") == r"'a\n\x1b[2Jb'"
    assert len(shown("a" * 10**6)) < 120
    assert (shown(["a"] * 3), shown({}), shown(None)) == ("a list of 3", "a dictionary of 0", "None")


def test_lines_are_read_up_to_a_size():
    assert lines("a\nb") == ["a", "b"]
    assert lines("a" * 5000 + "\nb") == ["b"]
    assert sum(map(len, lines("a\n" * 10**7))) < 3 * 10**6


@pytest.mark.parametrize(
    ("text", "before", "changed"),
    [
        ('{"a": 1, "b": [2]}', '{"b":[2],"a":1}', False),
        ("{}", "", False),
        ("{}", " \n", False),
        ('{"a": 1}', "{}", True),
        ('{"a": 1}', '{"a": 2}', True),
    ],
)
def test_a_change_of_json(text, before, changed):
    assert json_change(text, before, "It") == {"changed": changed, "refusal": None}


@pytest.mark.parametrize(
    ("text", "before", "words"),
    [
        ("[" * 10**6, "{}", "What comes is nested too deeply to be a configuration."),
        ("{}", '{"a":' * 10**5, "What what comes would replace is nested too deeply"),
        ("", "{}", "What comes is no JSON: Expecting value"),
        ("{}", "{a}", "What what comes would replace is no JSON"),
        ("9" * 5000, "{}", "What comes is no JSON"),
        (" " * 3 * 10**6, "{}", "What comes has 3000000 characters; at most 2097152 are read."),
    ],
)
def test_json_that_was_made_to_break_its_reader(text, before, words):
    found = json_change(text, before, "What comes")
    assert not found["changed"]
    assert words in found["refusal"]


def test_the_earlier_text_may_be_as_it_was_read():
    earlier = {"content": base64.b64encode(b'{"a": 1}').decode(), "encoding": "base64"}
    assert json_change('{"a":1}', earlier, "It") == {"changed": False, "refusal": None}
    assert json_change('{"a":1}', {"failed": True}, "It") == {"changed": True, "refusal": None}
