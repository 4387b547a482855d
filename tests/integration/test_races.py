# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two runs at once, jobs that start in between, reboots and kills at any moment; few rounds, 100 in `make prove`."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from evidence import write_evidence
from faults import layout_of
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


@pytest.fixture
def counted(request, progress):
    """counted(name, rounds): a generator of the rounds, and a Counter of what came of them.

    In `make prove` the Counter goes into docs/reliability.md.
    """
    found, written = Counter(), []

    def rounds_of(name, rounds):
        with progress(name, rounds) as tally:
            for number in range(rounds):
                yield number
                tally.step()
        words = ", ".join(f"{times} {what}" for what, times in found.most_common())
        written.append((name, f"- {name}: {rounds} rounds: {words}; {tally.seconds} s"))

    yield rounds_of, found
    if request.config.option.markexpr == "prove":
        for name, line in written:
            write_evidence(f"races: {name}", [line])


def during_call(host, nth, run, act):
    """Run, and act while its ``nth`` NVML call is under way, which takes long: (what run returned, what act did)."""
    host.simulator("calls", "--reset")
    host.simulator("fault", "any", "--nth", str(nth), "--delay", "300")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        while not running.done() and calls(host) < nth:
            time.sleep(0.005)
        acted = act()
    host.simulator("fault", "--clear")
    return running.result(), acted


def calls(host):
    """How many NVML calls were made since they were reset."""
    return sum(json.loads(host.simulator("calls", "--json").stdout)["calls"].values())


def length(modules, host, wish):
    """How many NVML calls an undisturbed run makes; the host is then as before."""
    start = host.state.read_bytes()
    host.simulator("calls", "--reset")
    modules.run(host, "mig_instances", {"instances": wish}).ok()
    made = calls(host)
    host.state.write_bytes(start)
    return made


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_runs_at_once_leave_one_of_the_two_layouts(modules, second, simulated_host, counted, rounds):
    host = simulated_host("--mig", f"{A100}:3")
    numbers, found = counted
    for _number in numbers("two runs at once with different layouts", rounds):
        with ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(server.run, host, "mig_instances", {"instances": wish})
                for server, wish in ((modules, ONE), (second, OTHER))
            ]
        for run in runs:
            run.result().ok()
        assert profiles(host) in ([ONE] * 3, [OTHER] * 3)
        found[f"the layout of the {'first' if profiles(host) == [ONE] * 3 else 'second'} stays"] += 1


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_job_that_starts_between_plan_and_step_is_never_harmed(modules, simulated_host, counted, rounds):
    chance = random.Random(1)
    host = simulated_host("--mig", A100)
    modules.run(host, "mig_instances", {"instances": ONE}).ok()
    start, before = host.state.read_bytes(), layout_of(host.show()["gpus"][0])
    whole = {"7g.40gb": 1}
    made = length(modules, host, whole)
    numbers, found = counted
    for _number in numbers("a job that starts during a change", rounds):
        host.state.write_bytes(start)
        uuid = chance.choice([one["compute_instances"][0]["uuid"] for one in host.show()["gpus"][0]["instances"]])

        def start_job(uuid=uuid):
            with contextlib.suppress(AssertionError):  # where it came too late: the MIG device was gone
                return host.job(uuid)
            return None

        run, job = during_call(
            host, chance.randint(1, made), lambda: modules.run(host, "mig_instances", {"instances": whole}), start_job
        )
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
            found["refused at the step, and taken back" if refused.get("failed_step") else "refused by the plan"] += 1
            job.kill()
            job.wait()
        else:
            run.ok()
            found["the job came too late: its MIG device was gone"] += 1
        modules.run(host, "mig_instances", {"instances": whole}).ok()
        assert profiles(host) == [whole]


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("model", [A100, "H100-SXM5-80GB"])
def test_a_run_killed_at_any_call_and_perhaps_a_reboot_is_finished_by_running_again(
    modules, simulated_host, counted, model, rounds
):
    chance = random.Random(2)
    host = simulated_host("--mig", model)
    small, large = ("1g.5gb", "3g.20gb") if model == A100 else ("1g.10gb", "3g.40gb")
    numbers, found = counted
    for number in numbers(f"a run killed at any call, {model}", rounds):
        wish = {"instances": [{small: 7}, {large: 1, small: 2}][number % 2]}
        host.simulator(
            "fault", "any", "--nth", str(chance.randint(1, 500)), "--kill", chance.choice(["before", "after"])
        )
        run = modules.run(host, "mig_instances", wish)
        assert run.status in (0, -9)
        host.simulator("fault", "--clear")
        rebooted = chance.random() < 0.5
        if rebooted:
            host.simulator("reboot")
            modules.run(host, "mig_mode", {"state": "enabled"}).ok()
        found[f"{'killed' if run.status else 'done before'}{', then a reboot' if rebooted else ''}"] += 1
        modules.run(host, "mig_instances", wish).ok()
        assert profiles(host) == [wish["instances"]]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_reboot_in_the_middle_of_a_run(modules, simulated_host, counted, rounds):
    chance = random.Random(3)
    host = simulated_host("--mig", A100)
    modules.run(host, "mig_instances", {"instances": OTHER}).ok()
    made = length(modules, host, ONE)
    numbers, found = counted
    for number in numbers("a reboot in the middle of a run", rounds):
        wish = {"instances": [ONE, OTHER][number % 2]}
        run, _reboot = during_call(
            host,
            chance.randint(1, made),
            lambda wish=wish: modules.run(host, "mig_instances", wish),
            lambda: host.simulator("reboot"),
        )
        if run.status:
            assert run.failed()["msg"]
        found["the run failed and said so" if run.status else "the run reached its layout"] += 1
        modules.run(host, "mig_instances", wish).ok()
        assert profiles(host) == [wish["instances"]]
