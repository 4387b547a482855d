# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which GPUs a selector names, and what is said to one that names none."""

from __future__ import annotations

import pytest
from gpus import A100, H100, L40S, gpu, host
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.selectors import select_gpus

# Index 3 has no MIG; indexes 9 and 10 sit at PCI buses 10 and 11 (hexadecimal).
HOST = (*host(A100, A100, H100, L40S), gpu(9), gpu(10, H100))


@pytest.mark.parametrize(
    "selectors, indexes",
    [
        (None, [0, 1, 2, 9, 10]),
        ("all", [0, 1, 2, 9, 10]),
        (["all"], [0, 1, 2, 9, 10]),
        (" ALL ", [0, 1, 2, 9, 10]),
        (0, [0]),
        ("1", [1]),
        (["2", 0], [0, 2]),
        ("0, 2", [0, 2]),
        ((1, "1", "08:00.0"), [1]),
        ("GPU-00000000-0000-0000-0000-000000000002", [2]),
        ("gpu-00000000-0000-0000-0000-000000000009", [9]),
        ("07:00.0", [0]),
        ("7:0.0", [0]),
        ("0000:07:00.0", [0]),
        ("00000000:07:00.0", [0]),
        ("0000:10:00.0", [9]),
    ],
)
def test_names_gpus(selectors, indexes):
    assert [found.index for found in select_gpus(selectors, HOST)] == indexes


def test_letters_of_a_pci_address_may_be_small_or_capital():
    hosts = [gpu(0, pci_address="0000000A:BC:0d.0")]
    assert select_gpus("a:bC:0D.0", hosts) == tuple(hosts)


def test_order_is_by_index_whatever_the_order_of_reading():
    assert [found.index for found in select_gpus("all", HOST[::-1])] == [0, 1, 2, 9, 10]
    assert [found.index for found in select_gpus([2, 0], HOST[::-1])] == [0, 2]


def test_facts_select_gpus_without_mig_too():
    assert len(select_gpus("all", HOST, mig_capable_only=False)) == 6
    assert [found.index for found in select_gpus([3], HOST, mig_capable_only=False)] == [3]


def test_all_of_a_host_without_mig_is_nothing():
    assert select_gpus("all", host(L40S)) == ()
    assert select_gpus("all", ()) == ()


@pytest.mark.parametrize(
    "selectors, message",
    [
        ([0, 7], "gpus[1]: there is no GPU 7 on this host, which has GPU 0 (NVIDIA A100-SXM4-40GB, GPU-0000"),
        ("GPU-dead", "gpus: there is no GPU GPU-dead on this host"),
        ("0001:07:00.0", "gpus: there is no GPU 0001:07:00.0 on this host"),
        ([3], "gpus[0]: GPU 3 (NVIDIA L40S, GPU-00000000-0000-0000-0000-000000000003, 00000000:0A:00.0) is not MIG-"),
        ([], "gpus: the list is empty; expected all, an index (0), a UUID (GPU-...) or a PCI address in quotes"),
        (["all", 0], "gpus[0]: all stands alone"),
        (["MIG-5f2c"], "gpus[0]: 'MIG-5f2c' is a MIG device; write the UUID of its GPU (GPU-...)"),
        ("MIG-GPU-5f2c/1/0", "gpus: 'MIG-GPU-5f2c/1/0' is a MIG device"),
        (420.0, "gpus: got the number 420.0; if this was a PCI address such as 07:00.0, put it in quotes"),
        (["420.0"], "gpus[0]: got the number '420.0'"),
        (True, "gpus: got True; expected all"),
        (-1, "gpus: got -1; expected all"),
        ("", "gpus: got ''; expected all"),
        ("GPU-5f2c…", "gpus: got 'GPU-5f2c…'; expected all"),
        ({"index": 0}, "gpus: got {'index': 0}; expected all"),
        ("07:00.08", "gpus: got '07:00.08'; expected all"),
        (["0\n1"], "gpus[0]: got '0\\n1'; expected all"),
        ("9" * 5000, "gpus: got '99999"),
        pytest.param(1 << 20000, "gpus: got a number without end; expected all", id="endless"),
    ],
)
def test_says_what_is_wrong_with_a_selector(selectors, message):
    with pytest.raises(LayoutError) as error:
        select_gpus(selectors, HOST)
    assert message in str(error.value)


def test_a_message_quotes_no_more_than_a_line():
    with pytest.raises(LayoutError) as error:
        select_gpus([{str(number) * 70: ["x" * 70] * 9 for number in range(9)}], HOST)
    assert len(str(error.value)) < 200


def test_absent_gpu_on_a_host_without_gpus():
    with pytest.raises(LayoutError, match=r"there is no GPU 0 on this host, which has none$"):
        select_gpus(0, ())


def test_says_what_could_be_named_instead_of_a_gpu_without_mig():
    with pytest.raises(LayoutError, match=r"MIG-capable on this host: GPU 0 .*; GPU 1 [^;]*$"):
        select_gpus(2, host(A100, A100, L40S))


def test_a_pci_address_without_domain_must_not_fit_two():
    twins = [gpu(0), gpu(1, pci_address="00000001:07:00.0")]
    with pytest.raises(LayoutError, match=r"07:00.0 fits GPU 0 .*; GPU 1 .*; write the PCI domain too"):
        select_gpus("07:00.0", twins)
    assert select_gpus("1:07:00.0", twins) == (twins[1],)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(anything)
def test_anything_selects_or_is_refused(selectors):
    try:
        found = select_gpus(selectors, HOST)
    except LayoutError as error:
        assert str(error).startswith("gpus") and len(str(error)) < 1000
    else:
        assert all(one in HOST and one.mig_capable for one in found)
