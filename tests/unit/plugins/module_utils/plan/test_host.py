# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions for a whole host: what its planner adds to that of one GPU."""

from __future__ import annotations

from collections import Counter

import pytest
from model_gpu import A30, A100, gpu, gpu_instance
from planner_proof import present, sampled_pairs

from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import short_form, validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Plan, Refusal, Snapshot
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import with_name


def decide(now, instances, keep=()):
    entries = validate_layout(short_form(None, instances), prefix="")
    ((decision,), _warnings) = decide_instances(Snapshot(gpus=(now,), driver_version="580.95.05"), entries, keep)
    return decision


def held(now, keep=()):
    devices = [device for instance in now.instances for device in instance.compute_instances]
    return [device for device in devices if device.busy or device.uuid in keep]


def test_a_refusal_for_somebody_in_the_way_says_what_would_fit_beside_them():
    now = gpu(A100, [gpu_instance(1, "2g.10gb", 0, 2, ("2g.10gb", 0, 2, True)), gpu_instance(5, "1g.5gb", 6, 1)])
    refusal = decide(now, {"4g.20gb": 1, "1g.5gb": 3})
    assert refusal.kind == "busy"
    assert refusal.nearest == {"1g.5gb": 3, "2g.10gb": 1}
    assert refusal.message.endswith("Beside it, the nearest that fits is 3 × 1g.5gb + 2g.10gb.")
    assert isinstance(decide(now, refusal.nearest), Plan)


def test_what_is_kept_stays_in_the_nearest_layout():
    now = gpu(A30, [gpu_instance(1, "1g.6gb", 0, 1)])
    refusal = decide(now, [{"profile": "2g.12gb"}, {"profile": "2g.12gb"}], keep=["MIG-1-0"])
    assert refusal.nearest == {"1g.6gb": 1, "2g.12gb": 1}


def test_the_nearest_is_the_same_under_names_that_say_nothing_of_slices():
    now = gpu(A100, [gpu_instance(1, "2g.10gb", 0, 2, ("2g.10gb", 0, 2, True))])
    refusal = decide(now, {"3g.20gb": 1, "1g.5gb": 4})
    assert refusal.nearest == {"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2}
    ids = {one.name: str(one.id) for one in now.profiles}
    by_id = now._replace(
        profiles=tuple(one._replace(name=str(one.id), told=one.name) for one in now.profiles),
        instances=tuple(with_name(one, ids) for one in now.instances),
    )
    by_id = decide(by_id, {"9": 1, "19": 4})
    assert by_id.nearest == {ids[name]: count for name, count in refusal.nearest.items()}


@pytest.mark.parametrize("model", [A100, A30])
def test_the_nearest_layout_is_reached_without_harm_and_no_nearer_one_is(model):
    refused = 0
    for placed, marks, wanted in sampled_pairs(model, "nearest", 400):
        now = gpu(model, present(placed, marks))
        refusal = decide(now, dict(wanted))
        if not isinstance(refusal, Refusal) or refusal.kind != "busy":
            continue
        refused += 1
        plan = decide(now, refusal.nearest)
        assert not {device.uuid for device in held(now)} & set(plan.disrupted)
        must = Counter(device.profile for device in held(now))
        for name in wanted:
            more = Counter(refusal.nearest) + Counter([name])
            if refusal.nearest.get(name, 0) < dict(wanted)[name] and more >= must:
                assert isinstance(decide(now, dict(more)), Refusal)
    assert refused > 50
