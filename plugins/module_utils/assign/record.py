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

from ..errors import MigError
from ..host.files import check_version, read_json
from ..visible import shown

PATH = "/etc/gpufleet-mig/assignments.json"
WAY_OUT = "The file says what was assigned last; remove it to have all services assigned anew."
# MIG-UUID; before R470 MIG-GPU-UUID/gpu instance/compute instance.
UUID = re.compile(r"MIG-[A-Za-z0-9-]{1,80}(/[0-9]{1,5}/[0-9]{1,5})?")
DEVICE_FILE = re.compile(r"/dev/nvidia-caps/nvidia-cap[0-9]{1,7}")
CAPABILITY = re.compile(
    r"/proc/driver/nvidia/capabilities/gpu[0-9]{1,5}/mig/gi[0-9]{1,5}/(ci[0-9]{1,5}/)?access"  # capability_proc_file
)
GPU_UUID = re.compile(r"GPU-[A-Za-z0-9-]{1,92}")
ATTRIBUTES = re.compile(r"([+-][a-z0-9]+([.+-][a-z0-9]+)*)?")  # as layout/kept_profiles.py finds them
MOST_NUMBER = 1 << 32
VERSION = 2
SERVICE_LENGTH = 200  # names of units, files and directories are made of it
NOTHING_OWED = {"restart": [], "removed": [], "mps_removed": [], "revoked": []}


def read_record(path):
    """What was assigned last: {"services": {name: {uuid, mps, kept}}, "device_files": [{path, capability}],
    "owed": {…}, "written": {…}}.

    ``kept`` is what the device is besides its UUID (assignment.Kept), None as release 0.1.0 wrote it; ``written`` is
    the whole as it stands there, None where nothing does.
    ``owed`` is what a run had to do and is not known to have done, as mig_assignment_info returns it: ``restart``,
    ``removed`` and ``mps_removed``, names of services, and ``revoked``, device files. Raises MigError.
    """
    record = read_json(path, what_to_do=WAY_OUT)
    if record is None:
        return {"services": {}, "device_files": [], "owed": NOTHING_OWED, "written": None}
    if "version" in record:  # not before there was what is owed
        check_version(path, record, VERSION, WAY_OUT)
    try:
        return dict(checked_record(record), written=record)
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
                "kept": _kept(f"services.{name}", one) if "gpu" in one else None,
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


def without_owed(record):
    """What is written down, without what is owed."""
    return {key: value for key, value in record.items() if key != "owed"}


def says_the_same(record, written):
    """Whether a record says what is ``written`` already. Pure."""
    new, old = checked_record(record), checked_record(written)

    def same(one, other):
        known = one["kept"] and other["kept"]
        return (one["uuid"], one["mps"]) == (other["uuid"], other["mps"]) and (
            not known or other["kept"].is_same(one["kept"])
        )

    services = new["services"], old["services"]
    return (
        new["device_files"] == old["device_files"]
        and {*services[0]} == {*services[1]}
        and all(same(one, services[1][name]) for name, one in services[0].items())
    )


def kept_data(profile, what):
    """What the record says of a MIG device besides its UUID: its ``profile``, a name, and a Kept."""
    return dict(what._asdict(), profile=profile)


def _kept(where, one):
    # Loaded only where something is assigned: mig_facts reads this record on every host.
    from .assignment import Kept

    def number(key, may_be_none=False):
        return _number(f"{where}.{key}", one.get(key), may_be_none)

    return Kept(
        _text(f"{where}.gpu", one["gpu"], GPU_UUID),
        number("profile_id", True),
        number("slices", True),
        _text(f"{where}.attributes", one.get("attributes"), ATTRIBUTES),
        number("compute_slices", True),
        number("placement"),
        number("compute_placement"),
    )


def owners(path=None):
    """{service: (UUID of its MIG device, Kept or None)}. Raises MigError."""
    return {name: (one["uuid"], one["kept"]) for name, one in read_record(path or PATH)["services"].items()}


def service_name(where, text):
    """The full name of the service that ``text`` names. Raises MigError.

    No longer than the names that are made of it can be, and without the backslash, which other files would read as an
    escape.
    """
    from ..host.units import unit_name

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


def _number(where, value, may_be_none):
    if value is None and may_be_none:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST_NUMBER:
        raise _wrong(where, value, "is no such number")
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
