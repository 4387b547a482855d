# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has a device file open."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.holders.open_files import openers
from ansible_collections.gpufleet.mig.plugins.module_utils.host.device_files import (
    capability_files,
    make_missing,
    parse_minors,
)


@pytest.fixture
def opened_by():
    """opened_by(path): the pid of a process that has it open, which ends with the test."""
    processes = []

    def start(path):
        file = os.open(path, os.O_PATH)
        processes.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[file]))
        os.close(file)
        return processes[-1].pid

    yield start
    for process in processes:
        process.stdin.close()
        process.wait()


def test_who_has_a_file_open_by_whatever_name(tmp_path, opened_by):
    first, other, alias = (str(tmp_path / name) for name in ("nvidia0", "nvidia1", "also-nvidia0"))
    for path in (first, other):
        open(path, "w", encoding="utf-8").close()
    os.link(first, alias)
    pids = sorted((opened_by(first), opened_by(alias)))
    with open(first, encoding="utf-8"):  # this process itself does not count
        found, _unseen = openers([first, other, str(tmp_path / "nvidia2")])
    assert found == {first: pids, other: [], str(tmp_path / "nvidia2"): []}


def test_processes_that_hide_their_files_are_counted(tmp_path, monkeypatch):
    path = tmp_path / "nvidia0"
    path.touch()
    for pid in ("4711", "4712"):
        (tmp_path / "proc" / pid).mkdir(parents=True)
    really_open = os.open

    def hide(name, *options, **more):
        if "/4711/" in str(name):
            raise PermissionError(name)
        return really_open(name, *options, **more)

    monkeypatch.setattr(os, "open", hide)  # root, as whom the tests may run, is refused nothing
    assert openers([str(path)], str(tmp_path / "proc")) == ({str(path): []}, 1)


def test_nobody_is_looked_for_where_there_is_no_device_file(tmp_path):
    assert openers([str(tmp_path / "nvidia0")], str(tmp_path / "no such directory")) == (
        {str(tmp_path / "nvidia0"): []},
        0,
    )


def test_capability_files_have_the_minor_numbers_of_the_table(tmp_path):
    table = tmp_path / "mig-minors"
    table.write_text("config 1\nmonitor 2\ngpu0/gi2/access 21\ngpu0/gi2/ci0/access 22\ngpu1/gi2/access 156\n")
    cap = "/dev/nvidia-caps/nvidia-cap"
    assert capability_files(0, 2, 0, str(table)) == {f"{cap}21", f"{cap}22"}
    assert capability_files(0, 2, None, str(table)) == {f"{cap}21"}
    assert capability_files(1, 2, 5, str(table)) == {f"{cap}156"}
    assert capability_files(2, 2, 0, str(table)) == set()
    assert capability_files(0, 2, 0, str(tmp_path / "none")) == set()


def test_the_table_of_capabilities_and_what_is_no_line_of_it():
    text = "config 1\nmonitor 2\ngpu0/gi7/access 21\ngpu0/gi7/ci0/access\t22 \n"
    known = {"config": 1, "monitor": 2, "gpu0/gi7/access": 21, "gpu0/gi7/ci0/access": 22}
    odd = [
        "a",
        "a b",
        "a -1",
        "a 1.5",
        "a \u0661",
        "a 1_0",
        "../../etc 1",
        "/a 1",
        "a\x1b 1",
        "a " + "9" * 5000,
        "a 1 2",
    ]
    assert parse_minors(text + "\n".join(odd)) == known


def test_what_is_missing_is_made_once_and_only_if_asked(tmp_path):
    there, gone, other = (
        {"path": str(tmp_path / name), "capability": f"/proc/{name}"} for name in ("there", "gone", "other")
    )
    (tmp_path / "there").touch()
    ran = []

    def run_command(command):
        ran.append(command)
        return 0, "", ""

    capabilities = [gone, there, gone, other]
    assert make_missing(capabilities) == [gone, other]
    assert ran == []
    assert make_missing(capabilities, run_command) == [gone, other]
    assert ran == [["nvidia-modprobe", "-f", "/proc/gone"], ["nvidia-modprobe", "-f", "/proc/other"]]
    with pytest.raises(MigError, match=r"gone could not be made: nvidia-modprobe said no \\x1b\[2J"):
        make_missing(capabilities, lambda command: (1, "", "no \x1b[2J"))
