# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done with a Kubernetes node, and how that is said."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.kubernetes_node import drain_node, drain_staying

LABELS = ["dcgm", "nvsm", "client"]


def decided(labels=None, spec=None, **given):
    node = {"metadata": {"labels": labels}, "spec": spec}
    return drain_node([node], "gpu-7.example.com", "gpu-7", LABELS, "paused", **given)


def test_only_what_runs_is_paused_and_only_what_was_paused_runs_again():
    found = decided({"dcgm": "true", "nvsm": "false", "other": "true", "client": "paused"}, done={"paused": ["client"]})
    assert (found["running"], found["pause"]) == (["dcgm"], {"dcgm": "paused"})
    assert found["resume"] == {"client": "true"}
    # The hook has not paused it, or somebody has set it to something else since.
    assert decided({"client": "paused"}, done={"paused": ["dcgm"]})["resume"] == {}
    assert decided({"client": "false"}, done={"paused": ["client"]})["resume"] == {}
    assert decided({"client": "paused"})["resume"] == {}


@pytest.mark.parametrize(("spec", "unschedulable"), [(None, False), ({}, False), ({"unschedulable": True}, True)])
def test_whether_it_is_cordoned_already(spec, unschedulable):
    assert decided(spec=spec)["unschedulable"] is unschedulable


def test_a_node_that_is_not_there():
    found = drain_node([], "gpu-7.example.com", "gpu-7", LABELS, "paused", done={"paused": ["dcgm"]})
    assert found["refusal"] == (
        "The cluster has no node gpu-7.example.com. Set mig_drain_kubernetes_node for gpu-7 to the name that kubectl"
        " get nodes shows."
    )
    assert (found["unschedulable"], found["pause"], found["resume"]) == (False, {}, {})
    assert decided()["refusal"] == ""


NODE = "Node gpu-7.example.com"


@pytest.mark.parametrize(
    ("labels", "cordoned", "evicted", "words"),
    [
        ({}, True, None, f"{NODE} would be cordoned. No pod would be evicted."),
        ({}, False, {"skipped": True}, f"{NODE} is cordoned already and would stay so. No pod would be evicted."),
        (
            {"dcgm": "true", "nvsm": "true"},
            True,
            {
                "pods": [{"namespace": "ml", "name": "a"}, {"namespace": "ml", "name": "b"}],
                "blocked": {"ml/a": "a budget allows none", "ml/b": "a budget allows none"},
            },
            f"{NODE} would be cordoned. Evicted would be ml/a, ml/b. At this moment a budget allows none. Paused would"
            " be what selects the node by dcgm, nvsm.",
        ),
    ],
)
def test_what_a_run_would_do(labels, cordoned, evicted, words):
    assert decided(labels, done={"cordoned": cordoned, "paused": []}, evicted=evicted)["would"] == words


def pod(kind, selector):
    return {"metadata": {"ownerReferences": [{"kind": kind}]}, "spec": {"nodeSelector": selector}}


def test_which_daemon_sets_have_not_let_go_of_the_node():
    pods = [
        pod("DaemonSet", {"dcgm": "true", "other": "true"}),
        pod("DaemonSet", {"dcgm": "true"}),
        pod("DaemonSet", None),
        pod("ReplicaSet", {"nvsm": "true"}),
        {"metadata": {}, "spec": {"nodeSelector": {"client": "true"}}},
    ]
    assert drain_staying(pods, ["dcgm", "nvsm", "client"]) == ["dcgm"]
