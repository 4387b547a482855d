# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role mig_device_plugin does on a host's node."""

from __future__ import annotations

import pytest
from device_plugin_manifests import charts, cluster_policy, operators

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.node import (
    configuration_labels,
    configuration_refusal,
    node_deployment,
    restarts,
)

CONFIG, MIG, STATE = "nvidia.com/device-plugin.config", "nvidia.com/mig.config", "nvidia.com/mig.config.state"
DEPLOY = "nvidia.com/gpu.deploy."
NODE = {
    "metadata": {"name": "a", "labels": {f"{DEPLOY}device-plugin": "true", f"{DEPLOY}gpu-feature-discovery": "true"}}
}
GPU = {
    "index": 0,
    "uuid": "GPU-1",
    "product": "NVIDIA A100-SXM4-40GB",
    "memory_mib": 40960,
    "mig_capable": True,
    "mig_mode": "disabled",
    "instances": [],
    "profiles": [{"name": "1g.5gb", "memory_mib": 4864, "multiprocessors": 14}],
}
TARGET = [
    {"gpus": ["GPU-1"], "instances": [{"profile": "1g.5gb", "compute_instances": [{"profile": "1g.5gb"}]}]},
]


def options(**given):
    defaults = {
        "kubernetes_node": "a",
        "strategy": "mixed",
        "time_slicing": {},
        "mps": {},
        "flags": {},
        "target": [],
        "mig_config": "",
        "mig_parted_config": "",
        "feature_discovery": True,
        "namespace": "nvidia-device-plugin",
    }
    return {f"mig_device_plugin_{name}": value for name, value in {**defaults, **given}.items()}


def found(nodes=(NODE,), daemon_sets=(), policies=(), to_come=False, **given):
    return node_deployment(list(nodes), daemon_sets, policies, [GPU], options(**given), "gpu-1", to_come)


def operator(**given):
    return found(daemon_sets=operators(), policies=[cluster_policy("configs")], **given)


def test_where_the_configuration_goes():
    there = operator()
    assert (there["refusal"], there["kind"], there["config_map"]) == (None, "gpu_operator", "configs")
    assert there["wanted"]["resources"] == {"nvidia.com/gpu": ["GPU-1"]}
    assert there["wanted"]["config_name"].startswith("gpufleet-mig-mixed-")
    assert (there["named"], there["asks_for_discovery"]) == (False, False)


def test_the_layout_counts_where_it_is_to_come():
    named = {"target": TARGET, "mig_config": "small", "mig_parted_config": "/file"}
    assert operator(**named)["wanted"]["resources"] == {"nvidia.com/gpu": ["GPU-1"]}
    assert operator(**named)["named"] is True
    there = operator(to_come=True, **named)
    assert there["wanted"]["resources"] == {"nvidia.com/mig-1g.5gb": [None]}
    assert there["named"] is False
    assert operator(mig_config="small")["named"] is False


@pytest.mark.parametrize("discovery", [True, False])
def test_a_deployment_of_our_own(discovery):
    there = found(feature_discovery=discovery, namespace="own")
    assert (there["kind"], there["namespace"], there["config_map"]) == (
        "daemonset",
        "own",
        "gpufleet-mig-device-plugin",
    )
    parts = {"plugin": "nvidia-device-plugin", "feature_discovery": "gpu-feature-discovery"}
    assert there["parts"] == (parts if discovery else {"plugin": "nvidia-device-plugin"})
    assert there["asks_for_discovery"] is discovery


def test_refusals_before_anything_else_is_read():
    assert found(nodes=[])["refusal"].startswith("The cluster has no node a. ")
    beginning = "Kubernetes node a cannot advertise the GPUs of gpu-1. "
    assert found(strategy="single", to_come=True, target=[{"gpus": ["GPU-1"]}])["refusal"].startswith(
        f"{beginning}The strategy single needs"
    )
    assert found(daemon_sets=charts(None))["refusal"].startswith(f"{beginning}DaemonSet ")
    assert found(deployment="helm")["refusal"].startswith(f"{beginning}mig_device_plugin_deployment is helm")


def test_refusals_of_a_configuration():
    charted, ours = found(daemon_sets=charts()), found()
    assert configuration_refusal(charted, [], False, options()) is None
    assert "--set config.default=theirs" in configuration_refusal(charted, [{"data": {"theirs": ""}}], False, options())
    assert configuration_refusal(ours, [], True, options()) is None
    assert "install the plugin with Helm" in configuration_refusal(ours, [], True, options(mps={"resources": []}))
    assert "Node Feature Discovery" in configuration_refusal(ours, [], False, options())
    assert configuration_refusal(found(feature_discovery=False), [], False, options()) is None


@pytest.mark.parametrize(
    ("name", "compared", "there", "changes"),
    [
        ("", {}, {}, {CONFIG: "x"}),
        ("", {}, {CONFIG: "x", MIG: "old", STATE: "failed"}, {MIG: None, STATE: None}),
        ("small", {}, {CONFIG: "x", MIG: "old", STATE: "failed"}, {MIG: "small", STATE: "success"}),
        ("small", {"reached": True}, {CONFIG: "x", MIG: "small", STATE: "success"}, {}),
        ("small", {"reached": False}, {CONFIG: "x", MIG: "small", STATE: "success"}, {MIG: None, STATE: None}),
    ],
)
def test_labels_are_kept_true(name, compared, there, changes):
    node = {"metadata": {"name": "a", "labels": there}}
    assert configuration_labels(node, {"wanted": {"config_name": "x"}}, options(mig_config=name), compared) == changes


def pod(owner, namespace="ours"):
    metadata = {"name": f"{owner}-1", "namespace": namespace}
    return {"metadata": {**metadata, "ownerReferences": [{"name": owner}]} if owner else metadata}


PODS = [pod("plugin"), pod("discovery"), pod("mps"), pod("plugin", "theirs"), pod("other"), pod("")]
FOUND = {
    "wanted": {"config_name": "x"},
    "namespace": "ours",
    "parts": {"plugin": "plugin", "feature_discovery": "discovery", "mps": "mps"},
}
RIGHT = {"devices": [], "plugin": [], "wrong_labels": [], "registered": True}
READY, LABELLED = {"metadata": {"labels": {CONFIG: "x"}}}, {"metadata": {}}


@pytest.mark.parametrize(
    ("problems", "node", "config_map_changed", "first", "names", "needed"),
    [
        ({}, READY, False, True, [], False),
        ({}, LABELLED, False, True, ["plugin-1", "discovery-1", "mps-1"], True),
        ({}, READY, True, True, ["plugin-1", "discovery-1", "mps-1"], True),
        ({"devices": ["a"], "registered": False}, READY, False, True, ["plugin-1"], True),
        ({"wrong_labels": ["a"]}, READY, False, True, ["discovery-1"], True),
        ({"plugin": ["a"]}, READY, False, True, [], True),
        ({"registered": False}, READY, False, True, [], True),
        # Once more only a plugin that runs.
        ({"devices": ["a"], "registered": False}, LABELLED, True, False, ["plugin-1"], True),
        ({"devices": ["a"], "plugin": ["b"], "registered": False}, READY, False, False, [], True),
        ({"wrong_labels": ["a"]}, LABELLED, True, False, [], False),
    ],
)
def test_what_is_restarted(problems, node, config_map_changed, first, names, needed):
    answer = restarts({**RIGHT, **problems}, FOUND, PODS, node, config_map_changed, first)
    assert [(one["name"], one["namespace"]) for one in answer["pods"]] == [(name, "ours") for name in names]
    assert answer["needed"] is needed
