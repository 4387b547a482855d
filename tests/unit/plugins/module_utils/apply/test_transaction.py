# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change reaches its layout, or the GPU is back where it was, or what is left is named."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from model_gpu import A100, H100, ModelPort, fail, gpu, gpu_instance, job, lie

from ansible_collections.gpufleet.mig.plugins.module_utils.apply import execution, transaction
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.outcome import Options
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.run import journal_of
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.verification import difference, differences_left
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError, NvmlError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import (
    Placement,
    Plan,
    WantedComputeInstance,
    WantedInstance,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.gpu import plan_back
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances, decide_modes
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import with_name
from ansible_collections.gpufleet.mig.plugins.module_utils.results.change import mode_data, result_of

CODES = (
    "INVALID_ARGUMENT",
    "NOT_SUPPORTED",
    "NO_PERMISSION",
    "NOT_FOUND",
    "IN_USE",
    "INSUFFICIENT_RESOURCES",
    "UNKNOWN",
)


@pytest.fixture
def state(tmp_path):
    return HostState(str(tmp_path / "state"))


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """The deadline for a GPU instance that is busy after its compute instance went is not waited out."""
    monkeypatch.setattr(execution, "BUSY_AFTER_DESTROY_SECONDS", 0.3)
    monkeypatch.setattr(execution, "ACTIVATION_SECONDS", 0.1)
    monkeypatch.setattr(execution, "ACTIVATION_POLL_SECONDS", 0.01)
    for room in (execution, transaction):
        monkeypatch.setattr(room, "POLL_SECONDS", 0.01)


def split(index=0):
    """An A100 with four idle 1g.5gb at 0-3 and a 3g.20gb at 4 where a job runs."""
    return gpu(
        A100,
        [
            *(gpu_instance(7 + start, "1g.5gb", start, 1) for start in range(4)),
            gpu_instance(2, "3g.20gb", 4, 4, ("3g.20gb", 0, 3, True)),
        ],
        index=index,
    )


def run(port, state, instances, **options):
    """Change every GPU of the port to ``instances``; returns (Change, result, message)."""
    entries = validate_layout([{"instances": instances}])
    journal = journal_of({"journal": True})
    change = transaction.change(
        lambda: port, lambda snapshot: decide_instances(snapshot, entries), state, 5, Options(**options), journal
    )
    return (change, *result_of(change))


WANTED = {"2g.10gb": 1, "1g.5gb": 1, "3g.20gb": 1}


def test_reaches_the_layout_and_leaves_the_job_alone(state):
    port = ModelPort(split())
    _change, result, message = run(port, state, WANTED)
    assert message is None
    assert result["changed"]
    after = port.gpus["GPU-0"]
    assert sorted(one.profile for one in after.instances) == ["1g.5gb", "2g.10gb", "3g.20gb"]
    assert "MIG-2-0" in result["kept"]
    assert [step["action"] for step in result["plan"]] == [step.action for step in port.executed]
    assert result["done"][-1]["uuid"].startswith("MIG-new")
    _change, again, _message = run(port, state, WANTED)
    assert not again["changed"]
    assert again["plan"] == []


def test_rehearsal_gives_the_identical_plan_and_touches_nothing(state):
    port = ModelPort(split())
    entries = validate_layout([{"instances": WANTED}])
    rehearsal = transaction.rehearse(
        lambda: port, lambda snapshot: decide_instances(snapshot, entries, rehearsing=True)
    )
    planned, _message = result_of(rehearsal, real=False)
    assert port.executed == []
    assert planned["changed"]
    _change, result, _message = run(port, state, WANTED)
    assert {key: planned[key] for key in ("plan", "actions", "kept", "disrupted", "diff")} == {
        key: result[key] for key in ("plan", "actions", "kept", "disrupted", "diff")
    }


def test_refusal_of_one_gpu_leaves_all_alone(state):
    port = ModelPort(split(0), gpu(A100, index=1))
    before = dict(port.gpus)
    change, result, message = run(port, state, {"7g.40gb": 1})
    assert "GPU 0" in message
    assert not result["changed"]
    assert [blocker["uuid"] for blocker in result["must_be_free"]] == ["MIG-2-0"]
    assert port.gpus == before
    assert change.outcomes == ()


def test_a_mig_device_that_was_made_again_is_disrupted_though_it_has_its_old_uuid(state):
    port = ModelPort(split(), same_again=True)
    before = port.gpus["GPU-0"]
    port.hooks[6] = fail("UNKNOWN")
    _change, result, _message = run(port, state, WANTED)
    # It was brought back, UUIDs and all.
    assert port.gpus["GPU-0"] == before
    destroyed = {one["uuid"] for one in result["done"] if one["action"] == "destroy_compute_instance"}
    assert destroyed
    assert result["changed"]
    assert set(result["disrupted"]) == destroyed
    assert "MIG-2-0" in result["kept"]
    assert not set(result["kept"]) & destroyed


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("number", range(1, 9))
def test_any_step_that_fails_is_taken_back(state, number, code):
    port = ModelPort(split())
    before = port.gpus["GPU-0"]
    port.hooks[number] = fail(code)
    _change, result, message = run(port, state, WANTED)
    if message is None:
        # The one failure that is retried: a GPU instance that is busy just after its compute instance went.
        assert code == "IN_USE"
        assert port.executed[number - 1].action == "destroy_gpu_instance"
        return
    assert port.gpus["GPU-0"].placed == before.placed
    assert result["nvml_code"] == code
    assert result["left"] == []
    assert code in message
    assert "was brought back to where it was" in message or number == 1
    assert result["changed"] == (number > 1)
    assert "MIG-2-0" in result["kept"]
    _change, again, message = run(port, state, WANTED)
    assert message is None
    assert again["changed"]


def test_a_gpu_instance_that_is_busy_for_a_moment_after_its_compute_instance_is_tried_again(state):
    port = ModelPort(split())
    port.hooks[2] = fail("IN_USE")
    _change, _result, message = run(port, state, WANTED)
    assert message is None
    assert [step.action for step in port.executed[:2]] == ["destroy_compute_instance", "destroy_gpu_instance"]


@pytest.mark.parametrize("number", range(1, 9))
def test_a_driver_that_lies_is_caught_by_reading_again(state, number):
    port = ModelPort(split())
    before = port.gpus["GPU-0"]
    port.hooks[number] = lie
    _change, result, message = run(port, state, WANTED)
    if message is None:
        # What it did not destroy was in the way of the next step, and then it did.
        assert result["replanned"]
        assert result["replanned_steps"][0].startswith("GPU 0: create GPU instance")
        assert run(port, state, WANTED)[1]["plan"] == []
        return
    assert "nothing;" not in message
    assert "expected nothing" not in message
    assert "holding nothing" not in message
    assert port.gpus["GPU-0"].placed == before.placed
    assert result["left"] == []


def test_what_differs_is_named_and_what_does_not_is_not(state):
    # The last step of the plan makes a compute instance: without it the GPU instance is there, and empty.
    port = ModelPort(gpu(A100))
    port.hooks[2] = lie
    _change, _result, message = run(port, state, {"7g.40gb": 1})
    differ = "missing 7g.40gb at slice 0 holding 7g.40gb; not expected 7g.40gb at slice 0 without compute instances."
    assert f"its instances differ: {differ} The driver did not do what it said" in message
    one, other = (gpu_instance(number, "1g.5gb", number, 1) for number in (4, 5))
    plan = Plan(gpu(A100), mig_mode=True, wanted=gpu(A100, [one]).placed)
    for there, differ in (([], "missing 1g.5gb at slice 4"), ([one, other], "not expected 1g.5gb at slice 5")):
        message = difference(plan, gpu(A100, there), None)
        assert message.partition("its instances differ: ")[2].startswith(f"{differ} holding 1g.5gb at 0. The driver")


class Otherwise(ModelPort):
    """A driver that puts compute instances where it likes, in units of its own, and counts MIG devices anew."""

    shift, size = 0, 4

    def _as_read(self, now):
        moved = (
            instance._replace(
                compute_instances=tuple(
                    device._replace(
                        placement=Placement(self.shift + device.placement.start, self.size), uuid="MIG-x", index=9
                    )
                    for device in instance.compute_instances
                )
            )
            for instance in now.instances
        )
        return super()._as_read(now)._replace(instances=tuple(moved))


@pytest.mark.parametrize("profile", ["3g.20gb", "1c.3g.20gb"])
def test_of_a_compute_instance_only_what_was_asked_for_is_compared(state, profile):
    port = Otherwise(gpu(A100))
    port.shift = 2
    _change, result, message = run(port, state, [{"profile": "3g.20gb", "compute_instances": [profile]}])
    assert message is None
    assert result["changed"]
    placed = [{"profile": profile, "placement": 0}]
    port = Otherwise(gpu(A100))
    _change, _result, message = run(port, state, [{"profile": "3g.20gb", "compute_instances": placed}])
    assert message is None
    port = Otherwise(gpu(A100))
    port.shift = 2
    _change, _result, message = run(port, state, [{"profile": "3g.20gb", "compute_instances": placed}])
    assert f"missing 3g.20gb at slice 4 holding {profile} at 0; not expected" in message
    assert port.gpus["GPU-0"].instances == ()


def test_a_gpu_instance_is_compared_by_its_profile_and_start(state):
    wanted = (WantedInstance("3g.20gb", 4, (WantedComputeInstance("3g.20gb"),)),)
    plan = Plan(gpu(A100), mig_mode=True, wanted=wanted)
    there = gpu_instance(2, "3g.20gb", 4, 4)
    assert difference(plan, gpu(A100, [there]), None) is None
    renamed = gpu(A100, [there._replace(profile="3g.21gb")])
    profiles = [one._replace(name="3g.21gb") if one.name == "3g.20gb" else one for one in renamed.profiles]
    # The driver calls its profile 9 otherwise than when the plan was made.
    inside = there.compute_instances[0]._replace(profile="3g.21gb")
    renamed = renamed._replace(
        profiles=tuple(profiles), instances=(there._replace(profile="3g.21gb", compute_instances=(inside,)),)
    )
    assert difference(plan, renamed, None) is None
    for other in (gpu_instance(2, "3g.20gb", 0, 4), gpu_instance(2, "4g.20gb", 4, 4), gpu_instance(2, "1g.5gb", 4, 1)):
        assert "missing 3g.20gb at slice 4 holding 3g.20gb; not expected" in difference(plan, gpu(A100, [other]), None)


def under_other_names(now):
    """The Gpu as a driver tells of it that gives two profiles each other's names."""
    names = {"1g.10gb": "1g.20gb", "1g.20gb": "1g.10gb"}
    ids = {one.name: one.id for one in now.profiles}
    return now._replace(
        profiles=tuple(one._replace(name=names.get(one.name, one.name)) for one in now.profiles),
        instances=tuple(
            with_name(one, names)._replace(profile_id=ids.get(one.profile, one.profile_id)) for one in now.instances
        ),
    )


def test_between_two_readings_a_profile_is_told_by_its_id():
    there = gpu_instance(13, "1g.10gb", 6, 1)
    plan = Plan(gpu(H100), mig_mode=True, wanted=gpu(H100, [there]).placed)
    after = under_other_names(gpu(H100, [there]))
    assert [one.profile for one in after.instances] == ["1g.20gb"]
    assert difference(plan, after, None) is None
    assert differences_left(gpu(H100, [there]), after) == []
    another = under_other_names(gpu(H100, [gpu_instance(13, "1g.20gb", 6, 2)]))
    assert "missing 1g.10gb at slice 6" in difference(plan, another, None)
    assert differences_left(gpu(H100, [there]), another)
    # One that the driver does not list has its id for a name, and is the same once it is listed.
    untold = there._replace(profile="19", profile_id=19)
    untold = untold._replace(compute_instances=tuple(one._replace(profile="19") for one in there.compute_instances))
    listed = gpu(H100, [there._replace(profile_id=19)])
    before = gpu(H100, [untold], profiles=tuple(one for one in gpu(H100).profiles if one.id != 19))
    assert differences_left(before, listed) == []
    plan, given_up = plan_back(before, listed)
    assert (plan.steps, given_up) == ((), ())


def test_what_comes_back_is_the_profile_that_was_there_whatever_it_is_called_by_then(state):
    def renamed(port):
        port.gpus["GPU-0"] = under_other_names(port.gpus["GPU-0"])
        raise NvmlError("nvmlGpuInstanceCreateComputeInstance", "UNKNOWN")

    port = ModelPort(gpu(H100, [gpu_instance(13, "1g.10gb", 6, 1)]))
    port.hooks[4] = renamed
    _change, result, message = run(port, state, {"7g.80gb": 1})
    assert "This GPU was brought back to where it was." in message
    assert result["left"] == []
    (back,) = port.gpus["GPU-0"].instances
    ids = {one.name: one.id for one in port.gpus["GPU-0"].profiles}
    assert (ids[back.profile], back.placement, len(back.compute_instances)) == (19, (6, 1), 1)


def test_a_job_that_starts_between_plan_and_step_is_never_ended(state):
    port = ModelPort(split())
    before = port.gpus["GPU-0"]
    # The third step destroys the compute instance of a further 1g.5gb: a job gets there first.
    port.hooks[3] = lambda port: port.start_job("MIG-9-0")
    _change, result, message = run(port, state, WANTED)
    assert result["nvml_code"] == "IN_USE"
    assert result["blockers"][0]["pid"] == 4711
    after = port.gpus["GPU-0"]
    assert after.placed == before.placed
    assert after.instances[2].compute_instances[0].processes
    assert "brought back" in message


def test_what_a_new_job_hides_is_named_as_left(state):
    port = ModelPort(split())

    def job_then_failure(port):
        port.start_job("MIG-new-1")
        fail("UNKNOWN")(port)

    plan = run(ModelPort(split()), HostState(state.path + "-other"), WANTED)[1]["plan"]
    assert plan[-1]["action"] == "create_compute_instance"
    last = len(plan)
    # The new 2g.10gb is complete with the last step; its job starts, then the verification is made to fail.
    original = port.read_gpu
    seen = []

    def read_gpu(gpu):
        if not seen:
            seen.append(True)
            port.start_job("MIG-new-1")
            now = original(gpu)
            return now._replace(instances=now.instances[1:])
        return original(gpu)

    port.read_gpu = read_gpu
    _change, result, message = run(port, state, WANTED)
    assert last == len(result["done"])
    assert any("1g.5gb at slice" in text for text in result["left"])
    assert any(
        device.busy and device.uuid == "MIG-new-1"
        for one in port.gpus["GPU-0"].instances
        for device in one.compute_instances
    )
    assert "Not everything could be brought back" in message


def test_why_going_back_failed_is_told_beside_what_is_not_as_before(state):
    port = ModelPort(split())
    port.hooks = {number: fail("UNKNOWN") for number in range(3, 30)}
    _change, result, _message = run(port, state, WANTED)
    assert [word for word in ("going back failed", "not restored") if word not in " ".join(result["left"])] == []


def test_one_gpu_that_fails_does_not_undo_the_others(state):
    port = ModelPort(gpu(A100, index=0), gpu(A100, index=1))
    port.hooks[1] = fail("UNKNOWN")
    _change, result, message = run(port, state, {"7g.40gb": 1})
    assert "GPU 0" in message
    assert "GPU 1" not in message
    assert port.gpus["GPU-0"].instances == ()
    assert [one.profile for one in port.gpus["GPU-1"].instances] == ["7g.40gb"]
    assert result["changed"]


@pytest.mark.parametrize("number", [1, 3])
def test_atomic_takes_all_gpus_back(state, number):
    port = ModelPort(gpu(A100, index=0), gpu(A100, index=1))
    port.hooks[number] = fail("UNKNOWN")
    _change, result, message = run(port, state, {"7g.40gb": 1}, atomic=True)
    assert message
    assert all(one.instances == () for one in port.gpus.values())
    assert not result["changed"]
    assert result["left"] == []


def test_lost_gpu_is_named_and_the_others_finish(state):
    port = ModelPort(gpu(A100, index=0), gpu(A100, index=1))

    def lose(port):
        port.lost.add("GPU-0")

    port.hooks[2] = lose
    _change, result, message = run(port, state, {"7g.40gb": 1})
    assert result["nvml_code"] == "GPU_IS_LOST"
    (left,) = result["left"]
    assert left.endswith("what is on it now is not known: nvmlDeviceGetMigMode answered NVML_ERROR_GPU_IS_LOST")
    assert message.count("reset the GPU or reboot") == 1
    assert [one.profile for one in port.gpus["GPU-1"].instances] == ["7g.40gb"]


def test_waits_for_a_busy_instance_that_becomes_free(state):
    port = ModelPort(split())
    reads = []
    original = port.read

    def read():
        reads.append(True)
        if len(reads) == 3:
            busy = port.gpus["GPU-0"].instances[-1]
            idle = busy._replace(compute_instances=(busy.compute_instances[0]._replace(processes=()),))
            port.gpus["GPU-0"] = port.gpus["GPU-0"]._replace(instances=(*port.gpus["GPU-0"].instances[:-1], idle))
        return original()

    port.read = read
    _change, result, message = run(port, state, {"7g.40gb": 1}, busy_timeout=30)
    assert message is None
    assert result["changed"]
    assert len(reads) == 3


def modes(port, state, enabled, pending=False, reset=True):
    entries = validate_layout([{"mig_enabled": enabled, "instances": {}}])
    change = transaction.change(
        lambda: port,
        lambda snapshot: decide_modes(snapshot, entries, reset, pending),
        state,
        5,
        Options(leave_pending=pending, reset=reset),
    )
    return (change, *result_of(change))


def test_mode_that_a_nameless_client_keeps_from_being_active_is_taken_back(state):
    port = ModelPort(gpu(H100, mig=False))
    port.activation = "IN_USE"
    _change, result, message = modes(port, state, True)
    assert "IN_USE" in message
    assert (port.gpus["GPU-0"].mig_mode, port.gpus["GPU-0"].mig_mode_pending) == (False, False)
    assert not result["changed"]


def test_mode_may_stay_pending_on_a_busy_gpu(state):
    port = ModelPort(gpu(A100, mig=False, processes=job(7)))
    _change, result, message = modes(port, state, True, pending=True)
    assert message is None
    assert result["changed"]
    assert port.gpus["GPU-0"].mig_mode_pending
    assert not modes(port, state, True, pending=True)[1]["changed"]


PENDING = ("RESET_REQUIRED", "NOT_SUPPORTED", "REFUSED", "TIMEOUT", "UNKNOWN_77")


@pytest.mark.parametrize("model", [A100, H100])
@pytest.mark.parametrize("activation", PENDING)
@pytest.mark.parametrize("enabled", [True, False])
def test_a_mode_that_the_driver_leaves_pending_is_reset(state, model, activation, enabled):
    port = ModelPort(gpu(model, mig=not enabled))
    port.activation = activation
    _change, result, message = modes(port, state, enabled)
    assert message is None
    assert (port.gpus["GPU-0"].mig_mode, port.gpus["GPU-0"].mig_mode_pending) == (enabled, enabled)
    assert [one["action"] for one in result["done"]] == ["set_mig_mode", "reset_gpu"]
    # Of the one architecture it was planned, of the other it was not.
    assert [one["action"] for one in result["plan"]] == ["set_mig_mode", "reset_gpu"][: 1 + (model == A100)]
    assert result["replanned"] is (model == H100)
    assert result["replanned_steps"] == result["actions"][: model == H100]
    assert not modes(port, state, enabled)[1]["changed"]


@pytest.mark.parametrize("model", [A100, H100])
@pytest.mark.parametrize("activation", PENDING)
def test_a_reset_that_is_not_supported_means_a_reboot_and_is_no_failure(state, model, activation):
    port = ModelPort(gpu(model, mig=False))
    port.activation = activation
    port._reset_gpu = lambda now, step: fail("NOT_SUPPORTED", "nvidia-smi --gpu-reset")(port)
    change, result, message = modes(port, state, True)
    assert message is None
    assert change.outcomes[0].needs == "reboot"
    assert mode_data(change)["reboot_required"]
    assert (port.gpus["GPU-0"].mig_mode, port.gpus["GPU-0"].mig_mode_pending) == (False, True)
    assert result["changed"]
    assert not result["replanned"]


@pytest.mark.parametrize("leave_pending", [False, True])
def test_a_reset_that_was_not_planned_and_that_somebody_is_in_the_way_of(state, leave_pending):
    port = ModelPort(gpu(H100, mig=False))
    port.activation = "NOT_SUPPORTED"
    port._reset_gpu = lambda now, step: fail("IN_USE", "nvidia-smi --gpu-reset")(port)
    change, result, message = modes(port, state, True, pending=leave_pending)
    if leave_pending:
        assert message is None
        assert change.outcomes[0].needs == "reset"
        assert port.gpus["GPU-0"].mig_mode_pending
    else:
        assert result["failed_step"]["action"] == "reset_gpu"
        assert [one.because for one in change.outcomes[0].failure.blockers] == ["in_use"]
        assert not port.gpus["GPU-0"].mig_mode_pending
        assert not result["changed"]


def test_a_gpu_on_which_something_else_made_instances_is_not_reset_unasked(state):
    def stays_on(port):
        made = (gpu_instance(9, "1g.10gb", 0, 1),)
        port.gpus["GPU-0"] = port.gpus["GPU-0"]._replace(mig_mode_pending=False, instances=made)
        return True

    port = ModelPort(gpu(H100))
    port.hooks[1] = stays_on
    change, _result, message = modes(port, state, False)
    assert message is None
    assert change.outcomes[0].needs == "reset"
    assert [one.profile for one in port.gpus["GPU-0"].instances] == ["1g.10gb"]
    assert not port.executed


def test_a_timeout_is_asked_again_up_to_a_deadline(state, monkeypatch):
    port = ModelPort(gpu(H100, mig=False))
    port.activation = ["TIMEOUT", "TIMEOUT", "SUCCESS"]
    _change, result, message = modes(port, state, True)
    assert message is None
    assert [one["activation"] for one in result["done"]] == ["SUCCESS"]
    assert port.calls == 3
    # What comes of it after the deadline is as of any other answer.
    monkeypatch.setattr(execution, "ACTIVATION_SECONDS", 0)
    port = ModelPort(gpu(H100, mig=False))
    port.activation = ["TIMEOUT"]
    _change, result, message = modes(port, state, True)
    assert message is None
    assert [one["action"] for one in result["done"]] == ["set_mig_mode", "reset_gpu"]


@pytest.mark.parametrize("model", [A100, H100])
def test_not_supported_without_even_a_pending_mode_is_a_failure(state, model):
    port = ModelPort(gpu(model, mig=False))
    port.hooks[1] = fail("NOT_SUPPORTED", "nvmlDeviceSetMigMode")
    _change, result, message = modes(port, state, True)
    assert result["nvml_code"] == "NOT_SUPPORTED"
    assert "could not enable MIG mode" in message
    assert not result["changed"]
    assert not port.gpus["GPU-0"].mig_mode_pending


@pytest.mark.parametrize(("activation", "reboot"), [("RESET_REQUIRED", True), ("NOT_SUPPORTED", False)])
@pytest.mark.parametrize("model", [A100, H100])
def test_without_a_reset_a_mode_stays_as_the_driver_leaves_it(state, model, activation, reboot):
    port = ModelPort(gpu(model, mig=False))
    port.activation = activation
    change, _result, message = modes(port, state, True, reset=False)
    assert message is None
    assert change.outcomes[0].needs == ("reboot" if reboot else "reset")
    assert [step.action for step in port.executed] == ["set_mig_mode"]


def test_without_a_reset_a_mode_may_be_active_all_the_same(state):
    port = ModelPort(gpu(A100, mig=False))
    port.hooks[1] = lambda port: (
        port.gpus.update({"GPU-0": port.gpus["GPU-0"]._replace(mig_mode=True, mig_mode_pending=True)}) or True
    )  # as an idle GPU, which the driver resets by itself
    change, result, message = modes(port, state, True, reset=False)
    assert message is None
    assert result["changed"]
    assert mode_data(change)["reset_required"] is False


def test_disabling_brings_instances_back_when_the_reset_fails(state):
    now = split()
    idle = now.instances[-1]._replace(
        compute_instances=(now.instances[-1].compute_instances[0]._replace(processes=()),)
    )
    port = ModelPort(now._replace(instances=(*now.instances[:-1], idle)))
    before = port.gpus["GPU-0"]
    port.hooks[12] = fail("UNKNOWN", "nvidia-smi --gpu-reset")
    _change, result, _message = modes(port, state, False)
    assert result["failed_step"]["action"] == "reset_gpu"
    after = port.gpus["GPU-0"]
    assert (after.mig_mode, after.mig_mode_pending, after.placed) == (True, True, before.placed)
    assert len(result["disrupted"]) == 5


def test_second_run_waits_for_the_first(state):
    port = ModelPort(split())
    with state.lock(1):
        with (
            pytest.raises(MigError, match="Another change of this host's GPUs is running"),
            HostState(state.path).lock(0.05),
        ):
            pass
        waiting = threading.Thread(target=run, args=(port, HostState(state.path), WANTED))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert port.executed == []
    waiting.join(10)
    assert port.executed


def test_nvml_is_not_opened_before_the_lock_is_had(state):
    def open_port():
        raise AssertionError("a session that waits keeps a GPU from being reset")

    with state.lock(1), pytest.raises(MigError, match="Another change of this host's GPUs is running"):
        transaction.change(open_port, None, HostState(state.path), 0, Options())


def test_journal_tells_a_run_that_was_killed(state):
    port = ModelPort(split())

    def kill(port):
        raise KeyboardInterrupt

    port.hooks[2] = kill
    with pytest.raises(KeyboardInterrupt):
        run(port, state, WANTED)
    assert state.interrupted()["event"] == "begin"
    assert state.interrupted()["before"][0]["gpus"] == ["GPU-0"]
    change, _result, _message = run(port, state, WANTED)
    assert "was cut short; this run goes on from what is there" in change.warnings[0]
    assert state.interrupted() is None
    assert run(port, state, WANTED)[0].warnings == ()
    lines = [json.loads(line) for line in Path(state.journal).read_text().splitlines()]
    assert [line["event"] for line in lines] == ["begin", "begin", "end"]
    assert lines[-1]["outcome"][0]["result"] == "done"


def test_state_directory_that_cannot_be_written_is_an_error_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    port = ModelPort(split())
    with pytest.raises(
        MigError, match=r"The state directory .*/file/state cannot be written: Not a directory\. Nothing was changed"
    ):
        run(port, HostState(str(tmp_path / "file" / "state")), WANTED)
    assert port.executed == []


def test_a_journal_that_cannot_be_closed_does_not_hide_what_was_done(state):
    port = ModelPort(split())

    def fill_the_disk(port):
        Path(state.journal).unlink()
        Path(state.journal).mkdir()

    port.hooks[2] = fill_the_disk
    change, result, message = run(port, state, WANTED)
    assert message is None
    assert result["changed"]
    assert "The change itself is done; only its end is missing in the journal." in change.warnings[0]
