# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of hosts, as data and as a table."""

from __future__ import annotations

import json
import time

import jsonschema
import pytest
from paths import ROOT

from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.fleet import merged, report, table
from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.host import failure_message, partition_result

SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
GPU = {"index": 0, "uuid": "GPU-0", "pci_address": "00000000:07:00.0", "product": "NVIDIA A100-SXM4-40GB"}
RESET = {"action": "reset_gpu", "gpu": {key: GPU[key] for key in ("index", "uuid", "pci_address")}}
CHECK = {
    "ok": True,
    "evidence": {"mig_capable": True},
    "mig": {"gpus": [GPU]},
    "plan": [RESET],
    "actions": ["GPU 0: reset"],
    "kept": ["MIG-kept"],
    "disrupted": ["MIG-gone"],
    "reset_gpus": [RESET["gpu"]],
    "reboot_required": False,
}


def result(**run):
    """A host's result: as it was found, but for what is given."""
    nothing = {"changes": [], "failures": [], "drained": [], "hooks": [], "rebooted": False, "brought_back": None}
    return partition_result({"check": {**CHECK, "plan": []}, "check_mode": False, **nothing, **run})


CHANGED = result(check=CHECK, changes=[{"changed": True, "done": [RESET], "disrupted": ["MIG-gone", "MIG-between"]}])
FAILED = result(
    check=CHECK,
    changes=[
        {"changed": True, "done": [RESET], "disrupted": []},
        {"changed": True, "done": [], "disrupted": ["MIG-new"]},
    ],
    failures=[{"stage": "instances", "message": "It broke."}, {"stage": "restore", "message": "That too."}],
    brought_back=True,
)
UNREACHABLE = result(check={"unreachable": True, "msg": "No route"}, failures=[{"stage": "check", "message": "odd"}])


def told(results, everyone, batch=None, present=None):
    data = report(results, everyone, batch or everyone, everyone if present is None else present, False)
    jsonschema.validate(data, SCHEMA)
    return data


def test_where_nothing_was_compared_nothing_is_as_wanted():
    why = "No entry of the layout is about any MIG-capable GPU of this host."
    data = told({"a": result(check={**CHECK, "plan": [], "nothing_to_compare": why})}, ["a"])
    assert (data["version"], data["counts"]) == (3, {"nothing_to_compare": 1})
    assert data["hosts"]["a"]["message"] == why
    lines = table(data, ["a"])
    assert lines[0] == "MIG: 1 nothing to compare"
    assert lines[1:] == ["nothing to compare: a", f"    {why}"]


def test_instances_that_are_not_planned_yet_are_told_of_in_check_mode():
    foretold = result(check={**CHECK, "not_checked": [RESET["gpu"]]}, check_mode=True)
    assert foretold["not_checked"] == [RESET["gpu"]]
    data = told({"a": foretold}, ["a"])
    assert "would change, reset GPU 0, instances of GPU 0 not planned yet" in table(data, ["a"])[2]
    assert result(check={**CHECK, "not_checked": [RESET["gpu"]]})["not_checked"] == []


def test_what_was_done_counts_not_what_was_planned():
    assert (CHANGED["state"], CHANGED["kept"], CHANGED["disrupted"]) == ("changed", ["MIG-kept"], ["MIG-gone"])
    assert CHANGED["reset_gpus"] == [RESET["gpu"]]
    skipped = {**RESET, "needed": False}
    assert result(check=CHECK, changes=[{"changed": True, "done": [skipped]}])["reset_gpus"] == []
    foretold = result(check=CHECK, check_mode=True)
    assert (foretold["state"], foretold["disrupted"], foretold["changed"]) == ("would_change", ["MIG-gone"], True)


def test_a_failure_keeps_its_first_stage_and_all_messages():
    assert (FAILED["state"], FAILED["stage"], FAILED["message"]) == ("failed", "instances", "It broke. That too.")
    # What it created and destroyed again was nobody's before.
    assert FAILED["changed"] is False
    assert FAILED["kept"] == ["MIG-kept", "MIG-gone"]


def test_an_unreachable_host_says_why():
    assert (UNREACHABLE["state"], UNREACHABLE["message"]) == ("unreachable", "No route")


@pytest.mark.parametrize(
    ("check", "state"),
    [({"ok": True, "evidence": {"mig_capable": False}}, "no_gpus"), ({**CHECK, "plan": []}, "unchanged")],
)
def test_a_host_with_nothing_to_do(check, state):
    assert result(check=check)["state"] == state


def test_check_mode_without_the_binding_says_so():
    missing = {"ok": False, "problem": "nvidia-ml-py is missing.", "evidence": {"mig_capable": True}}
    foretold = result(check=missing, check_mode=True)
    assert (foretold["state"], foretold["message"]) == ("not_checked", "nvidia-ml-py is missing.")
    assert not foretold["changed"]
    assert "not checked" in "\n".join(table(told({"a": foretold}, ["a"], ["a"], ["a"]), ["a"]))


def test_a_change_that_is_refused_is_foretold_as_the_run_ends():
    why = [{"stage": "check", "message": "In use."}]
    foretold, done = (result(check=CHECK, failures=why, check_mode=check_mode) for check_mode in (True, False))
    assert foretold == {**done, "check_mode": True}
    assert (foretold["changed"], foretold["kept"], foretold["disrupted"]) == (False, ["MIG-kept", "MIG-gone"], [])


def test_hosts_that_cannot_tell_are_told_of():
    results = {"a": CHANGED, "b": {"state": "unfinished"}, "c": CHANGED}
    data = told(results, ["a", "b", "c", "d", "e"], ["b", "c", "d"], ["b", "c"])
    states = {host: one["state"] for host, one in data["hosts"].items()}
    assert states == {"a": "changed", "b": "unfinished", "c": "changed", "d": "failed", "e": "not_reached"}
    assert not data["complete"]
    # A result that a host left before it was lost is not the last word.
    assert told(results, ["a", "c"], present=["a"])["hosts"]["c"]["state"] == "unfinished"


def test_who_takes_no_part_is_not_told_of():
    data = told({"a": CHANGED}, ["a", "b", "c"], present=["a", "b"])
    assert {host: one["state"] for host, one in data["hosts"].items()} == {"a": "changed", "c": "failed"}
    assert data["hosts"]["c"]["message"].startswith(
        "The host failed before this role had begun with it, so nothing was"
    )
    assert [line.split()[0] for line in table(data, ["a", "b"])] == ["MIG:", "HOST", "a", "1"]
    assert not told({"a": FAILED}, ["a", "b", "c"], ["a", "b"], ["a", "b"])["complete"]


def test_a_batch_that_fails_ends_the_play():
    data = told({"a": FAILED}, ["a", "b"], ["a"])
    assert data["complete"]
    assert data["counts"] == {"failed": 1, "not_reached": 1}


def test_the_table():
    data = told(
        {"one": CHANGED, "two": FAILED, "three": UNREACHABLE, "four": result()}, ["one", "two", "three", "four"]
    )
    assert table(data, list(data["hosts"]), "ansible-playbook a.yml …") == [
        "MIG: 1 as wanted, 1 changed, 1 FAILED, 1 UNREACHABLE",
        "as wanted: four",
        "HOST   RESULT                                         CREATED  KEPT  DISRUPTED  DRAINED  RESTORED",
        "one    changed, reset GPU 0                                 0     1          1",
        "    1 x A100-SXM4-40GB",
        "two    FAILED (instances), brought back, reset GPU 0        0     2          0",
        "    1 x A100-SXM4-40GB",
        "    It broke. That too.",
        "three  UNREACHABLE",
        "    No route",
        "Once the cause is gone: ansible-playbook a.yml … --limit two,three",
    ]


def gpus_read(*instances, uuid="GPU-0", mig_enabled=True):
    """What mig_check read: one GPU with GPU instances of these profiles, one compute instance in each."""
    inside = [{"profile": one, "compute_instances": [{"profile": one}]} for one in instances]
    entry = {"gpus": [uuid], "mig_enabled": mig_enabled, **({"instances": inside} if mig_enabled else {})}
    return {"driver_version": "580.1", "gpus": [{**GPU, "uuid": uuid, "layout": entry}]}


def step(action, uuid):
    return {"action": f"{action}_compute_instance", "gpu": RESET["gpu"], "uuid": uuid}


def test_equal_hosts_on_which_nothing_happened_are_counted():
    hosts = [f"gpu-{number}" for number in range(470)]
    data = told(dict.fromkeys(hosts, result()), hosts)
    assert table(data, hosts) == ["MIG: 470 as wanted", "as wanted: 470 hosts"]
    assert table(data, hosts[:3])[1] == "as wanted: gpu-0, gpu-1, gpu-2"


def test_one_reason_of_several_hosts_is_told_once():
    hosts = ["a", "b", "c", "d"]
    why = {host: [{"stage": "check", "message": f"No layout for {host}."}] for host in hosts}
    why["b"] = [{"stage": "check", "message": "In use."}]
    data = told({host: result(check=CHECK, failures=why[host]) for host in hosts}, hosts)
    lines = [line for line in table(data, hosts)[2:] if "A100" not in line]
    assert [line.split()[0] for line in lines] == ["a", "c", "d", "No", "b", "In", "Once"]


def test_what_was_created_and_is_still_there():
    changes = [
        {"done": [step("create", "MIG-1"), step("create", "MIG-2")], "disrupted": []},
        {"done": [step("destroy", "MIG-gone"), step("create", "MIG-3")], "undone": [step("destroy", "MIG-3")]},
        {"done": [step("create", "MIG-4")], "disrupted": ["MIG-1"]},
    ]
    assert result(check=CHECK, changes=changes)["created"] == ["MIG-2", "MIG-4"]
    assert result(check=CHECK, changes=changes, check_mode=True)["created"] == []


def test_the_layout_is_what_was_read_last():
    before, after, back = gpus_read("7g.40gb"), gpus_read("3g.20gb"), gpus_read(mig_enabled=False)
    check, changes = {**CHECK, "mig": before}, [{"changed": True, "done": [RESET]}]
    (entry,) = result(check=check)["layout"]
    assert entry == before["gpus"][0]["layout"]
    changed = {"check": check, "changes": changes, "after": {"mig": after}}
    assert result(**changed)["layout"] == [after["gpus"][0]["layout"]]
    assert result(check=check, changes=changes)["layout"] is None
    assert result(**changed, brought_back=True, left={"mig": back})["layout"] == [back["gpus"][0]["layout"]]
    assert result(**changed, brought_back=False)["layout"] is None


def test_the_layout_in_words():
    gpus = [gpus_read("3g.20gb", "1g.5gb", "1g.5gb", uuid=f"GPU-{number}")["gpus"][0] for number in range(2)]
    gpus += [gpus_read(uuid="GPU-3")["gpus"][0], gpus_read(uuid="GPU-4", mig_enabled=False)["gpus"][0]]
    gpus.append({**GPU, "uuid": "GPU-5", "product": "NVIDIA L40S", "layout": None})
    gpus[2]["layout"]["instances"] = [{"profile": "2g.10gb", "compute_instances": []}]
    changed = result(
        check=CHECK | {"mig": {"gpus": gpus}},
        changes=[{"done": [RESET], "changed": True}],
        after={"mig": {"gpus": gpus}},
    )
    assert " ".join(line.strip() for line in table(told({"a": changed}, ["a"]), ["a"])[3:]) == (
        "2 x A100-SXM4-40GB: 3g.20gb + 2 x 1g.5gb; 1 x A100-SXM4-40GB: 2g.10gb without compute instances; "
        "1 x A100-SXM4-40GB: MIG off; 1 x L40S"
    )


def test_a_host_that_was_restored_has_a_row():
    restored = result(restores=True, hooks=["/a/notebooks.yml"], check={**CHECK, "plan": [], "drained": True})
    assert restored["restored"] == ["/a/notebooks.yml", "earlier"]
    assert table(told({"a": restored}, ["a"]), ["a"])[2].endswith(
        "notebooks.yml  notebooks.yml, what an earlier run drained"
    )
    failed = result(restores=True, hooks=["slurm"], failures=[{"stage": "restore", "message": "No."}])
    assert failed["restored"] == []


REFUSAL = '{"kind":"Status","apiVersion":"v1","message":"pods \\"a\\" is forbidden: no","code":403}'
SSH = "Failed to connect to the host via ssh: "
WHY = "E: it cannot be done: no warning: of any kind"
FOREIGN = [
    "WARNING: You are using pip version 21.0; however, version 23.0 is available.",
    "[notice] A new release of pip is available: 23.0 -> 25.0",
    "[DEPRECATION WARNING]: this feature will be removed.",
    "[WARNING]: Host gpu-1 is using the discovered Python interpreter at /usr/bin/python3.11",
    "/usr/lib/python3/dist-packages/x.py:12: FutureWarning: The pynvml package is deprecated.\n  import pynvml",
    "Warning: The unit file of a.service changed on disk. Run 'systemctl daemon-reload' to reload units.",
    "W: Some index files failed to download.",
    'time="2026-01-31T03:00:00Z" level=warning msg="Could not load the mode"',
    "W0131 03:00:00.123456    4711 warnings.go:70] spec.x is deprecated",
    "Connection to gpu-1 closed.",
    "debug1: Exit status 1",
]
REFUSED = 'The Kubernetes API server says: pods "a" is forbidden: no'


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"msg": " Why. "}, "Why."),
        ({"msg": "Task failed: Why."}, "Why."),
        ({"msg": "non-zero return code", "stderr": "first\nlast"}, "non-zero return code last"),
        (
            {"msg": "non-zero return code", "stderr": "first\nlast", "cmd": ["systemctl", "show", "a"], "rc": 4},
            "systemctl show a ended with exit status 4: last",
        ),
        ({"msg": "All", "results": [{"msg": "a", "failed": True}, {"msg": "b"}, {"msg": "a", "failed": True}]}, "a"),
        ({}, "It gave no reason; see the output above."),
        ({"msg": f"Exception '403\nHTTP response body: {REFUSAL}\n\nOriginal traceback: ...'"}, REFUSED),
        ({"msg": f"Failed to patch object: {REFUSAL.encode()}"}, REFUSED),
        *(
            ({"msg": "non-zero return code", "stderr": f"{WHY}\n{warning}\n"}, f"non-zero return code {WHY}")
            for warning in FOREIGN
        ),
        *(({"msg": f"{warning}\n{WHY}"}, WHY) for warning in FOREIGN),
        *(({"msg": SSH + f"{warning}\r\n* Welcome. *\r\n{WHY}"}, SSH + WHY) for warning in FOREIGN),
        ({"msg": SSH + f"Warning: Permanently added 'h' (ED25519) to the list of known hosts.\r\n{WHY}"}, SSH + WHY),
        ({"msg": "Broke", "module_stderr": "Shared connection to h closed.\r\n", "module_stdout": WHY}, "Broke " + WHY),
        # Better a warning than no reason.
        ({"msg": FOREIGN[0]}, FOREIGN[0]),
        ({"msg": "non-zero return code", "stderr": FOREIGN[0]}, f"non-zero return code {FOREIGN[0]}"),
        ({"msg": "two\n\nlines"}, "two\n\nlines"),
        ({"msg": "b'" + REFUSAL.replace("pods", "\\'pods") + "'"}, "b'" + REFUSAL.replace("pods", "\\'pods") + "'"),
    ],
)
def test_failure_message(given, message):
    assert failure_message(given) == message


@pytest.mark.parametrize(
    "odd",
    [
        {"gpus": 7}, {"gpus": [7]}, {"gpus": [{"product": ["x"]}]}, {"message": {"a": 1}}, {"hooks": [7]},
        {"reset_gpus": [7]}, {"reset_gpus": [{}]}, {"kept": None}, {"not_checked": [{}]}, {"created": [7]},
        {"restored": [[]]}, {"layout": [7]}, {"layout": [{"gpus": ["GPU-0"], "instances": 7}]}, {"driver": 7},
        {"gpus": [{"product": "x", "uuid": []}]}, {"label": {}}, {"time": []}, {"plan": [7]},
    ],
)  # fmt: skip
def test_the_words_of_one_host_do_not_keep_the_others_from_being_told_of(odd):
    data = told({"a": {**CHANGED, **odd}, "b": CHANGED}, ["a", "b"])
    assert (data["hosts"]["a"]["state"], data["hosts"]["b"]) == ("failed", CHANGED)
    assert "nothing that the modules of this collection return" in data["hosts"]["a"]["message"]
    assert [line.split()[0] for line in table(data, ["a", "b"]) if line[0] in "ab"] == ["b", "a"]


def test_a_terminal_gets_no_characters_of_a_host_that_it_would_obey():
    product = [{**GPU, "product": "NVIDIA \x1b[2J"}]
    data = told({"a": {**FAILED, "gpus": product, "message": "x\x1b[2J" + "y" * 10**6}}, ["a"])
    lines = table(data, ["a"])
    assert all(line.isprintable() for line in lines)
    assert any("1 x \\x1b[2J" in line for line in lines)
    assert sum(map(len, lines)) < 20_000


def test_a_failure_message_that_was_made_to_be_read_for_ever():
    start = time.process_time()
    for text in ('"kind":"Status"' * 10**5, '"kind":"Status"' + '"message":"' * 10**5 + "\\", "\\" * 10**6):
        failure_message({"msg": text})
    for text in ("a:" * 10**6, "a:1:" * 10**6, " " * 10**6, "time=" * 10**6, "\n \n" * 10**6, "via ssh: " * 10**6):
        failure_message({"msg": text, "stderr": text})
    assert time.process_time() - start < 5


STEP = "GPU 0: create GPU instance 3g.20gb at slices 4-7"


def test_what_was_planned_again_stands_in_result_report_and_table():
    changes = [{"changed": True, "done": [], "disrupted": [], "replanned": True, "replanned_steps": [STEP]}]
    changed = result(check=CHECK, changes=changes)
    assert (changed["replanned"], changed["replanned_steps"]) == (True, [STEP])
    assert (CHANGED["replanned"], CHANGED["replanned_steps"]) == (False, [])
    data = told({"a": changed}, ["a", "b"], ["a"])
    assert data["hosts"]["a"]["replanned_steps"] == [STEP]
    assert data["hosts"]["b"]["replanned"] is False
    assert f"    Planned again on the way: {STEP}." in table(data, ["a"])


def test_a_rehearsal_has_replanned_nothing():
    foreseen = result(check=CHECK, check_mode=True, changes=[{"changed": False, "plan": []}])
    assert (foreseen["replanned"], foreseen["replanned_steps"]) == (False, [])


def test_steps_that_are_no_sentences_are_not_shown():
    odd = {**CHANGED, "replanned_steps": [{"a": 1}]}
    assert told({"a": odd}, ["a"])["hosts"]["a"]["state"] == "failed"


def test_a_run_of_some_hosts_keeps_what_was_told_of_the_others():
    earlier = told({"a": FAILED, "b": CHANGED}, ["a", "b"])
    now = told({"a": CHANGED, "c": result()}, ["a", "c"])
    both = merged(now, earlier)
    jsonschema.validate(both, SCHEMA)
    assert both["hosts"] == {"a": CHANGED, "b": CHANGED, "c": result()}
    assert both["counts"] == {"unchanged": 1, "changed": 2}


@pytest.mark.parametrize(
    "odd", [None, [], {"version": 2}, {"version": 3, "check_mode": True, "hosts": {}}, {"hosts": 7}]
)
def test_what_is_no_such_report_is_replaced(odd):
    now = told({"a": CHANGED}, ["a"])
    assert merged(now, odd) == now
    assert merged(now, {**now, "hosts": odd}) == now


def test_the_own_claim_of_a_check_is_nobody_elses():
    claim = {"id": "own", "who": "root", "where": "vm", "stage": "check", "since": "now", "lapsed": False}
    assert (
        result(check={**CHECK, "plan": [], "claim": claim, "change_id": "own"}, claim={"change_id": ""})["claim"]
        is None
    )
    assert result(check={**CHECK, "plan": [], "claim": claim, "change_id": "other"})["claim"] == claim
