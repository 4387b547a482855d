# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on a GPU is never refused: a limit that it breaks is none there, and somebody is told."""

from __future__ import annotations

import pytest
from model_gpu import A100, H100, ModelPort, fail, gpu, gpu_instance
from modules import run_module
from nvml_process import in_session

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.outcome import Options
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.transaction import apply
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.verification import difference
from ansible_collections.gpufleet.mig.plugins.module_utils.facts.snapshot import facts_of
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.written import layout_of
from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    ComputeProfile,
    Engines,
    Placement,
    Plan,
    Refusal,
    Snapshot,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances, decide_layout

SEVEN = {"1g.10gb": 7}


def told_less(now, **engines):
    """The GPU whose largest profile tells of other engines."""
    profiles = tuple(
        one._replace(engines=one.engines._replace(**engines)) if one.name == "7g.80gb" else one for one in now.profiles
    )
    return now._replace(profiles=profiles)


def seven(count=7, **engines):
    """An H100 with 1g.10gb at the first slices, whose 7g.80gb tells of one decoder fewer than there are."""
    now = gpu(H100, [gpu_instance(7 + start, "1g.10gb", start, 1) for start in range(count)])
    return told_less(now, **(engines or {"decoder": 6}))


def decide(now, instances, function=decide_instances):
    decisions, warnings = function(Snapshot(gpus=(now,)), validate_layout([{"instances": instances}]))
    return decisions[0], warnings


@pytest.fixture
def host(simulated_host):
    """A simulated H100 with all its seven 1g.10gb, of which another program made what our rule would refuse."""
    host = simulated_host("--mig", "--strange", "engines=one-fewer", "H100-SXM5-80GB")
    make = """
gpu = session.read().gpus[0]
for start in range(7):
    create(session, gpu, "1g.10gb", start, ("1g.10gb", 0))
"""
    in_session(host, make)
    return host


def test_the_layout_that_a_gpu_has_is_not_refused(host):
    (before,) = host.show()["gpus"]
    layout = run_module(host, "mig_facts", {}).ok()["ansible_facts"]["mig"]["gpus"][0]["layout"]
    for params in ({"instances": SEVEN}, {"layout": [layout]}):
        for check in (True, False):
            result = run_module(host, "mig_instances", params, check=check).ok()
            assert (result["changed"], result["plan"], len(result["kept"])) == (False, [], 7)
            (said,) = map(str, result["warnings"])
            assert before["uuid"] in said
            assert "7 decoder engines where 6 are told" in said
    (after,) = host.show()["gpus"]
    assert after == before


def test_what_is_there_may_stay_beside_something_new(host):
    (before,) = host.show()["gpus"]
    fewer = run_module(host, "mig_instances", {"instances": {"1g.10gb": 4, "1g.20gb": 1}}).ok()
    assert (fewer["changed"], len(fewer["kept"])) == (True, 4)
    # Now nothing on the GPU speaks against the rule.
    said = run_module(host, "mig_instances", {"instances": SEVEN}).failed()["msg"]
    assert "together they need 7 decoder engines and the GPU has 6" in said
    (after,) = host.show()["gpus"]
    assert {one["id"] for one in after["instances"]} & {one["id"] for one in before["instances"]}
    assert len(after["instances"]) == 5


class Understated(ModelPort):
    """A GPU that has one decoder more than its largest profile tells."""

    def _as_read(self, now):
        return told_less(super()._as_read(now), decoder=6)


def test_what_a_failed_change_took_down_comes_back_against_the_rule():
    port = Understated(gpu(H100, seven().instances))
    decision, _warnings = decide(port.read().gpus[0], {"7g.80gb": 1})
    port.hooks[len(decision.steps) - 1] = fail("UNKNOWN")
    (outcome,) = apply(port, [decision], Options())
    assert outcome.failure.step.action == "create_gpu_instance"
    assert outcome.left == ()
    assert outcome.after.placed == decision.gpu.placed


def test_without_anything_against_it_the_rule_holds():
    for now in (seven(0), seven(6)):
        decision, warnings = decide(now, SEVEN)
        assert decision.kind == "impossible"
        assert "together they need 7 decoder engines and the GPU has 6" in decision.message
        assert warnings == []


def test_only_the_limit_that_is_broken_is_none():
    now = seven()
    assert isinstance(decide(now, SEVEN)[0], Plan)
    media = {"1g.10gb": 5, "1g.10gb+me": 2}
    assert "at most 1 fit on one GPU" in decide(now, media)[0].message
    assert isinstance(decide(now, {"1g.10gb": 6, "1g.10gb+me": 1})[0], Plan)
    both = seven(decoder=6, jpeg=5)
    (said,) = decide(both, SEVEN)[1]
    assert "7 decoder engines where 6 are told; 7 JPEG engines where 5 are told" in said
    (said,) = decide(both, SEVEN, decide_layout)[1]
    assert "7 JPEG engines where 5 are told" in said


def test_more_of_a_profile_than_its_most():
    now = gpu(A100, [gpu_instance(3 + start, "2g.10gb", start, 2) for start in (0, 2, 4)])
    now = now._replace(profiles=tuple(one._replace(max=min(one.max, 2)) for one in now.profiles))
    decision, (said,) = decide(now, {"2g.10gb": 3})
    assert decision.steps == ()
    assert "3 × 2g.10gb where 2 are told" in said
    assert "at most 2 fit on one GPU" in decide(now._replace(instances=now.instances[:2]), {"2g.10gb": 3})[0].message
    assert facts_of(Snapshot(gpus=(now,)), ("instances",))["gpus"][0]["free"]["2g.10gb"] == 0


def test_two_in_one_place():
    """Which profiles share a place on an integrated GPU is not known."""
    pair = [gpu_instance(3, "2g.10gb", 0, 2), gpu_instance(7, "1g.5gb", 0, 1)]
    now = gpu(A100, pair)
    wanted = [{"profile": one.profile, "placement": 0} for one in pair]
    decision, (said,) = decide(now, wanted)
    assert decision.steps == ()
    assert "two GPU instances in one memory slice" in said
    elsewhere = decide(gpu(A100), wanted)[0]
    assert isinstance(elsewhere, Refusal)
    assert "2g.10gb and 1g.5gb cannot both start at memory slice 0" in elsewhere.message


def test_more_compute_instances_than_are_told():
    """Nobody has seen it: the driver tells of three and holds four."""
    inside = [("1c.3g.40gb", start, 1, False) for start in range(4)]
    now = gpu(H100, [gpu_instance(2, "3g.40gb", 4, 4, *inside)])
    told = (
        ComputeProfile("1c.3g.40gb", 0, 1, tuple(Placement(start, 1) for start in range(4)), 3),
        ComputeProfile("3g.40gb", 2, 3, (Placement(0, 4),), 1),
    )
    now = now._replace(compute_profiles={"3g.40gb": told})
    listed = [{"profile": "3g.40gb", "placement": 4, "compute_instances": ["1c.3g.40gb"] * 3}]
    decision, (said,) = decide(now, {"1c.3g.40gb": 4})
    assert decision.steps == ()
    assert "4 × 1c.3g.40gb in a GPU instance where 3 are told" in said
    assert "4 compute slices in a 3g.40gb, which tells of 3" in said
    assert [step.action for step in decide(now, listed)[0].steps] == ["destroy_compute_instance"]
    empty = now._replace(instances=(now.instances[0]._replace(compute_instances=()),))
    assert len(decide(empty, {"1c.3g.40gb": 4})[0].wanted) == 2  # in two GPU instances


def test_figures_that_nobody_has_seen_are_no_limit_and_no_overflow():
    odd = Engines(2**31, 2**31, 2**31, 2**31, 2**31)
    now = seven()
    now = now._replace(profiles=tuple(one._replace(engines=odd, max=2**31) for one in now.profiles))
    assert isinstance(decide(now, {"1g.10gb": 6})[0], Plan)
    none = now._replace(profiles=tuple(one._replace(engines=Engines(), max=0) for one in now.profiles), instances=())
    assert isinstance(decide(none, {"1g.10gb": 1})[0], Refusal)


def test_what_the_driver_does_not_list_and_the_gpu_holds_may_stay_and_is_not_made():
    there = gpu_instance(3, "77", 0, 2, ("77", 0, 2, True))._replace(profile_id=77)
    now = gpu(A100, [there, gpu_instance(9, "1g.5gb", 6, 1)])
    now = now._replace(compute_profiles={"77": (ComputeProfile("77", 1, 2, (Placement(0, 2),), 1),)})
    layout = layout_of(now)["instances"]
    decision, warnings = decide(now, layout)
    assert (decision.steps, warnings) == ((), [])
    decision, _warnings = decide(now, [*layout, {"profile": "1g.5gb"}])
    assert [(step.action, step.profile) for step in decision.steps] == [
        ("create_gpu_instance", "1g.5gb"),
        ("create_compute_instance", "1g.5gb"),
    ]
    (made, _inside) = decision.steps
    done = now._replace(instances=(*now.instances, gpu_instance(8, "1g.5gb", made.placement.start, 1)))
    assert difference(decision, done, None) is None
    assert "missing 77 at slice 0" in difference(decision, done._replace(instances=done.instances[1:]), None)
    decision, _warnings = decide(now, {"3g.20gb": 2})
    assert [one.profile for one in decision.blockers] == ["77"]
    for elsewhere in ([{"profile": 77, "placement": 4}], {"77": 2}):
        assert isinstance(decide(now, elsewhere)[0], Refusal)
    assert decide(gpu(A100), layout)[0].kind == "no_such_profile"


def test_what_the_driver_does_not_list_tells_no_engines():
    """What takes the whole GPU says how many engines that has, if it says anything."""
    there = gpu_instance(0, "99", 0, 8, ("99", 0, 8, False))._replace(profile_id=99)
    now = gpu(H100, [there])
    now = now._replace(
        profiles=tuple(one for one in now.profiles if one.name != "7g.80gb"),
        compute_profiles={"99": (ComputeProfile("99", 4, 7, (Placement(0, 8),), 1),)},
    )
    plan, warnings = decide(now, {"1g.10gb": 3})
    assert [step.action for step in plan.steps[:3]] == [
        "destroy_compute_instance",
        "destroy_gpu_instance",
        "create_gpu_instance",
    ]
    assert warnings == []
