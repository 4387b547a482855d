# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the role mig_assign has written down of who has which MIG device. mig_facts reads it, too.

The role writes it before it touches anything, with what it then owes, and again when it owes nothing any more: so the
next run ends what a killed one began. What is read here becomes names of units and paths of files that root writes,
and is held against what those may be.
"""

from __future__ import annotations

import re

from .errors import MigError
from .host_files import read_json
from .selectors import shown
from .units import unit_name

PATH = "/etc/gpufleet-mig/assignments.json"
WAY_OUT = "The file says what was assigned last; remove it to have all services assigned anew."
# MIG-UUID; before R470 MIG-GPU-UUID/gpu instance/compute instance.
UUID = re.compile(r"MIG-[A-Za-z0-9-]{1,80}(/[0-9]{1,5}/[0-9]{1,5})?")
DEVICE_FILE = re.compile(r"/dev/nvidia-caps/nvidia-cap[0-9]{1,7}")
CAPABILITY = re.compile(
    r"/proc/driver/nvidia/capabilities/gpu[0-9]{1,5}/mig/gi[0-9]{1,5}/(ci[0-9]{1,5}/)?access"  # capability_proc_file
)
SERVICE_LENGTH = 200  # names of units, files and directories are made of it
NOTHING_OWED = {"restart": [], "removed": [], "mps_removed": [], "revoked": []}


def read_record(path):
    """What was assigned last: {"services": {name: {uuid, mps}}, "device_files": [{path, capability}], "owed": {…}}.

    ``owed`` is what a run had to do and is not known to have done, as mig_assignment_info returns it: ``restart``,
    ``removed`` and ``mps_removed``, names of services, and ``revoked``, device files. Raises MigError.
    """
    record = read_json(path, what_to_do=WAY_OUT)
    if record is None:
        return {"services": {}, "device_files": [], "owed": NOTHING_OWED}
    try:
        return checked_record(record)
    except ValueError as error:
        raise MigError(f"{path} is damaged: {error}. {WAY_OUT}") from None


def checked_record(data):
    """``data`` as read_record returns it. Raises ValueError where it is anything but what the role writes. Pure."""
    record = _dict("the whole", data)
    services = _dict("services", record.get("services"))
    owed = _dict("owed", record.get("owed", NOTHING_OWED))
    return {
        "services": {
            _service("services", name): {
                "uuid": _text(f"services.{name}.uuid", _dict(name, one).get("uuid"), UUID),
                "mps": _bool(f"services.{name}.mps", one.get("mps")),
            }
            for name, one in services.items()
        },
        "device_files": _device_files("device_files", record.get("device_files")),
        "owed": {
            **{
                kind: [_service(f"owed.{kind}", name) for name in _list(f"owed.{kind}", owed.get(kind))]
                for kind in ("restart", "removed", "mps_removed")
            },
            "revoked": _device_files("owed.revoked", owed.get("revoked")),
        },
    }


def owners(path=None):
    """{UUID of a MIG device: the service that has it}. Raises MigError."""
    return {one["uuid"]: name for name, one in read_record(path or PATH)["services"].items()}


def service_name(where, text):
    """The full name of the service that ``text`` names. Raises MigError.

    No longer than the names that are made of it can be, and without the backslash, which other files would read as an
    escape.
    """
    name = unit_name(where, text, (".service",))
    if "\\" in name or len(name) > SERVICE_LENGTH + len(".service"):
        raise MigError(f"{where}: got {shown(text)}; expected a systemd service such as train.service")
    return name


def _service(where, name):
    try:
        if isinstance(name, str) and service_name(where, name) == name:
            return name
    except MigError as error:
        raise ValueError(str(error)) from None
    raise ValueError(f"{where}: got {shown(name)}; expected the full name of a systemd service")


def _device_files(where, found):
    return [
        {
            "path": _text(f"{where}.path", _dict(where, one).get("path"), DEVICE_FILE),
            "capability": _text(f"{where}.capability", one.get("capability"), CAPABILITY),
        }
        for one in _list(where, found)
    ]


def _text(where, value, pattern):
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _wrong(where, value, "is none")
    return value


def _bool(where, value):
    if not isinstance(value, bool):
        raise _wrong(where, value, "is neither true nor false")
    return value


def _dict(where, value):
    if not isinstance(value, dict):
        raise _wrong(where, value, "is no mapping")
    return value


def _list(where, value):
    if not isinstance(value, list):
        raise _wrong(where, value, "is no list")
    return value


def _wrong(where, value, why):
    return ValueError(f"{where} is missing" if value is None else f"{where}: {shown(value)} {why}")
