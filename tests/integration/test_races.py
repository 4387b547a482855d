# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two runs at once, jobs that start in between, reboots and kills at any moment; few rounds, 100 in `make prove`."""

from __future__ import annotations

import contextlib
import random
import threading

import pytest
from faults import STEPS, layout_of
from layouts import profiles
from modules import ModuleServer

ONE, OTHER = {"1g.5gb": 7}, {"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2}
ROUNDS = [3, pytest.param(100, marks=pytest.mark.prove)]
A100 = "A100-SXM4-40GB"


@pytest.fixture(scope="module")
def second(simulator):
    """A ModuleServer beside the first, so that two modules run at once."""
    with ModuleServer() as server:
        yield server


def at_once(*functions):
    """Call these functions in threads and return what they return, or raise what one raises."""
    answers = [None] * len(functions)

    def call(number):
        try:
            answers[number] = functions[number]()
        except BaseException as error:  # handed on below
            answers[number] = error

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_runs_at_once_leave_one_of_the_two_layouts(modules, second, simulated_host, rounds):
    host = simulated_host("--mig", f"{A100}:3")
    for _round in range(rounds):
        for run in at_once(
            lambda: modules.run(host, "mig_instances", {"instances": ONE}),
            lambda: second.run(host, "mig_instances", {"instances": OTHER}),
        ):
            run.ok()
        assert profiles(host) in ([ONE] * 3, [OTHER] * 3)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_job_that_starts_between_plan_and_step_is_never_harmed(modules, simulated_host, rounds):
    chance = random.Random(1)
    host = simulated_host("--mig", A100)
    modules.run(host, "mig_instances", {"instances": ONE}).ok()
    start = host.state.read_bytes()
    before = layout_of(host.show()["gpus"][0])
    for _round in range(rounds):
        host.state.write_bytes(start)
        uuid = chance.choice([one["compute_instances"][0]["uuid"] for one in host.show()["gpus"][0]["instances"]])
        # The calls around the first step are slow, so that the job starts somewhere among them.
        function = chance.choice(["nvmlGpuInstanceGetComputeInstanceById", "nvmlComputeInstanceDestroy"])
        host.simulator("fault", function, "--nth", str(chance.randint(1, 7)), "--delay", "300")

        def start_job(uuid=uuid):
            with contextlib.suppress(AssertionError):  # where it came too late: the MIG device was gone
                return host.job(uuid)
            return None

        run, job = at_once(lambda: modules.run(host, "mig_instances", {"instances": {"7g.40gb": 1}}), start_job)
        if job:
            assert job.poll() is None
            (there,) = [
                one
                for one in host.show()["gpus"][0]["instances"]
                for device in one["compute_instances"]
                if device["uuid"] == uuid
            ]
            assert job.pid in [client["pid"] for client in there["compute_instances"][0]["clients"]]
            refused = run.failed()
            assert str(job.pid) in refused["msg"] or job.pid in [one["pid"] for one in refused["blockers"]]
            assert layout_of(host.show()["gpus"][0]) == before
            job.kill()
            job.wait()
        else:
            run.ok()
        modules.run(host, "mig_instances", {"instances": {"7g.40gb": 1}}).ok()
        assert profiles(host) == [{"7g.40gb": 1}]


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("model", [A100, "H100-SXM5-80GB"])
def test_a_run_killed_at_any_call_and_perhaps_a_reboot_is_finished_by_running_again(
    modules, simulated_host, model, rounds
):
    chance = random.Random(2)
    host = simulated_host("--mig", model)
    small, large = ("1g.5gb", "3g.20gb") if model == A100 else ("1g.10gb", "3g.40gb")
    for number in range(rounds):
        wish = {"instances": [{small: 7}, {large: 1, small: 2}][number % 2]}
        host.simulator("calls", "--reset")
        host.simulator(
            "fault", "any", "--nth", str(chance.randint(1, 500)), "--kill", chance.choice(["before", "after"])
        )
        run = modules.run(host, "mig_instances", wish)
        assert run.status in (0, -9)
        host.simulator("fault", "--clear")
        if chance.random() < 0.5:
            host.simulator("reboot")
            modules.run(host, "mig_mode", {"state": "enabled"}).ok()
        modules.run(host, "mig_instances", wish).ok()
        assert profiles(host) == [wish["instances"]]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_reboot_in_the_middle_of_a_run(modules, simulated_host, rounds):
    chance = random.Random(3)
    host = simulated_host("--mig", A100)
    for number in range(rounds):
        wish = {"instances": [ONE, OTHER][number % 2]}
        host.simulator("fault", chance.choice(STEPS[1:]), "--nth", str(chance.randint(1, 3)), "--delay", "100")
        run, _reboot = at_once(
            lambda wish=wish: modules.run(host, "mig_instances", wish), lambda: host.simulator("reboot")
        )
        if run.status:
            assert run.failed()["msg"]
        host.simulator("fault", "--clear")
        modules.run(host, "mig_instances", wish).ok()
        assert profiles(host) == [wish["instances"]]
