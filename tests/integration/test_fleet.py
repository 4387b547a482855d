# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many hosts in one run, hosts without GPUs among them."""

from __future__ import annotations

import pytest
from drain_hooks import tasks_file
from layouts import profiles

LAYOUT = [
    {"product": "*A100*", "instances": {"3g.20gb": 1, "1g.5gb": 4}},
    {"product": "*H100*", "instances": {"1g.10gb": 7}},
    {"product": "*H200*", "mig_enabled": False},
]
# model, its GPUs when all is done
MODELS = [
    ("A100-SXM4-40GB:8", [{"3g.20gb": 1, "1g.5gb": 4}] * 8),
    ("H100-SXM5-80GB:4", [{"1g.10gb": 7}] * 4),
    ("H200-SXM5-141GB:2", [None, None]),
    ("L40S-48GB", [None]),
]


@pytest.mark.prove
def test_twelve_hosts_in_one_run(run_playbook, simulated_host):
    fleet = {
        simulated_host(model, name=f"host{number}-{model[:4]}"): gpus for number in range(3) for model, gpus in MODELS
    }
    variables = {"mig_partition_layout": LAYOUT}
    run = run_playbook("gpufleet.mig.partition", list(fleet), forks=6, extra_vars=variables).ok()
    assert {host.name: profiles(host) for host in fleet} == {host.name: gpus for host, gpus in fleet.items()}
    changed = {one["host"] for one in run.results() if one["result"].get("changed")}
    assert changed == {host.name for host in fleet if "A100" in host.name or "H100" in host.name}

    again = run_playbook("gpufleet.mig.partition", list(fleet), forks=6, extra_vars=variables).ok()
    assert not [one for one in again.results() if one["result"].get("changed")]


def test_mig_facts_in_gather_facts_on_a_mixed_fleet(run_playbook, simulated_host):
    hosts = [
        simulated_host("--mig", "A100-SXM4-40GB:2", name="a100"),
        simulated_host("L40S-48GB", name="l40s"),
        simulated_host(name="bare").without_driver(),
    ]
    plays = [
        {
            "hosts": "all",
            "gather_facts": True,
            # As README has it; all of setup's facts of a busy machine can take longer than its own limit of 10 s.
            "module_defaults": {"ansible.builtin.setup": {"gather_subset": "min"}},
            "vars": {"ansible_facts_modules": ["ansible.legacy.setup", "gpufleet.mig.mig_facts"]},
            "tasks": [{"ansible.builtin.debug": {"msg": "{{ [ansible_facts.mig, ansible_facts.os_family] }}"}}],
        }
    ]
    run = run_playbook(plays, hosts).ok()
    facts = {one["host"]: one["result"]["msg"][0] for one in run.results("ansible.builtin.debug")}
    assert [gpu["mig_mode"] for gpu in facts["a100"]["gpus"]] == ["enabled", "enabled"]
    assert [gpu["mig_capable"] for gpu in facts["l40s"]["gpus"]] == [False]
    assert facts["bare"]["gpus"] == []
    assert facts["bare"]["reason"]


STRATEGIES = {
    "linear": {},
    "serial": {"serial": 1},
    "throttle": {"throttle": 1},
    "one fork": {},
    "free": {"strategy": "free"},
    "host_pinned": {"strategy": "ansible.builtin.host_pinned"},
}


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, marks=[pytest.mark.prove] * (way != "free")) for way in STRATEGIES],
)
def test_no_strategy_ends_a_run_in_its_middle(run_playbook, simulated_host, tmp_path, way):
    hosts = [simulated_host("--mig", "A100-SXM4-40GB", name=name) for name in ("a", "b")]
    before = [host.show() for host in hosts]
    # One host takes its time, so that the other would come to the summary first.
    slow = {"ansible.builtin.wait_for": {"timeout": 2}, "when": "inventory_hostname == 'b'"}
    variables = {
        "mig_partition_layout": [{"instances": {"3g.20gb": 2}}],
        "mig_partition_tasks": {"before_instances": tasks_file(tmp_path / "slow.yml", [slow])},
    }
    options = dict(STRATEGIES[way])
    role = {
        "role": "gpufleet.mig.mig_partition",
        **({"throttle": options.pop("throttle")} if way == "throttle" else {}),
    }
    play = [{"hosts": "all", "gather_facts": False, "roles": [role], "vars": variables, **options}]
    run = run_playbook(play, hosts, forks=1 if way == "one fork" else 5)
    if "strategy" not in options:
        run.ok()
        assert [profiles(host) for host in hosts] == [[{"3g.20gb": 2}]] * 2
        assert len(run.results("gpufleet.mig.mig_summary")) == (2 if way == "serial" else 1)
    else:
        run.failed()
        assert f"this play has strategy: {options['strategy']}" in run.output
        assert [host.show() for host in hosts] == before
        assert not [host for host in hosts if host.state_dir.exists()]
