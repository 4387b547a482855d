# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which pods of a node may be evicted, by the rules of `kubectl drain` (kubectl's pkg/drain/filters.go). Pure.

A pod is a dict as the API server returns it.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

MIRROR = "kubernetes.io/config.mirror"
STATIC_UID = "kubernetes.io/config.hash"  # the UID that the kubelet, and so the cgroup, has for a static pod


class Rules(NamedTuple):
    """What the operator allows, in kubectl's words, and node labels whose DaemonSet pods leave by themselves."""

    ignore_daemonsets: bool = False
    force: bool = False
    delete_emptydir_data: bool = False
    ignore_node_selectors: Tuple[str, ...] = ()


class Verdict(NamedTuple):
    """``evict``: to be evicted. Else ``refused``: a run must not begin. Else the pod is passed over.

    ``reason`` says why not, or what an eviction costs.
    """

    evict: bool
    refused: bool = False
    reason: Optional[str] = None


def is_one_of(pod, wanted):
    """True where a pod is one of ``wanted``, dicts with namespace, name and uid of which some may be None.

    The UID decides where it is known: a pod of the same name with another UID is its successor.
    """
    meta = pod["metadata"]
    annotations = meta.get("annotations") or {}
    # Anybody can annotate a pod; only a static one has another UID than the API server's.
    uids = {meta["uid"], annotations.get(STATIC_UID) if MIRROR in annotations else meta["uid"]}
    return any(
        one["uid"] in uids if one.get("uid") else (one.get("namespace"), one.get("name")) == place(pod)
        for one in wanted
    )


def place(pod):
    """(namespace, name) of a pod."""
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def name_of(pod):
    """A pod in words, namespace/name."""
    return "/".join(place(pod))


def daemonset_of(pod):
    """The name of the DaemonSet that has a pod, None where none has."""
    owner = _controller(pod)
    return owner["name"] if owner and owner["kind"] == "DaemonSet" else None


def verdict_on(pod, rules, named=False, orphaned=False):
    """The Verdict on a pod.

    ``named`` says that this pod in particular must go; then it does not help to pass it over. ``orphaned`` says that
    the DaemonSet of a DaemonSet pod is not there any more.

    Rule: pods that may be evicted
    """
    finished = pod["status"].get("phase") in ("Succeeded", "Failed")
    daemonset = daemonset_of(pod)
    if daemonset and not finished:
        return _on_daemonset_pod(pod, rules, daemonset, orphaned)
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        reason = "is a static pod, which the API server cannot evict; take its manifest from the host"
        return Verdict(False, named, reason)
    if finished:
        return Verdict(True)
    if any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ()):
        if not rules.delete_emptydir_data:
            return Verdict(False, True, "has emptyDir volumes, whose data is lost (delete_emptydir_data allows it)")
        return _on_controller(pod, rules, "its emptyDir data is lost")
    return _on_controller(pod, rules)


def _on_daemonset_pod(pod, rules, daemonset, orphaned):
    if orphaned:
        if rules.force:
            return Verdict(True, reason=f"its DaemonSet {daemonset} is gone, so nothing replaces it")
        return Verdict(False, True, f"belongs to the DaemonSet {daemonset}, which is gone (force allows its eviction)")
    if set(pod["spec"].get("nodeSelector") or ()) & set(rules.ignore_node_selectors):
        return Verdict(False, reason=f"belongs to the DaemonSet {daemonset}, which leaves by its node label")
    reason = f"belongs to the DaemonSet {daemonset}, which would put it back at once"
    if rules.ignore_daemonsets:
        return Verdict(False, reason=reason)
    return Verdict(False, True, f"{reason} (ignore_daemonsets leaves it where it is)")


def _on_controller(pod, rules, cost=None):
    if _controller(pod):
        return Verdict(True, reason=cost)
    if rules.force:
        return Verdict(True, reason="no controller replaces it")
    return Verdict(False, True, "has no controller that would replace it (force allows its eviction)")


def _controller(pod):
    return next((owner for owner in pod["metadata"].get("ownerReferences") or () if owner.get("controller")), None)
