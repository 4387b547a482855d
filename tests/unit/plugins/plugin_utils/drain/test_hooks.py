# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task files of drain hooks, and their order on hosts that are drained together."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.hooks import CLIENTS, WORKLOADS, in_order, task_file


@pytest.mark.parametrize(
    ("hook", "stage", "file"),
    [
        ("slurm", "", "/role/tasks/slurm.yml"),
        ("gpu_clients", CLIENTS, "/role/tasks/gpu_clients_restore_clients.yml"),
        ("/srv/mine.yaml", "", "/srv/mine.yaml"),
        ("/srv/mine.yaml", WORKLOADS, "/srv/mine_restore.yaml"),
    ],
)
def test_the_files_of_a_hook_are_side_by_side(hook, stage, file):
    assert task_file(hook, "/role/tasks", stage) == file


def merged(*lists):
    """What Ansible makes of the loops of several hosts: each item once, where the first host has it."""
    items = []
    for one in itertools.chain(*lists):
        if one not in items:
            items.append(one)
    return items


@pytest.mark.parametrize(
    "hosts", [("ab", "ba"), ("abc", "ac", "cab", "c"), ("a", "ab", "abc"), ("ab", "cb"), ("aab", "aba")]
)
def test_each_host_keeps_its_order_beside_any_others(hosts):
    lists = [in_order([{"hook": hook} for hook in hooks], "hook") for hooks in hosts]
    together = merged(*lists)
    for hooks, own in zip(hosts, lists, strict=True):
        assert "".join(one["hook"] for one in together if one in own) == hooks


def test_what_hosts_have_in_common_is_run_for_all_of_them_at_once():
    one, two = (in_order([{"hook": hook} for hook in hooks], "hook") for hooks in ("ab", "abc"))
    assert merged(one, two) == two
