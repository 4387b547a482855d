# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node advertises: the golden table, the layout to come, and what users may say of sharing."""

from __future__ import annotations

import re

import pytest
import yaml
from golden_table import ROWS, TABLE, bring
from simulated_host import SimulatedHost

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.expected import expected
from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.sharing import config


@pytest.fixture(scope="module")
def gpus(simulator, tmp_path_factory):
    """gpus(layout): what mig_facts says of a host with that layout of the table."""
    read = {}

    def of(layout):
        if layout not in read:
            read[layout] = bring(SimulatedHost("gpu-host", tmp_path_factory.mktemp("hosts") / "host"), layout)
        return read[layout]

    return of


def uuids(gpus):
    """All UUIDs that there are."""
    return {gpu["uuid"] for gpu in gpus} | {
        one["uuid"] for gpu in gpus for instance in gpu["instances"] or () for one in instance["compute_instances"]
    }


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_golden_table(row, gpus):
    there = gpus(row.layout)
    found = expected(there, row.strategy, **row.shared)
    if row.refusal:
        assert row.refusal in found["refusal"]
        assert (found["resources"], found["labels"]) == ({}, {})
        return
    assert found["refusal"] is None
    assert {name: len(ids) for name, ids in found["resources"].items()} == row.resources
    assert found["labels"] == row.labels
    ids = [one for several in found["resources"].values() for one in several]
    assert len(ids) == len(set(ids))
    assert {one.partition("::")[0] for one in ids} <= uuids(there)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_layout_to_come_is_judged_as_it_is_once_it_is_there(row, gpus):
    """The same from the bare GPUs and the layout: what can be known before is known before."""
    there = gpus(row.layout)
    bare = [{**gpu, "mig_mode": gpu["mig_mode"] and "disabled", "instances": []} for gpu in there]
    target = [gpu["layout"] for gpu in there if gpu["layout"]]
    now, before = (
        expected(there, row.strategy, **row.shared),
        expected(bare, row.strategy, target=target, **row.shared),
    )
    assert before["refusal"] == now["refusal"]
    assert before["labels"] == now["labels"]
    assert {name: len(ids) for name, ids in before["resources"].items()} == (row.resources or {})


@pytest.mark.parametrize(
    ("profile", "inside", "memory_mib", "resource", "label"),
    [
        # What drivers call the whole of a 1g.10gb+me; the plugin goes by the GPU instance.
        ("1g.23gb+me", "1g.23gb", 20480, "mig-1g.23gb", "mig-1g.23gb.me"),
        # An early driver for GB200; the plugin computes eighths.
        ("1g.24gb", "1g.24gb", 20480, "mig-1g.23gb", "mig-1g.23gb"),
        ("3g.95gb", "3g.95gb", 93184, "mig-3g.93gb", "mig-3g.93gb"),
    ],
)
def test_the_plugin_has_names_of_its_own(profile, inside, memory_mib, resource, label):
    device = {"id": 0, "profile": inside, "uuid": "MIG-1", "index": 0, "memory_mib": memory_mib}
    gpu = {
        "index": 0, "uuid": "GPU-1", "product": "NVIDIA GB200", "minor": 0, "mig_mode": "enabled", "mig_capable": True,
        "memory_mib": 189471, "profiles": [{"name": profile, "memory_mib": memory_mib, "multiprocessors": 18}],
        "instances": [{"id": 7, "profile": profile, "compute_instances": [device]}],
    }  # fmt: skip
    found = expected([gpu], "mixed", time_slicing={"resources": [{"name": f"nvidia.com/{resource}", "replicas": 2}]})
    assert found["refusal"] is None
    assert list(found["resources"]) == [f"nvidia.com/{resource}"]
    assert f"nvidia.com/{label}.count" in found["labels"]


def test_every_row_has_a_source_and_every_source_a_row():
    assert {source for row in ROWS for source in row.source} == set(TABLE["sources"])
    assert all(row.source for row in ROWS)
    assert {row.layout for row in ROWS} == set(TABLE["layouts"])
    assert {row.sharing for row in ROWS} == set(TABLE["sharing"])


def test_a_refusal_says_what_there_is_and_what_to_do(gpus):
    message = expected(gpus("mixed"), "single")["refusal"]
    assert "1 x 3g.20gb on GPU 0" in message
    assert "mig_device_plugin_strategy: mixed" in message
    message = expected(gpus("partly MIG"), "single")["refusal"]
    assert "GPU 1 has no MIG on" in message
    assert "GPU 1 has none" in expected(gpus("empty"), "single")["refusal"]
    message = expected(gpus("compute instances"), "mixed")["refusal"]
    assert "1 x 1c.3g.20gb on GPU 0, 1 x 2c.3g.20gb on GPU 0" in message
    message = expected(gpus("uniform"), "single", mps={"resources": [{"name": "gpu", "replicas": 2}]})["refusal"]
    assert "GPUs 0, 1" in message
    assert "mig_assign" in message


def shared(*resources):
    return {"resources": [{"name": name, "replicas": replicas} for name, replicas in resources]}


@pytest.mark.parametrize(
    ("time_slicing", "mps", "message"),
    [
        (shared(("gpu", 1)), None, "1 replicas of nvidia.com/gpu. It takes a whole number from 2 on"),
        (shared(("gpu", True)), None, "True replicas of nvidia.com/gpu"),
        (shared(("gpu", "many")), None, "many replicas of nvidia.com/gpu"),
        (shared(("gpu", None)), None, "None replicas of nvidia.com/gpu"),
        (shared(("gpu", 2), ("nvidia.com/gpu", 3)), None, "names nvidia.com/gpu twice"),
        (shared(("amd.com/gpu", 2)), None, "names amd.com/gpu, which is no resource of the device plugin"),
        (shared(("mig-1g.5gb+me", 2)), None, "such as nvidia.com/mig-1g.5gb"),
        (shared(("mig-1g.5gb.me", 2)), None, "nvidia.com/mig-1g.5gb.me, which no GPU of this node can have"),
        (shared(("mig-1c.3g.20gb", 2)), None, "compute instances that do not span"),
        (shared(("mig-1g.6gb", 2)), None, "no GPU of this node can have. There can be nvidia.com/gpu, nvidia.com/mig"),
        ({"renameByDefault": True}, None, "mig_device_plugin_time_slicing has no resources"),
        (shared(("gpu", 2)), shared(("gpu", 2)), "by time slicing or by MPS, not by both"),
        (None, shared(("mig-1g.5gb", 2)), "shares no MIG device by MPS"),
        (None, shared(("gpu", 49)), "48 clients at the most"),
    ],
)
def test_sharing_that_cannot_be(time_slicing, mps, message, gpus):
    there = gpus("mixed") if mps is None else gpus("no MIG")
    assert message in expected(there, "mixed", time_slicing, mps)["refusal"]


def test_a_profile_that_is_not_there_now_may_be_shared(gpus):
    found = expected(gpus("uniform"), "mixed", shared(("mig-7g.40gb", "2")))
    assert (found["refusal"], list(found["resources"])) == (None, ["nvidia.com/mig-1g.5gb"])


def test_a_host_without_gpus_advertises_nothing():
    assert expected([], "mixed") == {"resources": {}, "labels": {}, "refusal": None}


def test_a_strategy_that_there_is_not():
    assert "none, single, mixed" in expected([], "both")["refusal"]


def test_the_file_is_nvidias_and_its_name_follows_from_it():
    one = shared(("mig-1g.5gb", 3), ("gpu", 2))
    flags = {"plugin": {"deviceListStrategy": "cdi-cri"}}
    name, text = config("mixed", {**one, "failRequestsGreaterThanOne": True}, flags=flags)
    assert yaml.safe_load(text) == {
        "version": "v1",
        "flags": {"migStrategy": "mixed", "plugin": {"deviceListStrategy": "cdi-cri"}},
        "sharing": {
            "timeSlicing": {
                "failRequestsGreaterThanOne": True,
                "resources": [
                    {"name": "nvidia.com/gpu", "replicas": 2},
                    {"name": "nvidia.com/mig-1g.5gb", "replicas": 3},
                ],
            }
        },
    }
    assert name.startswith("gpufleet-mig-mixed-")
    # Whatever the order in which it is said; and whatever is said otherwise has another name.
    backwards = {"resources": one["resources"][::-1]}
    assert config("mixed", one) == config("mixed", backwards)
    renamed = {**one, "renameByDefault": True}
    others = [config("mixed"), config("single"), config("mixed", one), config("mixed", renamed)]
    assert len({name for name, _text in others}) == len({text for _name, text in others}) == 4
    assert "sharing" not in yaml.safe_load(config("single")[1])


def test_a_configuration_has_the_name_of_a_key_and_no_other():
    for strategy in ("none", "single", "mixed"):
        name, _text = config(strategy, shared(("gpu", 2)))
        assert re.fullmatch(r"gpufleet-mig-[a-z]+-[0-9a-f]{8}", name)
    assert config("../mixed") == config("mixed\n") == (None, None)


@pytest.mark.parametrize(
    ("product", "label"),
    [
        ("NVIDIA A100-SXM4-40GB", "NVIDIA-A100-SXM4-40GB"),
        ("Quadro RTX 6000/8000", "Quadro-RTX-60008000"),
        # The API server has none that ends so, and none that is longer.
        ("NVIDIA A100 -", None),
        ("NVIDIA A100 " + "x" * 80, None),
    ],
)
def test_a_label_is_one_that_kubernetes_takes(product, label):
    gpu = {
        "index": 0,
        "uuid": "GPU-0",
        "product": product,
        "mig_mode": "disabled",
        "instances": [],
        "mig_capable": True,
    }
    found = expected([gpu], "mixed")
    assert found["refusal"] is None
    assert found["labels"].get("nvidia.com/gpu.product") == label
