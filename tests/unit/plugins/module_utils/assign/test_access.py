# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which capability files are for whom; whether they are is tested on a test host."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from gpus import gpu

from ansible_collections.gpufleet.mig.plugins.module_utils.assign import access as capability_access
from ansible_collections.gpufleet.mig.plugins.module_utils.assign.assignment import MigDevice
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host import device_files

MINORS = "config 1\nmonitor 2\ngpu0/gi1/access 12\ngpu0/gi1/ci0/access 13\ngpu0/gi1/ci1/access 14\n"


def device(compute_instance):
    return MigDevice(gpu(0), "1c.2g.10gb", 0, compute_instance, 0, True, 1, compute_instance, f"MIG-{compute_instance}")


@pytest.fixture
def table(tmp_path, monkeypatch):
    (tmp_path / "mig-minors").write_text(MINORS)
    known = device_files.capability_minors
    monkeypatch.setattr(
        capability_access, "capability_minors", lambda *names: known(*names, table=str(tmp_path / "mig-minors"))
    )


def test_file_of_a_shared_gpu_instance_stays_open(table):
    """A service without users that computes in the same GPU instance needs it."""
    found = capability_access.accesses([(device(0), ["bob", "alice"], []), (device(1), ["alice"], ["research"])])
    folder = "/proc/driver/nvidia/capabilities/gpu0/mig/gi1"
    assert [tuple(one) for one in found] == [
        ("/dev/nvidia-caps/nvidia-cap13", 13, f"{folder}/ci0/access", ("alice", "bob"), ()),
        ("/dev/nvidia-caps/nvidia-cap14", 14, f"{folder}/ci1/access", ("alice",), ("research",)),
    ]


def test_files_of_a_gpu_instance_with_one_compute_instance(table):
    found = capability_access.accesses([(device(0)._replace(shared=False), ["alice"], [])])
    assert [(one.minor, one.users) for one in found] == [(12, ("alice",)), (13, ("alice",))]


def test_rules_hold_no_word_of_a_name(table, monkeypatch):
    """A directory service knows names that mean something in tmpfiles.d, and has them after the boot only."""
    hostile = "a %b:w\nz /etc/shadow 0666"
    monkeypatch.setattr(capability_access.pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=1001))
    monkeypatch.setattr(capability_access.grp, "getgrnam", lambda name: SimpleNamespace(gr_gid=2002))
    given = capability_access.accesses([(device(0), [hostile], [hostile])])
    lines = capability_access.rules_giving(given, 236).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "d /dev/nvidia-caps 0755 root root -",
        "w /proc/driver/nvidia/capabilities/gpu0/mig/gi1/ci0/access - - - - DeviceFileModify: 0",
        "c /dev/nvidia-caps/nvidia-cap13 0440 root root - 236:13",
        "a /dev/nvidia-caps/nvidia-cap13 - - - - u:1001:r,g:2002:r",
    ]


def test_driver_without_such_files_is_refused(table):
    with pytest.raises(MigError, match="has no capability files for MIG-7"):
        capability_access.accesses([(device(7), ["alice"], [])])


def test_major_number_is_the_kernels_or_that_of_a_file_there(tmp_path):
    devices = tmp_path / "devices"
    devices.write_text("Character devices:\n  1 mem\n195 nvidia\n236 nvidia-caps-imex-channels\n237 nvidia-caps\n")
    assert capability_access.major_number(str(devices)) == 237
    devices.write_text("Character devices:\n  1 mem\n")
    assert capability_access.major_number(str(devices), "/dev/null") == 1
    with pytest.raises(MigError, match="is the NVIDIA driver loaded"):
        capability_access.major_number(str(devices), str(tmp_path / "none"))


def test_a_gpu_without_minor_number_is_named_and_no_file_is_made_up(table):
    nameless = device(0)._replace(gpu=gpu(0, minor=None))
    with pytest.raises(MigError) as refusal:
        capability_access.accesses([(nameless, ["alice"], [])])
    assert str(refusal.value).startswith("GPU 0 (NVIDIA A100-SXM4-40GB, GPU-00000000-")
    assert "has no minor number, by which its device files are named" in str(refusal.value)
    assert "R450" not in str(refusal.value)
