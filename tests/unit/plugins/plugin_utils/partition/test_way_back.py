# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which GPUs a failed change may bring back, and which are somebody else's by now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.way_back import by_whom, way_back


def instance(profile, start, *inside):
    return {
        "profile": profile,
        "placement": start,
        "compute_instances": [{"profile": one, "placement": place} for one, place in inside],
    }


def whole(profile, start):
    return instance(profile, start, (profile, 0))


def entry(*instances, uuid="GPU-0", enabled=True):
    found = {"gpus": [uuid], "mig_enabled": enabled}
    return dict(found, instances=list(instances)) if enabled else found


def check(*entries, modes=None, plan=("GPU-0",)):
    """The result of mig_check on a host with these layouts."""
    gpus = []
    for index, one in enumerate(entries):
        mode = "enabled" if one["mig_enabled"] else "disabled"
        current, pending = (modes or {}).get(one["gpus"][0], (mode, mode))
        gpus.append({"index": index, "uuid": one["gpus"][0], "mig_mode": current, "mig_mode_pending": pending})
    steps = [{"action": "destroy_gpu_instance", "gpu": {"uuid": uuid}} for uuid in plan]
    return {"before": list(entries), "mig": {"gpus": gpus}, "plan": steps}


BEFORE = entry(whole("3g.20gb", 0), whole("3g.20gb", 4))
WANTED = entry(whole("3g.20gb", 0), whole("2g.10gb", 4), instance("2g.10gb", 6, ("1c.2g.10gb", 0), ("1c.2g.10gb", 1)))
ON_THE_WAY = [
    BEFORE,
    WANTED,
    entry(),
    entry(whole("3g.20gb", 0)),
    entry(whole("3g.20gb", 0), instance("3g.20gb", 4)),
    entry(whole("3g.20gb", 0), instance("2g.10gb", 4)),
    entry(instance("2g.10gb", 6, ("1c.2g.10gb", 1)), whole("3g.20gb", 0)),
]
STRANGE = {
    "another profile": (entry(whole("1g.5gb", 4)), "GPU instance 1g.5gb at slice 4"),
    "another place": (entry(whole("2g.10gb", 2)), "GPU instance 2g.10gb at slice 2"),
    "another compute instance": (
        entry(instance("2g.10gb", 4, ("1c.2g.10gb", 0))),
        "GPU instance 2g.10gb at slice 4 has a compute instance 1c.2g.10gb",
    ),
    "mode off": (entry(enabled=False), "MIG mode is disabled, which is neither as it was nor as it is wanted"),
}


@pytest.mark.parametrize("there", ON_THE_WAY, ids=range(len(ON_THE_WAY)))
def test_what_the_change_itself_may_have_left_goes_back(there):
    back = way_back(check(BEFORE), check(there), [[WANTED]])
    assert back == {"layout": [BEFORE], "is_back": there is BEFORE, "lost": [], "foreign": []}


@pytest.mark.parametrize(("there", "words"), STRANGE.values(), ids=STRANGE)
def test_what_somebody_else_did_is_not_touched_and_is_told(there, words):
    back = way_back(check(BEFORE), check(there), [[WANTED]])
    assert back["layout"] == []
    ((foreign),) = back["foreign"]
    assert words in foreign["message"]
    sentence = by_whom(back["foreign"], {"GPU-0": {"user": "root", "sudo_user": "bob", "time": "03:12"}})
    assert sentence.endswith("The last change of it that the journal has is bob's, of 03:12.")
    sentence = by_whom(back["foreign"], {})
    assert sentence.endswith("The journal does not tell who did that.")


def test_steps_that_were_planned_are_the_changes_own():
    gpu = {"uuid": "GPU-0"}
    place = {"start": 2, "size": 2}
    plan = [
        {"action": "create_gpu_instance", "gpu": gpu, "profile": "2g.10gb", "placement": place},
        {
            "action": "create_compute_instance",
            "gpu": gpu,
            "profile": "2g.10gb",
            "placement": {"start": 0, "size": 2},
            "gpu_instance": place,
        },
    ]
    there = entry(whole("2g.10gb", 2))
    assert way_back(check(BEFORE), check(there), [[WANTED]], [plan])["layout"] == [BEFORE]
    assert way_back(check(BEFORE), check(there), [[WANTED]], [plan[:1]])["foreign"]


def test_a_start_that_the_driver_chose_is_any():
    wanted = entry(instance("2g.10gb", 4, ("1c.2g.10gb", None)))
    there = entry(instance("2g.10gb", 4, ("1c.2g.10gb", 1)))
    assert way_back(check(BEFORE), check(there), [[wanted]])["layout"] == [BEFORE]


def test_a_mode_that_was_wanted_or_pending_before_goes_back():
    off = entry(enabled=False)
    assert way_back(check(off), check(entry()), [[WANTED]])["layout"] == [off]
    pending = check(off, modes={"GPU-0": ("disabled", "enabled")})
    back = way_back(pending, check(off), [[off]])
    assert (back["layout"], back["is_back"]) == ([off], False)


def test_each_gpu_stands_for_itself_and_those_of_no_step_are_nobodys_business():
    before = [entry(whole("7g.40gb", 0), uuid=uuid) for uuid in ("GPU-0", "GPU-1", "GPU-2", "GPU-3")]
    strange = entry(whole("1g.5gb", 3), uuid="GPU-1")
    there = [entry(uuid="GPU-0"), strange, entry(whole("2g.10gb", 0), uuid="GPU-3")]
    back = way_back(check(*before, plan=("GPU-0", "GPU-1", "GPU-2")), check(*there))
    assert back["layout"] == [before[0]]
    assert [one["uuid"] for one in back["foreign"]] == ["GPU-1"]
    assert back["lost"] == ["GPU-2"]


PROFILES = st.sampled_from(["1g.5gb", "2g.10gb", "3g.20gb"])
INSTANCES = st.builds(whole, PROFILES, st.integers(0, 6))
LAYOUTS = st.lists(INSTANCES, max_size=4).map(lambda instances: entry(*instances))


@given(LAYOUTS, LAYOUTS, LAYOUTS)
def test_a_gpu_goes_back_only_if_all_on_it_is_known(before, wanted, there):
    known = {(one["profile"], one["placement"]) for one in before["instances"] + wanted["instances"]}
    fits = {(one["profile"], one["placement"]) for one in there["instances"]} <= known
    back = way_back(check(before), check(there), [[wanted]])
    assert back["layout"] == ([before] if fits else [])
    assert bool(back["foreign"]) != fits
