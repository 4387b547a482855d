# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where users give variables, and what a role says of them as it begins: a layout and a label, names that are none."""

from __future__ import annotations

import itertools

import environments
import pytest
from paths import COLLECTIONS
from role_beginning import FILES, RESTORE, Beginnings

LAYOUT = {"mig_partition_layout": [{"instances": {"1g.5gb": 7}}]}
LABEL = {"mig_partition_mig_parted_label": "all-balanced"}
BOTH = {**LAYOUT, **LABEL}
MISSPELT = {"mig_partition_drian": ["slurm"]}
# The places at which a user gives variables, and what a message calls each.
PLACES = {
    "-e": "by -e",
    "role": "with the role",
    "vars_files": "in {folder}/" + FILES["vars_files"],
    "play": "in the play Partition",
    "host": "for host gpu-1",
    "host_vars": "for host gpu-1",
    "play_host_vars": "for host gpu-1",
    "group": "for group gpus",
    "group_vars": "for group gpus",
    "play_group_vars": "for group gpus",
    "parent": "for group site",
    "all": "for group all",
    "all_vars": "for group all",
}
# One of each place that has a name of its own, beside the next, either way round.
ONE_EACH = list({what: place for place, what in PLACES.items()}.values())
NEIGHBOURS = [pair for one, two in itertools.pairwise(ONE_EACH) for pair in ((one, two), (two, one))]


@pytest.fixture(scope="module", params=["main", "oldest", pytest.param("newest", marks=pytest.mark.prove)])
def beginnings(request):
    """The controllers that the collection supports differ in what they tell of a variable."""
    if request.param == "main":
        environment = environments.main_environment()
    elif found := environments.pair(request.param):
        environment = environments.environment(*found)
    else:
        pytest.skip(f"no Python for the {request.param} supported ansible-core: {environments.CORES}")
    program = Beginnings(environment, COLLECTIONS)
    yield program
    program.close()


@pytest.fixture
def begin(beginnings, tmp_path):
    """begin({place: variables}): what the first task of a role says on gpu-1, given these variables."""
    numbers = itertools.count()
    return lambda given, **more: beginnings.begin(tmp_path / str(next(numbers)), given, **more)


@pytest.mark.parametrize("place", PLACES)
def test_layout_and_label_at_one_place_are_a_contradiction(begin, place, tmp_path):
    answer = begin({place: BOTH})
    where = PLACES[place].format(folder=tmp_path / "0")
    assert answer["refusal"] == (
        f"Nothing was done for gpu-1: mig_partition_layout and mig_partition_mig_parted_label were both given {where}."
        " Only one can count: leave the other out there, or empty."
    )
    assert answer["warnings"] == []


@pytest.mark.parametrize(("layout", "label"), NEIGHBOURS)
def test_at_two_places_the_layout_counts_and_one_warning_says_so(begin, layout, label):
    answer = begin({layout: LAYOUT, label: LABEL})
    assert answer["options"] == BOTH | answer["options"]
    assert answer["warnings"] == [
        "mig_partition_mig_parted_label (all-balanced) is passed over where mig_partition_layout is given, too, at"
        " another place."
    ]


def test_files_and_inventory_of_one_group_are_one_place(begin):
    assert "were both given for group gpus." in begin({"group": LAYOUT, "play_group_vars": LABEL})["refusal"]


def test_what_outranks_a_contradiction_ends_it(begin):
    for outranking in ({"-e": {"mig_partition_mig_parted_label": ""}}, {"host": {"mig_partition_layout": []}}):
        answer = begin({"group": BOTH, **outranking})
        assert (answer["refusal"], answer["warnings"]) == ("", [])
    # The two that count do not stand together.
    answer = begin({"group": BOTH, "host": {"mig_partition_layout": [{"mig_enabled": False}]}})
    assert (answer["refusal"], len(answer["warnings"])) == ("", 1)


def test_where_it_cannot_be_told_it_is_a_warning(begin):
    answer = begin({"group": {"mig_partition_layout": []}}, set_facts=BOTH)
    assert (answer["refusal"], len(answer["warnings"])) == ("", 1)


@pytest.mark.parametrize("place", PLACES)
def test_a_misspelt_option_is_refused_wherever_it_was_given(begin, place, tmp_path):
    answer = begin({place: MISSPELT}, role=RESTORE)
    where = PLACES[place].format(folder=tmp_path / "0")
    assert answer["refusal"] == (
        "Nothing was done for gpu-1: gpufleet.mig has no variable mig_partition_drian, which was given"
        f" {where}. Did you mean mig_partition_drain?"
    )
    assert answer["warnings"] == []


@pytest.mark.parametrize(
    ("name", "option"),
    {
        "mig_partition_drains": "mig_partition_drain",
        "mig_partition_layot": "mig_partition_layout",
        "mig_partion_drain": "mig_partition_drain",
        "mig_partition_mig_parted_lable": "mig_partition_mig_parted_label",
        "mig_drain_slurm_job": "mig_drain_slurm_jobs",
        "mig_slurm_type": "mig_slurm_types",
        "mig_state_dirs": "mig_state_dir",
        "mig_restore_clam": "mig_restore_claim",
    }.items(),
)
def test_which_option_was_meant(begin, name, option):
    refusal = begin({"group": {name: "a"}})["refusal"]
    assert f" no variable {name}, " in refusal
    assert refusal.endswith(f" Did you mean {option}?")


@pytest.mark.parametrize("name", ["mig_partition_label", "mig_drain_everything", "mig_partition_hooks"])
def test_a_name_that_begins_like_an_option_is_warned_of_with_the_same_words_for_every_host(begin, name):
    for place in ("-e", "host", "group"):
        answer = begin({place: {name: "a"}})
        assert answer["refusal"] == ""
        assert answer["warnings"] == [f"{name} was given, and no role of gpufleet.mig takes a variable of that name."]


def test_other_names_are_nobodys_business(begin):
    names = [
        "mig_site",
        "mig_partition_layout_a100",
        "migration_partition_drian",
        "my_mig_partition_drian",
        "partition_drian",
        "mig",
    ]
    answer = begin({"group": dict.fromkeys(names, 1)})
    assert (answer["refusal"], answer["warnings"]) == ("", [])


@pytest.mark.parametrize(
    ("given", "set_facts"),
    [
        ({}, {**MISSPELT, "mig_partition_drained": {}, "mig_slurm_unknown": 1}),
        # What outranks the role's own names when it is given with the role, as the playbook rollback does.
        ({"role": {"__mig_partition_wanted": [], "__mig_partition_no_layout": "None."}}, {}),
        # What the argument specs speak of.
        ({"play": {"mig_partition_result": {}, "mig_driver_check": {}, "mig_state_dir": "/a"}}, {}),
    ],
    ids=["set or registered", "the role's own", "results"],
)
def test_what_is_set_and_the_roles_own_names_are_no_misspelt_options(begin, given, set_facts):
    answer = begin(given, set_facts=set_facts)
    assert (answer["refusal"], answer["warnings"]) == ("", [])


def test_what_a_filter_says_is_told_and_is_no_template(begin):
    layout = "{{ file | gpufleet.mig.from_mig_parted('{' ~ '{ 6 * 7 }' ~ '}') }}"
    given = {"mig_partition_layout": layout, "file": {"version": "v1", "mig-configs": {"balanced": []}}}
    refusal = begin({"group": given})["refusal"]
    assert refusal == "Nothing was done for gpu-1: label: mig-configs has no '{{ 6 * 7 }}'; it has balanced."


def test_a_fact_is_refused_as_a_fact(begin):
    assert "gpu-1 has facts with names of variables" in begin({}, facts=MISSPELT)["refusal"]


@pytest.mark.parametrize("role", ["mig_assign", "mig_container_runtime", "mig_device_plugin", "mig_slurm"])
def test_the_layout_to_come_has_an_earlier_name_in_each_role_that_exposes(begin, role):
    entries = [{"gpus": ["GPU-1"], "mig_enabled": False}]
    entry_point = (f"gpufleet.mig.{role}", "check")
    for name in (f"{role}_target", "mig_expose_target"):
        answer = begin({"role": {name: entries, "mig_expose_pending": True}}, role=entry_point)
        assert (answer["refusal"], answer["warnings"]) == ("", [])
        assert answer["options"][f"{role}_target"] == entries
    assert begin({}, role=entry_point)["options"][f"{role}_target"] == []


@pytest.mark.parametrize("place", ["-e", "host", "all"])
def test_options_of_mig_reconcile_fall_back_on_those_of_mig_device_plugin(begin, place):
    given = {
        "mig_device_plugin_mig_config_map": "a/b",
        "mig_device_plugin_claim_timeout": 30,
        "mig_device_plugin_kubernetes_node": "a.example.com",
        "mig_drain_kubernetes_kubeconfig": "/etc/kubeconfig",
    }
    answer = begin({place: given}, role=("gpufleet.mig.mig_reconcile", "main"))
    assert (answer["refusal"], answer["warnings"]) == ("", [])
    assert answer["options"] == {
        "mig_reconcile_config_map": "a/b",
        "mig_reconcile_mig_parted_config": "",
        "mig_reconcile_state_dir": "/var/lib/gpufleet-mig",
        "mig_reconcile_claim_timeout": "30",
        "mig_reconcile_kubernetes_node": "a.example.com",
        "mig_reconcile_kubernetes_delegate_to": "localhost",
        "mig_reconcile_kubernetes_kubeconfig": "/etc/kubeconfig",
        "mig_reconcile_kubernetes_context": "",
    }
