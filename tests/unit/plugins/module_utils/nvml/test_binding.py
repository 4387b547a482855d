# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be on a host before NVML can be read: the library, a binding, and one that is new enough."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from paths import COLLECTIONS

OPEN = """
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.session import Session
try:
    with Session():
        print("open")
except MigError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def library(tmp_path):
    """A folder with a libnvidia-ml.so.1 that can be loaded and is no NVML."""
    folder = tmp_path / "library"
    folder.mkdir()
    source = tmp_path / "empty.c"
    source.write_text("int nothing_here;\n", encoding="utf-8")
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder


def open_session(python_path, library_path):
    """Open a session in a process of its own, without site-packages: what it says."""
    path = os.pathsep.join(map(str, [COLLECTIONS, *python_path]))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "LD_LIBRARY_PATH": str(library_path)}
    command = [sys.executable, "-S", "-c", OPEN]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_no_library_and_no_binding(tmp_path):
    assert open_session([], tmp_path).startswith("LibraryMissing libnvidia-ml.so.1")


def test_no_library(tmp_path):
    import pynvml

    shutil.copy(pynvml.__file__, tmp_path / "pynvml.py")
    assert open_session([tmp_path], tmp_path).startswith("LibraryMissing libnvidia-ml.so.1")


def test_a_library_and_no_binding(library):
    said = open_session([], library)
    assert said.startswith("BindingMissing The Python package nvidia-ml-py>=12.550.52 is needed on this host")
    assert f"{sys.executable} -m pip install" in said


def test_a_library_and_an_old_binding(library, tmp_path):
    (tmp_path / "pynvml.py").write_text("class NVMLError(Exception): pass\n", encoding="utf-8")
    metadata = tmp_path / "nvidia_ml_py-11.450.51.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: nvidia-ml-py\nVersion: 11.450.51\n", encoding="utf-8"
    )
    said = open_session([tmp_path], library)
    assert said.startswith("BindingMissing")
    assert f"found version 11.450.51 in {tmp_path}/pynvml.py, which is too old" in said
