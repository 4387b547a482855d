# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the device plugin is deployed on a node, and why a configuration cannot reach it."""

from __future__ import annotations

import pytest
from device_plugin_manifests import charts, cluster_policy, daemon_set, operators

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.deployment import (
    deployment,
    label_changes,
    request,
)

DEPLOY = "nvidia.com/gpu.deploy."
LABELS = {f"{DEPLOY}device-plugin": "true", f"{DEPLOY}gpu-feature-discovery": "true", f"{DEPLOY}mig-manager": "false"}
MANAGER = daemon_set("nvidia-mig-manager", "gpu-operator", "nvidia-mig-manager", {f"{DEPLOY}mig-manager": "true"})
MINE = "gpufleet-mig-mixed-12345678"


def node(**labels):
    return {"metadata": {"name": "a", "labels": {**LABELS, **{DEPLOY + name: value for name, value in labels.items()}}}}


def found(daemon_sets, policies=(), wanted=None, where=None, data=None):
    maps = [] if data is None else [{"data": data}]
    return deployment(daemon_sets, list(policies), where or node(), "mixed", wanted, maps, MINE)


def test_the_gpu_operators():
    there = found([*operators(), MANAGER], [cluster_policy("other")])
    assert (there["kind"], there["namespace"], there["config_map"]) == ("gpu_operator", "gpu-operator", "other")
    assert there["parts"] == {
        "plugin": "nvidia-device-plugin-daemonset",
        "feature_discovery": "gpu-feature-discovery",
    }
    assert there["refusal"] is None


def test_one_that_helm_has_deployed():
    there = found(charts())
    assert (there["kind"], there["config_map"], there["default"]) == ("helm", "release-configs", "")
    assert (there["fallbacks"], there["parts"]) == (["named", "single"], {"plugin": "release-nvidia-device-plugin"})


def test_helms_beside_an_operator_that_has_none():
    assert found(charts(), [cluster_policy(devicePlugin={"enabled": False})])["kind"] == "helm"


def test_none_yet_or_our_own():
    ours = {"app.kubernetes.io/managed-by": "gpufleet.mig"}
    own = daemon_set("nvidia-device-plugin", "a", "nvidia-device-plugin-ctr", {}, labels=ours)
    for there in (found([]), found([own]), found([daemon_set("web", "default", "web", {})], wanted="daemonset")):
        assert there == {"kind": "daemonset", "parts": {}, "refusal": None}


def test_a_node_that_is_drained_at_this_moment_is_one_of_theirs():
    paused = {"device-plugin": "paused-for-mig-change"}
    assert found(operators(), [cluster_policy("configs")], where=node(**paused))["parts"]["plugin"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"daemon_sets": operators(None), "policies": [cluster_policy()]},
            [
                "names no ConfigMap",
                "kubectl create configmap",
                "kubectl patch clusterpolicies.nvidia.com cluster-policy",
            ],
        ),
        (
            {"daemon_sets": charts(None)},
            ["has no ConfigMap", "helm upgrade release", "--set-string config.map.default='version: v1'"],
        ),
        (
            {"daemon_sets": [daemon_set("x", "kube-system", "nvidia-device-plugin-ctr", {})]},
            ["kube-system/x", "Remove it"],
        ),
        (
            {
                "daemon_sets": [*operators(), MANAGER],
                "policies": [cluster_policy("configs")],
                "where": node(**{"mig-manager": "true"}),
            },
            ["MIG Manager", "kubectl label node a nvidia.com/gpu.deploy.mig-manager=false --overwrite"],
        ),
        (
            {
                "daemon_sets": operators(),
                "policies": [cluster_policy("configs")],
                "where": node(**{"device-plugin": "false"}),
            },
            ["does not select it", "nvidia.com/gpu.deploy.device-plugin=true"],
        ),
        (
            {"daemon_sets": operators(environment={"MIG_STRATEGY": "single"}), "policies": [cluster_policy("configs")]},
            ["The GPU Operator sets the MIG strategy single", "mig_device_plugin_strategy: mixed", '"strategy": null'],
        ),
        ({"daemon_sets": charts(environment={"MIG_STRATEGY": "none"})}, ["Helm sets", "--set migStrategy=null"]),
        ({"daemon_sets": charts(), "wanted": "daemonset"}, ["that Helm has deployed", "fight"]),
        ({"daemon_sets": [], "wanted": "helm"}, ["no device plugin"]),
        ({"daemon_sets": [*charts(), *charts()]}, ["both run on node a"]),
        ({"daemon_sets": charts(), "data": {"other": ""}}, ["use other of ConfigMap", "--set config.default=other"]),
    ],
)
def test_refusals(arguments, words):
    refusal = found(**arguments)["refusal"]
    assert [word for word in words if word not in refusal] == [], refusal


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({}, {}),
        ({}, {"default": ""}),
        ({}, {"a": "", "b": ""}),
        ({}, {MINE: ""}),
        ({"fallbacks": "empty"}, {"other": ""}),
        ({"fallbacks": ""}, {"other": ""}),
    ],
)
def test_a_configuration_that_changes_nothing_for_others_may_be_added(options, data):
    assert found(charts(**options), data=data)["refusal"] is None


def test_a_node_asks_for_a_configuration_by_its_label():
    asking = {"metadata": {"name": "a", "labels": {**LABELS, "nvidia.com/mig.config": "all-balanced"}}}
    assert request([asking], [MANAGER], "a", "gpu-1") == {"config": "all-balanced", "refusal": None}
    assert request([node()], [MANAGER], "a", "gpu-1") == {"config": "", "refusal": None}
    assert request([{"metadata": {"name": "a"}}], [], "a", "gpu-1") == {"config": "", "refusal": None}


def test_a_node_that_cannot_be_reconciled():
    (managed, missing) = (
        request([node(**{"mig-manager": "true"})], [MANAGER], "a", "gpu-1"),
        request([], [MANAGER], "a,b", "gpu-1"),
    )
    assert managed["refusal"].startswith("NVIDIA's MIG Manager runs on node a ")
    assert missing["refusal"] == (
        "The cluster has no node a,b. Set mig_device_plugin_kubernetes_node for gpu-1 to the name that kubectl get"
        " nodes shows."
    )
    # A selector of the API server finds two by a name with a comma.
    assert request([node(), node()], [], "a", "gpu-1")["refusal"].startswith("The cluster has no node a.")


def test_labels_that_have_to_change():
    there = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    assert label_changes(there, {"a": "1", "b": None, "c": None, "d": "4"}) == {"b": None, "d": "4"}
    assert label_changes({"metadata": {}}, {"a": "1", "b": None}) == {"a": "1"}
