# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sentences about a node that advertises something else than there is."""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.problems import (
    allocatable_problems,
    device_problems,
    forgotten_problems,
    label_problems,
    plugin_problems,
    pod_problems,
    problems,
)

SMALL, LARGE = "nvidia.com/mig-1g.5gb", "nvidia.com/mig-3g.20gb"


def test_devices_are_compared_by_uuid():
    assert device_problems({SMALL: ["MIG-b", "MIG-a"]}, {SMALL: ["MIG-a", "MIG-b"], "nvidia.com/rdma": ["x"]}) == []
    (one,) = device_problems({SMALL: ["MIG-a"]}, {SMALL: ["MIG-dead"]})
    assert one == f"{SMALL} should be 1 (MIG-a); the kubelet has 1 (MIG-dead)."
    gone, more = device_problems({LARGE: ["MIG-a::0", "MIG-a::1"]}, {SMALL: ["MIG-a"]})
    assert gone == f"{SMALL} should be absent; the kubelet has 1 (MIG-a)."
    assert more == f"{LARGE} should be 2 (MIG-a, each 2 times); the kubelet has absent."


def test_zero_and_absent_are_the_same_in_a_nodes_status():
    assert allocatable_problems({LARGE: ["MIG-a"]}, {SMALL: "0", LARGE: "1", "cpu": "32"}) == []
    assert allocatable_problems({}, None) == []
    assert allocatable_problems({LARGE: ["MIG-a"]}, {SMALL: "2"}) == [
        f"{SMALL} should be 0 in status.allocatable; it is 2.",
        f"{LARGE} should be 1 in status.allocatable; it is 0.",
    ]


def test_what_a_host_answers_may_be_anything():
    for odd in (None, 7, [1], {SMALL: 7}, {SMALL: [7, "a"]}, {SMALL: [None]}):
        (said,) = device_problems({SMALL: ["MIG-a"]}, odd)
        assert "no lists of device ids by resource" in said
        assert forgotten_problems({}, odd) == []
    # A kubelet writes its node's status.
    assert allocatable_problems({}, {SMALL: "1k"}) == [f"{SMALL} should be 0 in status.allocatable; it is 1k."]
    assert allocatable_problems({}, {SMALL: "9" * 5000}) != []


def test_labels_of_what_is_gone_are_a_difference_and_other_peoples_are_not():
    wanted = {f"{SMALL}.count": "2", "nvidia.com/gpu.count": "1"}
    there = {f"{SMALL}.count": "3", f"{LARGE}.count": "1", "nvidia.com/gpu.count": "1", "nvidia.com/mig.config": "a"}
    assert label_problems(wanted, {**there, "nvidia.com/gpu.family": "ampere"}) == [
        f"label {SMALL}.count should be 2; it is 3.",
        f"label {LARGE}.count should be absent; it is 1.",
    ]
    assert label_problems({}, {"nvidia.com/gpu.product": "whichever"}) == []


def test_a_plugin_whose_devices_a_kubelet_keeps_has_to_be_ready():
    def pod(owner, ready):
        conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready, "reason": "any"}]
        return {"metadata": {"ownerReferences": [{"name": owner}]}, "status": {"conditions": conditions}}

    away = ["No pod of DaemonSet plugin is ready on the node; without it no pod gets a device."]
    assert plugin_problems([], "plugin") == away
    assert plugin_problems([pod("plugin", "False"), pod("discovery", "True"), {"metadata": {}}], "plugin") == away
    assert plugin_problems([pod("plugin", "False"), pod("plugin", "True")], "plugin") == []


def test_a_pod_of_the_same_name_in_another_namespace_is_not_the_plugins():
    owner = {"namespace": "theirs", "name": "plugin-1", "ownerReferences": [{"name": "plugin"}]}
    pod = {"metadata": owner, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    deployment = {"namespace": "ours", "parts": {"plugin": "plugin"}}
    found = problems({"resources": {}, "labels": {}}, {}, {"metadata": {}}, [pod], deployment)
    assert found["plugin"] == ["No pod of DaemonSet plugin is ready on the node; without it no pod gets a device."]
    assert found["reasons"] == ["DaemonSet plugin has no pod on the node."]


def test_what_a_kubelet_has_not_forgotten_takes_its_restart():
    assert forgotten_problems({SMALL: ["MIG-a"]}, {SMALL: ["MIG-dead"], "nvidia.com/rdma": ["x"]}) == []
    (one,) = forgotten_problems({SMALL: ["MIG-a"]}, {SMALL: ["MIG-a"], LARGE: ["MIG-dead"]})
    assert one.startswith(f"No plugin offers {LARGE} any more.")
    assert "systemctl restart kubelet" in one


def test_what_keeps_a_container_from_running():
    pod = {
        "metadata": {"namespace": "gpu", "name": "plugin-1"},
        "status": {
            "initContainerStatuses": [
                {"name": "init", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}
            ],
            "containerStatuses": [
                {"name": "main", "state": {"waiting": {"reason": "PodInitializing"}}},
                {
                    "name": "sidecar",
                    "state": {"running": {}},
                    "lastState": {"terminated": {"exitCode": 127, "message": "not found"}},
                },
                {"name": "ended", "state": {"terminated": {"exitCode": 1}}},
                {"name": "well", "state": {"running": {}}},
                {"name": "done", "state": {"terminated": {"exitCode": 0}}},
            ],
        },
    }
    pending = {
        "metadata": {"namespace": "gpu", "name": "plugin-2"},
        "status": {"phase": "Pending", "conditions": [{"message": "no room"}]},
    }
    pending["metadata"]["ownerReferences"] = [{"name": "plugin"}]
    assert pod_problems([pod, pending], ["plugin", "discovery"]) == [
        "DaemonSet discovery has no pod on the node.",
        "Container init of pod gpu/plugin-1: CrashLoopBackOff, back-off 10s.",
        "Container sidecar of pod gpu/plugin-1: exit status 127, not found.",
        "Container ended of pod gpu/plugin-1: exit status 1.",
        "Pod gpu/plugin-2 is pending: no room.",
    ]


def test_what_counts_of_all_that_is_wrong():
    wanted = {"resources": {SMALL: ["MIG-a"]}, "labels": {f"{SMALL}.count": "1"}}
    owner = {"namespace": "ours", "name": "plugin-1", "ownerReferences": [{"name": "plugin"}]}
    pods = [{"metadata": owner, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}]
    right = {"metadata": {"labels": {f"{SMALL}.count": "1"}}, "status": {"allocatable": {SMALL: "1"}}}
    with_labels = {"namespace": "ours", "parts": {"plugin": "plugin", "feature_discovery": "discovery"}}
    without = {"namespace": "ours", "parts": {"plugin": "plugin"}}

    found = problems(wanted, {SMALL: ["MIG-a"]}, right, pods, with_labels)
    assert found["difference"] == []
    assert (found["registered"], found["lost"], found["advertised"]) == (True, False, True)

    wrong = {"metadata": {}, "status": {"allocatable": {SMALL: "1"}}}
    found = problems(wanted, {SMALL: ["MIG-a"]}, wrong, pods, with_labels)
    assert found["difference"] == found["wrong_labels"] == found["labels"] != []
    assert not found["advertised"]
    # Nobody makes the labels.
    found = problems(wanted, {SMALL: ["MIG-a"]}, wrong, pods, without)
    assert (found["difference"], found["wrong_labels"], found["advertised"]) == ([], [], True)
    assert found["labels"] != []

    found = problems(wanted, {}, right, pods, without, "No kubelet answers on x")
    assert found["difference"] == ["No kubelet answers on x."]
    assert (found["registered"], found["lost"]) == (False, True)
    assert problems({"resources": {}, "labels": {}}, {}, {"metadata": {}}, problem="x")["registered"] is False
    found = problems(wanted, {SMALL: ["MIG-a"]}, right, [], without)
    assert (found["difference"], found["registered"], found["lost"]) == (found["plugin"], True, True)
