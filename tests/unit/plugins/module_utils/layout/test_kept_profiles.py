# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of profiles that were kept, under a driver that calls the profiles otherwise."""

from __future__ import annotations

import json

import pytest
from model_gpu import H100, ModelPort, gpu, gpu_instance

from ansible_collections.gpufleet.mig.plugins.module_utils.apply import run as changing
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.outcome import Change, Options
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.run import journal_of, remembered, remembering
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState
from ansible_collections.gpufleet.mig.plugins.module_utils.apply.transaction import change_under_lock
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.kept_profiles import (
    KeptProfile,
    from_data,
    in_words,
    kept_of,
    memory_of,
    merged,
    of_today,
    to_data,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.saved_layout import exact_entries, read, to_text
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.written import layout_of
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Refusal
from ansible_collections.gpufleet.mig.plugins.module_utils.persistence import restore as boot
from ansible_collections.gpufleet.mig.plugins.module_utils.plan import host as host_planner
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances, decide_layout

OLD = gpu(H100)
# As 61x calls the profiles of a GB300 that 59x called 1g.35gb, 3g.139gb …: other sizes under the same ids.
NAMES = {"10": "9", "20": "18", "40": "36", "80": "72"}


def another_driver(now):
    """The Gpu as a driver with other names tells of it."""

    def name(old):
        slices, rest = old.split("g.")
        size, attributes = rest.split("gb")
        return f"{slices}g.{NAMES[size]}gb{attributes}"

    profiles = tuple(one._replace(name=name(one.name)) for one in now.profiles)
    instances = tuple(
        instance._replace(
            profile=name(instance.profile),
            compute_instances=tuple(one._replace(profile=name(one.profile)) for one in instance.compute_instances),
        )
        for instance in now.instances
    )
    return now._replace(profiles=profiles, instances=instances)


NEW = another_driver(OLD)


def layout(instances):
    (entry,) = validate_layout([{"instances": instances}])
    return entry.layout


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ({"1g.10gb": 7}, {"1g.9gb": 7}),
        ({"1c.3g.40gb": 2, "1g.10gb+me": 1}, {"1c.3g.36gb": 2, "1g.9gb+me": 1}),
        ({"1g.10gb": 3, "1g.9gb": 1}, {"1g.9gb": 4}),
        (
            [{"profile": "3g.40gb", "placement": 4, "compute_instances": ["1c.3g.40gb"]}, "1g.20gb"],
            [{"profile": "3g.36gb", "placement": 4, "compute_instances": ["1c.3g.36gb"]}, "1g.18gb"],
        ),
        ([], []),
        # What nobody has ever called so stays, for a refusal that lists what there is.
        ({"1g.11gb": 1}, {"1g.11gb": 1}),
    ],
)
def test_an_old_name_is_the_profile_that_has_its_id(wanted, meant):
    found, names = of_today(layout(wanted), NEW.profiles, kept_of(OLD.profiles))
    assert found == layout(meant)
    ids = {one.name: one.id for one in OLD.profiles}
    assert {old: now.id for old, now in names.items()} == {old: ids[old] for old in names}
    # Without a memory nothing is guessed, and with the same driver nothing is said.
    assert of_today(layout(wanted), NEW.profiles)[0] == layout(wanted)
    assert of_today(layout(wanted), OLD.profiles, kept_of(OLD.profiles)) == (layout(wanted), {})


@pytest.mark.parametrize("other", [{"slices": 2}, {"attributes": "+me"}, {"id": 77}])
def test_an_id_alone_is_not_the_same_profile(other):
    was = KeptProfile("1g.10gb", 19, 1, "")._replace(**other)
    assert of_today(layout({"1g.10gb": 1}), NEW.profiles, (was,)) == (layout({"1g.10gb": 1}), {})


def test_a_name_of_today_is_todays_and_a_saved_one_what_it_was():
    """A driver may give a name that a profile had to another one."""
    swapped = tuple(
        one._replace(name={"1g.10gb": "1g.20gb", "1g.20gb": "1g.10gb"}.get(one.name, one.name)) for one in OLD.profiles
    )
    wanted = layout({"1g.10gb": 1})
    assert of_today(wanted, swapped, kept_of(OLD.profiles)) == (wanted, {})
    saved = wanted._replace(kept=kept_of(OLD.profiles))
    assert of_today(saved, swapped)[0].counts == (("1g.20gb", 1),)


def test_what_is_kept_is_the_same_when_it_is_read():
    memory = merged(memory_of([OLD, NEW._replace(uuid="GPU-Two"), OLD._replace(uuid="GPU-three")]))
    data = json.loads(json.dumps(to_data(memory)))
    assert from_data(data) == {uuid: tuple(sorted(one)) for uuid, one in memory.items()}
    # GPUs with the same names share a table.
    assert [one["gpus"] for one in data] == [["gpu-0", "gpu-three"], ["gpu-two"]]
    assert {"name": "1g.10gb+me", "id": 20, "slices": 1, "attributes": "+me"} in data[0]["profiles"]
    both = merged(memory_of([OLD]), memory_of([NEW]))["gpu-0"]
    assert {*both} == {*kept_of(OLD.profiles), *kept_of(NEW.profiles)}


def test_names_that_nobody_has_seen_leave_what_is_kept_readable(tmp_path):
    odd = {"1g.10gb+me": "1g.10gb+xyz2.a1", "3g.40gb": "a name", "7g.80gb": "7g.80gb" + "+x" * 40}
    now = gpu(H100, profiles=tuple(one._replace(name=odd.get(one.name, one.name)) for one in OLD.profiles))
    entry = {"gpus": [now.uuid], "instances": [{"profile": 19, "placement": 0, "compute_instances": []}]}
    path = tmp_path / "layout.json"
    path.write_text(to_text(exact_entries([entry]), memory_of([now])), encoding="utf-8")
    kept = {one.name: one for one in read(str(path))["gpu-0"].layout.kept}
    assert {one.name for one in now.profiles} - {*kept} == {odd["3g.40gb"], odd["7g.80gb"]}
    assert kept[odd["1g.10gb+me"]].attributes == "+xyz2.a1"


PROFILE = {"name": "1g.10gb", "id": 19, "slices": 1, "attributes": ""}


@pytest.mark.parametrize(
    "data",
    [
        {},
        [5],
        [{"gpus": ["GPU-1"]}],
        [{"gpus": "GPU-1", "profiles": []}],
        [{"gpus": [["GPU-1"]], "profiles": []}],
        [{"gpus": ["all"], "profiles": []}],
        *([{"gpus": ["GPU-1"], "profiles": [dict(PROFILE, **{key: None})]}] for key in PROFILE),
        [{"gpus": ["GPU-1"], "profiles": [dict(PROFILE, id=True)]}],
        [{"gpus": ["GPU-1"], "profiles": [dict(PROFILE, id=-1)]}],
        [{"gpus": ["GPU-1"], "profiles": [dict(PROFILE, name="a\nb")]}],
    ],
)
def test_what_is_no_table_is_refused(data):
    with pytest.raises(ValueError, match=r"^[a-z].*[A-Za-z]$"):
        from_data(data)


def test_one_sentence_tells_of_all_gpus():
    (_layout, names), now = of_today(layout({"1g.10gb": 1}), NEW.profiles, kept_of(OLD.profiles)), NEW.profiles[0]
    sentence = in_words([(NEW, names), (NEW._replace(index=3), names), (NEW._replace(index=5), {})])
    assert sentence == (
        f"This driver has other names for profiles: on GPU 0, 3 1g.10gb is {now.name} now (profile {now.id}). They were"
        " told by their ids; write the new names."
    )
    assert in_words([(NEW, {})]) is None


@pytest.mark.parametrize("name", ["a name", "7g.80gb" + "+x" * 20])
def test_a_layout_that_was_read_can_be_applied_whatever_its_profiles_are_called(name):
    profiles = tuple(one._replace(name=name) if one.name == "7g.80gb" else one for one in OLD.profiles)
    now = gpu(H100, [gpu_instance(0, name, 0, 8, (f"1c.{name}", 0, 1, False))], profiles=profiles)
    (entry,) = exact_entries([layout_of(now)]).values()
    assert [(one.profile, one.compute_instances[0].profile) for one in entry.layout.instances] == [("0", "1c.0")]


def decided(now, wanted, memory, decide=decide_instances):
    entries = validate_layout([{"instances": wanted}])
    port = ModelPort(now)
    return remembering(lambda read: decide(read, entries), memory)(port.read())


@pytest.mark.parametrize("decide", [decide_instances, decide_layout])
def test_an_inventory_with_the_old_names_is_planned_with_one_warning(decide):
    held = [gpu_instance(9, "1g.10gb", 6, 1), gpu_instance(2, "3g.40gb", 0, 4)]
    now = another_driver(gpu(H100, held))
    wanted = {"1g.10gb": 1, "3g.40gb": 1}
    (plan,), warnings = decided(now, wanted, memory_of([OLD]), decide)
    assert (plan.steps, {one.profile for one in plan.target}) == ((), {"1g.9gb", "3g.36gb"})
    (warning,) = warnings
    assert "1g.10gb is 1g.9gb now (profile 19), 3g.40gb is 3g.36gb now (profile 9)" in warning
    # A host that remembers nothing says what there is, as ever.
    (refusal,), warnings = decided(now, wanted, {}, decide)
    assert isinstance(refusal, Refusal)
    assert "1g.9gb" in refusal.message
    assert warnings == []


@pytest.mark.parametrize("decide", [decide_instances, decide_layout])
def test_what_the_host_remembers_is_read_once_and_only_for_a_name_that_nobody_has(tmp_path, monkeypatch, decide):
    read, looked = [], []
    monkeypatch.setattr(changing, "last_profiles", lambda path: read.append(path) or memory_of([OLD]))
    monkeypatch.setattr(host_planner, "of_today", lambda *given: looked.append(given) or of_today(*given))
    state = HostState(str(tmp_path / "state"))
    for known in ({"1g.10gb": 1, "1c.3g.40gb": 2}, {"19": 1}, [{"profile": "3g.40gb", "placement": 4}]):
        (plan,), warnings = decided(OLD, known, remembered(state), decide)
        assert (bool(plan.steps), warnings) == (True, [])
    assert (read, len(looked)) == ([], 3)
    (plan,), warnings = decided(NEW, {"1g.10gb": 1, "3g.40gb": 1}, remembered(state), decide)
    assert {one.profile for one in plan.target} == {"1g.9gb", "3g.36gb"}
    assert (len(warnings), read, len(looked)) == (1, [state.journal], 4)
    # Whoever writes the journal keeps what was remembered.
    memory = remembered(state)
    change = Change((plan,))
    record = journal_of({"journal": True}, memory=memory)(change)
    assert {one.name for one in from_data(record["profiles"])["gpu-0"]} >= {"1g.10gb", "1g.9gb"}


class Records:
    """A HostState that only takes records."""

    def __init__(self):
        self.records = []

    def begin(self, record):
        self.records.append(record)

    def end(self, record):
        self.records.append(record)


def test_the_boot_restores_by_id_and_the_host_goes_on_to_know_the_old_names(tmp_path):
    held = [gpu_instance(9, "1g.10gb+me", 6, 1), gpu_instance(2, "3g.40gb", 0, 4)]
    saved = exact_entries(
        [
            {
                "gpus": ["GPU-0"],
                "instances": [
                    {
                        "profile": one.profile,
                        "placement": one.placement.start,
                        "compute_instances": [{"profile": one.profile, "placement": 0}],
                    }
                    for one in held
                ],
            }
        ]
    )
    path = tmp_path / "layout.json"
    path.write_text(to_text(saved, memory_of([OLD])), encoding="utf-8")
    entries, port, records = read(str(path)), ModelPort(NEW), Records()
    restored = boot.restore(port, entries, records, memory_of([OLD]))
    assert (restored.changed, restored.problems) == (("gpu-0",), {})
    assert [(one.profile, one.start) for one in port.gpus["GPU-0"].placed] == [("3g.36gb", 0), ("1g.9gb+me", 6)]
    (warning,) = restored.warnings
    assert "1g.10gb+me is 1g.9gb+me now (profile 20), 3g.40gb is 3g.36gb now (profile 9)" in warning
    (begin, end) = records.records
    assert "profiles" not in end
    assert {one.name for one in from_data(begin["profiles"])["gpu-0"]} >= {"1g.10gb", "1g.9gb"}
    # A second boot has nothing to do, and says it again.
    again = boot.restore(port, entries, records, memory_of([OLD]))
    assert (again.right, again.problems, again.warnings) == (("gpu-0",), {}, restored.warnings)
    assert len(records.records) == 2


def test_what_a_journal_tells_goes_on_from_record_to_record(tmp_path):
    state = HostState(str(tmp_path / "state"))
    other = OLD._replace(uuid="GPU-other", index=1)
    for now, wanted in ((OLD, "1g.10gb"), (other, "1g.10gb"), (NEW, "1g.9gb")):
        entries = validate_layout([{"gpus": [now.index], "instances": {wanted: 1}}])
        with state.lock(0):
            change_under_lock(
                ModelPort(now),
                lambda read, entries=entries: decide_instances(read, entries),
                state,
                Options(),
                journal_of({"journal": True}, memory=remembered(state)),
            )
    memory = remembered(state)
    assert {*memory} == {"gpu-0", "gpu-other"}
    assert {one.name for one in memory["gpu-0"]} >= {"1g.10gb", "3g.40gb", "1g.9gb", "3g.36gb"}
    assert {one.name for one in memory["gpu-other"]} == {one.name for one in OLD.profiles}
    (state_file,) = (tmp_path / "state").glob("journal.jsonl")
    state_file.write_bytes(b"\x00 garbage\n")
    assert remembered(state) == {}
