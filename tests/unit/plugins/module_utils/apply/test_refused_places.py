# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a driver refuses a GPU instance its place: planned again once if the GPU changed, else said and taken back."""

from __future__ import annotations

from functools import partial

import pytest
from model_gpu import A100, H100, ModelPort, gpu, gpu_instance, job

from ansible_collections.gpufleet.mig.plugins.module_utils.apply import transaction
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.outcome import Options
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import NvmlError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Placement
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import forecast
from ansible_collections.gpufleet.mig.plugins.module_utils.results.change import result_of

CODES = ("IN_USE", "INVALID_ARGUMENT", "INSUFFICIENT_RESOURCES")
FUNCTION = "nvmlDeviceCreateGpuInstanceWithPlacement"
BOTH = {"4g.20gb": 1, "3g.20gb": 1}


def run(port, tmp_path, instances, **options):
    entries = validate_layout([{"instances": instances}])
    state = HostState(str(tmp_path / "state"))
    decide = partial(decide_instances, entries=entries)
    return result_of(transaction.change(lambda: port, decide, state, 5, Options(**options)))


def never_together(code):
    """As drivers before R510, on which a 4g and a 3g exclude each other."""

    def forbids(now, profile, _placement):
        there = {one.profile for one in now.instances}
        return code if {*there, profile.name} >= {"4g.20gb", "3g.20gb"} else None

    return forbids


@pytest.mark.parametrize("code", CODES)
def test_a_combination_that_the_driver_does_not_allow_is_named_taken_back_and_not_tried_again(tmp_path, code):
    there = gpu_instance(9, "1g.5gb", 6, 1)
    port = ModelPort(gpu(A100, [there]), gpu(A100, [there], index=1), forbids=never_together(code))
    before = {uuid: one.placed for uuid, one in port.gpus.items()}
    result, message = run(port, tmp_path, BOTH)
    assert result["nvml_code"] == code
    assert "does not allow 3g.20gb at slice 4 beside 4g.20gb at slice 0. It still offers 4 × 1g.5gb" not in message
    assert "this driver does not allow 3g.20gb at slice 4 beside 4g.20gb at slice 0. It still offers " in message
    assert "3 × 1g.5gb, " in message
    assert "3g.20gb," not in message.partition("It still offers ")[2].partition(".gb")[0][:40]
    assert "something else changed this GPU" not in message
    assert "has just refused this combination on GPU 0" in message
    assert {uuid: one.placed for uuid, one in port.gpus.items()} == before
    assert {step.gpu.uuid for step in port.executed} == {"GPU-0"}
    assert not any(step["gpu"]["index"] for step in result["done"])
    assert result["left"] == []
    assert not result["replanned"]
    # What the driver does allow goes on as ever.
    result, message = run(port, tmp_path, {"4g.20gb": 1, "2g.10gb": 1})
    assert message is None


def test_a_driver_that_does_not_tell_what_is_left_is_not_asked_to_guess(tmp_path):
    port = ModelPort(gpu(A100), forbids=never_together("INSUFFICIENT_RESOURCES"))
    port.tells_remaining = None
    _result, message = run(port, tmp_path, BOTH)
    assert "does not allow 3g.20gb at slice 4 beside 4g.20gb at slice 0. This GPU was brought back" in message


class Meddler:
    """Something else that makes an instance where the next one would go, each time one is asked for."""

    def __init__(self, times, processes=()):
        self.times, self.processes, self.seen = times, processes, []

    def __call__(self, now, profile, placement):
        if self.times and profile.name == "3g.20gb":
            self.times -= 1
            self.seen.append(placement)
            made = gpu_instance(30 + self.times, "1g.5gb", placement.start, 1)
            device = made.compute_instances[0]._replace(processes=self.processes)
            instances = (*now.instances, made._replace(compute_instances=(device,)))
            self.port.gpus[now.uuid] = now._replace(instances=instances)
            raise NvmlError(FUNCTION, "IN_USE")


def meddled(meddler, *there):
    port = ModelPort(gpu(A100, there), forbids=meddler)
    port.tells_remaining = None
    meddler.port = port
    return port


def test_a_gpu_that_something_else_changed_is_planned_again_once(tmp_path):
    there = gpu_instance(1, "1g.5gb", 0, 1)
    port = meddled(Meddler(1), there)
    result, message = run(port, tmp_path, {"3g.20gb": 1, "2g.10gb": 1})
    assert message is None
    assert result["changed"]
    assert result["replanned"]
    (refused,) = result["replanned_steps"]
    assert refused.startswith("GPU 0: create GPU instance 3g.20gb at slices ")
    assert sorted(one.profile for one in port.gpus["GPU-0"].instances) == ["2g.10gb", "3g.20gb"]
    assert result["disrupted"] == ["MIG-1-0"]
    assert [one["action"] for one in result["done"]] == [step.action for step in port.executed]
    assert run(port, tmp_path, {"3g.20gb": 1, "2g.10gb": 1})[0]["plan"] == []


def test_it_is_planned_again_only_once_and_then_taken_back(tmp_path):
    port = meddled(Meddler(9), gpu_instance(1, "1g.5gb", 0, 1))
    result, message = run(port, tmp_path, {"3g.20gb": 2})
    assert "NVML_ERROR_IN_USE. It was planned again once, and then: Something else has changed the GPU" in message
    assert "does not allow" not in message
    assert len(port.forbids.seen) == 2
    assert result["replanned"]
    assert [(one.profile, one.placement.start) for one in port.gpus["GPU-0"].instances] == [("1g.5gb", 0)]


def test_a_job_that_took_the_place_is_named_and_left_alone(tmp_path):
    port = meddled(Meddler(2, job(4711)))
    result, message = run(port, tmp_path, {"3g.20gb": 2})
    if message is not None:
        assert "process 4711" in message
        assert "Something else has changed the GPU since it was read" in message
        assert result["blockers"][0]["pid"] == 4711
    busy = [device for one in port.gpus["GPU-0"].instances for device in one.compute_instances if device.busy]
    assert len(busy) == 1


def test_another_profile_at_the_same_place_is_a_change_too(tmp_path):
    """Something else made the one media instance that a GPU may have, in the place of another instance."""

    def forbids(now, profile, _placement):
        if profile.name == "1g.10gb+me" and now.instances[0].profile == "1g.10gb":
            port.gpus[now.uuid] = now._replace(instances=(gpu_instance(7, "1g.10gb+me", 0, 1),))
            return "INSUFFICIENT_RESOURCES"
        return None

    port = ModelPort(gpu(H100, [gpu_instance(7, "1g.10gb", 0, 1)]), forbids=forbids)
    result, message = run(port, tmp_path, {"1g.10gb": 1, "1g.10gb+me": 1})
    assert message is None
    assert result["replanned"]
    assert port.gpus["GPU-0"].instances[0].profile == "1g.10gb+me"
    assert sorted(one.profile for one in port.gpus["GPU-0"].instances) == ["1g.10gb", "1g.10gb+me"]
    # The picture is of what was read in the end, not of what was planned at first.
    assert "  slice 0      1g.10gb+me\n" in result["diff"]["after"]


def test_a_client_of_an_empty_gpu_is_no_combination_and_keeps_no_other_gpu_from_its_layout(tmp_path):
    port = ModelPort(
        gpu(H100),
        gpu(H100, index=1),
        forbids=lambda now, *_place: None if now.index or now.instances else "IN_USE",
    )
    result, message = run(port, tmp_path, {"3g.40gb": 2})
    assert "The GPU has no GPU instance, so it is not the place that is taken: somebody uses the GPU" in message
    assert "does not allow" not in message
    assert "has just refused" not in message
    assert [len(port.gpus[uuid].instances) for uuid in ("GPU-0", "GPU-1")] == [0, 2]
    assert result["left"] == []


def test_who_has_what_the_driver_has_no_room_for_is_named(tmp_path):
    there = gpu_instance(6, "1g.5gb", 6, 1, ("1g.5gb", 0, 1, True))
    port = ModelPort(gpu(A100, [there]), forbids=lambda _now, one, _place: one.slices == 3 and "INSUFFICIENT_RESOURCES")
    _result, message = run(port, tmp_path, {"1g.5gb": 1, "3g.20gb": 1})
    has_it = "1g.5gb at slice 6 (used by process 600 (python of alice))"
    assert f"The driver has no room left for a 3g.20gb: {has_it} has it." in message
    assert f"this driver does not allow 3g.20gb at slice 0 beside {has_it}. It still offers " in message
    assert port.gpus["GPU-0"].instances == (there,)


@pytest.mark.parametrize("code", CODES)
def test_a_place_in_a_gpu_instance_that_was_there_is_planned_again_inside_it(tmp_path, code):
    half = gpu_instance(1, "3g.40gb", 0, 4, ("1c.3g.40gb", 0, 1, True))
    port = ModelPort(gpu(H100, [half]))
    port.hooks[1] = lambda _port: (_ for _ in ()).throw(NvmlError("nvmlGpuInstanceCreateComputeInstance", code))
    wanted = [{"profile": "3g.40gb", "placement": 0, "compute_instances": ["1c.3g.40gb", "1c.3g.40gb"]}]
    result, message = run(port, tmp_path, wanted)
    assert message is None
    assert result["replanned"]
    assert result["replanned_steps"] == result["actions"]
    (made,) = result["done"]
    planned = result["plan"][0]["placement"]["start"]
    assert made["placement"]["start"] != planned
    devices = port.gpus["GPU-0"].instances[0].compute_instances
    assert [device.busy for device in devices] == [True, False]
    assert run(port, tmp_path, wanted)[0]["plan"] == []


def test_what_a_gpu_instance_that_was_there_does_not_allow_is_said_and_taken_back(tmp_path):
    half = gpu_instance(1, "3g.40gb", 0, 4, ("1c.3g.40gb", 0, 1, True))
    port = ModelPort(gpu(H100, [half]), refused_inside=[Placement(start, 1) for start in range(4)])
    before = port.gpus["GPU-0"]
    wanted = [{"profile": "3g.40gb", "placement": 0, "compute_instances": ["1c.3g.40gb", "1c.3g.40gb"]}]
    result, message = run(port, tmp_path, wanted)
    assert "so this driver does not allow a 1c.3g.40gb there beside 1c.3g.40gb. Inside it tells of " in message
    assert port.gpus["GPU-0"] == before
    assert result["left"] == []


class NoThird(ModelPort):
    """A driver that refuses a third 1c in a GPU instance, though it tells of three."""

    code = "IN_USE"

    def execute(self, step):
        instances = self.gpus[step.gpu.uuid].instances
        inside = next((one.compute_instances for one in instances if one.placement == step.gpu_instance), ())
        if step.action == "create_compute_instance" and len(inside) == 2:
            raise NvmlError("nvmlGpuInstanceCreateComputeInstanceWithPlacement", self.code)
        return super().execute(step)


@pytest.mark.parametrize("code", CODES)
def test_compute_instances_that_the_driver_does_not_allow_together_are_not_tried_on_another_gpu(tmp_path, code):
    """What it refused in a new GPU instance of one GPU would cost the next GPU the idle device in its place."""
    first, other = (gpu_instance(number, "1g.10gb", 0, 1) for number in (9, 8))
    port = NoThird(gpu(H100, [first]), gpu(H100, [other], index=1), gpu(H100, index=2))
    port.code, before = code, port.gpus["GPU-1"]
    wanted = [{"profile": "3g.40gb", "placement": 0, "compute_instances": ["1c.3g.40gb"] * 3}]
    result, message = run(port, tmp_path, wanted)
    assert "so this driver does not allow a 1c.3g.40gb there beside 1c.3g.40gb, 1c.3g.40gb." in message
    assert "The driver has just refused this combination on GPU 0" in message
    assert {step.gpu.uuid for step in port.executed} == {"GPU-0"}
    assert port.gpus["GPU-1"] == before
    assert (result["kept"], result["disrupted"], result["left"]) == (["MIG-8-0"], ["MIG-9-0"], [])
    # Fewer of them, in as large a GPU instance, are another combination.
    wanted = [{"profile": "3g.40gb", "placement": 0, "compute_instances": ["1c.3g.40gb"] * 2}]
    assert run(port, tmp_path, wanted)[1] is None


def test_a_place_that_the_driver_does_not_allow_is_no_reason_against_another_place(tmp_path):
    port = ModelPort(gpu(H100), gpu(H100, index=1), refused_inside=[Placement(0, 2)])
    entries = [
        {
            "gpus": [index],
            "instances": [{"profile": "3g.40gb", "compute_instances": [{"profile": "2c.3g.40gb", "placement": start}]}],
        }
        for index, start in ((0, 0), (1, 2))
    ]
    decide = partial(decide_instances, entries=validate_layout(entries))
    state = HostState(str(tmp_path / "state"))
    _result, message = result_of(transaction.change(lambda: port, decide, state, 5, Options()))
    assert "so this driver does not allow a 2c.3g.40gb there" in message
    assert "has just refused" not in message
    assert port.gpus["GPU-0"].instances == ()
    assert [one.compute_instances[0].placement.start for one in port.gpus["GPU-1"].instances] == [2]


def two_parts_at_the_most(profile):
    """A driver that says of a 3g that it holds two 1c, whatever its placements allow."""
    found = forecast(profile, eighths=True)
    return tuple(one._replace(max=2) if (one.slices, profile.slices) == (1, 3) else one for one in found)


def test_counts_spread_otherwise_where_a_new_gpu_instance_holds_fewer_than_was_forecast(tmp_path):
    """The forecast was three in one and one in another; what has been made by then stays."""
    port = ModelPort(gpu(H100), tells_inside=two_parts_at_the_most)
    result, message = run(port, tmp_path, {"1c.3g.40gb": 4})
    assert message is None
    assert result["replanned"]
    assert [len(one.compute_instances) for one in port.gpus["GPU-0"].instances] == [2, 2]
    assert run(port, tmp_path, {"1c.3g.40gb": 4})[0]["plan"] == []


def test_a_layout_that_a_new_gpu_instance_turns_out_not_to_hold_is_refused_by_its_word(tmp_path):
    port = ModelPort(gpu(H100), tells_inside=two_parts_at_the_most)
    result, message = run(port, tmp_path, {"1c.3g.40gb": 5})
    assert "The GPU instance does not offer what was forecast." in message
    assert "5 × 1c.3g.40gb are wanted, at most 4 fit on one GPU" in message
    assert "Something else" not in message
    assert port.gpus["GPU-0"].instances == ()
    assert result["left"] == []


def in_use_while_empty(now, _profile, _placement):
    """As drivers whose GPU has clients (RM: kmigmgrCreateGPUInstanceCheck)."""
    return None if now.instances else "IN_USE"


def test_the_first_gpu_instance_is_refused_for_clients_of_the_gpu(tmp_path):
    port = ModelPort(gpu(A100), gpu(A100, index=1), forbids=in_use_while_empty)
    result, message = run(port, tmp_path, {"3g.20gb": 2})
    assert result["nvml_code"] == "IN_USE"
    assert "does not allow" not in message
    assert "so it is not the place that is taken: somebody uses the GPU itself." in message
    assert "It is held by an unknown process." in message
    # Nothing is known of places by that, so the other GPU was asked, too.
    assert port.calls == 2
    assert not result["changed"]
    assert result["left"] == []
    # Once there is one nobody is asked any more.
    port.forbids = None
    result, message = run(port, tmp_path, {"3g.20gb": 2})
    assert message is None
    port.forbids = in_use_while_empty
    assert run(port, tmp_path, {"3g.20gb": 1, "2g.10gb": 1})[1] is None


def test_so_is_one_of_a_gpu_that_this_run_has_emptied_and_it_goes_back_where_it_can(tmp_path):
    port = ModelPort(gpu(A100, [gpu_instance(9, "1g.5gb", 6, 1)]), forbids=in_use_while_empty)
    result, message = run(port, tmp_path, {"7g.40gb": 1})
    assert "somebody uses the GPU itself" in message
    assert result["left"]
    assert result["changed"]
    port.forbids = None
    assert run(port, tmp_path, {"7g.40gb": 1})[1] is None


def test_a_process_that_came_to_an_empty_gpu_is_named(tmp_path):
    def comes(now, _profile, _placement):
        port.gpus[now.uuid] = now._replace(processes=job(4711))
        return "IN_USE"

    port = ModelPort(gpu(A100), forbids=comes)
    result, message = run(port, tmp_path, {"3g.20gb": 1})
    assert "It is held by process 4711 (python of alice)." in message
    assert [one["pid"] for one in result["blockers"]] == [4711]
    assert not result["changed"]


def test_a_process_on_an_empty_gpu_refuses_its_first_instance_beforehand(tmp_path):
    port = ModelPort(gpu(A100, processes=job(4711)))
    result, message = run(port, tmp_path, {"3g.20gb": 1})
    assert "is in use: the whole GPU must be free, but is held by process 4711 (python of alice)." in message
    assert message.endswith("Nothing was changed. End or move what uses it.")
    ((free,), (blocker,)) = result["must_be_free"], result["blockers"]
    assert (free["uuid"], free["because"], blocker["pid"]) == (None, "busy", 4711)
    assert port.calls == 0
    # It is in the way of nothing else: of no instance, nor of one whose processes cannot be read.
    assert run(port, tmp_path, {})[1] is None
    port.gpus["GPU-0"] = port.gpus["GPU-0"]._replace(processes=None)
    assert run(port, tmp_path, {"3g.20gb": 1})[1] is None
