# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GPUs that are only reset together: what is decided for the group, and that any failure leaves everybody as before."""

from __future__ import annotations

import pytest
from model_gpu import A30, A100, ModelPort, fail, gpu, gpu_instance, job, lie

from ansible_collections.gpufleet.mig.plugins.module_utils.apply import execution, transaction
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.outcome import Options
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import NvmlError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Plan, Snapshot
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_modes
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.reset_groups import batches, steps_in_order
from ansible_collections.gpufleet.mig.plugins.module_utils.results.change import result_of

ALL_ON = [{"gpus": "all", "instances": {}}]
FIRST_OFF = (*ALL_ON, {"gpus": [0], "mig_enabled": False})


def group(*instances, **first):
    """GPUs on NVSwitches with these instances, ``first`` being facts of GPU 0; beside them an A30 on none."""
    uuids = [f"GPU-{index}" for index in range(len(instances))]
    peers = [tuple(uuid for uuid in uuids if uuid != own) for own in uuids]
    linked = [
        gpu(A100, on, index=index, reset_peers=peers[index], **({} if index else first))
        for index, on in enumerate(instances)
    ]
    return [*linked, gpu(A30, index=len(linked), mig=False)]


def decide(gpus, layout=FIRST_OFF, **options):
    """{index: decision} of mig_mode on these GPUs."""
    decisions, warnings = decide_modes(Snapshot(gpus=tuple(gpus)), validate_layout(layout), **options)
    assert warnings == []
    return {decision.gpu.index: decision for decision in decisions}


def idle(number=2):
    return gpu_instance(number, "3g.20gb", 4, 4, ("2c.3g.20gb", 0, 2, False), ("1c.3g.20gb", 2, 1, False))


def busy(number=2):
    return gpu_instance(number, "3g.20gb", 4, 4, ("3g.20gb", 0, 3, True))


def actions(plan):
    return [step.action for step in plan.steps]


def test_a_peer_goes_down_before_the_reset_and_comes_back_as_it_was():
    gpus = group([], [idle()], [gpu_instance(3, "2g.10gb", 0, 2, (None, 0, 0, False))])
    decided = decide(gpus, [{"gpus": [0], "mig_enabled": False}, {"gpus": [1, 2], "instances": {}}])
    assert all(isinstance(plan, Plan) for plan in decided.values())
    assert actions(decided[0]) == ["set_mig_mode", "reset_gpu"]
    assert actions(decided[1]) == [
        *["destroy_compute_instance"] * 2, "destroy_gpu_instance", "reset_gpu",
        "create_gpu_instance", *["create_compute_instance"] * 2,
    ]  # fmt: skip
    assert actions(decided[2]) == ["destroy_gpu_instance", "reset_gpu", "create_gpu_instance"]
    assert (decided[1].target, decided[2].target) == (gpus[1].placed, gpus[2].placed)
    assert decided[1].disrupted == ("MIG-2-0", "MIG-2-1")
    for index in range(3):
        (reset,) = [step for step in decided[index].steps if step.action == "reset_gpu"]
        assert [peer.index for peer in reset.peers] == [other for other in range(3) if other != index]
    assert [len(batch) for batch in batches(list(decided.values()))] == [3]
    order = [(step.action, step.gpu.index) for step in steps_in_order(list(decided.values()))]
    assert order[0] == ("set_mig_mode", 0)
    assert [index for action, index in order if action == "reset_gpu"] == [0, 1, 2]


def test_who_is_not_on_the_switches_and_who_needs_no_reset_is_left_out():
    decided = decide(group([], []), [{"gpus": "all", "instances": {}}])
    assert {index: actions(plan) for index, plan in decided.items()} == {0: [], 1: [], 2: ["set_mig_mode", "reset_gpu"]}
    assert decide(group([], []), FIRST_OFF, reset=False)[1].steps == ()


def test_every_peer_must_be_named():
    decided = decide(group([], [], []), [{"gpus": [0, 1], "mig_enabled": False}])
    assert {refusal.kind for refusal in decided.values()} == {"peers"}
    assert "it shares NVSwitches with GPU 2, which" in decided[0].message
    assert "nvidia-fabricmanager.service" in decided[1].message


def test_a_busy_peer_must_be_free_and_the_plan_follows():
    decided = decide(group([], [busy()], []))
    assert decided[1].kind == "busy"
    assert [blocker.device.uuid for blocker in decided[1].blockers] == ["MIG-2-0"]
    assert "reset_gpu" in actions(decided[1].plan)
    assert [peer.index for peer in decided[1].plan.steps[2].peers] == [0, 2]
    assert isinstance(decided[0], Plan)


def test_a_process_on_a_peer_without_mig_is_in_the_way():
    gpus = group([], [])
    gpus[1] = gpus[1]._replace(mig_mode=False, mig_mode_pending=False, processes=job(9))
    decided = decide(gpus, [{"gpus": [0, 1], "mig_enabled": False}])
    assert [blocker.processes[0].pid for blocker in decided[1].blockers] == [9]


@pytest.mark.parametrize("who", [0, 1])
def test_with_when_busy_pending_one_busy_gpu_leaves_all_modes_pending(who):
    gpus = group(*[[busy()] if index == who else [idle()] for index in range(2)])
    decided = decide(gpus, FIRST_OFF, pending=True)
    assert actions(decided[0]) == ["set_mig_mode"]
    assert decided[1].steps == ()


def test_a_mode_that_waits_on_a_peer_takes_effect_with_the_reset():
    gpus = group([], [])
    gpus[1] = gpus[1]._replace(mig_mode=False, mig_mode_pending=True)
    decided = decide(gpus, FIRST_OFF, pending=True)
    assert actions(decided[1]) == ["reset_gpu"]
    assert decided[1].mig_mode is True


class GroupPort(ModelPort):
    """A ModelPort on which one reset is that of all peers and fails where one of them is busy."""

    resets = 0
    activation = "RESET_REQUIRED"

    def _reset_gpu(self, now, step):
        self.resets += 1
        for peer in step.peers:
            _nothing, self.gpus[peer.uuid] = super()._reset_gpu(self.gpus[peer.uuid], step)
        assert {step.gpu.uuid, *(peer.uuid for peer in step.peers)} == {step.gpu.uuid, *step.gpu.reset_peers}
        return super()._reset_gpu(now, step)


def run(port, tmp_path, layout=FIRST_OFF, pending=False, atomic=False):
    """Change the modes on the port: (result, message)."""
    entries = validate_layout(layout)
    change = transaction.change(
        lambda: port,
        lambda snapshot: decide_modes(snapshot, entries, True, pending),
        HostState(str(tmp_path / "state")),
        5,
        Options(atomic, pending),
    )
    return result_of(change)


def as_it_was(port, gpus):
    return [(port.gpus[one.uuid].mig_mode, port.gpus[one.uuid].mig_mode_pending, port.gpus[one.uuid].placed)
            for one in gpus] == [(one.mig_mode, one.mig_mode_pending, one.placed) for one in gpus]  # fmt: skip


GPUS = group([idle()], [idle()], [])[:3]
STEPS = 4 + 3 + 1 + 3  # GPU 0 down and its mode, GPU 1 down, the reset, GPU 1 up again; GPU 2 is only reset


def test_one_reset_serves_the_group(tmp_path):
    port = GroupPort(*GPUS)
    result, message = run(port, tmp_path)
    assert message is None
    assert (port.resets, port.calls) == (1, STEPS)
    assert len(result["done"]) == len(result["plan"]) == STEPS + 2
    assert [port.gpus[one.uuid].mig_mode for one in GPUS] == [False, True, True]
    assert port.gpus["GPU-1"].placed == GPUS[1].placed
    assert run(port, tmp_path)[0]["plan"] == []


@pytest.mark.parametrize("number", range(1, STEPS + 1))
@pytest.mark.parametrize("wrong", [fail("UNKNOWN"), fail("IN_USE"), lie], ids=["UNKNOWN", "IN_USE", "lie"])
@pytest.mark.parametrize("atomic", [False, True])
def test_any_step_that_fails_leaves_the_group_as_before_or_in_its_layout(tmp_path, monkeypatch, number, wrong, atomic):
    monkeypatch.setattr(transaction, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(execution, "BUSY_AFTER_DESTROY_SECONDS", 0)
    port = GroupPort(*GPUS)
    port.hooks[number] = wrong
    result, message = run(port, tmp_path, atomic=atomic)
    if message is None:  # what was not destroyed went with the reset
        assert [port.gpus[one.uuid].mig_mode for one in GPUS] == [False, True, True]
        return
    assert result["left"] == []
    if number <= STEPS - 3 or atomic:
        assert as_it_was(port, GPUS)
    else:
        assert [port.gpus[one.uuid].mig_mode for one in GPUS] == [False, True, True]
        assert port.gpus["GPU-1"].placed == GPUS[1].placed


def test_a_peer_that_gets_busy_before_the_reset_keeps_its_job_and_everybody_his_instances(tmp_path):
    port = GroupPort(*GPUS)
    port.gpus["GPU-2"] = port.gpus["GPU-2"]._replace(mig_mode=False, mig_mode_pending=False)
    before = list(port.gpus.values())

    def start(port):
        port.gpus["GPU-2"] = port.gpus["GPU-2"]._replace(processes=job(4711))

    port.hooks[4] = start
    layout = [{"gpus": [0, 2], "mig_enabled": False}, {"gpus": [1], "instances": {}}]
    result, message = run(port, tmp_path, layout)
    assert "together with GPU 1, 2" in message
    assert [one["pid"] for one in result["blockers"]] == [4711]
    assert result["nvml_code"] == "IN_USE"
    assert as_it_was(port, before)
    assert set(result["disrupted"]) == {"MIG-2-0", "MIG-2-1"}


def test_a_reset_that_is_not_supported_leaves_the_mode_for_the_reboot_and_peers_as_they_were(tmp_path):
    port = GroupPort(*GPUS)
    port.hooks[8] = fail("NOT_SUPPORTED")
    _result, message = run(port, tmp_path)
    assert message is None
    assert (port.gpus["GPU-0"].mig_mode, port.gpus["GPU-0"].mig_mode_pending) == (True, False)
    assert as_it_was(port, GPUS[1:])


def test_what_cannot_come_back_on_a_peer_is_said(tmp_path):
    port = GroupPort(*GPUS)
    port.hooks[8] = fail("UNKNOWN")  # the reset
    for number in range(9, 30):
        if number != 9:  # the mode goes back, no instance does
            port.hooks[number] = fail("UNKNOWN", "nvmlCreate")
    result, message = run(port, tmp_path)
    assert any(one.startswith("GPU 1 (") for one in result["left"])
    assert "GPU 1 (" in message
    assert "had to go back with it. Not everything could be brought back" in message


def test_a_gpu_that_fails_after_the_reset_does_not_have_its_peers_reset_again(tmp_path):
    class Port(GroupPort):
        def read_gpu(self, gpu):
            if self.resets and gpu.index == 0 and not self.lost:
                self.lost.add("once")
                raise NvmlError("nvmlDeviceGetMigMode", "UNKNOWN")
            return super().read_gpu(gpu)

    port = Port(*GPUS)
    result, message = run(port, tmp_path)
    assert "could not be read again" in message
    assert any("MIG mode is disabled" in one for one in result["left"])
    assert port.resets == 1
    assert [(one.mig_mode, one.mig_mode_pending) for one in port.gpus.values()] == [
        (False, False),
        (True, True),
        (True, True),
    ]
    assert port.gpus["GPU-1"].placed == GPUS[1].placed
    assert run(port, tmp_path)[0]["plan"] == []
