# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a layout holds: a decision for each GPU, or a MigError with a message. Never another exception."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from evidence import write_evidence
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_gpu import A30, A100, H100, RTX, catalogue, gpu, gpu_instance

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Gpu, Plan, Refusal, Snapshot
from ansible_collections.gpufleet.mig.plugins.module_utils.plan.host import decide_instances, decide_modes

NAMES = sorted({row["name"] for model in (A100, A30, H100, RTX) for row in catalogue()[model]["profiles"]})
GPUS = (
    gpu(A100, [gpu_instance(2, "3g.20gb", 4, 4), gpu_instance(7, "1g.5gb", 0, 1, ("1g.5gb", 0, 1, True))]),
    gpu(A100, [gpu_instance(1, "3g.20gb", 0, 4, (None, 0, 0, False)), gpu_instance(5, "2g.10gb", 4, 2)], index=1),
    gpu(H100, index=2, mig=False),
    gpu(RTX, index=3),
    gpu(A30, index=4, mig_mode_pending=False),
    Gpu(5, "GPU-5", product="NVIDIA L40S"),
    gpu(A100, index=6)._replace(instances=None),
    Gpu(7, problem="It is lost."),
)
SNAPSHOTS = [Snapshot(gpus=gpus, driver_version="580.95.05") for gpus in (GPUS[:1], GPUS[1:2], GPUS[3:4], GPUS[4:], ())]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
name = st.sampled_from(NAMES[:7] * 3 + NAMES)
odd_name = name | st.builds("{}c.{}".format, st.integers(1, 8), name) | name.map(str.upper) | st.text(max_size=12)
number = st.integers(0, 7)
odd_number = number | st.integers(-1, 40) | st.sampled_from(["3", " 2 ", True, None, 1.5, 10**30])
compute = odd_name | st.fixed_dictionaries({"profile": odd_name}, optional={"placement": odd_number})
instance = name | st.fixed_dictionaries(
    {"profile": name}, optional={"placement": number, "compute_instances": st.lists(compute, max_size=3) | anything}
)
instances = st.one_of(
    st.dictionaries(name, number, max_size=3),
    st.dictionaries(odd_name, odd_number, max_size=3),
    st.lists(instance, max_size=4),
    st.lists(instance | odd_name | anything, max_size=4),
    anything,
)
selector = st.integers(0, 4) | st.sampled_from(["GPU-0", "07:00.0", "00000000:08:00.0", "1", 7, 9, "all"])
entry = st.fixed_dictionaries(
    {"instances": instances},
    optional={
        "gpus": st.lists(selector, min_size=1, max_size=3) | st.just("all") | anything,
        "product": st.sampled_from(["*A100*", "*", "[z-a]", "H100*"]),
        "pci_device_id": st.sampled_from(["0x20B010DE", 0x233010DE, ["0x2BB510DE"], "0x1"]),
        "mig_enabled": st.booleans() | st.just("perhaps"),
    },
)
plain = st.fixed_dictionaries({"instances": st.dictionaries(name, number, max_size=3) | st.lists(instance, max_size=4)})
layouts = st.lists(plain, min_size=1, max_size=1) | st.lists(entry, min_size=1, max_size=3) | st.lists(anything)


def check(layout, snapshot, keep, flags):
    """Decide as mig_instances and as mig_mode do: error, refusal or plan."""
    first, second = flags
    try:
        entries = validate_layout(layout)
        decisions = [
            decide_instances(snapshot, entries, keep, first)[0],
            decide_modes(snapshot, entries, first, second)[0],
        ]
    except MigError as error:
        assert str(error)
        assert len(str(error)) < 2000
        return "error"
    found = list(itertools.chain(*decisions))
    for decision in found:
        assert isinstance(decision, (Plan, Refusal))
        if isinstance(decision, Refusal):
            assert decision.message
        else:
            assert not decision.gpu.problem
    return "refusal" if any(isinstance(decision, Refusal) for decision in found) else "plan"


ARGUMENTS = {
    "layout": layouts,
    "snapshot": st.sampled_from(SNAPSHOTS),
    "keep": st.lists(st.sampled_from(["MIG-2-0", "MIG-none", ""]), max_size=2),
    "flags": st.tuples(st.booleans(), st.booleans()),
}
LENGTH = 100_000
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


@settings(max_examples=1_000, derandomize=True, **QUIET)
@given(**ARGUMENTS)
def test_any_layout(layout, snapshot, keep, flags):
    check(layout, snapshot, keep, flags)


@pytest.mark.prove
def test_any_layout_at_length(progress):
    found = Counter()
    with progress("layouts to decisions", LENGTH) as tally:

        @settings(max_examples=LENGTH, **QUIET)
        @given(**ARGUMENTS)
        def run(layout, snapshot, keep, flags):
            found[check(layout, snapshot, keep, flags)] += 1
            tally.step()

        run()
    line = (
        f"- layouts to decisions: {sum(found.values()):,} inputs: {found['error']:,} an error, {found['refusal']:,} a "
        f"refusal, {found['plan']:,} a plan; {tally.seconds:,} s"
    )
    write_evidence("fuzz decisions", [line])
    assert sum(found.values()) >= LENGTH
