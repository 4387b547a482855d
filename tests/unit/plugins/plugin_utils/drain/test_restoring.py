# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a drain record is restored, and with what: nothing is taken from it that the controller does not know."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.restoring import drain_restoring

HOOKS = ["systemd", "/srv/a/notebooks.yml", "/srv/b/jobs.yaml", "/srv/b/twice.yml", "/srv/c/twice.yml"]
HERE = {
    "mig_drain_slurm_node": "gpu-7",
    "mig_drain_slurm_host": "slurm-1",
    "mig_drain_slurm_directory": "/opt/slurm/bin",
    "mig_drain_kubernetes_node": "gpu-7.example.com",
}
LABELS = ["nvidia.com/gpu.deploy.dcgm", "nvidia.com/gpu.deploy.nvsm"]
REASON = "gpufleet.mig: change of MIG "


def entry(hook, done, change=None, number=0):
    return {"id": f"{number:064x}", "hook": hook, "done": done, "change": change}


def restoring(*entries, hooks=tuple(HOOKS), stage="all", exists=lambda path: "restore_clients" not in path):
    return drain_restoring(list(entries), "gpu-7", list(hooks), "/role/tasks", HERE, LABELS, stage, exists)


def slurm(**done):
    here = {"node": "gpu-7", "host": "slurm-1", "directory": "/opt/slurm/bin", "reason": f"{REASON}c-1"}
    return {**here, **done}


def given(sentence):
    """The variables of the -e line in a sentence; its words are what a shell makes of it."""
    words = shlex.split(re.search(r"-l .*", sentence).group())
    assert words[:3] == ["-l", "gpu-7", "-e"]
    return json.loads(words[3])


def test_hooks_are_restored_in_reverse_each_in_its_stages():
    entries = [
        entry("kubernetes", {"node": "gpu-7.example.com", "cordoned": True, "paused": LABELS[:1]}, number=1),
        entry("slurm", slurm(), number=2),
        entry("/srv/a/notebooks.yml", ["whatever", {"it": "{{ said }}"}], number=3),
        entry("gpu_clients", {"units": ["nvsm.service"]}, number=4),
    ]
    told = restoring(*entries, exists=lambda path: True)
    assert [(one["file"], one["last"]) for one in told["clients"]] == [
        ("/role/tasks/gpu_clients_restore_clients.yml", True),
        ("/srv/a/notebooks_restore_clients.yml", False),
        ("/role/tasks/kubernetes_restore_clients.yml", False),
    ]
    assert [(one["file"], one["last"], one["ids"]) for one in told["workloads"]] == [
        ("/srv/a/notebooks_restore.yml", True, [f"{3:064x}"]),
        ("/role/tasks/slurm_restore.yml", True, [f"{2:064x}"]),
        ("/role/tasks/kubernetes_restore.yml", True, [f"{1:064x}"]),
    ]
    assert told["workloads"][0]["done"] == ["whatever", {"it": "{{ said }}"}]
    assert told["workloads"][1]["done"] == slurm()
    assert told["refusals"] == []


def test_a_stage_has_what_it_restores_and_refusals_are_told_in_the_last():
    entries = [
        entry("/srv/a/notebooks.yml", {}, number=1),
        entry("gpu_clients", {"units": []}, number=2),
        entry("/etc/evil.yml", {}, number=3),
    ]
    both, clients, workloads = (restoring(*entries, stage=stage) for stage in ("all", "clients", "workloads"))
    assert (clients["clients"], clients["workloads"], clients["refusals"]) == (both["clients"], [], [])
    assert [one["hook"] for one in workloads["workloads"]] == [one["hook"] for one in both["workloads"]]
    assert (workloads["clients"], len(workloads["refusals"])) == ([], 1)
    # Of both stages together each item names those before it.
    first, last = both["clients"] + both["workloads"]
    assert (first["after"], last["after"]) == ([], [[first["file"], first["ids"]]])


@pytest.mark.parametrize("hook", ["kubernetes", "slurm", "systemd", "gpu_clients"])
def test_a_hook_that_had_done_nothing_yet_is_struck_out(hook):
    told = restoring(entry(hook, {}))
    last = [one for one in [*told["clients"], *told["workloads"]] if one["last"]]
    assert [one["done"].get("units", []) for one in last] == [[]]
    assert "node" not in last[0]["done"]
    assert told["refusals"] == []


def test_the_file_of_a_hook_is_always_the_variables():
    found = restoring(
        entry("/srv/a/notebooks.yml", {}), entry("/home/alice/checkout/jobs.yaml", {}), entry("/srv/c/twice.yml", {})
    )
    assert [one["hook"] for one in found["workloads"]] == [
        "/srv/c/twice.yml", "/srv/b/jobs.yaml", "/srv/a/notebooks.yml"
    ]  # fmt: skip
    assert found["refusals"] == []


UNKNOWN = [
    "/etc/evil.yml",
    "/srv/a/notebooks.yaml",
    "/srv/a/notebooks_restore.yml",
    '/srv/it\'s/$(here) "there".yml',
]


@pytest.mark.parametrize("hook", UNKNOWN)
def test_an_unknown_hook_is_left_with_the_line_that_would_restore_it(hook):
    found = restoring(entry("/srv/a/notebooks.yml", {}), entry(hook, {}))
    assert [one["hook"] for one in found["workloads"]] == ["/srv/a/notebooks.yml"]
    (sentence,) = found["refusals"]
    assert given(sentence) == {"mig_drain_hooks": [hook]}
    again = restoring(entry(hook, {}), hooks=[*HOOKS, *given(sentence)["mig_drain_hooks"]])
    assert [one["hook"] for one in again["workloads"]] == [hook]


def test_several_unknown_hooks_are_one_line():
    found = restoring(*(entry(hook, {}) for hook in UNKNOWN))
    assert [given(sentence) for sentence in found["refusals"]] == [{"mig_drain_hooks": UNKNOWN}]


@pytest.mark.parametrize(
    "hook",
    [
        "{{ lookup('pipe', 'touch /tmp/x') }}",
        "/{{ lookup('pipe', 'id') }}/notebooks.yml",
        "/srv/{% include 'a' %}.yml",
        "/srv/a\nb.yml",
        "/srv/\x1b[2J.yml",
        "/srv/\u202egnp.yml",
        "relative.yml",
        "../tasks/slurm.yml",
        "kubernetes_pause",
        "",
    ],
)
def test_a_hook_that_is_none_is_not_even_shown(hook):
    found = restoring(entry(hook, {}), entry("/srv/a/notebooks.yml", {}))
    assert [one["hook"] for one in found["workloads"]] == ["/srv/a/notebooks.yml"]
    (sentence,) = found["refusals"]
    assert "drain.json of gpu-7" in sentence
    assert not set("{}\n\x1b\u202e") & set(sentence)


def test_one_name_in_two_places_has_to_be_chosen():
    found = restoring(entry("/home/alice/twice.yml", {}))
    assert found["workloads"] == []
    (sentence,) = found["refusals"]
    assert "/srv/b/twice.yml or /srv/c/twice.yml" in sentence
    assert given(sentence)["mig_partition_drain"] == ["/srv/b/twice.yml"]


@pytest.mark.parametrize(
    "hook, done, wanted",
    [
        ("slurm", slurm(host="victim"), {"mig_drain_slurm_host": "victim"}),
        ("slurm", slurm(directory="/tmp/x"), {"mig_drain_slurm_directory": "/tmp/x"}),
        ("slurm", slurm(node="gpu-8", host="a"), {"mig_drain_slurm_node": "gpu-8", "mig_drain_slurm_host": "a"}),
        ("kubernetes", {"node": "other"}, {"mig_drain_kubernetes_node": "other"}),
    ],
)
def test_another_place_is_left_with_the_line_that_would_restore_it(hook, done, wanted):
    found = restoring(entry(hook, done))
    assert (found["clients"], found["workloads"]) == ([], [])
    (sentence,) = found["refusals"]
    assert given(sentence) == wanted
    again = drain_restoring([entry(hook, done)], "gpu-7", HOOKS, "/role/tasks", {**HERE, **wanted}, LABELS)
    assert again["refusals"] == []
    assert len(again["workloads"]) == 1


OTHERWISE = {
    "a host that is none": ("slurm", slurm(host=["victim"])),
    "a template for a host": ("slurm", slurm(host="{{ lookup('pipe', 'id') }}")),
    "a directory with a newline": ("slurm", slurm(directory="/a\nb")),
    "another's reason": ("slurm", slurm(reason="fan broken")),
    "a reason of another type": ("slurm", slurm(reason=None)),
    "a reason with more in it": ("slurm", slurm(reason=f"{REASON}c-1 State=RESUME\n")),
    "units that are none": ("systemd", {"units": "a.service"}),
    "an option": ("systemd", {"units": ["a.service", "--now"]}),
    "a pattern": ("gpu_clients", {"units": ["*.service"]}),
    "the root file system": ("systemd", {"units": ["-.mount"]}),
    "a target": ("systemd", {"units": ["poweroff.target"]}),
    "a unit with a newline": ("systemd", {"units": ["a.service\nb.service"]}),
    "no bool": ("kubernetes", {"node": "gpu-7.example.com", "cordoned": "yes"}),
    "another label": ("kubernetes", {"node": "gpu-7.example.com", "paused": ["node-role.kubernetes.io/master"]}),
    "labels of another type": ("kubernetes", {"node": "gpu-7.example.com", "paused": {LABELS[0]: 1}}),
    "a list": ("slurm", [1]),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_what_no_hook_writes_is_left(case):
    hook, done = OTHERWISE[case]
    found = restoring(entry("/srv/a/notebooks.yml", {}), entry(hook, done))
    assert [one["hook"] for one in found["workloads"]] == ["/srv/a/notebooks.yml"]
    assert found["clients"] == []
    (sentence,) = found["refusals"]
    assert "drain.json of gpu-7 " in sentence
    assert not set("{}\n") & set(sentence)


@pytest.mark.parametrize("change", ["c-1", None])
def test_the_reason_is_made_anew_from_the_change(change):
    (one,) = restoring(entry("slurm", slurm(), change))["workloads"]
    assert one["done"]["reason"] == f"{REASON}c-1"
    assert restoring(entry("slurm", slurm(), "c-2"))["workloads"] == []


def test_an_entry_of_the_first_releases_has_no_place():
    (one,) = restoring(entry("slurm", {"node": "gpu-7", "reason": f"{REASON}gpu-72026-11-29 23:37:14.1-8f"}))[
        "workloads"
    ]
    assert (one["done"]["host"], one["done"]["directory"]) == ("slurm-1", "/opt/slurm/bin")


def test_a_hook_whose_file_is_gone_keeps_no_other():
    entries = [entry("/srv/a/notebooks.yml", {}), entry("/srv/b/jobs.yaml", {}), entry("systemd", {"units": []})]
    found = restoring(*entries, exists=lambda path: path == "/srv/a/notebooks_restore.yml")
    assert [one["hook"] for one in found["workloads"]] == ["systemd", "/srv/a/notebooks.yml"]
    assert found["refusals"] == ["/srv/b/jobs_restore.yaml, which restores what jobs.yaml drained, is not there."]


def test_a_socket_of_one_run_starts_before_the_service_of_another():
    entries = [
        entry("systemd", {"units": ["a.socket", "a.service"]}, "c-1", 1),
        entry("slurm", slurm(), "c-1", 2),
        entry("systemd", {"units": ["b.service", "a.service"]}, "c-2", 3),
    ]
    first, second = restoring(*entries)["workloads"]
    assert first["done"]["units"] == ["a.socket", "a.service", "b.service", "a.service"]
    assert first["ids"] == [f"{1:064x}", f"{3:064x}"]
    assert second["hook"] == "slurm"


def deep(levels):
    value = {}
    for _level in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        "entries",
        [None],
        [{"hook": "slurm"}],
        [entry(5, {})],
        [entry("slurm", {}, 5)],
        [entry("x", deep(900))],
    ],
)
def test_an_answer_that_is_no_record_restores_nothing(answer):
    found = drain_restoring(answer, "gpu-7", HOOKS, "/role/tasks", HERE, LABELS)
    assert (found["clients"], found["workloads"]) == ([], [])
    assert found["refusals"] == ["What gpu-7 answered is no drain record. See drain.json there."]


def test_hooks_that_are_none_are_no_hooks():
    found = restoring(entry("/srv/a/notebooks.yml", {}), hooks=[None, 5, ["/srv/a/notebooks.yml"], "a.yml"])
    assert found["workloads"] == []
