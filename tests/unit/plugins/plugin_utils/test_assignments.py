# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of services that do not use their MIG devices."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.plugin_utils.assignments import assignment_failure


def service(name, wrong=None, active="active"):
    return {
        "service": name,
        "profile": "1g.5gb",
        "gpu": {"index": 0},
        "environment_file": {"path": f"/etc/gpufleet-mig/services/{name}.env"},
        "active_state": active,
        "wrong": wrong,
        "stale": wrong is not None,
    }


BEGINNING = "On gpu-7 a service does not use its MIG device."


@pytest.mark.parametrize(
    ("after", "sentences"),
    [
        ({}, []),
        ({"skipped": True, "changed": False}, []),
        ({"assignments": [service("a.service")]}, []),
        # It was not restarted, so it is its own affair.
        ({"assignments": [service("b.service", active="failed")]}, []),
        (
            {"failed": True, "msg": "NVML does not answer."},
            ["What the services run with could not be seen: NVML does not answer.", BEGINNING],
        ),
        (
            {"assignments": [service("a.service", active="failed"), service("b.service", "X=1; expected X=2")]},
            [
                BEGINNING,
                "b.service runs with X=1; expected X=2, its 1g.5gb on GPU 0. Something overrides"
                " /etc/gpufleet-mig/services/b.service.env: see systemctl cat b.service.",
                "a.service was restarted with its 1g.5gb on GPU 0 and failed: see systemctl status a.service. Once it"
                " can start, run this again.",
            ],
        ),
    ],
)
def test_who_does_not_use_its_device(after, sentences):
    assert assignment_failure(after, ["a.service"], "gpu-7") == " ".join(sentences)
