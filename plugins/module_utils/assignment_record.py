# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the role mig_assign has written down of who has which MIG device. mig_facts reads it, too."""

from __future__ import annotations

from .errors import MigError
from .host_files import read_json

PATH = "/etc/gpufleet-mig/assignments.json"
WAY_OUT = "The file says what was assigned last; remove it to have all services assigned anew."


def read_record(path):
    """{"services": {name: {uuid, mps}}, "device_files": [{path, capability}]} as assigned last. Raises MigError."""
    record = read_json(path, what_to_do=WAY_OUT)
    if record is None:
        return {"services": {}, "device_files": []}
    services, files = record.get("services"), record.get("device_files")
    if not isinstance(services, dict) or not all(map(_is_service, services.values())):
        raise MigError(f"{path} is damaged: services has no uuid or mps of each. {WAY_OUT}")
    if not isinstance(files, list) or not all(map(_is_file, files)):
        raise MigError(f"{path} is damaged: device_files has no path or capability of each. {WAY_OUT}")
    return {
        "services": {name: {"uuid": one["uuid"], "mps": one["mps"]} for name, one in services.items()},
        "device_files": [{"path": one["path"], "capability": one["capability"]} for one in files],
    }


def _is_service(one):
    return isinstance(one, dict) and isinstance(one.get("uuid"), str) and isinstance(one.get("mps"), bool)


def _is_file(one):
    return isinstance(one, dict) and isinstance(one.get("path"), str) and isinstance(one.get("capability"), str)


def owners(path=None):
    """{UUID of a MIG device: the service that has it}. Raises MigError."""
    return {one["uuid"]: name for name, one in read_record(path or PATH)["services"].items()}
