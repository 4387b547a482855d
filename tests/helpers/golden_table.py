# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The golden table of what NVIDIA's programs for Kubernetes make of GPUs, and simulated hosts as it says."""

from __future__ import annotations

from typing import NamedTuple

import yaml
from modules import run_module
from paths import ROOT, SIMULATOR

from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import with_profiles

TABLE = yaml.safe_load((ROOT / "tests" / "kubernetes" / "golden_table.yml").read_text(encoding="utf-8"))


class Row(NamedTuple):
    """A row of the table; ``resources`` and ``labels``, or a part of the ``refusal``, are what is expected."""

    layout: str
    strategy: str
    sharing: str
    source: list
    resources: dict = None
    labels: dict = None
    refusal: str = None
    plugin: str = None
    feature_discovery: str = None

    def __str__(self):
        return f"{self.strategy}-{self.layout}-{self.sharing}"

    @property
    def shared(self):
        """The arguments time_slicing and mps."""
        return TABLE["sharing"][self.sharing]


ROWS = [Row(**row) for row in TABLE["rows"]]


def commands(layout):
    """(arguments of mig-simulator init, [arguments of nvidia-smi]) that bring a host to a layout of the table."""
    gpus = TABLE["layouts"][layout]
    steps = []
    for index, gpu in enumerate(gpus):
        if gpu["mig"] is None:
            continue
        steps.append(["-i", str(index), "-mig", "1"])
        for instance in gpu["mig"]:
            profile, inside = (instance, None) if isinstance(instance, str) else next(iter(instance.items()))
            create = ["mig", "-i", str(index), "-cgi", profile]
            steps += [create, ["mig", "-i", str(index), "-cci", ",".join(inside)]] if inside else [[*create, "-C"]]
    return [gpu["model"] for gpu in gpus], steps


def bring(host, layout):
    """Make a simulated host that of a layout: what mig_facts says of its GPUs."""
    models, steps = commands(layout)
    host.simulator("init", *models)
    for step in steps:
        host.run(str(SIMULATOR / "nvidia-smi"), *step)
    facts = run_module(host, "mig_facts", {"gather": ["profiles", "instances"]}).ok()["ansible_facts"]["mig"]
    return with_profiles(facts)["gpus"]
