# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evicting: nobody before everybody may go, budgets, grace periods, the deadline; on a node without an API server."""

from __future__ import annotations

import json

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes.eviction import (
    Refused,
    blocked,
    choose,
    evict,
    why_not,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes.eviction_rules import Rules


class Node:
    """A node with these pods and a clock: {name: seconds it takes to end}, and until when a budget is in the way."""

    name = "gpu-1"

    def __init__(self, seconds, budgets=None, allowed_together=None):
        self.now = 0
        self.log = []
        self.budgets = budgets or {}
        self._seconds = seconds
        self._allowed = allowed_together
        self._ends = {}

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def pods(self):
        return [self._pod(name) for name in self._seconds if self.now < self._ends.get(name, self.now + 1)]

    def _pod(self, name):
        owner = {"kind": "DaemonSet" if "daemon" in name else "Job", "name": "x", "controller": True}
        meta = {"namespace": "ml", "name": name, "uid": f"uid-{name}", "ownerReferences": [owner]}
        if name in self._ends:
            meta.update(deletionTimestamp="now", deletionGracePeriodSeconds=30)
        return {"metadata": meta, "spec": {}, "status": {"phase": "Running"}}

    def has_daemonset(self, namespace, name):
        return (namespace, name) == ("ml", "x")

    def evict(self, pod, dry_run):
        name = pod["metadata"]["name"]
        if self.now < self.budgets.get(name, 0):
            return "budget"
        terminating = sum(self.now < end for end in self._ends.values())
        if self._allowed is not None and terminating >= self._allowed:
            return "shared budget"
        if not dry_run:
            self.log.append((name, self.now))
            self._ends[name] = self.now + self._seconds[name]
        return None

    def do(self, timeout=60, wanted=None):
        evict(self, choose(self, Rules(), wanted).pods, timeout, self.clock, self.sleep)


def test_it_ends_when_the_last_pod_is_gone():
    node = Node({"quick": 0, "slow": 20})
    node.do()
    assert node.log == [("quick", 0), ("slow", 0)]
    assert node.pods() == []
    assert 20 <= node.now < 25


def test_only_the_pods_that_are_named_go():
    node = Node({"mine": 0, "other": 0})
    node.do(wanted=[{"namespace": "ml", "name": "mine"}, {"namespace": "ml", "name": "gone"}])
    assert [name for name, _when in node.log] == ["mine"]


def test_a_budget_in_the_way_disturbs_nobody_until_it_is_gone():
    node = Node({"free": 0, "guarded": 0}, {"guarded": 12})
    assert blocked(node, node.pods()) == {"ml/guarded": "budget"}
    node.do()
    assert [name for name, _when in node.log] == ["free", "guarded"]
    assert all(when >= 12 for _name, when in node.log)


def test_past_the_deadline_it_names_pod_and_reason_and_nobody_was_evicted():
    node = Node({"free": 0, "guarded": 0}, {"guarded": 1000})
    with pytest.raises(Refused) as refused:
        node.do(timeout=7)
    assert node.log == []
    assert node.now == 7
    assert "pod ml/guarded: budget" in str(refused.value)
    assert "No other pod was evicted" in str(refused.value)


def test_pods_that_share_a_budget_go_one_after_the_other():
    node = Node({"one": 3, "two": 3, "three": 3}, allowed_together=1)
    node.do()
    assert [name for name, _when in node.log] == ["one", "two", "three"]


def test_a_pod_that_does_not_end_in_time_is_named_with_its_grace_period():
    node = Node({"quick": 0, "deaf": 300})
    with pytest.raises(Refused) as refused:
        node.do(timeout=5)
    assert "ml/deaf" in str(refused.value)
    assert "30 s" in str(refused.value)
    assert "Evicted before that: ml/quick" in str(refused.value)


def test_one_pod_that_may_not_go_keeps_all_from_being_evicted():
    node = Node({"free": 0, "daemon": 0})
    with pytest.raises(Refused) as refused:
        node.do()
    assert "ml/daemon belongs to the DaemonSet x" in str(refused.value)
    assert node.log == []
    assert choose(node, Rules(ignore_daemonsets=True)).pods == [node.pods()[0]]


def test_a_pod_that_ends_already_is_waited_for_only():
    node = Node({"pod": 20})
    node.evict(node.pods()[0], dry_run=False)
    node.budgets["pod"] = 1000
    node.do()
    assert len(node.log) == 1
    assert node.now >= 20


def status(message, *causes):
    return json.dumps(
        {"message": message, "details": {"causes": [{"reason": reason, "message": text} for reason, text in causes]}}
    )


def test_a_budget_is_named():
    body = status(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        ("DisruptionBudget", "The disruption budget web needs 2 healthy pods and has 2 currently"),
    )
    reason = why_not("shop", 429, body)
    assert reason == "PodDisruptionBudget shop/web allows 0 disruptions: it needs 2 healthy pods and has 2 currently"


@pytest.mark.parametrize("code", [404, 409])
def test_a_pod_that_is_gone_is_no_reason(code):
    assert why_not("shop", code, status("not found")) is None


def test_a_pod_of_a_namespace_that_ends_goes_by_itself():
    terminating = status("forbidden", ("NamespaceTerminating", "namespace shop is being terminated"))
    assert why_not("shop", 403, terminating) is None
    with pytest.raises(ValueError, match="cannot create resource"):
        why_not("shop", 403, status("cannot create resource pods/eviction"))


def test_a_busy_api_server_is_no_budget():
    assert why_not("shop", 429, status("too many requests, please try again later")).startswith("too many requests")
    assert why_not("shop", 429, "no JSON")


def test_two_budgets_for_one_pod_are_an_error():
    with pytest.raises(ValueError, match="more than one"):
        why_not("shop", 500, status("This pod has more than one PodDisruptionBudget, which is not supported."))
