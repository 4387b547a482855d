# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the role mig_assign has written down of who has which MIG device. mig_facts reads it, too."""

from __future__ import annotations

import json

from .errors import MigError

PATH = "/etc/gpufleet-mig/assignments.json"


def read_record(path):
    """{"services": {name: {uuid, mps}}, "device_files": [{path, capability}]} as assigned last. Raises MigError."""
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        return {
            "services": {
                name: {"uuid": str(one["uuid"]), "mps": bool(one["mps"])} for name, one in record["services"].items()
            },
            "device_files": [
                {"path": str(one["path"]), "capability": str(one["capability"])} for one in record["device_files"]
            ],
        }
    except FileNotFoundError:
        return {"services": {}, "device_files": []}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MigError(
            f"{path}, which says what was assigned last, cannot be read ({error}). Remove it to have all services"
            " assigned anew."
        ) from None


def owners(path=PATH):
    """{UUID of a MIG device: the service that has it}; {} where that cannot be read."""
    try:
        return {one["uuid"]: name for name, one in read_record(path)["services"].items()}
    except MigError:
        return {}
