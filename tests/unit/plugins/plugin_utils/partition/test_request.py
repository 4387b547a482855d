# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot be meant by the variables of mig_partition, and what of them keeps a run on a host that is as wanted."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.partition.request import has_more, mistakes


def wrong(options, files=(), directories=(".",)):
    return list(mistakes(options, lambda path: path in files, lambda path: path in directories))


def test_nothing_is_wrong_without_variables_and_with_right_ones():
    assert wrong({}) == []
    right = {
        "mig_partition_tasks": {"before_drain": "/a.yml", "after_restore": "/b.yml"},
        "mig_partition_drain": ["kubernetes", "/own/hook.yaml", "systemd", "slurm"],
        "mig_partition_expose": ["assign", "/own/expose.yml", "device_plugin", "container_runtime", "slurm"],
        "mig_partition_report": "/reports/one.json",
    }
    files = ["/a.yml", "/b.yml", "/own/hook.yaml", "/own/hook_restore.yaml", "/own/expose.yml"]
    assert wrong(right, files, ["/reports"]) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mig_partition_tasks": {"before_lunch": "/a.yml"}}, ["before_lunch", "before_check", "after_restore"]),
        ({"mig_partition_drain": ["kubernets", "hook.yml"]}, ["kubernets, hook.yml", "kubernetes, slurm, systemd"]),
        ({"mig_partition_drain": ["/own/hook.yml"]}, ["/own/hook.yml, /own/hook_restore.yml."]),
        ({"mig_partition_expose": ["metrix"]}, ["metrix.", "assign, container_runtime, device_plugin, slurm"]),
        ({"mig_partition_report": "/nowhere/one.json"}, ["no directory /nowhere on the controller"]),
    ],
)
def test_what_cannot_be_meant_is_named_with_what_can(options, words):
    (message,) = wrong(options, ["/a.yml"])
    assert [one for one in words if one not in message] == []


def test_each_missing_file_is_named_once():
    (message,) = wrong({"mig_partition_tasks": {"before_check": "/a.yml", "after_check": "/a.yml"}})
    assert message.count("/a.yml") == 1


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, False),
        ({"mig_partition_tasks": {"before_drain": "/a.yml"}}, False),
        ({"mig_partition_tasks": {"after_persistence": "/a.yml"}}, True),
        ({"mig_partition_tasks": {"before_check": "/a.yml"}}, True),
        ({"mig_partition_expose": ["assign"]}, True),
    ],
)
def test_what_keeps_a_run_on_a_host_that_is_as_wanted(options, more):
    assert has_more(options) is more
