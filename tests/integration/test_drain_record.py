# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role mig_drain makes of drain.json: what a host says there reaches nothing but that host, what users' hooks
of today say there is kept, and the release before reads what this one leaves.
"""

from __future__ import annotations

import json
import textwrap

import environments
import pytest
from drain_hooks import hook, log, say, tasks_file
from paths import ROOT

RESTORE, PARTITION = "gpufleet.mig.restore", "gpufleet.mig.partition"
# The tasks with which the release before reads and restores, as they were.
RELEASE_BEFORE = str(ROOT / "tests" / "integration" / "release_before" / "mig_drain")
REASON = "gpufleet.mig: change of MIG "
# Says what it is asked, and of a node that it is drained for the change c-1.
SCONTROL = f"""\
#!/bin/sh
echo "$@" >> "$0.log"
test "$1" = show && printf 'NodeName=%s\\n   State=IDLE+DRAIN Gres=(null)\\n   Reason={REASON}c-1 [root@now]\\n' "$3"
exit 0
"""


@pytest.fixture(
    scope="module", params=["oldest", *(pytest.param(one, marks=pytest.mark.prove) for one in ("newest", "main"))]
)
def environment(request, main_environment):
    """Each ansible-core there is: their templates differ in what they take for one."""
    if request.param == "main":
        return main_environment
    found = environments.pair(request.param)
    if found is None:
        pytest.skip(f"no Python for the {request.param} supported ansible-core: {environments.CORES}")
    return environments.environment(*found)


def put(host, *entries):
    """Have drain.json of the host say this."""
    host.state_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"version": 1, "entries": list(entries)})
    (host.state_dir / "drain.json").write_text(text, encoding="utf-8")


def entries(host):
    """What drain.json of the host says, None where there is none."""
    path = host.state_dir / "drain.json"
    return json.loads(path.read_text(encoding="utf-8"))["entries"] if path.exists() else None


def role(entry, name="gpufleet.mig.mig_drain", **variables):
    """A play that runs an entry point of the role."""
    include = {"name": name, "tasks_from": entry}
    tasks = [{"name": entry, "ansible.builtin.include_role": include, "vars": variables}]
    return [{"name": entry, "hosts": "all", "gather_facts": False, "tasks": tasks}]


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def hostile(tmp_path, marker):
    """Entries that somebody who is root on a host would have the controller believe."""
    evil = tmp_path / "evil"
    touch = {"ansible.builtin.command": {"argv": ["touch", str(marker / "task")]}, "delegate_to": "localhost"}
    for suffix in ("", "_restore", "_restore_clients"):
        tasks_file(evil / f"task{suffix}.yml", [touch])
    program(evil / "scontrol", f"#!/bin/sh\ntouch {marker}/scontrol\n")
    pipe = "{{ lookup('pipe', 'touch MARKER') }}"
    slurm = {"node": "gpu", "reason": f"{REASON}c-1", "host": "victim", "directory": str(evil)}
    return [
        {"hook": pipe.replace("MARKER", f"{marker}/template"), "done": {}},
        {"hook": f"/srv/{pipe.replace('MARKER', f'{marker}/path')}/mine.yml", "done": {}},
        {"hook": str(evil / "task.yml"), "done": {}},
        {"hook": "slurm", "done": slurm},
        {"hook": "slurm", "done": {**slurm, "host": "gpu-host", "directory": ""}, "change": "c-2"},
        {"hook": "systemd", "done": {"units": [pipe.replace("MARKER", f"{marker}/units")]}},
        {"hook": "kubernetes", "done": {"node": pipe.replace("MARKER", f"{marker}/node"), "cordoned": True}},
    ]


@pytest.mark.parametrize(
    ("playbook", "check"),
    [(RESTORE, False), *(pytest.param(PARTITION, check, marks=pytest.mark.prove) for check in (True, False))],
)
def test_what_a_host_says_reaches_nothing_else(run_playbook, simulated_host, environment, tmp_path, playbook, check):
    marker = tmp_path / "reached"
    marker.mkdir()
    mine = hook(tmp_path / "hooks", "mine", clients=[])
    said = f"{{{{ lookup('pipe', 'touch {marker}/done') }}}}"
    recorded = hostile(tmp_path, marker)
    host = simulated_host("--mig", "A100-SXM4-40GB", name="gpu-host")
    host.more_variables.update(
        mig_partition_drain=[mine, "slurm"], mig_partition_layout=[{"instances": {}}], mig_drain_slurm_node="gpu"
    )
    victim = simulated_host("A100-SXM4-40GB", name="victim")
    program(victim.python, f"#!/bin/sh\ntouch {marker}/victim\n")
    there = [{"hook": mine, "done": {"said": said}}, *recorded, {"hook": mine, "done": {"last": True}}]
    put(host, *there)
    run = run_playbook(playbook, [host, victim], environment, check=check, limit=host.name).failed()
    assert list(marker.iterdir()) == []
    if not check:
        assert entries(host) == recorded
        # The others were restored, and what the host says went to the user's hook as it was.
        assert log(host)[-4:] == [
            *("clients mine", "clients mine"),
            'workloads mine {"last": true}',
            f"workloads mine {json.dumps({'said': said})}",
        ]
    else:
        assert entries(host) == there
    message = reason(run, host)
    assert message.count("Not restored: drain.json of gpu-host ") == 6
    assert "once the cause is gone, run the playbook gpufleet.mig.restore" in message
    assert f'-l gpu-host -e \'{{"mig_drain_hooks": ["{tmp_path}/evil/task.yml"]}}\'' in message
    assert '-l gpu-host -e \'{"mig_drain_slurm_host": "victim", ' in message
    assert "lookup" not in message
    assert not [one["task"] for one in run.results() if "lookup" in one["task"] or "evil" in one["task"]]


def reason(run, host):
    """With which message the host failed in the end."""
    return run.results("ansible.builtin.fail", host.name)[-1]["result"]["msg"]


def test_the_line_in_the_message_restores(run_playbook, simulated_host, tmp_path):
    host = simulated_host(name="gpu")
    old = hook(tmp_path / "alice", "mine")
    program(tmp_path / "slurm" / "scontrol", SCONTROL)
    slurm = {"node": "other", "reason": f"{REASON}c-1", "host": "gpu", "directory": str(tmp_path / "slurm")}
    put(host, {"hook": old, "done": {"a": 1}}, {"hook": "slurm", "done": slurm})
    run = run_playbook(RESTORE, [host]).failed()
    assert len(entries(host)) == 2
    assert log(host) == []
    message = reason(run, host)
    for line in (
        json.dumps({"mig_drain_hooks": [old]}),
        json.dumps({"mig_drain_slurm_node": "other", "mig_drain_slurm_directory": str(tmp_path / "slurm")}),
    ):
        assert f"-l gpu -e '{line}'" in message
        run_playbook(RESTORE, [host], extra_vars=json.loads(line)).finish()
    assert entries(host) is None
    assert log(host) == ['workloads mine {"a": 1}']
    asked = (tmp_path / "slurm" / "scontrol.log").read_text(encoding="utf-8").splitlines()
    assert asked == ["show node other", "update NodeName=other State=RESUME"]


STEPS = [
    {"ansible.builtin.set_fact": {"mig_drain_done": {"step": 1, "text": "a: [b, {c}]"}}},
    {"ansible.builtin.include_role": {"name": "gpufleet.mig.mig_drain", "tasks_from": "remember"}},
    say("after a step"),
    # Meanwhile somebody else drains the same host.
    {
        "gpufleet.mig.mig_drain_record": {
            "state": "begun",
            "hook": "gpu_clients",
            "change_id": "somebody-elses",
            "state_dir": "{{ mig_drain_state_dir }}",
        },
        "when": "somebody_else | default(false)",
    },
    {"ansible.builtin.set_fact": {"mig_drain_done": "{{ mig_drain_done | combine({'step': 2}) }}"}},
]


def test_a_users_hook_of_several_steps_and_somebody_else(run_playbook, simulated_host, tmp_path):
    host = simulated_host(name="gpu")
    mine = hook(tmp_path, "mine", STEPS)
    play = role("drain", mig_drain_hooks=[mine], mig_drain_change_id="c-1")
    run_playbook(play, [host], check=True).ok()
    assert (entries(host), log(host)) == (None, [])

    run_playbook(play, [host], extra_vars={"somebody_else": True}).ok()
    done = {"step": 2, "text": "a: [b, {c}]"}
    assert entries(host) == [
        {"hook": mine, "done": done, "change": "c-1"},
        {"hook": "gpu_clients", "done": {}, "change": "somebody-elses"},
    ]
    variables = {"mig_drain_hooks": [mine]}
    run_playbook(RESTORE, [host], check=True, extra_vars=variables).ok()
    assert len(entries(host)) == 2
    run_playbook(RESTORE, [host], extra_vars=variables).ok()
    assert entries(host) is None
    assert log(host) == ["drain mine", "after a step", f"workloads mine {json.dumps(done)}"]
    again = run_playbook(RESTORE, [host], extra_vars=variables).ok()
    assert not [one["task"] for one in again.results() if one["result"].get("changed")]


def test_gpu_clients_that_do_not_run_are_a_handful_of_tasks(run_playbook, simulated_host):
    host = simulated_host(name="gpu")
    # No record can be written there.
    host.state_dir.write_text("in the way", encoding="utf-8")
    play = role("drain", mig_drain_gpu_clients=["no-host-has-this", "nor-this"])
    after = {"name": "Tell", "ansible.builtin.debug": {"var": "mig_drain_done"}}
    play[0]["tasks"].append(after)
    run = run_playbook(play, [host]).ok()
    assert run.results("ansible.builtin.debug")[-1]["result"]["mig_drain_done"] == {"units": []}
    tasks = [one["task"] for one in run.results() if "mig_drain : " in one["task"]]
    assert len(tasks) <= 9, tasks


def test_hosts_that_are_drained_together_keep_each_its_order(run_playbook, simulated_host, tmp_path):
    one, two = (hook(tmp_path, name) for name in ("one", "two"))
    orders = {"gpu-a": [one, two], "gpu-b": [two, one], "gpu-c": [one]}
    hosts = [simulated_host(name=name) for name in orders]
    for host in hosts:
        host.more_variables["mig_drain_hooks"] = orders[host.name]
    run_playbook(role("drain", mig_drain_change_id="c-1"), hosts).ok()
    assert [log(host) for host in hosts] == [
        ["drain one", "drain two"],
        ["drain two", "drain one"],
        ["drain one"],
    ]
    run_playbook(RESTORE, hosts).ok()
    assert [[line.split()[1] for line in log(host)[len(orders[host.name]) :]] for host in hosts] == [
        ["two", "one"],
        ["one", "two"],
        ["one"],
    ]


@pytest.mark.prove
def test_the_release_before_restores_what_this_one_left(run_playbook, simulated_host, tmp_path):
    host = simulated_host(name="gpu")
    mine = hook(tmp_path, "mine", STEPS)
    program(tmp_path / "slurm" / "scontrol", SCONTROL)
    here = {"mig_drain_slurm_node": "gpu", "mig_drain_slurm_directory": str(tmp_path / "slurm")}
    # What the hook slurm writes is tested with a real one; this is that.
    slurm = {"node": "gpu", "reason": f"{REASON}c-1", "host": "gpu", "directory": str(tmp_path / "slurm")}
    noted = [{"ansible.builtin.set_fact": {"mig_drain_done": slurm}}]
    stand_in = tasks_file(tmp_path / "slurm.yml", noted)
    tasks_file(tmp_path / "slurm_restore.yml", [])
    run_playbook(role("drain", mig_drain_hooks=[mine, stand_in], mig_drain_change_id="c-1"), [host]).ok()
    text = (host.state_dir / "drain.json").read_text(encoding="utf-8").replace(stand_in, "slurm")
    for old in (True, False):
        put(host, *json.loads(text)["entries"])
        play = role("restore", RELEASE_BEFORE) if old else RESTORE
        run_playbook(play, [host], extra_vars={} if old else {**here, "mig_drain_hooks": [mine]}).ok()
        assert entries(host) is None
    assert log(host)[2:] == ['workloads mine {"step": 2, "text": "a: [b, {c}]"}'] * 2
    asked = (tmp_path / "slurm" / "scontrol.log").read_text(encoding="utf-8").splitlines()
    assert asked == ["show node gpu", "update NodeName=gpu State=RESUME"] * 2


def test_this_release_restores_what_the_one_before_left(run_playbook, simulated_host, tmp_path):
    host = simulated_host(name="gpu")
    mine = hook(tmp_path / "bob", "mine", clients=[])
    # As it was written: by another person, who had the same hook elsewhere; also where a run had died at its beginning.
    text = """\
        {
            "entries": [
                {
                    "done": {
                        "running": true
                    },
                    "hook": "/home/alice/checkout/mine.yml"
                },
                {
                    "done": {},
                    "hook": "gpu_clients"
                }
            ],
            "version": 1
        }
        """
    host.state_dir.mkdir()
    (host.state_dir / "drain.json").write_text(textwrap.dedent(text), encoding="utf-8")
    run_playbook(RESTORE, [host], extra_vars={"mig_partition_drain": [mine]}).ok()
    assert entries(host) is None
    assert log(host) == ["clients mine", 'workloads mine {"running": true}']


@pytest.mark.prove
def test_hooks_that_cannot_be_restored_keep_no_other(run_playbook, simulated_host, tmp_path):
    host = simulated_host(name="gpu")
    names = ("first", "gone", "absent", "fails", "stuck", "last")
    hooks = {name: hook(tmp_path, name) for name in names}
    (tmp_path / "gone_restore.yml").unlink()
    # It includes what is not there.
    tasks_file(tmp_path / "absent_restore.yml", [{"ansible.builtin.include_tasks": {"file": "/nowhere/it.yml"}}])
    fails = {"ansible.builtin.fail": {"msg": "On purpose."}}
    tasks_file(tmp_path / "fails_restore.yml", [fails])
    # What its clients' stage could not restore is not struck out by the next stage.
    tasks_file(tmp_path / "stuck_restore_clients.yml", [fails])
    put(host, *({"hook": path, "done": {"of": name}} for name, path in hooks.items()))
    variables = {"mig_drain_hooks": list(hooks.values())}
    run = run_playbook(RESTORE, [host], extra_vars=variables).failed()
    restored = [line.split()[1] for line in log(host)]
    assert restored == ["last", "stuck", "first"]
    assert [entry["done"]["of"] for entry in entries(host)] == ["gone", "absent", "fails", "stuck"]
    message = reason(run, host)
    for words in ("gone_restore.yml", "absent_restore.yml failed", "fails_restore.yml failed: On purpose.", "stuck"):
        assert words in message
    assert f"still written in {host.state_dir}/drain.json; once the cause is gone, run the playbook" in message

    for name in ("gone", "absent", "fails", "stuck"):
        hook(tmp_path, name)
    (tmp_path / "stuck_restore_clients.yml").unlink()
    run_playbook(RESTORE, [host], extra_vars=variables).ok()
    assert entries(host) is None
    assert [line.split()[1] for line in log(host)][3:] == ["stuck", "fails", "absent", "gone"]


def test_a_damaged_record_is_told_and_nobody_is_drained(run_playbook, simulated_host, tmp_path):
    host = simulated_host(name="gpu")
    mine = hook(tmp_path, "mine")
    host.state_dir.mkdir()
    path = host.state_dir / "drain.json"
    path.write_text('{"version": 1, "entries": [{"hook"', encoding="utf-8")
    for playbook in (role("drain", mig_drain_hooks=[mine]), RESTORE):
        run = run_playbook(playbook, [host], extra_vars={"mig_drain_hooks": [mine]}).failed()
        assert f"{path} is damaged: It is no JSON" in run.output
        assert log(host) == []
    assert path.read_text(encoding="utf-8") == '{"version": 1, "entries": [{"hook"'
