# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole role, drain hook included, killed at a task; then `restore` or the same command, on the same controller.

Six moments here, every task in `make prove`.
"""

from __future__ import annotations

import pytest
from drain_hooks import END_JOBS, hook, log
from kills import way_of
from layouts import profiles
from other_runs import claim_on

PARTITION, RESTORE = "gpufleet.mig.partition", "gpufleet.mig.restore"
SEVEN, HALVES = {"1g.10gb": 7}, {"3g.40gb": 2}
MOMENTS, AT_ONCE = 6, 6


@pytest.fixture
def prepared(run_playbook, simulated_host):
    """A host with two halves, of which one will be in use."""
    host = simulated_host("--mig", "H100-SXM5-80GB", name="prepared")
    run_playbook(PARTITION, [host], extra_vars={"mig_partition_layout": [{"instances": HALVES}]}).ok()
    return host


class Trials:
    """Changes that are killed, each on a host of its own; what follows is done for all of those at once."""

    def __init__(self, run_playbook, simulated_host, prepared, tmp_path):
        self._run_playbook, self._simulated_host, self._prepared = run_playbook, simulated_host, prepared
        self._variables = {
            "mig_partition_layout": [{"instances": SEVEN}],
            "mig_partition_drain": [hook(tmp_path / "hooks", "free", END_JOBS)],
        }

    def _host_in_use(self, name):
        host = self._simulated_host(name=name).become(self._prepared)
        host.job(host.show()["gpus"][0]["instances"][0]["compute_instances"][0]["uuid"])
        return host

    def undisturbed(self):
        """How many tasks the run has when nothing kills it."""
        return len(
            self._run_playbook(PARTITION, [self._host_in_use("undisturbed")], extra_vars=self._variables).ok().results()
        )

    def killed(self, number, way):
        """A host on which the run was killed at its task of that number, and the stage of the claim that it left."""
        host = self._host_in_use(f"host-{number}-{way}")
        run = self._run_playbook(PARTITION, [host], extra_vars=self._variables, kill_at=("*", "start", number, way))
        run.finish()
        assert run.returncode != 0, run.output
        left = claim_on(host)
        return host, left.stage if left else "no claim"

    def ended(self, hosts):
        """Half of them are restored at once; then the same command is given for all."""
        self._run_playbook(RESTORE, hosts[::2], extra_vars=self._variables).ok()
        for host in hosts[::2]:
            assert (claim_on(host), (host.state_dir / "drain.json").exists()) == (None, False), host.name
        self._run_playbook(PARTITION, hosts, extra_vars=self._variables).ok()
        for host in hosts:
            assert (profiles(host), claim_on(host)) == ([SEVEN], None), host.name
            assert not (host.state_dir / "drain.json").exists(), host.name
            # What was drained is restored, as often as it was.
            lines = log(host)
            drained = sum(line == "drain free" for line in lines)
            assert sum(line.startswith("workloads free") for line in lines) >= drained, host.name
        again = self._run_playbook(PARTITION, hosts, check=True, extra_vars=self._variables).ok()
        assert not [one for one in again.results() if one["result"].get("changed")]


@pytest.fixture
def trials(run_playbook, simulated_host, prepared, tmp_path):
    return Trials(run_playbook, simulated_host, prepared, tmp_path)


def test_six_moments(trials):
    tasks = trials.undisturbed()
    found = [trials.killed(1 + number * (tasks - 1) // MOMENTS, way_of(number)) for number in range(MOMENTS)]
    print(f"The killed runs had come to: {', '.join(stage for _host, stage in found)}")
    trials.ended([host for host, _stage in found])


@pytest.mark.prove
def test_every_task(trials, progress):
    tasks = trials.undisturbed()
    with progress("a run that is killed at each of its tasks", tasks) as tally:
        for first in range(1, tasks + 1, AT_ONCE):
            hosts = []
            for number in range(first, min(first + AT_ONCE, tasks + 1)):
                hosts.append(trials.killed(number, way_of(number))[0])
                tally.step()
            trials.ended(hosts)
