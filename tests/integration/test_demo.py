# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""make demo, the three things that README says to try, and make demo-down, in a copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from checkout import copy_checkout
from paths import BUILD, ROOT


@pytest.fixture
def checkout(simulator, tmp_path):
    """A copy of the checkout with the environment and the simulated GPUs that are built already."""
    copy = tmp_path / "checkout"
    copy_checkout(copy)
    (copy / "build").mkdir()
    for name in ("venv", "simulator"):
        (copy / "build" / name).symlink_to(BUILD / name)
    yield copy
    make(copy, "demo-down")


def make(checkout, target):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    answer = subprocess.run(
        ["make", target], cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def console_blocks():
    """The commands of README's things to try, a list for each thing."""
    section = re.search(r"^### Three things to try.*?(?=^#)", (ROOT / "README.md").read_text(), re.M | re.S).group()
    things = re.split(r"^\d\. ", section, flags=re.M)[1:]
    return [re.findall(r"^ +\$ (.*)$", thing, re.M) for thing in things]


def running(pid):
    """Whether there is such a process; one that has ended and awaits its parent's attention does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def try_out(checkout, command):
    """(exit status, output) of a command in a shell that has sourced build/demo/activate."""
    answer = subprocess.run(
        ["bash", "-c", f". build/demo/activate; {command}"],
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stdout


def demonstrated(checkout):
    """Run make demo and check its picture; returns the process ids of the jobs that run then."""
    output = make(checkout, "demo")
    picture = output[output.rindex("== The fleet") :]
    assert re.search(r"GPU 0 .*\+2g\.20gb.*=3g\.40gb\*.*\n *GPU 1 .*=2g\.20gb\*", picture), picture
    assert len(re.findall(r"^  GPU ", picture, re.M)) == 15
    recaps = re.findall(r"changed=(\d+)", output)
    assert recaps[-4:] == ["0"] * 4
    assert sum(map(int, recaps[4:8])) > 0
    jobs = [job["pid"] for job in json.loads((checkout / "build" / "demo" / "jobs.json").read_text())]
    assert [running(pid) for pid in jobs] == [True, True]
    return jobs


def ended(checkout, jobs):
    """Run make demo-down and check that nothing is left."""
    make(checkout, "demo-down")
    assert not (checkout / "build" / "demo").exists()
    assert [running(pid) for pid in jobs] == [False, False]


def refused(checkout, command):
    """Try the first of README's three things, which the running jobs refuse."""
    status, output = try_out(checkout, command)
    assert status == 2
    assert "train" in output
    assert "Nothing was changed" in output


def test_demo_the_first_thing_and_its_end(checkout):
    jobs = demonstrated(checkout)
    ((command,), *_others) = console_blocks()
    refused(checkout, command)
    ended(checkout, jobs)


@pytest.mark.prove
def test_demo_twice_three_things_and_its_end(checkout):
    demonstrated(checkout)
    jobs = demonstrated(checkout)
    (command,), back_and_forth, by_hand = console_blocks()
    refused(checkout, command)
    assert [try_out(checkout, command)[0] for command in back_and_forth] == [0, 0, 0]
    outcomes = [try_out(checkout, command) for command in by_hand]
    assert [status for status, _output in outcomes] == [0, 2, 0]
    assert "differs from its layout" in outcomes[1][1]
    ended(checkout, jobs)
