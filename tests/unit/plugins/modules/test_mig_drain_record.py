# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mig_drain_record: what is drained is merged on the host, and a damaged record is one sentence."""

from __future__ import annotations

import functools
import json
import os
import stat
import threading

import pytest
from damage import NO_FILES, NO_JSON, put
from modules import run_module

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.drain import record as drain_record
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host.files import RELEASE

DEFAULTS = {
    "state": "read", "hook": None, "done": None, "ids": None, "change_id": None, "claimed": False, "lock_timeout": 300,
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state_dir" / "drain.json"


@pytest.fixture
def record(path):
    """record(state=..., ...) gives the module's result, without a process of its own."""

    def run(check_mode=False, heed=None, **params):
        params = {**DEFAULTS, "state_dir": str(path.parent), **params}
        return drain_record.drain_record(params, check_mode, os.replace, heed and functools.partial(heed, params))

    return run


def written(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_drain_from_its_beginning_to_its_end(simulated_host):
    host = simulated_host()
    path = host.state_dir / "drain.json"

    def run(check=False, **params):
        return run_module(host, "mig_drain_record", params, check=check, diff=True).ok()

    assert not run(state="absent", ids=["0" * 64], check=True)["changed"]
    assert run()["entries"] == []
    assert not path.parent.exists()

    foretold = run(state="begun", hook="systemd", change_id="c-1", check=True)
    assert not path.parent.exists()
    begun = run(state="begun", hook="systemd", change_id="c-1")
    assert (foretold["changed"], foretold["entries"], foretold["diff"]) == (True, begun["entries"], begun["diff"])
    entries = [{"hook": "systemd", "done": {}, "change": "c-1"}]
    assert written(path) == {"version": 1, "written_by": RELEASE, "entries": entries}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    done = {"units": ["b.socket", "a.service"], "text": "{{ 7 * 7 }}", "n": [1, 2.5, None, True]}
    first = run(state="present", hook="systemd", change_id="c-1", done=done)
    assert first["changed"]
    assert [one["done"] for one in first["entries"]] == [done]
    assert not run(state="present", hook="systemd", change_id="c-1", done=done)["changed"]
    assert run()["entries"] == first["entries"]

    ids = [one["id"] for one in first["entries"]]
    assert run(state="absent", ids=ids, check=True)["entries"] == []
    assert path.exists()
    assert run(state="absent", ids=ids)["changed"]
    assert not path.exists()
    assert not run(state="absent", ids=ids)["changed"]
    assert os.listdir(host.state_dir) == ["lock"]


def test_nothing_that_another_run_wrote_is_lost(path, record):
    runs = [
        threading.Thread(target=record, kwargs={"state": "begun", "hook": "systemd", "change_id": f"c-{number}"})
        for number in range(8)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(one["change"] for one in written(path)["entries"]) == [f"c-{number}" for number in range(8)]


def test_what_is_merged_is_told_by_hook_and_change(path, record):
    record(state="begun", hook="systemd", change_id="c-1")
    record(state="begun", hook="systemd", change_id="c-2")
    record(state="begun", hook="systemd")
    for done, change in (({"units": ["a.service"]}, "c-1"), ({"units": ["b.service"]}, "c-2"), ({"units": []}, None)):
        record(state="present", hook="systemd", done=done, change_id=change)
    record(state="begun", hook="systemd")
    record(state="present", hook="other", done={"n": 1}, change_id="c-2")
    assert written(path)["entries"] == [
        {"hook": "systemd", "done": {"units": ["a.service"]}, "change": "c-1"},
        {"hook": "systemd", "done": {"units": ["b.service"]}, "change": "c-2"},
        {"hook": "systemd", "done": {"units": []}},
        {"hook": "systemd", "done": {}},
        {"hook": "other", "done": {"n": 1}, "change": "c-2"},
    ]


def test_entries_are_replaced_or_removed_only_as_they_were_read(path, record):
    for number in (1, 2, 2, 3):
        record(state="begun", hook="systemd", change_id=f"c-{number}")
    one, two, _again, three = (entry["id"] for entry in record()["entries"])
    record(state="present", hook="systemd", change_id="c-3", done={"units": ["c.service"]})
    left = record(state="present", ids=[one, two, two, three], done={"units": ["a.service"]}, change_id="c-9")
    assert [(entry["change"], entry["done"]) for entry in left["entries"]] == [
        ("c-2", {"units": ["a.service"]}),
        ("c-3", {"units": ["c.service"]}),
    ]
    assert not record(state="absent", ids=[one, two, three])["changed"]
    assert not record(state="absent", ids=[])["changed"]
    assert len(written(path)["entries"]) == 2


def test_what_the_release_before_wrote_is_kept_as_it_is(path, record):
    path.parent.mkdir()
    old = {"hook": "/home/alice/notebooks.yml", "done": {"running": True}}
    path.write_text(json.dumps({"version": 1, "entries": [old]}), encoding="utf-8")
    assert record()["entries"][0]["change"] is None
    record(state="begun", hook="systemd", change_id="gpu-72026-11-29 23:37:14.180093-2d57")
    assert written(path)["entries"][0] == old


WRONG = {
    "a list": [],
    "an older one": {"entries": []},
    "a version of another type": {"version": True, "entries": []},
    "no entries": {"version": 1},
    "entries of another type": {"version": 1, "entries": {"hook": "slurm"}},
    "an entry of another type": {"version": 1, "entries": ["slurm"]},
    "a hook of another type": {"version": 1, "entries": [{"hook": {"a": 1}, "done": {}}]},
    "no hook": {"version": 1, "entries": [{"done": {}}]},
    "a hook without an end": {"version": 1, "entries": [{"hook": "a" * 5000, "done": {}}]},
    "nothing done": {"version": 1, "entries": [{"hook": "slurm"}]},
    "a change of another type": {"version": 1, "entries": [{"hook": "slurm", "done": {}, "change": 1}]},
    "a change with a newline": {"version": 1, "entries": [{"hook": "slurm", "done": {}, "change": "a\nReason=b"}]},
}


@pytest.mark.parametrize("kind", [*NO_FILES, *NO_JSON, *WRONG])
def test_a_damaged_record_is_one_sentence_and_stays(path, record, kind):
    put(path, kind, json.dumps(WRONG.get(kind)).encode())
    before = path.lstat()
    for params in ({}, {"state": "begun", "hook": "systemd"}, {"state": "absent", "ids": ["0" * 64]}):
        with pytest.raises(MigError) as error:
            record(**params)
        message = str(error.value)
        assert str(path) in message
        assert "remove it and run again" in message
        assert len(message) < 600
    assert (path.lstat().st_ino, path.lstat().st_size) == (before.st_ino, before.st_size)


def test_a_newer_record_is_left_to_its_release(path, record):
    put(path, "", b'{"version": 2, "drained": []}')
    with pytest.raises(MigError, match=r"version 2 and this program reads version 1: another release"):
        record(state="begun", hook="systemd")
    assert written(path) == {"version": 2, "drained": []}


@pytest.mark.parametrize("done", [{"a": "half \udc00"}, {"a": float("inf")}, {"a": "x" * (9 << 20)}])
def test_what_could_not_be_read_again_is_not_written(path, record, done):
    record(state="begun", hook="/srv/a.yml")
    with pytest.raises(MigError, match="mig_drain_done cannot be kept"):
        record(state="present", hook="/srv/a.yml", done=done)
    assert written(path)["entries"] == [{"hook": "/srv/a.yml", "done": {}}]


@pytest.mark.parametrize("change", ["-1", "a\nb", "{{ 1 }}", "a" * 400, "a "])
def test_a_change_id_that_is_none(path, record, change):
    with pytest.raises(MigError, match="change_id: got"):
        record(state="begun", hook="systemd", change_id=change)
    assert not path.exists()


def test_the_claim_is_heeded_under_the_lock(path, record):
    asked = []

    def heed(params, state):
        with pytest.raises(MigError, match="Another change"), HostState(state.path).lock(0):
            pass
        asked.append((params["change_id"], params["claimed"]))
        raise MigError("It is somebody else's.")

    record(state="begun", hook="systemd", change_id="c-1")
    before = path.read_bytes()
    ids = [one["id"] for one in record()["entries"]]
    for params in (
        {"state": "begun", "hook": "systemd"},
        {"state": "present", "hook": "systemd", "done": {}},
        {"state": "absent", "ids": ids},
    ):
        with pytest.raises(MigError, match="somebody else"):
            record(**params, heed=heed, change_id="c-2", claimed=True)
    assert asked == [("c-2", True)] * 3
    assert path.read_bytes() == before
    record(state="absent", ids=ids, check_mode=True, heed=heed)
    assert len(asked) == 3
