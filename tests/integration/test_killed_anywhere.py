# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole role, drain hook included, killed at a task; then `restore` or the same command, on the same controller.

Twelve moments here, every task and every way to end in `make prove`.
"""

from __future__ import annotations

import pytest
from drain_hooks import END_JOBS, hook, log
from evidence import write_evidence
from layouts import profiles
from other_runs import claim_on

PARTITION, RESTORE = "gpufleet.mig.partition", "gpufleet.mig.restore"
SEVEN, HALVES = {"1g.10gb": 7}, {"3g.40gb": 2}
WAYS = ("tree", "SIGINT", "SIGTERM", "SIGKILL")
MOMENTS = 12


@pytest.fixture
def prepared(run_playbook, simulated_host):
    """A host with two halves, of which one will be in use."""
    host = simulated_host("--mig", "H100-SXM5-80GB", name="prepared")
    run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": [{"instances": HALVES}]}).ok()
    return host


@pytest.fixture
def trial(run_playbook, simulated_host, prepared, tmp_path):
    """trial(number, way): a change that is killed at its task of that number, and restored or done again after that."""
    variables = {
        "mig_partition_layout": [{"instances": SEVEN}],
        "mig_partition_drain": [hook(tmp_path / "hooks", "free", END_JOBS)],
    }

    def host_in_use(name):
        host = simulated_host(name=name).become(prepared)
        host.job(host.show()["gpus"][0]["instances"][0]["compute_instances"][0]["uuid"])
        return host

    def undisturbed():
        run = run_playbook(PARTITION, [host_in_use("undisturbed")], extra_vars=variables).ok()
        return len(run.results())

    def killed(number, way):
        host = host_in_use(f"host-{number}-{way}")
        run = run_playbook(PARTITION, [host], extra_vars=variables, kill_at=("*", "start", number, way))
        run.finish()
        assert run.returncode != 0, run.output
        left = claim_on(host)
        if number % 2:
            run_playbook(RESTORE, [host], extra_vars=variables).ok()
            assert claim_on(host) is None
            assert not (host.state_dir / "drain.json").exists()
        run_playbook(PARTITION, [host], extra_vars=variables).ok()
        assert (profiles(host), claim_on(host)) == ([SEVEN], None), run.output
        assert not (host.state_dir / "drain.json").exists()
        # What a run drained is restored, once for each that drained.
        lines = log(host)
        drained = sum(line == "drain free" for line in lines)
        assert sum(line.startswith("workloads free") for line in lines) >= drained
        again = run_playbook(PARTITION, [host], check=True, extra_vars=variables).ok()
        assert not [one for one in again.results() if one["result"].get("changed")]
        return left.stage if left else "no claim"

    return undisturbed, killed


def test_twelve_moments(trial):
    undisturbed, killed = trial
    tasks = undisturbed()
    stages = [killed(1 + number * (tasks - 1) // MOMENTS, WAYS[number % len(WAYS)]) for number in range(MOMENTS)]
    print(f"The killed runs had come to: {', '.join(stages)}")


@pytest.mark.prove
def test_every_task_and_every_way(trial, progress):
    undisturbed, killed = trial
    tasks = undisturbed()
    with progress("a run that is killed at each of its tasks", tasks * len(WAYS)) as tally:
        for number in range(1, tasks + 1):
            for way in WAYS:
                killed(number, way)
                tally.step()
    line = f"- a whole run of mig_partition, killed at each of its {tasks} tasks in {len(WAYS)} ways: {tally.seconds} s"
    write_evidence("kills", [line])
