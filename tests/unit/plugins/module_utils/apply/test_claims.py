# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims on a host: who may take one, when it lapses, and what a lost one forbids."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.module_utils.apply import claiming, claims
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.claims import (
    REBOOT,
    Claim,
    Clock,
    has_lapsed,
    heed_claim,
    known_claim,
    modes_to_leave,
    note_restored,
    read_claim,
    release,
    renew,
    take,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError

CLOCK = Clock("boot-1", 1000.0, "2026-11-20T03:00:00Z")
OURS = Claim("ours", "alice", {"name": "ctl-1", "pid": 4711}, CLOCK.wall, "check", "boot-1", 1000.0, 60.0, {})
THEIRS = OURS._replace(change="theirs", user="bob", controller={"name": "ctl-2"})


def later(seconds, boot_id="boot-1"):
    return Clock(boot_id, CLOCK.seconds + seconds, "whatever the wall clock says")


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state").mkdir()
    return HostState(str(tmp_path / "state"))


@pytest.fixture
def clock(monkeypatch):
    """Sets what this host's clock says to whoever asks it."""

    def at(moment):
        monkeypatch.setattr(claims, "now", lambda: moment)

    at(CLOCK)
    return at


def test_one_run_has_the_host_until_it_gives_it_up(state, clock):
    assert take(state, OURS, CLOCK) is None
    assert read_claim(state) == OURS
    assert take(state, THEIRS, later(1)) == OURS
    assert read_claim(state) == OURS
    release(state, "theirs")
    assert read_claim(state) == OURS
    release(state, "ours")
    assert read_claim(state) is None
    assert take(state, THEIRS, later(2)) is None
    assert sorted(os.listdir(state.path)) == ["claim.json"]
    assert os.stat(claims.path_of(state)).st_mode & 0o777 == 0o644


def test_a_lapsed_claim_may_be_taken_and_is_its_runs_own_until_then(state, clock):
    take(state, OURS, CLOCK)
    assert take(state, THEIRS, later(60)) == OURS
    assert renew(state, "ours", "drain", 60, later(61)) is None
    assert take(state, THEIRS, later(120)).stage == "drain"
    assert take(state, THEIRS, later(122)) is None
    with pytest.raises(MigError, match=r"touches nothing more there: it is claimed by bob from ctl-2"):
        renew(state, "ours", "mode", 60, later(123))
    release(state, "theirs")
    with pytest.raises(MigError, match="another run took it and has ended since"):
        renew(state, "ours", "mode", 60, later(124))


def test_a_claim_is_taken_from_a_run_that_is_known_to_be_gone_and_from_no_other(state):
    take(state, OURS, CLOCK)
    assert take(state, THEIRS, CLOCK, over=["somebody's"]) == OURS
    assert take(state, THEIRS, CLOCK, over=["ours"]) is None
    assert take(state, OURS, CLOCK, force=True) is None


def test_a_claim_of_an_earlier_boot_has_lapsed_unless_its_own_run_rebooted_the_host():
    assert has_lapsed(OURS, Clock("boot-2", 5.0, ""))
    rebooting = OURS._replace(stage=REBOOT)
    assert not has_lapsed(rebooting, Clock("boot-2", 60.0, ""))
    assert has_lapsed(rebooting, Clock("boot-2", 61.0, ""))
    # Two boots later it is no longer the boot that the run waits for.
    assert not has_lapsed(rebooting._replace(restored="boot-2"), Clock("boot-2", 60.0, ""))
    assert has_lapsed(rebooting._replace(restored="boot-2"), Clock("boot-3", 1.0, ""))


@given(st.floats(0, 1e9), st.floats(0, 1e6), st.text(max_size=30))
def test_wall_clocks_decide_nothing(seconds, silence, wall):
    claim = OURS._replace(renewed=1000.0, silence=silence, since=wall)
    assert has_lapsed(claim, Clock("boot-1", seconds, wall)) == (seconds - 1000.0 > silence)


def test_what_changes_a_host_heeds_the_claim(state, clock):
    assert heed_claim(state, None, False) is None
    with pytest.raises(MigError, match="has no claim on the host any more"):
        heed_claim(state, "ours", True)
    take(state, THEIRS, CLOCK)
    with pytest.raises(
        MigError, match=r"This host is claimed by bob from ctl-2 \(stage check, since .*, silent for 0 s"
    ):
        heed_claim(state, None, False)
    with pytest.raises(MigError, match="claimed by bob"):
        heed_claim(state, "ours", True)
    assert read_claim(state) == THEIRS
    assert heed_claim(state, "theirs", True) is None
    assert heed_claim(state, "theirs", False) is None
    # A lapsed claim is void as soon as somebody else changes the host, so that its run must stop.
    clock(later(61))
    assert heed_claim(state, "theirs", True) is None
    assert "had lapsed, so it is taken away" in heed_claim(state, None, False)
    assert read_claim(state) is None
    with pytest.raises(MigError):
        heed_claim(state, "theirs", True)


def test_a_claim_that_cannot_be_renewed_for_want_of_room_is_still_its_runs(state, clock, monkeypatch):
    take(state, OURS, CLOCK)

    def no_room(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    assert "No space left on device" in renew(state, "ours", "drain", 60, later(1))
    assert read_claim(state) == OURS
    assert os.listdir(state.path) == ["claim.json"]


def test_the_boot_program_leaves_modes_alone_that_a_run_has_just_rebooted_for(state):
    take(state, OURS, CLOCK)
    renew(state, "ours", REBOOT, 60, CLOCK, {"GPU-A": True})
    claim = read_claim(state)
    assert modes_to_leave(claim, CLOCK) == {}
    assert modes_to_leave(claim, Clock("boot-2", 5.0, "")) == {"gpu-a": True}
    assert modes_to_leave(claim, Clock("boot-2", 500.0, "")) == {}
    assert modes_to_leave(claim._replace(stage="mode"), Clock("boot-2", 5.0, "")) == {}
    note_restored(state, Clock("boot-2", 5.0, ""))
    assert read_claim(state).restored == "boot-2"
    # Its run goes on after the reboot.
    assert renew(state, "ours", "mode", 60, Clock("boot-2", 9.0, "")) is None


def test_a_reboot_notes_the_modes_that_it_activates(state):
    take(state, OURS, CLOCK)
    gpus = [{"uuid": "GPU-A", "before": "disabled", "after": "disabled", "pending": "enabled"}]
    silence = {"deadline": 1800.0, "grace": 60.0}
    here = {"state_dir": state.path, "lock_timeout": 5, "state": "renewed", "change_id": "ours", "stage": REBOOT}
    assert claiming.claim({**here, **silence, "gpus": gpus})["claimed"]
    assert (read_claim(state).modes, read_claim(state).silence) == ({"GPU-A": True}, 1860.0)


DAMAGED = {
    "empty": b"",
    "cut": json.dumps(dict(OURS._asdict(), version=1)).encode()[:-20],
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 60000,
    "long": b" " * (claims.MOST_BYTES + 1),
    "a list": b"[]",
    "another version": b'{"version": 2}',
    "wrong types": json.dumps(dict(OURS._asdict(), version=1, renewed="x")).encode(),
    "no number": json.dumps(dict(OURS._asdict(), version=1, silence=True)).encode(),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_claim_is_one_sentence_with_the_way_out(state, clock, content):
    path = claims.path_of(state)
    with open(path, "wb") as file:
        file.write(content)
    for act in (lambda: take(state, OURS, CLOCK), lambda: heed_claim(state, None, False)):
        with pytest.raises(MigError, match=r"claim\.json .*If no run is under way, remove it"):
            act()
    data, problem = known_claim(state)
    assert data is None
    assert "remove it" in problem
    with open(path, "rb") as file:
        assert file.read() == content
    assert take(state, OURS, CLOCK, force=True) is None


@pytest.mark.parametrize("kind", ["fifo", "link", "directory"])
def test_what_is_no_file_is_no_claim_and_holds_nobody_up(state, tmp_path, clock, kind):
    path = claims.path_of(state)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        (tmp_path / "elsewhere").write_text(json.dumps(dict(OURS._asdict(), version=1)), encoding="utf-8")
        os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(MigError, match="If no run is under way, remove it"):
        read_claim(state)
