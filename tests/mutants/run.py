# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make mutants` runs: the collection with one mistake at a time, and the tests that must notice it.

mutants.yml has the mistakes. Each is made in a copy of the checkout; the checkout itself is never changed. Exit status
1 where a mistake went unnoticed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import queue
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from checkout import copy_checkout

HERE = Path(__file__).resolve().parent
PASSED, CAUGHT = 0, 1  # exit statuses of pytest
MARKS = {True: "caught", False: "NOT CAUGHT", None: "not in this checkout"}


class Mutant(NamedTuple):
    """In ``file`` stands ``becomes`` instead of ``text``; ``tests`` (what pytest takes, in one line) must fail."""

    file: str
    text: str
    becomes: str
    tests: str


def mutants():
    """The Mutants of mutants.yml."""
    return [Mutant(**one) for one in yaml.safe_load((HERE / "mutants.yml").read_text(encoding="utf-8"))]


class Copy:
    """A copy of a checkout in a new folder, with the checkout's build/ but for the collection itself."""

    def __init__(self, checkout, folder):
        self._folder = folder
        copy_checkout(folder, checkout)
        collections = folder / "build" / "collections" / "ansible_collections"
        (collections / "gpufleet").mkdir(parents=True)
        (collections / "gpufleet" / "mig").symlink_to(folder)
        built = checkout / "build"
        (collections / "kubernetes").symlink_to(built / "collections" / "ansible_collections" / "kubernetes")
        for one in built.iterdir():
            if one.name not in ("collections", "pycache"):
                (folder / "build" / one.name).symlink_to(one)

    def judge(self, mutant):
        """(whether the tests notice a Mutant, None where there is nothing to change; what they said last)."""
        path = self._folder / mutant.file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if text.count(mutant.text) != 1:
            return None, ""
        path.write_text(text.replace(mutant.text, mutant.becomes), encoding="utf-8")
        try:
            return self.fail(mutant.tests.split())
        finally:
            path.write_text(text, encoding="utf-8")

    def fail(self, tests):
        """(whether one of these tests fails, what pytest said last of it)."""
        run = subprocess.run(
            [sys.executable, "-m", "pytest", *tests, "-x", "-q", "-n0", "-p", "no:cacheprovider"],
            cwd=self._folder, env={**os.environ, "CI": "true"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = (run.stdout + run.stderr).strip().splitlines()
        failed = [line for line in said if line.startswith(("FAILED ", "ERROR "))]
        if run.returncode not in (PASSED, CAUGHT):
            raise SystemExit(f"pytest {' '.join(tests)}: {(said or [''])[-1]}")
        return run.returncode == CAUGHT, (failed or said or [""])[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkout", type=Path, default=HERE.parent.parent, help="judge the tests of this one")
    parser.add_argument("--part", default="1/1", help="2/4 is the second of four parts")
    given = parser.parse_args()
    number, parts = map(int, given.part.split("/"))
    chosen = mutants()[number - 1 :: parts]
    left = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        os.chmod(folder, 0o755)  # tests that run as another user read it
        workers = os.cpu_count() or 1
        copies = queue.SimpleQueue()
        for one in range(workers):
            copies.put(copy := Copy(given.checkout.resolve(), Path(folder) / str(one)))
        # A test that fails anyway notices nothing.
        failed, said = copy.fail(dict.fromkeys(test for one in chosen for test in one.tests.split()))
        if failed:
            print(f"Without any mutant: {said}")
            return True

        def judge(mutant):
            copy, started = copies.get(), time.monotonic()
            try:
                return mutant, *copy.judge(mutant), time.monotonic() - started
            finally:
                copies.put(copy)

        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for mutant, caught, said, seconds in pool.map(judge, chosen):
                left += caught is False
                print(f"{MARKS[caught]:12} {seconds:4.0f} s  {mutant.file}: {mutant.text.strip()!r}", flush=True)
                print(f"{'':20}becomes {mutant.becomes.strip()!r}; {said[:160]}", flush=True)
    print(f"{len(chosen)} mutants, {left} not caught")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main())
