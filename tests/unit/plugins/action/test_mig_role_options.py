# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables with which a role begins: of the type that its argument spec says, and none of them a host's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.template import Templar
from paths import ROOT
from role_beginning import template

from ansible_collections.gpufleet.mig.plugins.action.mig_role_options import ActionModule

SPECS = {
    path.parent.parent.name: yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))
}
# How users write a value with -e NAME=VALUE or in an INI inventory, and what it is, by its type.
TEXTS = {"bool": [("false", False), ("yes", True)], "int": [("600", 600)], "float": [("1.5", 1.5), ("2", 2.0)]}
LISTS = {"str": [("a", ["a"]), ("a,b", ["a", "b"]), ("", [])], "dict": [('[{"key": "a"}]', None)]}


def options(role, entry_point, variables, facts=()):
    """What the plugin returns as options in that role, for these variables and facts of the host gpu-1."""
    loader = DataLoader()
    everything = {
        "inventory_hostname": "gpu-1",
        "role_path": str(ROOT / "roles" / role),
        "ansible_facts": dict.fromkeys(facts, 1),
        **variables,
    }
    templar = Templar(loader=loader, variables=everything)
    task = Task.load({"action": "gpufleet.mig.mig_role_options", "args": {"entry_point": entry_point}})
    # It contacts no host: a connection that can do nothing is enough.
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"))
    plugin = ActionModule(task, connection, PlayContext(), loader, templar, None)
    result = plugin.run(task_vars=everything)
    if result.get("failed"):
        raise AnsibleActionFail(result["msg"])
    return result["options"]


def cases():
    for role, entries in SPECS.items():
        for entry, spec in entries.items():
            for name, option in spec["options"].items():
                for text, value in TEXTS.get(option["type"], LISTS[option["elements"]] if "elements" in option else []):
                    if value is not None and "choices" not in option:
                        yield pytest.param(role, entry, name, text, value, id=f"{entry}-{name}-{text}")


@pytest.mark.parametrize(("role", "entry", "name", "text", "value"), list(cases()))
def test_text_becomes_what_the_argument_spec_says(role, entry, name, text, value):
    required = {one: "x" for one, option in SPECS[role][entry]["options"].items() if option.get("required")}
    taken = options(role, entry, {**required, name: text})
    assert taken == {**required, name: value}
    assert type(taken[name]) is type(value)


def test_each_type_is_among_them():
    types = {
        option["type"] for spec in SPECS.values() for entry in spec.values() for option in entry["options"].values()
    }
    assert types <= {*TEXTS, "list", "str", "path", "dict"}


def test_a_number_for_a_text_is_text_and_a_path_stays_as_it_is_written():
    taken = options(
        "mig_partition", "main", {"mig_partition_mig_parted_label": 7, "mig_partition_state_dir": "~/$HOME"}
    )
    assert taken == {"mig_partition_mig_parted_label": "7", "mig_partition_state_dir": "~/$HOME"}


def test_a_template_is_evaluated_once():
    variables = {
        "mig_partition_mig_parted_label": template("{{ '{' ~ '{ 1 + 1 }' ~ '}' }}"),
        "mig_partition_drain": template("{{ [one] }}"),
        "one": template("{{ 'kuber' ~ 'netes' }}"),
    }
    taken = options("mig_partition", "main", variables)
    assert taken == {"mig_partition_mig_parted_label": "{{ 1 + 1 }}", "mig_partition_drain": ["kubernetes"]}


def test_an_option_within_an_option_that_was_not_given_stays_away():
    services = [{"name": "a", "memory_mib": "10", "users": "alice,bob"}]
    taken = options("mig_assign", "main", {"mig_assign_services": services})
    assert taken == {"mig_assign_services": [{"name": "a", "memory_mib": 10, "users": ["alice", "bob"]}]}
    assert options("mig_device_plugin", "main", {"mig_device_plugin_mps": {}}) == {"mig_device_plugin_mps": {}}


def test_an_option_that_was_not_given_may_be_pinned_around():
    pin = template("{{ __mig_assign_options.options.mig_assign_strategy }}")
    variables = {"mig_assign_strategy": pin, "__mig_assign_options": {"options": {}}}
    assert options("mig_assign", "main", variables) == {}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"mig_partition_drain_deadline": "soon"}, ["gpu-1", "mig_partition_drain_deadline", "int"]),
        ({"mig_partition_reboot": "perhaps"}, ["mig_partition_reboot", "bool"]),
        ({"mig_partition_drain": template("{{ hooks }}")}, ["gpu-1", "mig_partition_drain", "hooks"]),
    ],
)
def test_what_is_no_such_value_is_named(variables, words):
    with pytest.raises(AnsibleActionFail) as failure:
        options("mig_partition", "main", variables)
    assert [word for word in words if word not in str(failure.value)] == []


def test_choices_are_named():
    with pytest.raises(
        AnsibleActionFail, match="mig_drain_slurm_jobs must be one of: wait, requeue, cancel, got: kill"
    ):
        options("mig_drain", "drain", {"mig_drain_slurm_jobs": "kill"})


@pytest.mark.parametrize("name", ["mig_drain_hooks", "mig_state_dir", "__mig_slurm_options", "mig_"])
def test_a_host_with_facts_of_our_names_is_refused(name):
    with pytest.raises(AnsibleActionFail, match=rf"gpu-1 has facts with names of variables of gpufleet.mig: {name}\. "):
        options("mig_drain", "drain", {}, facts=[name, "os_family"])


def test_the_fact_of_mig_facts_and_other_facts_are_no_matter():
    assert options("mig_drain", "drain", {}, facts=["mig", "migration", "my_mig_x", "os_family"]) == {}


def test_names_that_a_host_has_chosen_are_shown_without_harm():
    names = [f"mig_{number}" for number in range(50)] + ["mig_\n\x1b[31m{{ 1 }}", "mig_" + "x" * 100_000]
    with pytest.raises(AnsibleActionFail) as failure:
        options("mig_drain", "drain", {}, facts=sorted(names))
    message = str(failure.value)
    assert message.isprintable()
    assert "{{" not in message
    assert len(message) < 1500
    assert "and 44 more" in message
