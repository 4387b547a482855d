# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.picture import draw, paint


def instance(profile, start, size, uuid, processes=(), id=0):
    return {
        "id": id,
        "profile": profile,
        "placement": {"start": start, "size": size},
        "compute_instances": [{"profile": profile, "uuid": uuid}],
        "processes": list(processes),
    }


def facts(*instances, **gpu):
    one = {
        "index": 0,
        "uuid": "GPU-a",
        "product": "NVIDIA A100-SXM4-40GB",
        "mig_capable": True,
        "mig_mode": "enabled",
        "problem": None,
        "slices": {"memory": 8, "compute": 7},
        "instances": list(instances),
    }
    return {"driver_version": "550.90.07", "gpus": [{**one, **gpu}]}


def picture(*arguments, **options):
    return paint(draw("host", *arguments, **options), colour=False).splitlines()[1:]


TRAIN = {"pid": 4242, "name": "train"}
BEFORE = facts(instance("3g.20gb", 0, 4, "MIG-1", [TRAIN]), instance("2g.10gb", 4, 2, "MIG-2"))
AFTER = facts(instance("1g.5gb", 4, 1, "MIG-3"), instance("3g.20gb", 0, 4, "MIG-1", [TRAIN]))


def test_one_reading_has_no_marks_but_busy():
    assert picture(BEFORE) == [
        "  GPU 0  |3g.20gb*               |2g.10gb    |  .  |  .  |",
        "    busy: GPU 0 3g.20gb at slice 0: 4242 train",
    ]


def test_kept_new_and_free_slices():
    assert picture(AFTER, BEFORE) == [
        "  GPU 0  |=3g.20gb*                      |+1g.5gb|   .   |   .   |   .   |",
        "    busy: GPU 0 3g.20gb at slice 0: 4242 train",
    ]


def test_an_instance_that_came_back_with_its_old_uuid_is_new():
    row = picture(BEFORE, BEFORE, disrupted=["MIG-2"])[0]
    assert "=3g.20gb*" in row
    assert "+2g.10gb" in row


def test_another_size_under_an_old_uuid_is_new():
    """A driver makes UUIDs of the instance's id alone, and somebody else may have changed it between two readings."""

    def one(profile_id, inside="1g.10gb", **more):
        found = {**instance("1g.10gb", 4, 1, "MIG-1", id=11), "profile_id": profile_id, **more}
        found["compute_instances"][0].update(profile=inside, placement={"start": 0, "size": 1})
        return facts(found)

    assert "=1g.10gb" in picture(one(19), one(19))[0]
    for other in (one(20), one(19, "1c.1g.10gb"), one(19, placement={"start": 2, "size": 1})):
        assert "+1g.10gb" in picture(one(19), other)[0]
    # Who may not see placements has not seen another one.
    assert "=1g.10gb" in picture(one(19), one(None, placement=None))[0]


def test_an_unreadable_process_list_has_its_own_mark():
    unreadable = {**instance("7g.40gb", 0, 8, "MIG-1"), "processes": None}
    assert "|7g.40gb? " in picture(facts(unreadable))[0]


def test_compute_instances_that_share_a_gpu_instance_are_named():
    shared = instance("3g.20gb", 0, 4, "MIG-1")
    shared["compute_instances"] = [
        {"profile": "1c.3g.20gb", "uuid": "MIG-1"},
        {"profile": "2c.3g.20gb", "uuid": "MIG-2"},
    ]
    assert "|3g.20gb[1c 2c] " in picture(facts(shared))[0]


def test_a_gpu_instance_without_compute_instances_is_recognised_by_its_id():
    orphan = {**instance("3g.20gb", 4, 4, None, id=2), "compute_instances": []}
    assert "=3g.20gb[]" in picture(facts(orphan), facts(orphan))[0]
    assert "+3g.20gb[]" in picture(facts({**orphan, "id": 1}), facts(orphan))[0]


def test_gpus_without_instances_to_show():
    hidden = {**instance("1g.5gb", 0, 1, "MIG-1"), "placement": None}
    without = {"mig_capable": False, "mig_mode": None}
    assert picture(facts(**without))[0].endswith("no MIG on this model")
    assert picture(facts(**without, pci_device_id="0x26B910DE"))[0].endswith("no MIG on this model")
    assert picture(facts(**without, pci_device_id="0x20B010DE"))[0].endswith("no MIG offered by the driver")
    assert picture(facts(**without, pci_device_id="0x2BB410DE"))[0].endswith("in display mode, or its VBIOS is too old")
    assert picture(facts(mig_mode="disabled"))[0].endswith("MIG off")
    assert picture(facts(problem="GPU is lost", mig_capable=None))[0].endswith("GPU is lost")
    assert picture(facts(hidden, hidden))[0].endswith("not shown to this user: 1g.5gb, 1g.5gb")
    untold = {"slices": {"memory": None, "compute": 7}}
    assert picture(facts(**untold))[0].endswith("MIG on, slices not told: no instances")
    assert picture(facts(instance("1g.5gb", 0, 1, "MIG-1"), **untold))[0].endswith("MIG on, slices not told: 1g.5gb")


def test_a_host_without_gpus_says_why():
    assert draw("host", {"gpus": [], "reason": "no driver"}) == [[("host: no GPUs. no driver", "text")]]


def test_colours_only_when_asked_for():
    lines = draw("host", AFTER, BEFORE)
    assert "\033[" not in paint(lines, colour=False)
    assert "\033[97;44m+1g.5gb\033[0m" in paint(lines, colour=True)


@pytest.mark.parametrize(
    "odd",
    [
        facts(slices={"memory": 10**12, "compute": 7}),
        facts(instance("3g.20gb", 0, 10**12, "MIG-1")),
        facts(instance("3g.20gb", 0, 0, "MIG-1")),
        facts(instance("3g.20gb" * 10**6, 0, 4, "MIG-1")),
        facts(instance(7, 0, 4, "MIG-1")),
        facts(instances=7),
        facts(index=[], mig_mode="disabled"),
        facts(mig_capable=False, pci_device_id=[7]),
        facts(mig_capable=False, pci_device_id="odd"),
        {"gpus": 7},
        {"gpus": ["x"]},
        {"gpus": [{}]},
        {},
    ],
)
def test_what_no_host_says_is_not_drawn_and_keeps_no_other_from_it(odd):
    said = "host: what it says of its GPUs is nothing that mig_facts returns, and cannot be drawn."
    assert paint(draw("host", odd), colour=False) == said
    assert paint(draw("host", BEFORE, odd), colour=False).startswith("host: ")


def test_a_terminal_gets_no_characters_of_a_host_that_it_would_obey():
    text = paint(draw("host", facts(product="A\x1b[2J\n", problem="x\ry")), colour=False)
    assert "A\\x1b[2J\\n" in text.splitlines()[0]
    assert text.endswith("x\\ry")


def test_steps_that_were_planned_again_stand_below_the_gpus():
    step = "GPU 0: create GPU instance 3g.20gb at slices 4-7"
    assert picture(AFTER, BEFORE, replanned=[step])[-1] == f"    planned again: {step}"
    assert picture(AFTER, BEFORE, replanned=[7, {"a": 1}, "x" * 500]) == picture(AFTER, BEFORE)
