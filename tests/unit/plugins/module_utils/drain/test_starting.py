# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units that were stopped are started again, as many as can be. A real systemd does it in tests/hosts/test_units.py."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.drain.starting import (
    check_names,
    in_order,
    start,
    would_start,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError


class Systemd:
    """A stand-in for systemctl; ``needs`` are {unit: what must run before it starts}."""

    def __init__(self, running=(), masked=(), needs=None, slow=(), stopping=()):
        self.running = set(running)
        self.masked = masked
        self.needs = needs or {}
        self.slow = slow
        self.stopping = list(stopping)
        self.started = []

    def __call__(self, command, environ_update):
        name = command[-1]
        if command[1] == "show":
            load = "masked" if name in self.masked else "loaded"
            triggers = name.replace(".socket", ".service") if name.endswith(".socket") else ""
            active = "active" if name in self.running else "deactivating" if name in self.stopping else "inactive"
            return 0, f"Id={name}\nLoadState={load}\nActiveState={active}\nTriggers={triggers}\n", ""
        assert command[:6] == ["timeout", "9", "systemctl", "start", "--job-mode=fail", "--"]
        self.started.append(name)
        if name in self.running:
            return 0, "", ""
        if name in self.slow:
            return 124, "", ""
        refused = name.endswith(".socket") and name.replace(".socket", ".service") in self.running
        if refused or name in self.masked or not set(self.needs.get(name, ())) <= self.running:
            return 1, "", f"Warning: The unit file of {name} changed on disk.\nJob for {name} failed.\n"
        self.running.add(name)
        return 0, "", ""


UNITS = ["a.socket", "b.service", "a.service", "c.timer"]


def test_sockets_are_first_then_the_last():
    assert in_order([*UNITS, "b.service"]) == ["a.socket", "b.service", "c.timer", "a.service"]
    systemd = Systemd(running=["c.timer"])
    assert would_start(UNITS, systemd) == ["a.socket", "a.service", "b.service"]
    assert start(UNITS, systemd, 9) == (["a.socket", "a.service", "b.service"], {})
    assert systemd.running == set(UNITS)
    assert start(UNITS, systemd, 9) == ([], {})


def test_one_that_does_not_start_keeps_no_other_and_is_tried_again_while_others_start():
    systemd = Systemd(needs={"c.timer": ["b.service"], "a.service": ["b.service"]}, masked=["d.service"])
    started, left = start([*UNITS, "d.service"], systemd, 9)
    assert (started, list(left)) == (["a.socket", "b.service", "c.timer", "a.service"], ["d.service"])
    assert left["d.service"] == "d.service is masked: systemctl unmask d.service."
    assert systemd.started.count("d.service") == 3


def test_why_one_did_not_start_is_said_without_what_systemctl_warns_of():
    _started, left = start(["b.service"], Systemd(needs={"b.service": ["other.service"]}), 9)
    assert left == {"b.service": "b.service did not start: Job for b.service failed. See systemctl status b.service."}


def test_a_socket_whose_service_runs_is_left_with_what_to_do():
    systemd = Systemd(running=["a.service", "b.service"])
    started, left = start(UNITS, systemd, 9)
    assert started == ["c.timer"]
    assert left == {
        "a.socket": "a.socket cannot start while a.service runs, and what runs is not disturbed. When it may be "
        "interrupted: systemctl stop a.service && systemctl start a.socket a.service."
    }


def test_one_that_takes_too_long_is_not_waited_for_twice():
    systemd = Systemd(slow=["a.service"], needs={"b.service": ["c.timer"]})
    _started, left = start(UNITS, systemd, 9)
    assert left == {"a.service": "a.service did not start within 9 seconds: see systemctl status a.service."}
    assert systemd.started.count("a.service") == 1


def test_what_is_still_stopping_is_waited_for():
    systemd = Systemd(stopping=["a.service", "b.service"])
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        systemd.stopping.pop()

    started, left = start(UNITS, systemd, 9, sleep)
    assert (started, left) == (in_order(UNITS), {})
    assert len(slept) == 2


def test_neither_a_unit_that_does_not_stop_nor_its_socket_is_started():
    systemd = Systemd(stopping=["a.service"])
    times = iter(range(100))
    started, left = start(UNITS, systemd, 9, lambda seconds: None, lambda: next(times))
    assert started == ["c.timer", "b.service"]
    assert left == {
        "a.socket": "a.socket can start once a.service has stopped.",
        "a.service": "a.service is still stopping after 9 seconds: see systemctl status a.service.",
    }
    assert set(systemd.started) == {"b.service", "c.timer"}


@pytest.mark.parametrize(
    "name", ["-.mount", "--now", "*.service", "a.target", "a b.service", "a.service\n", ".service"]
)
def test_what_is_no_name_of_a_unit_is_refused(name):
    check_names(["a@b.service", r"dev-disk-by\x2dlabel.mount"])
    with pytest.raises(MigError, match="expected the name of a unit"):
        check_names(["a.service", name])
