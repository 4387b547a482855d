# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of simulated GPUs in which one NVML call goes wrong, and the judge of what such a run leaves.

The judge reads the simulated GPUs with `mig-simulator show` and knows nothing of the collection but its public results.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import pynvml
from simulated_host import SimulatedHost

# One return code of each class that an operator would treat in the same way.
CLASSES = (
    "IN_USE",
    "NO_PERMISSION",
    "NOT_SUPPORTED",
    "RESET_REQUIRED",
    "GPU_IS_LOST",
    "INSUFFICIENT_RESOURCES",
    "NOT_FOUND",
    "DRIVER_NOT_LOADED",
    "LIBRARY_NOT_FOUND",
    "INVALID_ARGUMENT",
    "UNKNOWN",
)
ALL_CODES = tuple(name[len("NVML_ERROR_") :] for name in dir(pynvml) if name.startswith("NVML_ERROR_"))
STEPS = (
    "nvmlDeviceSetMigMode",
    "nvmlComputeInstanceDestroy",
    "nvmlGpuInstanceDestroy",
    "nvmlDeviceCreateGpuInstanceWithPlacement",
    "nvmlGpuInstanceCreateComputeInstanceWithPlacement",
)

NAME = "GPU {index} ({product}, {uuid}, {pci_address})"


def kills_and_lies(delay_ms=20):
    """What else a call may do than to return an error code."""
    return ("--kill", "before"), ("--kill", "after"), ("--delay", str(delay_ms)), ("--lie",)


class Scenario(NamedTuple):
    """A change: on ``init`` (arguments of mig-simulator init) first ``before``, then, with a job, ``wish``.

    ``before`` is an ``instances`` option or None, ``busy`` the profile of the MIG device that a job uses or None,
    ``passed_through`` whether the GPU then is. ``made`` is what nvidia-smi mig takes that first makes something which
    no layout may ask for.
    """

    name: str
    init: tuple
    before: object
    busy: object
    module: str
    wish: dict
    passed_through: bool = False
    made: tuple = ()


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            # On Hopper, which places compute instances in eighths and calls the whole of a 1g.10gb+me a 1g.10gb.
            "instances: one stays busy, one goes, two come",
            ("--mig", "H100-SXM5-80GB"),
            [{"profile": "3g.40gb", "placement": 4}, {"profile": "1g.10gb+me", "placement": 2}],
            "3g.40gb",
            "mig_instances",
            {"gpus": [0], "instances": {"3g.40gb": 1, "1g.20gb": 1, "1c.2g.20gb": 1}},
        ),
        Scenario(
            "instances on an empty GPU",
            ("--mig", "H100-SXM5-80GB"),
            None,
            None,
            "mig_instances",
            {"gpus": [0], "instances": {"3g.40gb": 1, "1c.2g.20gb": 1}},
        ),
        Scenario("mode on, A100", ("A100-SXM4-40GB",), None, None, "mig_mode", {"gpus": [0], "state": "enabled"}),
        Scenario("mode on, H100", ("H100-SXM5-80GB",), None, None, "mig_mode", {"gpus": [0], "state": "enabled"}),
        Scenario(
            "mode off, A100",
            ("--mig", "A100-SXM4-40GB"),
            ["3g.20gb"],
            None,
            "mig_mode",
            {"gpus": [0], "state": "disabled"},
        ),
        Scenario(
            "mode off, H100",
            ("--mig", "H100-SXM5-80GB"),
            ["3g.40gb"],
            None,
            "mig_mode",
            {"gpus": [0], "state": "disabled"},
        ),
        # The driver leaves the mode pending: it says SUCCESS, and the GPU must be reset after all; or NOT_SUPPORTED,
        # and only a reboot helps.
        Scenario(
            "mode off, H100 that stays on",
            ("--mig", "--strange", "mode-off", "H100-SXM5-80GB"),
            ["3g.40gb"],
            None,
            "mig_mode",
            {"gpus": [0], "state": "disabled"},
        ),
        Scenario(
            "mode on, A100 passed through",
            ("--strange", "activation=refused", "A100-SXM4-40GB"),
            None,
            None,
            "mig_mode",
            {"gpus": [0], "state": "enabled"},
            passed_through=True,
        ),
    )
}

# What was there cannot be planned any more: by what the GPU tells of its engines seven of these do not fit.
GIVEN_UP = Scenario(
    "instances: what was there breaks a rule",
    ("--mig", "--strange", "engines=one-fewer", "H100-SXM5-80GB"),
    None,
    None,
    "mig_instances",
    {
        "gpus": [0],
        "instances": [
            *({"profile": "1g.10gb", "placement": start} for start in range(3)),
            {"profile": "3g.40gb", "placement": 4},
        ],
    },
    ("-cgi", ",".join(["19"] * 7), "-C"),
)


class Case(NamedTuple):
    """What happens to the ``nth`` call of ``function`` (or ``any``) and to ``times`` in a row (0: all that follow)."""

    function: str
    nth: int
    action: tuple
    times: int = 1

    def __str__(self):
        return f"fault {self.function} --nth {self.nth} --times {self.times} {' '.join(self.action)}"


class Stage:
    """A scenario set up on a host of its own in ``directory``; each case begins from the same state file."""

    def __init__(self, scenario, modules, directory):
        self.scenario = scenario
        self.modules = modules
        self.host = SimulatedHost("faults", directory)
        self.host.simulator("init", *scenario.init)
        if scenario.made:
            self.host.run("nvidia-smi", "mig", *scenario.made)
        if scenario.before is not None:
            modules.run(self.host, "mig_instances", {"instances": scenario.before}).ok()
        self.busy = self.job = None
        if scenario.busy:
            self.busy = next(
                device["uuid"]
                for gpu in self.host.show()["gpus"]
                for instance in gpu["instances"]
                for device in instance["compute_instances"]
                if device["profile"] == scenario.busy
            )
            self.job = self.host.job(self.busy)
        if scenario.passed_through:
            self.host.simulator("passthrough", "on")
        self.host.simulator("calls", "--reset")
        self._start = self.host.state.read_bytes()
        self.before = self.look()
        self._converged = set()
        self.change().ok()
        self.calls = self._calls()
        self.reached = self.look()

    def close(self):
        """End the scenario's job."""
        self.host.close()

    def reset(self):
        """Bring the host back to where every case begins."""
        self.host.state.write_bytes(self._start)

    def change(self):
        """Run the change."""
        return self.modules.run(self.host, self.scenario.module, self.scenario.wish)

    def look(self):
        """The host's one GPU."""
        (gpu,) = self.host.show()["gpus"]
        return gpu

    def total(self):
        """How many NVML calls the change makes."""
        return sum(self.calls.values())

    def calls_of_each_phase(self):
        """[(function, nth)]: each function's first call before the first step, among the steps and after the last.

        Of the functions that are steps, every call.
        """
        self.reset()
        for function in STEPS:
            self.host.simulator("fault", function, "--kill", "before")
        self.change()
        first = self._calls()
        last = next(function for function in reversed(STEPS) if self.calls.get(function))
        self.reset()
        self.host.simulator("fault", last, "--nth", str(self.calls[last]), "--kill", "after")
        self.change()
        reading_again = self._calls()
        found = set()
        for function, calls in self.calls.items():
            begins = {1, 1 + first.get(function, 0), 1 + reading_again.get(function, 0)}
            numbers = range(1, calls + 1) if function in STEPS else sorted(begins)
            found.update((function, nth) for nth in numbers if nth <= calls)
        return sorted(found)

    def judge(self, case):
        """Run the change with this fault: (what came of it, in a word, and what is wrong with that, in sentences)."""
        self.reset()
        self.host.simulator("fault", case.function, "--nth", str(case.nth), "--times", str(case.times), *case.action)
        try:
            run = self.change()
        except AssertionError as error:
            return "not in good order", [str(error)]
        self.host.simulator("fault", "--clear")
        after = self.look()
        outcome, wrong = self._judge_result(case, run, after)
        if wrong and case.action == ("--lie",) and case.function not in STEPS:
            # The driver told something wrong about what is there, which nobody can find out.
            outcome, wrong = "misled", []
        if self.job and (self.job.poll() is not None or self.job.pid not in _clients(after, self.busy)):
            wrong.append("the busy MIG device lost its job")
        return outcome, wrong + self._converge(after)

    def _judge_result(self, case, run, after):
        if run.status < 0:
            return "killed", []
        result, wrong = run.result, []
        lied = case.action == ("--lie",)
        # Who used a MIG device that was destroyed is gone, though it was made again with its UUID.
        before = {device for device, _start, _place in everything(self.before)[1]}
        ended = any(
            step["action"] == "destroy_compute_instance" and step["uuid"] in before
            for step in result.get("done", []) + result.get("undone", [])
        )
        if result.get("changed", False) != (ended or everything(after) != everything(self.before)):
            wrong.append(f"changed is {result.get('changed')}, and it was {self.before}, and is {after}")
        if "done" in result and not lied and self.scenario.module == "mig_instances":
            steps = result["done"] + result.get("undone", [])
            if _replay(self.before, steps) != layout_of(after)[2]:
                wrong.append(f"done and undone, {steps}, do not lead from {self.before} to {after}")
        if run.status == 0:
            if result.get("reboot_required") or result.get("reset_required"):
                pending = after["mig_mode_pending"] == self.reached["mig_mode_pending"]
                return "pending", wrong if pending else [*wrong, f"not even pending: {after}"]
            return "reached", wrong if asked_for(after) == asked_for(self.reached) else [
                *wrong,
                f"success with {after}",
            ]
        step_failed = case.action[0] == "--return" and case.function in STEPS and result.get("failed_step")
        if step_failed and result["nvml_code"] != case.action[1]:
            wrong.append(f"nvml_code is {result['nvml_code']}")
        if result.get("left"):
            nobody_knows = f"{NAME.format(**after)}: what is on it now is not known"
            if case.function == "any" and result["left"][0].startswith(nobody_knows):
                return "lost", wrong
            return "left", wrong + self._judge_report(result["left"], after)
        if layout_of(after) != layout_of(self.before):
            return "half-way", [*wrong, f"nothing is said to be left, and it was {self.before}, and is {after}"]
        return "restored" if result.get("done") else "nothing done", wrong

    def _judge_report(self, left, after):
        """``left`` must name each difference and nothing else."""
        report = " ".join(left)
        (mode, pending, before), (mode_now, pending_now, now) = layout_of(self.before), layout_of(after)
        wrong = []
        if "MIG mode is" in report and (mode, pending) == (mode_now, pending_now):
            wrong.append(f"the mode is as it was: {left}")
        if "MIG mode is" not in report and (mode, pending) != (mode_now, pending_now):
            wrong.append(f"the mode is not as it was: {left}")
        for word, there, instances in (("not restored", before, now), ("not removed", now, before)):
            named = report.partition(word)[2].partition("not removed")[0]
            for start, (profile, _inside) in there.items():
                differs = instances.get(start) != there[start]
                if (f"{profile} at slice {start} " in named) != differs:
                    wrong.append(
                        f"{profile} at {start} is {'' if differs else 'not '}different: {left}, and it is {after}"
                    )
        return wrong

    def _converge(self, after):
        """One plain run reaches the wish, from any state that a fault has left; from equal states once is enough."""
        state = json.dumps(after, sort_keys=True)
        if state in self._converged:
            return []
        self._converged.add(state)
        try:
            self.change().ok()
        except AssertionError as error:
            return [f"a plain run after it: {error}"]
        now = self.look()
        return [] if asked_for(now) == asked_for(self.reached) else [f"a plain run after it leaves {now}"]

    def _calls(self):
        return json.loads(self.host.simulator("calls", "--json").stdout)["calls"]


def layout_of(gpu):
    """(mode, pending mode, {start: (profile, compute instances)})."""
    return (
        gpu["mig_mode"],
        gpu["mig_mode_pending"],
        {
            instance["placement"]["start"]: (
                instance["profile"],
                tuple(
                    sorted(
                        (device["placement"]["start"], device["profile"]) for device in instance["compute_instances"]
                    )
                ),
            )
            for instance in gpu["instances"]
        },
    )


def asked_for(gpu):
    """The layout without the places of compute instances, of which another is taken where the driver refuses one."""
    mode, pending, instances = layout_of(gpu)
    return (
        mode,
        pending,
        {start: (one, sorted(name for _at, name in inside)) for start, (one, inside) in instances.items()},
    )


def everything(gpu):
    """The layout and the UUIDs."""
    return layout_of(gpu), {
        (device["uuid"], instance["placement"]["start"], device["placement"]["start"])
        for instance in gpu["instances"]
        for device in instance["compute_instances"]
    }


def _clients(gpu, uuid):
    return [
        client["pid"]
        for instance in gpu["instances"]
        for device in instance["compute_instances"]
        if device["uuid"] == uuid
        for client in device["clients"]
    ]


def _replay(gpu, steps):
    """The instances that these steps of a result lead to, None where they are impossible."""
    found = {start: (profile, set(inside)) for start, (profile, inside) in layout_of(gpu)[2].items()}
    for step in steps:
        start = step["placement"]["start"]
        if step["action"] == "create_gpu_instance":
            found[start] = (step["profile"], set())
        elif step["action"] == "destroy_gpu_instance":
            if found.pop(start, None) != (step["profile"], set()):
                return None
        else:
            inside = found.get(step["gpu_instance"]["start"], ("", set()))[1]
            device = start, step["profile"].replace("+me", "")  # as the driver calls it
            inside ^= {device}
            if (device in inside) != (step["action"] == "create_compute_instance"):
                return None
    return {start: (profile, tuple(sorted(inside))) for start, (profile, inside) in found.items()}
