# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which units have to be stopped so that some stop and stay so."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.systemd_units import stop_failure, units_to_stop


def shown(**units):
    """What systemctl prints of services (a socket where the name says so), each with its further properties."""
    blocks = []
    for name, properties in units.items():
        identity = name.replace("_", ".") if "_" in name else f"{name}.service"
        known = {"Id": identity, "Names": identity, "ActiveState": "active", "Transient": "no", **properties}
        blocks.append("".join(f"{key}={value}\n" for key, value in known.items()))
    return "\n".join(blocks)


CASES = {
    "only what runs": (shown(a={}, b={"ActiveState": "failed"}), ["b.service", "a.service"], ["a.service"]),
    "in their order": (shown(a={}, b={}), ["b.service", "a.service"], ["b.service", "a.service"]),
    "one that the host does not have": (shown(a={}), ["b.service"], []),
    "each once": (shown(a={}), ["a.service", "a.service"], ["a.service"]),
    "one by its other name": (
        shown(gdm={"Names": "display-manager.service gdm.service"}),
        ["display-manager.service"],
        ["gdm.service"],
    ),
    "what starts it again before it": (
        shown(a={"TriggeredBy": "a.timer a.socket"}, a_socket={}, a_timer={"ActiveState": "inactive"}),
        ["a.service"],
        ["a.socket", "a.service"],
    ),
    "what stops with it before it, and what stops with that": (
        shown(a={"RequiredBy": "b.service", "BoundBy": "c.service"}, b={"ConsistsOf": "d.service"}, c={}, d={}),
        ["a.service"],
        ["d.service", "b.service", "c.service", "a.service"],
    ),
    "no target, and not all that it groups": (
        shown(a={"RequiredBy": "multi-user.target"}, multi_target={"Names": "multi-user.target"}),
        ["a.service"],
        ["a.service"],
    ),
    "a circle": (
        shown(a={"BoundBy": "b.service"}, b={"BoundBy": "a.service"}),
        ["a.service"],
        ["b.service", "a.service"],
    ),
    "a host without systemd": ("", ["a.service"], []),
}


@pytest.mark.parametrize("case", CASES)
def test_units_to_stop(case):
    text, wanted, expected = CASES[case]
    told = units_to_stop(text, wanted)
    assert (told["units"], told["refusals"]) == (expected, {})
    assert [unit for group in told["groups"] for unit in group] == expected


def test_a_unit_is_stopped_together_with_what_starts_it_again():
    text = shown(a={"TriggeredBy": "a.socket", "RequiredBy": "c.service"}, a_socket={}, b={}, c={})
    told = units_to_stop(text, ["b.service", "a.service", "c.service"])
    assert told["groups"] == [["b.service"], ["a.socket", "c.service", "a.service"]]


@pytest.mark.parametrize("setting", ["RefuseManualStop", "RefuseManualStart", "Transient"])
def test_a_unit_that_cannot_be_stopped_and_started_is_refused(setting):
    told = units_to_stop(shown(a={"TriggeredBy": "b.socket", setting: "yes"}, b_socket={}), ["a.service"])
    assert told["units"] == ["b.socket", "a.service"]
    assert list(told["refusals"]) == ["a.service"]


def test_short_names_of_services():
    assert units_to_stop(shown(a={}, b_socket={}), ["a", "b.socket"])["units"] == ["a.service", "b.socket"]


@pytest.mark.parametrize("name", ["--now", "-x", "", "..", "/etc", "a\nb", "a b", "*", "a@", 7])
def test_what_no_unit_is_called_is_refused(name):
    with pytest.raises(MigError, match=r"^wanted\[1\]: got .*; expected a systemd unit such as train.service$"):
        units_to_stop(shown(a={}), ["a.service", name])


def test_what_cannot_be_stopped_is_refused_in_words():
    text = shown(a={"RefuseManualStop": "yes", "TriggeredBy": "b.timer"}, b_timer={"Transient": "yes"}, c={})
    assert units_to_stop(text, ["a"], "gpu-7")["refusal"] == (
        "b.timer of gpu-7 was made by systemd-run and is gone once it is stopped. a.service of gpu-7 refuses to be"
        " stopped by hand (RefuseManualStop=yes). No unit was stopped. End what holds the GPU in another way, or change"
        " the unit."
    )
    assert units_to_stop(text, ["c"], "gpu-7")["refusal"] == ""


@pytest.mark.parametrize(
    ("states", "stopped", "message"),
    [
        (
            ["inactive", "deactivating", "failed"],
            {"rc": 124, "stderr": ""},
            "b.service of gpu-7 did not stop within 60 seconds (mig_drain_deadline, mig_partition_drain_deadline). See"
            " systemctl status b.service.",
        ),
        (
            ["active", "inactive", "active"],
            {"rc": 1, "stderr": "Failed to stop it:\n access denied\x1b[2J\n"},
            "a.socket, c.service of gpu-7 was not stopped: Failed to stop it: access denied\\x1b[2J See systemctl"
            " status a.socket c.service.",
        ),
        (
            [],
            {"rc": 2, "msg": "No such file"},
            "a.socket, b.service, c.service of gpu-7 was not stopped: No such file See systemctl status a.socket"
            " b.service c.service.",
        ),
    ],
)
def test_what_did_not_stop_is_named(states, stopped, message):
    assert stop_failure(["a.socket", "b.service", "c.service"], states, stopped, "gpu-7", 60) == message
