# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever text reaches a parser: a valid value or a clean error. Inputs come from atheris, which sees the coverage."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from evidence import write_evidence
from parser_targets import TARGETS
from paths import COLLECTIONS, ROOT

FOLDER = Path(__file__).parent
INPUTS = 100_000


@pytest.mark.parametrize("name", TARGETS)
def test_where_fuzzing_begins(name):
    seeds = sorted((FOLDER / "corpus" / name).iterdir())
    assert seeds
    for seed in seeds:
        assert TARGETS[name](seed.read_text(encoding="utf-8")) is not None, seed


@pytest.mark.prove
@pytest.mark.parametrize("name", TARGETS)
def test_any_text(name, progress, tmp_path):
    pytest.importorskip("atheris", reason="atheris has no wheel for this Python on this machine")
    found = tmp_path / "found"  # libFuzzer adds to the first corpus
    found.mkdir()
    command = [
        *(sys.executable, FOLDER / "fuzz.py", name, str(INPUTS), "-seed=1", "-max_len=512", "-verbosity=0"),
        *(f"-dict={FOLDER / 'words.dict'}", f"-artifact_prefix={tmp_path}/", found, FOLDER / "corpus" / name),
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests' / 'helpers'}{os.pathsep}{COLLECTIONS}"}
    said, valid = [], 0
    with (
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as fuzzer,
        progress(f"fuzzing {name}", INPUTS) as tally,
    ):
        try:
            for line in fuzzer.stdout:
                counted = re.fullmatch(r"(\d+) (\d+)\n", line)
                if counted:
                    valid = int(counted.group(2))
                    tally.step(INPUTS // 100)
                else:
                    said.append(line)
        except BaseException:
            fuzzer.kill()
            raise
    assert fuzzer.returncode == 0, "".join(said[-40:])
    line = f"- {name.replace('_', ' ')}: {INPUTS:,} inputs, {valid:,} of them valid; {tally.seconds:,} s"
    write_evidence(f"fuzz {name}", [line])
