# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host without nvidia-ml-py is read and rehearsed with the controller's, and stays as it is."""

from __future__ import annotations

import re
import sys

import pytest
from liar import lie

LAYOUT = [{"instances": {"1g.5gb": 7}}]


@pytest.fixture
def bare(simulated_host):
    """A host whose interpreter has no packages at all."""
    host = simulated_host("--mig", "A100-SXM4-40GB", name="bare")
    python = host.directory / "bare-python"
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' -S \"$@\"\n", encoding="utf-8")
    python.chmod(0o755)
    host.use_interpreter(python)
    host.more_variables = {"mig_partition_layout": LAYOUT}
    return host


def everything(host):
    """What lies in the host's directory, and the text of its state."""
    return sorted(map(str, host.directory.rglob("*"))), host.show()


def test_it_is_read_and_rehearsed(run_playbook, bare, edge_environment):
    (bare.directory / "tmp").mkdir()
    before = everything(bare)
    check = run_playbook("gpufleet.mig.partition", [bare], check=True, diff=True, environment=edge_environment).ok()
    outcome = check.outcome(bare)
    assert (outcome["state"], len(outcome["plan"])) == ("would_change", 14)
    assert "nvidia-ml-py would be brought to bare." in check.output
    assert re.search(r"^\+ .*1g\.5gb", check.output, re.MULTILINE), check.output
    read = run_playbook("gpufleet.mig.facts", [bare]).ok().result("gpufleet.mig.mig_facts")
    assert read["nvidia_ml_py"] == "temporary"
    assert read["ansible_facts"]["mig"]["gpus"][0]["mig_mode"] == "enabled"
    differs = run_playbook("gpufleet.mig.verify", [bare]).failed()
    assert "create GPU instance 1g.5gb" in differs.output
    assert everything(bare) == before


def test_where_the_controller_has_none_either_nothing_is_foretold(run_playbook, bare, tmp_path, monkeypatch):
    old = tmp_path / "old"
    (old / "nvidia_ml_py-11.450.51.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: nvidia-ml-py\nVersion: 11.450.51\n"
    (old / "nvidia_ml_py-11.450.51.dist-info" / "METADATA").write_text(metadata, encoding="utf-8")
    (old / "pynvml.py").write_text("", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(old))
    refused = run_playbook("gpufleet.mig.facts", [bare]).failed()
    assert "nvidia-ml-py>=12.550.52 is needed on this host" in refused.output
    # Without NVML only the PCI bus tells of GPUs, and that of the machine that the tests run on.
    problem = {"ok": False, "problem": "There is no Python module pynvml.", "nvidia_ml_py": "missing"}
    lie(bare, {"mig_driver_check": {**problem, "evidence.mig_capable": True, "evidence.nvidia_devices": True}})
    run = run_playbook("gpufleet.mig.partition", [bare], check=True).ok()
    table = run.result("gpufleet.mig.mig_summary")["summary"]
    assert table[0] == "MIG (check mode): 1 not checked"
    assert "There is no Python module pynvml." in " ".join(table)
    assert "Until it is there, nothing that NVML tells can be checked" in run.output
