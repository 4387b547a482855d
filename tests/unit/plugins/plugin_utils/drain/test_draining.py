# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drain does with the options that it is given."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.drain.draining import draining

DEFAULTS = {
    "mig_drain_hooks": [],
    "mig_drain_must_be_free": [],
    "mig_drain_gpu_clients": [],
    "mig_drain_systemd_units": [],
    "mig_drain_systemd_except": ["ssh"],
    "mig_drain_kubernetes_scope": "devices",
}
MINE = "/srv/mine.yml"
POD = {"uid": "5b0c3a3e-7f3a-4a56-9b57-0f5e6f8b7c11", "namespace": "ml", "name": "train"}
IN_THE_WAY = [
    {"processes": [{"unit": "ssh.service"}, {"unit": "train.service"}], "allocated_to": [POD]},
    {"processes": [{"unit": "listed.service"}]},
]


def decided(exists=lambda path: True, **options):
    given = {f"mig_drain_{name}": value for name, value in options.items()}
    return draining({**DEFAULTS, **given}, "/role/tasks", exists)


def test_hooks_are_run_in_their_order_each_with_its_task_file():
    found = decided(hooks=["slurm", MINE])
    assert found["refusal"] == ""
    assert found["hooks"] == [
        {"hook": "slurm", "file": "/role/tasks/slurm.yml", "after": []},
        {"hook": MINE, "file": MINE, "after": [["slurm"]]},
    ]


def test_gpu_clients_are_drained_as_by_a_hook():
    found = decided(gpu_clients=["nvidia-dcgm", "nvsm.service"])
    assert found["gpu_clients"] == {"hook": "gpu_clients", "file": "/role/tasks/gpu_clients.yml"}
    assert found["clients"] == ["nvidia-dcgm.service", "nvsm.service"]
    assert decided()["clients"] == []


BEGINNING = "Nothing was drained, because of what stands in mig_drain_hooks (mig_partition_drain). "
END = " A task file NAME.yml drains, and NAME_restore.yml beside it restores."


@pytest.mark.parametrize(
    ("hooks", "there", "why"),
    [
        (
            ["docker", "kubernetes", "mine.yml"],
            ["docker", "mine.yml", "docker_restore", "mine_restore.yml"],
            "Neither one of kubernetes, slurm, systemd nor the absolute path of a .yml file: docker, mine.yml.",
        ),
        ([MINE], [], "No such file on the controller: /srv/mine.yml, /srv/mine_restore.yml."),
        ([MINE], [MINE], "No such file on the controller: /srv/mine_restore.yml."),
    ],
)
def test_hooks_that_are_not_there(hooks, there, why):
    assert decided(hooks=hooks, exists=there.__contains__)["refusal"] == BEGINNING + why + END


@pytest.mark.parametrize(
    ("option", "called"),
    [
        ("gpu_clients", "mig_drain_gpu_clients (mig_partition_gpu_clients)"),
        ("systemd_units", "mig_drain_systemd_units"),
        ("systemd_except", "mig_drain_systemd_except"),
    ],
)
def test_what_no_unit_is_called(option, called):
    refusal = decided(**{option: ["fine", "--now"]})["refusal"]
    assert refusal == f"{called}[1]: got '--now'; expected a systemd unit such as train.service"


def test_what_the_operator_has_listed_is_stopped_before_what_is_found_and_nothing_that_is_excepted():
    found = decided(must_be_free=IN_THE_WAY, systemd_units=["listed"])
    assert found["units"] == ["listed.service", "train.service", "listed.service"]
    assert decided(systemd_units=["ssh"])["units"] == ["ssh.service"]


@pytest.mark.parametrize(
    ("scope", "must_be_free", "evict", "pods"),
    [
        ("devices", IN_THE_WAY, True, [POD]),
        ("devices", IN_THE_WAY[1:], False, []),
        ("node", IN_THE_WAY[1:], True, None),
        ("node", [], False, None),
    ],
)
def test_which_pods_are_evicted(scope, must_be_free, evict, pods):
    found = decided(kubernetes_scope=scope, must_be_free=must_be_free)
    assert (found["evict"], found.get("pods")) == (evict, pods)
