# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of what is assigned: what it says becomes names of units and paths of files, so little is believed."""

from __future__ import annotations

import json

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.assign.record import owners, read_record, service_name
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError

FILE = {"path": "/dev/nvidia-caps/nvidia-cap3", "capability": "/proc/driver/nvidia/capabilities/gpu0/mig/gi1/access"}
NOTHING = {"restart": [], "removed": [], "mps_removed": [], "revoked": []}
WHOLE = {"uuid": "MIG-1", "mps": False, "gpu": "GPU-1", "profile_id": 9, "slices": 3, "attributes": "+me"}
WHOLE |= {"compute_slices": None, "placement": 4, "compute_placement": 0}
WRONG = [{"gpu": "0"}, {"profile_id": "9"}, {"slices": -3}, {"attributes": "a\nb"}, {"placement": None}]


def record(**changes):
    """A record as the role writes it, with something else in it."""
    return json.dumps({"services": {"a.service": {"uuid": "MIG-1", "mps": False}}, "device_files": [FILE], **changes})


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        record(services=[]),
        record(services={"a": {"uuid": "MIG-1", "mps": False}}),
        record(services={"../a.service": {"uuid": "MIG-1", "mps": False}}),
        record(services={"--now.service": {"uuid": "MIG-1", "mps": False}}),
        record(services={"a\nb.service": {"uuid": "MIG-1", "mps": False}}),
        record(services={"a.service": {"uuid": "MIG-1\nLD_PRELOAD=/tmp/x", "mps": False}}),
        record(services={"a.service": {"uuid": "MIG-1", "mps": "no"}}),
        record(services={"a.service": {"uuid": ["MIG-1"], "mps": False}}),
        *(record(services={"a.service": {**WHOLE, **one}}) for one in WRONG),
        record(device_files=[{**FILE, "path": "/etc/shadow"}]),
        record(device_files=[{**FILE, "path": "/dev/nvidia-caps/../mem"}]),
        record(device_files=[{**FILE, "path": FILE["path"] + "\nz /etc/shadow 0444"}]),
        record(device_files=[{**FILE, "capability": "/proc/driver/nvidia/capabilities/../../../sysrq-trigger"}]),
        record(device_files=[{"path": FILE["path"]}]),
        record(device_files={"path": "capability"}),
        record(owed={}),
        record(owed={**NOTHING, "restart": ["ssh.socket"]}),
        record(owed={**NOTHING, "removed": "a.service"}),
        record(owed={**NOTHING, "mps_removed": [1]}),
        record(owed={**NOTHING, "revoked": [{**FILE, "path": "/dev/mem"}]}),
    ],
)
def test_what_the_role_has_not_written_is_refused(tmp_path, text):
    path = tmp_path / "assignments.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MigError) as refusal:
        read_record(str(path))
    message = str(refusal.value)
    assert message.startswith(f"{path} is damaged: ")
    assert message.endswith(" remove it to have all services assigned anew.")
    assert "\n" not in message


def test_attributes_that_nobody_has_seen_are_no_damage(tmp_path):
    path = tmp_path / "assignments.json"
    for attributes in ("", "-me", "+me.all", "+xyz2.a1"):
        path.write_text(record(services={"a.service": {**WHOLE, "attributes": attributes}}), encoding="utf-8")
        assert owners(str(path))["a.service"][1].attributes == attributes


def test_a_record_with_what_is_owed_and_one_from_before_that(tmp_path):
    path = tmp_path / "assignments.json"
    path.write_text(record(), encoding="utf-8")
    services = {"a.service": {"uuid": "MIG-1", "mps": False}}
    read = read_record(str(path))
    assert read.pop("written") == json.loads(record())
    services["a.service"]["kept"] = None
    assert read == {"services": services, "device_files": [FILE], "owed": NOTHING}
    owed = {"restart": ["a.service"], "removed": ["b@c.service"], "mps_removed": ["b@c.service"], "revoked": [FILE]}
    path.write_text(record(owed=owed), encoding="utf-8")
    assert read_record(str(path))["owed"] == owed
    assert owners(str(path)) == {"a.service": ("MIG-1", None)}
    nothing = {"services": {}, "device_files": [], "owed": NOTHING, "written": None}
    assert read_record(str(tmp_path / "none")) == nothing


@pytest.mark.parametrize("name", ["a\\x2db", "a" * 201, "-x", "..", "a/b", "a\nb", "a%i", "worker@", ""])
def test_names_that_no_file_can_be_made_of(name):
    with pytest.raises(MigError, match=r"expected a systemd service such as train\.service$"):
        service_name("services[0].name", name)
