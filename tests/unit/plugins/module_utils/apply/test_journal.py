# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal tells of the past, however long it is and whatever stands in it."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.apply import journal
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.journal import history, last_record

OFF, OTHER = ({"gpus": [f"GPU-{number}"], "mig_enabled": False} for number in (0, 1))
ON = {"gpus": ["GPU-0"], "mig_enabled": True, "instances": []}
SEVEN = {**ON, "instances": [{"profile": "1g.5gb", "placement": start} for start in range(7)]}


def record(change, entries, event="begin", **more):
    """A line as the modules write it."""
    who = {"user": "root", "sudo_user": f"user-{change}", "pid": 1, "time": "2026-11-21T15:59:35Z"}
    known = {"actions": ["act"], "before": entries, "cause": "ansible", "change": change, "event": event, **who, **more}
    return json.dumps(known, sort_keys=True).encode()


def changed(change, entries, **more):
    """The two lines of a change of the GPUs of these entries."""
    touched = [entry["gpus"][0] for entry in entries]
    return [record(change, entries, touched=touched, **more), record(change, entries, "end", **more)]


@pytest.fixture
def told(tmp_path):
    """A function: what history() says of these lines."""

    def tell(*lines):
        path = tmp_path / "journal.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return history(str(path))

    return tell


def test_records_of_one_change_are_one_and_a_boot_is_none(told):
    found = told(
        *changed("1", [OTHER]),
        *changed("2", [OFF]),
        *changed("2", [ON, OTHER]),
        *changed("3", [SEVEN], cause="boot"),
    )
    assert (found["layout"], found["problem"]) == ([OFF, OTHER], None)
    assert found["last"]["change"] == "2"
    assert found["last"]["sudo_user"] == "user-2"
    assert {uuid: (who["change"], who["cause"]) for uuid, who in found["gpus"].items()} == {
        "GPU-0": ("3", "boot"),
        "GPU-1": ("2", "ansible"),
    }


def test_no_journal_is_no_change(tmp_path):
    found = history(str(tmp_path / "journal.jsonl"))
    assert found == {"layout": [], "last": None, "gpus": {}, "problem": None}


def test_a_change_that_only_looked_at_a_gpu_has_not_touched_it(told):
    found = told(*changed("1", [OFF]), record("2", [ON, OTHER], touched=["GPU-1"]))
    assert found["layout"] == [ON, OTHER]
    assert {uuid: who["change"] for uuid, who in found["gpus"].items()} == {"GPU-0": "1", "GPU-1": "2"}


def test_a_record_of_an_earlier_release_touches_what_it_names_and_is_a_change_of_its_own(told):
    old = {"event": "begin", "before": [OFF]}
    found = told(json.dumps({**old, "before": [OTHER]}).encode(), json.dumps(old).encode())
    assert (found["layout"], found["problem"]) == ([OFF], None)
    assert sorted(found["gpus"]) == ["GPU-0", "GPU-1"]
    assert set(found["last"].values()) == {None}


def test_another_change_between_the_records_of_one_hides_none_of_them(told):
    found = told(*changed("1", [OFF]), *changed("2", [OTHER]), *changed("1", [SEVEN]))
    assert found["layout"] == [OFF]


def test_however_many_boots_lie_between(told):
    found = told(*changed("1", [OFF]), *(line for _boot in range(500) for line in changed("b", [SEVEN], cause="boot")))
    assert found["layout"] == [OFF]
    assert found["gpus"]["GPU-0"]["cause"] == "boot"


def test_a_journal_of_200_mib_takes_little_memory_and_time(tmp_path):
    path = tmp_path / "journal.jsonl"
    many = [{**SEVEN, "gpus": [f"GPU-{number}"]} for number in range(8)]
    boots = b"\n".join(changed("b", many, cause="boot")) + b"\n"
    with open(path, "wb") as file:
        file.write(b"\n".join(changed("1", [OFF])) + b"\n")
        for _some in range((128 << 20) // (len(boots) * 100)):
            file.write(boots * 100)
        file.truncate(file.tell() + (64 << 20))
        file.seek(0, 2)
        file.write(b"\n")
    began = time.process_time()
    tracemalloc.start()
    found = history(str(path))
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 16 << 20
    assert time.process_time() - began < 30
    assert found["last"]["change"] == "1"
    assert "damaged: 1 line of the last change, or after it, cannot be read" in found["problem"]
    assert len(found["gpus"]) == 8


NO_RECORDS = [
    b"garbage",
    b"[]",
    b'{"event": "begin"',
    b'{"event": "begin", "before": 5}',
    b'{"event": "begin", "before": [5]}',
    b'{"event": "begin", "before": [{"gpus": "GPU-0"}]}',
    b'{"event": "begin", "before": [{"gpus": ["all"]}]}',
    b'{"event": "begin", "before": [{"gpus": ["GPU-0", "GPU-1"]}]}',
    b'{"event": "begin", "before": [], "change": 5}',
    b'{"event": "begin", "before": [], "actions": [5]}',
    b'{"event": "begin", "before": [], "touched": [[]]}',
    b'{"event": "begin", "before": [], "pid": "1"}',
    b'{"event": "begin", "before": ' + b"[" * 100_000,
    b'{"event": "begin", "user": "\\ud800"}',
    b'{"event": "begin", "pid": ' + b"9" * 10_000 + b"}",
    b'{"event": "begin"} ' + b" " * (journal.MOST_LINE + 1),
]


@pytest.mark.parametrize("line", NO_RECORDS, ids=range(len(NO_RECORDS)))
def test_damage_counts_where_the_last_change_may_have_stood(told, line):
    found = told(*changed("1", [OTHER]), *changed("2", [OFF]), line)
    assert found["layout"] == []
    assert found["problem"].endswith("is damaged: 1 line of the last change, or after it, cannot be read.")
    assert told(*changed("1", [OTHER]), line, *changed("2", [OFF]))["problem"]  # its own first record, maybe
    older = told(line, *changed("1", [OTHER]), *changed("2", [OFF]))
    assert (older["layout"], older["problem"]) == ([OFF], None)


@pytest.mark.parametrize("crashed", [record("3", [ON])[:-20], record("3", [ON])[:30], bytes(4096)])
def test_what_a_crash_leaves_is_no_damage(tmp_path, told, crashed):
    found = told(*changed("1", [OFF]), crashed, *changed("b", [ON], cause="boot"), crashed)
    assert (found["layout"], found["problem"]) == ([OFF], None)
    assert last_record(str(tmp_path / "journal.jsonl"))[0]["change"] == "b"


def test_what_was_there_before_has_to_be_a_layout(told):
    found = told(*changed("1", [{**ON, "instances": {"9g.nonsense": 1}}]))
    assert found["layout"] == []
    assert "what was there before the last change is no layout (before[0].instances: " in found["problem"]
    assert len(found["problem"].splitlines()) == 1


def test_what_somebody_calls_himself_is_one_line(told):
    found = told(record("1", [OFF], user="eve\nroot\x1b[2J"))
    assert found["last"]["user"] == "eve\\nroot\\x1b[2J"


def test_the_lines_come_from_the_last_to_the_first_whatever_the_blocks(tmp_path, monkeypatch):
    path = tmp_path / "lines"
    lines = [b"", b"a", b"bc" * 9, b"", b"d", b"e" * 40, b"f"]
    path.write_bytes(b"\n".join(lines))
    monkeypatch.setattr(journal, "MOST_LINE", 30)
    for block in range(1, 90):
        monkeypatch.setattr(journal, "BLOCK", block)
        with open(path, "rb") as file:
            assert list(journal.backwards(file.fileno())) == [None if len(one) > 30 else one for one in lines[::-1]]
            tail = list(journal.backwards(file.fileno(), 44))
        assert tail == [b"f", None, b"d"][: len(tail)]
        assert len(tail) == 2
