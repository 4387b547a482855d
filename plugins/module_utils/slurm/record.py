# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The devices that slurmd has read, written down: ``slurm.json`` in the state directory. slurm_device_record's."""

from __future__ import annotations

import json

from ..errors import MigError
from ..host.files import RELEASE, check_version, differs, read_json, write

VERSION = 2
NOT_KNOWN = "So which devices slurmd has read is not known; the role mig_slurm restarts slurmd once to know it."


def record(path, devices, move):
    """Write the devices down where others are: whether they are others. ``move`` is AnsibleModule.atomic_move, None
    writes nothing. Raises MigError.
    """
    content = (json.dumps({"version": VERSION, "written_by": RELEASE, "devices": devices}) + "\n").encode()
    changed = differs(path, content)
    if changed and move:
        write(path, content, move)
    return changed


def recorded(path, there=()):
    """The devices that are written down, None where nothing is; one without its place gets that of the device that is
    ``there``. Raises MigError.
    """
    record = read_json(path, what_to_do=NOT_KNOWN)
    if record is None:
        return None
    check_version(path, record, VERSION, NOT_KNOWN)
    devices = record.get("devices")
    if not isinstance(devices, list) or not all(map(_is_device, devices)):
        raise MigError(f"{path} is damaged: it has no devices as this release writes them. {NOT_KNOWN}")
    return [one if len(one) == 4 else next((new for new in there if new[:3] == one), one) for one in devices]


def _is_device(one):
    """A type, a UUID, device files and, since release 0.1.0, what it is besides; a whole GPU is a device, too."""
    return (
        isinstance(one, list)
        and len(one) in (3, 4)
        and all(word is None or isinstance(word, str) for word in one[:2])
        and isinstance(one[2], list)
        and all(isinstance(file, str) for file in one[2])
        and (len(one) == 3 or one[3] is None or _is_place(one[3]))
    )


def _is_place(numbers):
    return (
        isinstance(numbers, list)
        and len(numbers) == 4
        and all(one is None or (isinstance(one, int) and not isinstance(one, bool)) for one in numbers)
    )
