# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pods may be evicted: the rules of kubectl drain, and what differs for pods that are named."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.kubernetes.eviction_rules import (
    Rules,
    daemonset_of,
    is_one_of,
    verdict_on,
)

EVERYTHING = Rules(ignore_daemonsets=True, force=True, delete_emptydir_data=True)
LABEL = "nvidia.com/gpu.deploy.dcgm-exporter"


def pod(owner="ReplicaSet", *, phase="Running", volumes=(), annotations=None, selector=None, uid="uid-1"):
    owners = [{"kind": owner, "name": "parent", "controller": True}] if owner else []
    return {
        "metadata": {
            "namespace": "ml",
            "name": "train-0",
            "uid": uid,
            "ownerReferences": owners,
            "annotations": annotations,
        },
        "spec": {"volumes": list(volumes), "nodeSelector": selector},
        "status": {"phase": phase},
    }


EMPTYDIR = {"name": "scratch", "emptyDir": {}}
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
STATIC = {"kubernetes.io/config.mirror": "hash", "kubernetes.io/config.hash": "hash"}


@pytest.mark.parametrize(
    ("one", "allowing"),
    [
        (pod(), None),
        (pod(volumes=[CLAIM]), None),
        (pod(volumes=[EMPTYDIR]), "delete_emptydir_data"),
        (pod(owner=None), "force"),
        (pod(owner=None, phase="Succeeded", volumes=[EMPTYDIR]), None),
        (pod(owner="DaemonSet", phase="Failed"), None),
    ],
    ids=["replicated", "claim", "emptyDir", "unmanaged", "finished", "finished of a DaemonSet"],
)
@pytest.mark.parametrize("named", [True, False])
def test_what_one_rule_allows(one, allowing, named):
    strict = verdict_on(one, Rules(), named)
    assert (strict.evict, strict.refused) == (allowing is None, allowing is not None)
    if allowing:
        assert allowing in strict.reason
        allowed = verdict_on(one, Rules(**{allowing: True}), named)
        assert (allowed.evict, allowed.refused) == (True, False)
        assert allowed.reason


def test_each_rule_is_asked_for_a_pod_that_needs_both():
    one = pod(owner=None, volumes=[EMPTYDIR])
    assert verdict_on(one, Rules(force=True)).refused
    assert verdict_on(one, Rules(delete_emptydir_data=True)).refused
    assert verdict_on(one, Rules(force=True, delete_emptydir_data=True)).evict


def test_the_uid_decides_and_what_anybody_may_annotate_does_not():
    wanted = [{"uid": "uid-1", "namespace": "ml", "name": "train-0"}]
    assert is_one_of(pod(), wanted)
    assert not is_one_of(pod(uid="uid-2"), wanted)
    assert not is_one_of(pod(uid="uid-2", annotations={"kubernetes.io/config.hash": "uid-1"}), wanted)
    assert is_one_of(pod(uid="uid-2", annotations=STATIC), [{"uid": "hash"}])


@pytest.mark.parametrize("named", [True, False])
def test_a_daemonset_pod_is_never_evicted(named):
    one = pod("DaemonSet", volumes=[EMPTYDIR])
    assert verdict_on(one, EVERYTHING, named)[:2] == (False, False)
    refused = verdict_on(one, EVERYTHING._replace(ignore_daemonsets=False), named)
    assert refused[:2] == (False, True)
    assert "ignore_daemonsets" in refused.reason


def test_a_daemonset_pod_that_leaves_by_its_label_is_not_refused():
    rules = Rules(ignore_node_selectors=(LABEL,))
    assert verdict_on(pod("DaemonSet", selector={LABEL: "true"}), rules, named=True)[:2] == (False, False)
    assert verdict_on(pod("DaemonSet", selector={"other": "true"}), rules, named=True).refused
    # The label makes only a DaemonSet's pods leave.
    assert verdict_on(pod(selector={LABEL: "true"}), rules, named=True).evict


def test_a_pod_whose_daemonset_is_gone_takes_force():
    refused = verdict_on(pod("DaemonSet"), Rules(ignore_daemonsets=True), orphaned=True)
    assert refused[:2] == (False, True)
    assert "force" in refused.reason
    assert verdict_on(pod("DaemonSet"), Rules(force=True), orphaned=True).evict


def test_a_static_pod_is_passed_over_and_refused_where_it_is_named():
    one = pod(owner="Node", annotations=STATIC)
    assert verdict_on(one, EVERYTHING)[:2] == (False, False)
    refused = verdict_on(one, EVERYTHING, named=True)
    assert refused[:2] == (False, True)
    assert "manifest" in refused.reason


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({"uid": "uid-1"}, True),
        ({"uid": "uid-1", "namespace": None, "name": None}, True),
        ({"uid": "uid-2", "namespace": "ml", "name": "train-0"}, False),
        ({"uid": None, "namespace": "ml", "name": "train-0"}, True),
        ({"namespace": "ml", "name": "train-0"}, True),
        ({"namespace": "other", "name": "train-0"}, False),
        ({"uid": "hash"}, True),
    ],
)
def test_the_uid_decides_where_it_is_known(wanted, matches):
    assert is_one_of(pod(annotations=STATIC), [{"uid": "another"}, wanted]) is matches


def test_only_the_controller_counts_as_owner():
    one = pod("DaemonSet")
    assert daemonset_of(one) == "parent"
    one["metadata"]["ownerReferences"][0]["controller"] = False
    assert daemonset_of(one) is None
    assert verdict_on(one, Rules()).refused
