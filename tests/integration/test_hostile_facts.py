# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root on one GPU host answers with facts that are named like variables of the collection: nobody else is reached."""

from __future__ import annotations

import environments
import pytest
from drain_hooks import tasks_file
from hostile_host import HostileAnswers
from layouts import profiles

A100 = "A100-SXM4-40GB"
LAYOUT = [{"instances": {"3g.20gb": 1}}]
REFUSED = "attacker has facts with names of variables of gpufleet.mig"


@pytest.fixture(
    scope="module", params=["oldest", *(pytest.param(one, marks=pytest.mark.prove) for one in ("main", "newest"))]
)
def controller(request):
    """The oldest, the usual and the newest supported ansible-core."""
    if request.param == "main":
        return environments.main_environment()
    found = environments.pair(request.param)
    if found is None:
        pytest.skip(f"no Python for the {request.param} supported ansible-core: {environments.CORES}")
    return environments.environment(*found)


class Attack:
    """The hosts, and what the attacker would have: a file on the controller, another host, a report's path."""

    def __init__(self, simulated_host, directory):
        self.host = simulated_host("--mig", A100, name="attacker")
        self.host.more_variables["mig_partition_layout"] = LAYOUT
        self.victim = simulated_host("--mig", A100, name="victim")
        self.asked = HostileAnswers(self.victim, {})
        self.before = self.host.show()
        self.loot = directory / "loot"
        self.loot.mkdir()
        touch = {
            "name": "Do as root of the controller",
            "ansible.builtin.command": {"argv": ["touch", str(self.loot / "task-file")]},
            "delegate_to": "localhost",
        }
        evil = tasks_file(directory / "evil.yml", [touch])
        lookup = f"{{{{ lookup('ansible.builtin.pipe', 'touch {self.loot}/lookup') }}}}"
        stages = ("check", "mode", "instances", "verify", "persistence", "expose", "restore")
        self.facts = {
            "mig_partition_tasks": {f"{place}_{stage}": evil for place in ("before", "after") for stage in stages},
            "mig_partition_drain": ["slurm"],
            "mig_drain_slurm_host": "victim",
            "mig_slurm_host": "victim",
            "mig_partition_report": str(self.loot / "report"),
            "mig_partition_keep": [lookup],
            "mig_drain_change_id": lookup,
            f"mig_{lookup}": lookup,
            "__mig_partition_options": {"options": {"mig_partition_report": str(self.loot / "report")}},
        }

    def gained(self):
        """What the attacker has got of the controller, and what the other host was made to run."""
        return sorted(path.name for path in self.loot.iterdir()) + self.asked.modules()


@pytest.fixture
def attack(simulated_host, tmp_path):
    return Attack(simulated_host, tmp_path)


def role(**play):
    return {"hosts": "attacker", "gather_facts": False, "roles": ["gpufleet.mig.mig_partition"], **play}


def refused(run):
    """The run has failed, with one sentence about that host that names what it has sent."""
    run.failed()
    assert REFUSED in run.output
    assert "mig_drain_slurm_host" in run.output
    assert "lookup(" not in run.output.partition(REFUSED)[2].partition("\n")[0]


def test_from_the_first_answer(run_playbook, attack, controller):
    HostileAnswers(attack.host, attack.facts)
    run = run_playbook([role()], [attack.host, attack.victim], controller)
    refused(run)
    assert attack.gained() == []
    assert attack.host.show() == attack.before
    assert run.outcome(attack.host)["state"] == "failed"


def test_from_an_answer_in_the_middle(run_playbook, attack, controller):
    asked = HostileAnswers(attack.host, attack.facts, module="mig_instances")
    run = run_playbook([role()], [attack.host, attack.victim], controller)
    refused(run)
    assert "mig_instances" in asked.modules()
    assert attack.gained() == []
    # It was set, and could not be verified: it went back.
    assert profiles(attack.host) == [{}]


def test_from_an_earlier_play(run_playbook, attack, controller):
    HostileAnswers(attack.host, attack.facts, module="setup")
    earlier = {
        "hosts": "attacker",
        "gather_facts": True,
        "module_defaults": {"ansible.builtin.setup": {"gather_subset": "min"}},
        "tasks": [],
    }
    refused(run_playbook([earlier, role()], [attack.host, attack.victim], controller))
    assert attack.gained() == []
    assert attack.host.show() == attack.before


@pytest.mark.parametrize("module", ["mig_claim", "mig_driver_check", "mig_instances"])
def test_how_ansible_reaches_hosts_is_not_the_hosts_to_say(run_playbook, attack, edge_environment, module):
    # ansible-core lets facts set these, and would run the one and send everything through the other.
    facts = {f"ansible_{name}": str(attack.loot / "evil") for name in ("sftp_executable", "control_path")}
    asked = HostileAnswers(attack.host, facts, module=module)
    run = run_playbook([role()], [attack.host, attack.victim], edge_environment)
    if module == "mig_claim":
        # Its answer is the collection's own to take, which has no use for facts.
        run.ok()
        assert profiles(attack.host) == [{"3g.20gb": 1}]
        return
    run.failed()
    assert "attacker has facts with names of variables of gpufleet.mig or of Ansible's connections: " in run.output
    assert "sftp_executable" in run.output.partition("Ansible's connections: ")[2].partition(". ")[0]
    # It is not asked any more.
    assert asked.modules()[-1] == module
    assert attack.gained() == []
    assert run.outcome(attack.host)["state"] == "failed"


def test_where_nothing_is_to_be_done(run_playbook, attack):
    attack.host.run("nvidia-smi", "mig", "-cgi", "3g.20gb", "-C")
    before = attack.host.show()
    HostileAnswers(attack.host, attack.facts)
    refused(run_playbook([role()], [attack.host, attack.victim]))
    assert attack.gained() == []
    assert attack.host.show() == before


def test_the_other_hosts_are_told_of(run_playbook, attack, simulated_host, tmp_path):
    other = simulated_host("--mig", A100, name="other")
    other.more_variables["mig_partition_layout"] = LAYOUT
    facts = {**attack.facts, "mig_partition_result": {"state": "unchanged"}}
    HostileAnswers(attack.host, facts, module="setup")
    earlier = {
        "hosts": "attacker:other",
        "gather_facts": True,
        "module_defaults": {"ansible.builtin.setup": {"gather_subset": "min"}},
        "tasks": [],
    }
    run = run_playbook([earlier, role(hosts="attacker:other")], [attack.host, other, attack.victim])
    refused(run)
    assert attack.gained() == []
    assert profiles(other) == [{"3g.20gb": 1}]
    table = run.results("gpufleet.mig.mig_summary")[-1]["result"]["summary"]
    assert any(REFUSED in line for line in table)
    assert table[0] == "MIG: 1 changed, 1 FAILED"


@pytest.mark.parametrize("way", ["roles", pytest.param("include_role", marks=pytest.mark.prove)])
def test_a_variable_of_the_user_is_read_once(run_playbook, attack, tmp_path, way):
    wanted, loot = tmp_path / "wanted", tmp_path / "loot"
    wanted.mkdir()
    attack.host.more_variables["report_folder"] = str(wanted)
    HostileAnswers(attack.host, {"report_folder": str(loot)})
    name, variables = "gpufleet.mig.mig_partition", {"mig_partition_report": "{{ report_folder }}/report"}
    included = [{"ansible.builtin.include_role": {"name": name}, "vars": variables}]
    play = role(vars=variables) if way == "roles" else role(roles=[], tasks=included)
    run_playbook([play], [attack.host, attack.victim]).ok()
    assert attack.gained() == []
    assert (wanted / "report").exists()


@pytest.mark.prove
def test_a_second_use_of_the_role_has_its_own_values(run_playbook, simulated_host, tmp_path):
    host = simulated_host("--mig", A100, name="attacker")
    reports = [tmp_path / "first.json", tmp_path / "second.json"]
    layouts = [LAYOUT, [{"instances": {"1g.5gb": 2}}]]
    plays = [
        role(vars={"mig_partition_layout": layout, "mig_partition_report": str(report)})
        for layout, report in zip(layouts, reports, strict=True)
    ]
    run_playbook(plays, [host]).ok()
    assert profiles(host) == [{"1g.5gb": 2}]
    assert [report.exists() for report in reports] == [True, True]


def test_text_that_says_false_is_false(run_playbook, simulated_host):
    # As with -e mig_partition_persistence=false: it was taken for true, and a unit installed.
    host = simulated_host("--mig", A100, name="attacker")
    variables = {"mig_partition_layout": LAYOUT, "mig_partition_persistence": "false", "mig_partition_expose": ""}
    run = run_playbook([role()], [host], extra_vars=variables).ok()
    assert run.results("gpufleet.mig.mig_persistence") == []
    assert profiles(host) == [{"3g.20gb": 1}]
