# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_assign before a change, where it needs no systemd yet; tests/hosts/test_assign.py has the rest."""

from __future__ import annotations

PARTITION = "gpufleet.mig.partition"


def variables(instances):
    return {
        "mig_partition_layout": [{"gpus": [0], "instances": instances}],
        "mig_partition_expose": ["assign"],
        "mig_assign_services": [{"name": "train", "profile": "3g.20gb"}, {"name": "web", "memory_mib": 4000}],
    }


def test_who_would_get_what_and_who_could_not(run_playbook, simulated_host, edge_environment):
    host = simulated_host("--mig", "A100-SXM4-40GB:2")
    before = host.show()
    options = {"environment": edge_environment, "check": True}
    run = run_playbook(PARTITION, [host], extra_vars=variables({"3g.20gb": 1, "1g.5gb": 1}), **options).ok()
    assert "train.service would get the 3g.20gb at slice" in run.output
    assert "web.service would get the 1g.5gb at slice" in run.output
    run = run_playbook(PARTITION, [host], extra_vars=variables({"1g.5gb": 7}), environment=edge_environment).failed()
    message = run.outcome(host)["message"]
    assert message == (
        "With the layout to come: train.service wants 3g.20gb, which is not there. There is on GPU 0 7 x 1g.5gb."
    )
    assert host.show() == before
