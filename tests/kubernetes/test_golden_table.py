# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The golden table is what NVIDIA's GPU feature discovery says of simulated GPUs, row by row."""

from __future__ import annotations

import re

import pytest
from go_programs import kubernetes_programs
from golden_table import ROWS

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.sharing import config

# The labels that a row is about; others tell the memory, engines and slices of a MIG device.
LABEL = re.compile(r"nvidia\.com/(mig\.strategy|(gpu|mig-.+)\.(product|count|replicas|sharing-strategy))")


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_feature_discovery_makes_the_labels_of_the_row(row, table_hosts, tmp_path):
    host = table_hosts(row.layout)
    # A row may be refused for what it shares already; then there is nothing to be read.
    (tmp_path / "config.yaml").write_text(config(row.strategy, **row.shared)[1], encoding="utf-8")
    answer = host.run(
        str(kubernetes_programs() / "gpu-feature-discovery"),
        "--oneshot",
        "--use-node-feature-api=false",
        "--no-timestamp",
        f"--output-file={tmp_path / 'labels'}",
        f"--config-file={tmp_path / 'config.yaml'}",
        check=False,
    )
    said = answer.stdout + answer.stderr
    if row.refusal:
        assert (row.feature_discovery or "") in said
        return
    assert answer.returncode == 0, said
    lines = (tmp_path / "labels").read_text(encoding="utf-8").split()
    labels = {name: value for name, value in (line.split("=", 1) for line in lines) if LABEL.fullmatch(name)}
    if "products" in row.source:
        # It is chance which product the labels of whole GPUs are about.
        labels = {name: value for name, value in labels.items() if not name.startswith("nvidia.com/gpu.")}
    assert labels == row.labels
