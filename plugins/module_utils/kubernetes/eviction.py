# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Evicts pods of a node and waits until they are gone. Knows the API server through a port, see NodePods."""

from __future__ import annotations

import json
import re
import time
from typing import NamedTuple

from ..visible import visible
from .eviction_rules import daemonset_of, is_one_of, name_of, place, verdict_on

# kubectl drain's own: how long until it looks again whether a pod is gone, and until it tries again where it may not.
LOOK_AGAIN = 1
TRY_AGAIN = 5
ANSWER_WITHIN = 30
BUDGET = re.compile(r"The disruption budget (\S+) (.+?)\.?$")


class Refused(Exception):
    """Pods that may not be evicted, or that are not gone in time, in words."""


class Chosen(NamedTuple):
    """Pods to evict, and [pod in words, why or at what cost] of those passed over and of those that cost something."""

    pods: list
    remarks: list


def choose(node, rules, wanted=None):
    """The Chosen of a node's pods: of ``wanted`` (see is_one_of), or of all where that is None. Raises Refused."""
    pods, remarks, refused = [], [], []
    for pod in node.pods():
        if wanted is not None and not is_one_of(pod, wanted):
            continue
        daemonset = daemonset_of(pod)
        orphaned = bool(daemonset) and not node.has_daemonset(pod["metadata"]["namespace"], daemonset)
        verdict = verdict_on(pod, rules, wanted is not None, orphaned)
        if verdict.refused:
            refused.append(f"{name_of(pod)} {verdict.reason}")
        elif verdict.reason:
            remarks.append(f"{name_of(pod)}: {verdict.reason}")
        if verdict.evict:
            pods.append(pod)
    if refused:
        raise Refused(f"No pod was evicted from node {node.name}, because of {'; '.join(refused)}.")
    return Chosen(pods, remarks)


def blocked(node, pods):
    """{pod in words: why the API server would not evict it now} of those pods; evicts none."""
    return _attempt(node, pods, dry_run=True)


def evict(node, pods, timeout, clock=time.monotonic, sleep=time.sleep):
    """Evict pods and wait until they are gone.

    None is evicted before the API server would evict each, so that a budget in the way disturbs nobody. Raises Refused
    after ``timeout`` seconds.
    """
    uids = {pod["metadata"]["uid"] for pod in pods}
    end, begun = clock() + timeout, False
    while True:
        there = [pod for pod in node.pods() if pod["metadata"]["uid"] in uids]
        if not there:
            return
        running = [pod for pod in there if not pod["metadata"].get("deletionTimestamp")]
        reasons = {} if begun else _attempt(node, running, dry_run=True)
        if not reasons:
            begun = True
            reasons = _attempt(node, running, dry_run=False)
        left = end - clock()
        if left <= 0:
            raise Refused(_too_late(node, pods, there, reasons, timeout))
        sleep(min(TRY_AGAIN if reasons else LOOK_AGAIN, left))


def _attempt(node, pods, dry_run):
    answers = ((name_of(pod), node.evict(pod, dry_run)) for pod in pods)
    return {name: reason for name, reason in answers if reason}


def _too_late(node, pods, there, reasons, timeout):
    words = [_remaining(pod, reasons) for pod in there]
    here = {name_of(pod) for pod in there}
    ended = [name_of(pod) for pod in pods if name_of(pod) not in here]
    return f"After {timeout:g} seconds node {node.name} still has {'; '.join(words)}. " + (
        f"Evicted before that: {', '.join(ended)}." if ended else "No other pod was evicted."
    )


def _remaining(pod, reasons):
    if name_of(pod) in reasons:
        return f"pod {name_of(pod)}: {reasons[name_of(pod)]}"
    grace = pod["metadata"].get("deletionGracePeriodSeconds")
    return f"pod {name_of(pod)}, which is evicted but has not ended yet (its grace period is {grace} s)"


def why_not(namespace, status, body):
    """Why the API server did not evict a pod now, in words; None where the pod is gone or going anyway.

    ``status`` and ``body`` are those of its answer. Raises ValueError where it is an error.
    """
    try:
        answer = json.loads(body)
    except (TypeError, ValueError):
        answer = {}
    causes = (answer.get("details") or {}).get("causes") or ()
    if status in (404, 409):  # gone, or there is another pod of that name by now
        return None
    if status == 403 and any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return None
    if status != 429:
        raise ValueError(visible(answer.get("message")) or f"the API server answered with status {status}")
    budgets = [BUDGET.match(cause.get("message", "")) for cause in causes if cause.get("reason") == "DisruptionBudget"]
    named = [f"PodDisruptionBudget {namespace}/{one[1]} allows 0 disruptions: it {one[2]}" for one in budgets if one]
    return visible(", ".join(named) or answer.get("message")) or "the API server has too many requests"


class NodePods:
    """The pods of one node, through the API server: ``core`` and ``apps`` are APIs of the kubernetes Python client."""

    def __init__(self, name, core, apps, api_exception):
        self.name = name
        self._core = core
        self._apps = apps
        self._api_exception = api_exception

    def pods(self):
        """All pods of the node, as dicts."""
        answer = self._core.list_pod_for_all_namespaces(
            field_selector=f"spec.nodeName={self.name}", _preload_content=False, _request_timeout=ANSWER_WITHIN
        )
        return json.loads(answer.data)["items"]

    def has_daemonset(self, namespace, name):
        """Whether that DaemonSet is there."""
        try:
            self._apps.read_namespaced_daemon_set(
                name, namespace, _preload_content=False, _request_timeout=ANSWER_WITHIN
            )
        except self._api_exception as error:
            if error.status == 404:
                return False
            raise
        return True

    def evict(self, pod, dry_run):
        """Evict exactly this pod, or ask whether that would work now: None, or why it does not in words."""
        namespace, name = place(pod)
        options = {"preconditions": {"uid": pod["metadata"]["uid"]}}
        if dry_run:
            options["dryRun"] = ["All"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name},
            "deleteOptions": options,
        }
        try:
            self._core.create_namespaced_pod_eviction(
                name, namespace, body, _preload_content=False, _request_timeout=ANSWER_WITHIN
            )
        except self._api_exception as error:
            try:
                return why_not(namespace, error.status, error.body)
            except ValueError as reason:
                raise Refused(f"Pod {name_of(pod)} could not be evicted: {reason}.") from error
        return None
