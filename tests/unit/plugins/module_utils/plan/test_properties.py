# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every plan, on GPUs that nobody has built: made-up profiles, placements, limits and engines."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from model_gpu import ModelPort, gpu_instance, job, legal

from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    Engines,
    Gpu,
    GpuLayout,
    Placement,
    Plan,
    Profile,
    Refusal,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.gpu import plan_instances

COMPUTE_SLICES = st.sampled_from([1, 2, 3, 4])


@st.composite
def made_up_gpus(draw):
    """A Gpu of 1 to 8 memory slices with 1 to 4 profiles beside the one that takes all of it."""
    slices = draw(st.integers(1, 8))
    most = draw(st.tuples(*[st.integers(1, 4)] * 4))
    profiles = [Profile("7g.80gb", 0, 7, 1, 80000, 98, Engines(7, *most), (Placement(0, slices),))]
    for number in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, slices))
        starts = draw(st.sets(st.integers(0, slices - size), min_size=1))
        engines = Engines(1, *(draw(st.integers(0, limit)) for limit in most))
        name = f"{draw(COMPUTE_SLICES)}g.{number + 1}gb"
        profiles.append(
            Profile(
                name,
                number + 1,
                int(name[0]),
                draw(st.integers(1, 4)),
                1000,
                14,
                engines,
                tuple(Placement(start, size) for start in sorted(starts)),
            )
        )
    return Gpu(
        0,
        "GPU-0",
        "00000000:07:00.0",
        "Made up",
        0x10DE,
        0,
        80000,
        mig_mode=True,
        mig_mode_pending=True,
        memory_slices=slices,
        compute_slices=7,
        profiles=tuple(profiles),
    )


@st.composite
def situations(draw):
    """(Gpu with a legal set of instances, some of them busy; {profile: count})."""
    gpu = draw(made_up_gpus())
    present = []
    for number in range(draw(st.integers(0, 5))):
        profile = draw(st.sampled_from(gpu.profiles))
        start, size = draw(st.sampled_from(profile.placements))
        inside = (
            (None, 0, 0, False)
            if draw(st.integers(0, 9)) == 0
            else (profile.name, 0, profile.slices, draw(st.booleans()))
        )
        instance = gpu_instance(number + 1, profile.name, start, size, inside)
        if legal(gpu, [*present, instance]):
            present.append(instance)
    wanted = draw(
        st.dictionaries(st.sampled_from([profile.name for profile in gpu.profiles]), st.integers(0, 3), max_size=3)
    )
    return gpu._replace(instances=tuple(sorted(present, key=lambda one: one.placement))), wanted


def layout(wanted):
    return GpuLayout(counts=tuple(sorted((name, count) for name, count in wanted.items() if count)))


def destroyed(decision):
    plan = decision.plan if isinstance(decision, Refusal) else decision
    return sum(step.action.startswith("destroy") for step in plan.steps)


@settings(max_examples=300, deadline=None)
@given(situations())
def test_plan_is_legal_at_every_step_reaches_the_layout_and_is_done_once(situation):
    gpu, wanted = situation
    decision = plan_instances(gpu, layout(wanted))
    assert plan_instances(gpu, layout(wanted)) == decision
    if isinstance(decision, Refusal):
        assert decision.kind in ("busy", "impossible")
        assert decision.kind == "impossible" or decision.blockers
        return
    port = ModelPort(gpu)  # refuses what is illegal, and to destroy what is busy
    for step in decision.steps:
        port.execute(step)
    after = port.gpus["GPU-0"]
    assert after.placed == decision.target
    found = {}
    for instance in after.instances:
        for device in instance.compute_instances:
            found[device.profile] = found.get(device.profile, 0) + 1
    assert found == {name: count for name, count in wanted.items() if count}
    assert plan_instances(after, layout(wanted)).steps == ()


@settings(max_examples=200, deadline=None)
@given(situations(), st.integers(0, 9))
def test_one_more_busy_instance_never_lowers_what_is_destroyed(situation, which):
    gpu, wanted = situation
    idle = [(one, device) for one in gpu.instances for device in one.compute_instances if not device.busy]
    before = plan_instances(gpu, layout(wanted))
    if not idle or not isinstance(before, Plan):
        return
    instance, device = idle[which % len(idle)]
    busy = instance._replace(
        compute_instances=tuple(
            other._replace(processes=job(1)) if other is device else other for other in instance.compute_instances
        )
    )
    after = plan_instances(
        gpu._replace(instances=tuple(busy if one is instance else one for one in gpu.instances)), layout(wanted)
    )
    if isinstance(after, Plan):
        assert destroyed(after) >= destroyed(before)
    else:
        # What is now in the way would have been destroyed by the plan that did not know better.
        assert device.uuid in before.disrupted
