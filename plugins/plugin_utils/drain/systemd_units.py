# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which units of systemd have to be stopped so that some of them stop and stay so. Pure."""

from __future__ import annotations

from ansible_collections.gpufleet.mig.plugins.module_utils.host.units import unit_names
from ansible_collections.gpufleet.mig.plugins.module_utils.visible import said

RUNNING = {"active", "activating", "reloading", "refreshing"}
# See systemd.unit(5): what would start a unit again, and what would stop with it and not come back with it.
BEFORE_IT = ("TriggeredBy", "RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo")
# See systemctl(1) and systemd.unit(5).
REFUSALS = {
    "RefuseManualStop": "refuses to be stopped by hand (RefuseManualStop=yes)",
    "RefuseManualStart": "could not be started again by hand (RefuseManualStart=yes)",
    "Transient": "was made by systemd-run and is gone once it is stopped",
}
TIMED_OUT = 124  # timeout(1)
# A target only groups others; starting it again would start them all.
KINDS = (".service", ".socket", ".timer", ".path", ".mount", ".automount")


def units_to_stop(text, wanted, host="this host"):
    """What to stop for the ``wanted`` units of ``host``, a list of names: {"units": names in order, "groups": the same
    in lists of what is to be stopped together, "refusals": {name: why}, "refusal": these in words, "" without any}.

    ``text`` is what `systemctl show` prints of all units. Those that run are taken; before each what starts it by
    itself, then what would stop with it. These are one group: if a run ended between a socket's stop and its service's,
    nobody could start the socket again without stopping the service. ``refusals`` has those that cannot be stopped, or
    not be started again. Raises MigError for wanted names that no unit has.
    """
    wanted = unit_names("wanted", wanted)
    units = {}
    for unit in map(_properties, text.split("\n\n")):
        units.update(dict.fromkeys(unit.get("Names", "").split(), unit))
    seen, order, groups = set(), [], []

    def take(name):
        unit = units.get(name, {})
        if unit.get("ActiveState") not in RUNNING or unit["Id"] in seen or not unit["Id"].endswith(KINDS):
            return
        seen.add(unit["Id"])
        for kind in BEFORE_IT:
            for other in unit.get(kind, "").split():
                take(other)
        order.append(unit)

    for name in wanted:
        before = len(order)
        take(name)
        groups.append([unit["Id"] for unit in order[before:]])
    refusals = {
        unit["Id"]: why
        for unit in order
        for property_name, why in reversed(REFUSALS.items())
        if unit.get(property_name) == "yes"
    }
    return {
        "units": [unit["Id"] for unit in order],
        "groups": [group for group in groups if group],
        "refusals": refusals,
        "refusal": _refusal(refusals, host),
    }


def _refusal(refusals, host):
    if not refusals:
        return ""
    sentences = [f"{unit} of {host} {why}." for unit, why in refusals.items()]
    sentences.append("No unit was stopped. End what holds the GPU in another way, or change the unit.")
    return " ".join(sentences)


def stop_failure(units, states, stopped, host, timeout):
    """Why units that were to be stopped together on ``host`` did not, after ``timeout`` seconds for all: a sentence.

    :param states: what systemctl is-active printed of each of them, in their order; all run on where it told nothing
    :param stopped: the result of the command systemctl stop, as timeout(1) ran it
    """
    staying = [unit for unit, state in zip(units, states) if state not in ("inactive", "failed")] or list(units)
    names = ", ".join(staying)
    why = f"was not stopped: {said(str(stopped.get('stderr') or stopped.get('msg') or ''))}"
    if stopped.get("rc") == TIMED_OUT:
        why = f"did not stop within {timeout} seconds (mig_drain_deadline, mig_partition_drain_deadline)."
    return f"{names} of {host} {why} See systemctl status {' '.join(staying)}."


def _properties(block):
    return dict(line.partition("=")[::2] for line in block.splitlines())
