# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What mig_assignment_info does: from its options to its result, through one NVML session."""

from __future__ import annotations

import re

from .assignment import AssignmentError, Wish, assign, devices_of, devices_to_come, mps_clients
from .assignment_record import read_record
from .capability_access import accesses, check_names, is_given, major_number
from .data import gpu_data
from .errors import MigError
from .nvml import Session
from .selectors import select_gpus, shown
from .visible import said, visible

# As systemd.unit(5), without the backslash, which other files would read as an escape; a template is no service.
SERVICE = re.compile(r"[A-Za-z0-9:_.@-]{1,200}(?<!@)\.service")
PROPERTIES = "LoadState,ActiveState,MainPID"


def assignment(params, run_command):
    """The result of mig_assignment_info; ``params`` are its options. Raises MigError."""
    services = _checked(params["services"])
    before = read_record(params["record"])
    current = {name: one["uuid"] for name, one in before["services"].items()}
    names = [service["name"] for service in services]
    result = {
        "assignments": [],
        "device_files": [],
        "device_major": None,
        "undecided": None,
        "removed": sorted(name for name in before["services"] if name not in names),
    }
    given = []
    if services:
        with Session() as session:
            snapshot = session.read(("profiles", "instances"))
        to_come = params["target"] is not None
        devices, result["undecided"] = _decide(services, snapshot, params, current)
        units = [None] * len(services) if to_come else _units(names, run_command)
        for service, device, unit in zip(services, devices, units):
            result["assignments"].append(_data(service, device, unit, current, snapshot.cuda_version))
        owners = [
            (device, service["users"], service["groups"])
            for service, device in zip(services, devices)
            if service["users"] or service["groups"]
        ]
        if owners and not to_come:
            given = accesses(owners)
            result["device_major"] = major_number()
            result["device_files"] = [
                dict(access._asdict(), given=is_given(access, result["device_major"])) for access in given
            ]
    result["record"] = {
        "version": 1,
        "services": {one["service"]: {"uuid": one["uuid"], "mps": one["mps"]} for one in result["assignments"]},
        "device_files": [{"path": access.path, "capability": access.capability} for access in given],
    }
    paths = {access.path for access in given}
    result["revoked"] = [one for one in before["device_files"] if one["path"] not in paths]
    result["mps_removed"] = sorted(
        name
        for name, one in before["services"].items()
        if one["mps"] and name not in [service["name"] for service in services if service["mps"]]
    )
    return result


def _checked(services):
    """The services with the full names of their units. Raises MigError."""
    found = []
    for number, service in enumerate(services):
        where = f"services[{number}]"
        name = service["name"]
        name = name if name.endswith(".service") else f"{name}.service"
        if not SERVICE.fullmatch(name):
            got = shown(service["name"])
            raise MigError(f"{where}.name: got {got}; expected a systemd service such as train.service")
        if name in [one["name"] for one in found]:
            raise MigError(f"{where}.name: {name} is there twice; a service gets one MIG device")
        if service["profile"] is None and service["memory_mib"] is None and service["placement"] is None:
            raise MigError(
                f"{where}: {name} wants nothing; write a profile (1g.5gb), memory_mib (the least that it needs) or a"
                " placement (the first slice)"
            )
        check_names(where, service["users"] or (), service["groups"] or ())
        found.append(dict(service, name=name, users=service["users"] or [], groups=service["groups"] or []))
    return found


def _decide(services, snapshot, params, current):
    """(the MigDevice of each service, None), or ((), why nobody can tell yet)."""
    for gpu in snapshot.gpus:
        instances = gpu.instances or ()
        if gpu.mig_mode and not gpu.problem and gpu.instances is None:
            raise MigError(f"The placements of {gpu.name} could not be read. Run as root (become: true).")
        if any(device.placement is None for instance in instances for device in instance.compute_instances):
            raise MigError(f"{gpu.name}: driver {snapshot.driver_version} tells no placements; it takes R460 or later.")
    wishes = []
    for number, service in enumerate(services):
        gpus = None
        if service["gpu"] is not None:
            found = select_gpus(service["gpu"], snapshot.gpus, where=f"services[{number}].gpu")
            gpus = frozenset(gpu.index for gpu in found)
        wishes.append(Wish(service["name"], service["profile"], service["memory_mib"], service["placement"], gpus))
    to_come = params["target"] is not None
    devices = devices_to_come(snapshot.gpus, params["target"]) if to_come else devices_of(snapshot.gpus)
    try:
        return assign(wishes, devices, current, params["strategy"] == "spread"), None
    except AssignmentError as refusal:
        entries = [uuid for entry in params["target"] or () for uuid in entry["gpus"]]
        unknown = [gpu for gpu in snapshot.gpus if gpu.mig_capable and not gpu.mig_mode and gpu.uuid not in entries]
        if to_come and unknown:
            # On Ampere the driver tells what fits on a GPU only when its MIG mode is on.
            names = " and ".join(gpu.name for gpu in unknown)
            return (), f"What {names} will have is known once MIG is on there. Without it: {refusal}"
        problems = "".join(f" {gpu.name} could not be read: {gpu.problem}" for gpu in snapshot.gpus if gpu.problem)
        first = "With the layout to come: " if to_come else ""
        raise MigError(f"{first}{refusal}{problems}") from None


def _units(names, run_command):
    """What systemd says of each service, as {property: value}."""
    command = ["systemctl", "show", f"--property={PROPERTIES}", "--", *names]
    status, output, errors = run_command(command)
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in output.strip().split("\n\n")]
    if status or len(blocks) != len(names):
        raise MigError(f"systemctl show: exit status {status}: {said(errors or output)}")
    return blocks


def _data(service, device, unit, current, cuda_version):
    running_with = _visible_devices(unit["MainPID"]) if unit else None
    return {
        "service": service["name"],
        "uuid": device.uuid,
        "gpu": gpu_data(device.gpu),
        "profile": device.profile,
        "placement": device.start,
        "memory_mib": device.memory_mib,
        "cdi_device": device.uuid and f"nvidia.com/gpu={device.uuid}",
        "users": service["users"],
        "groups": service["groups"],
        "mps": service["mps"],
        "mps_clients": mps_clients(device, cuda_version) if service["mps"] else None,
        "kept": device.uuid is not None and device.uuid == current.get(service["name"]),
        "load_state": unit and unit["LoadState"],
        "active_state": unit and unit["ActiveState"],
        "running_with": running_with,
        "stale": running_with not in (None, device.uuid),
    }


def _visible_devices(pid, proc="/proc"):
    """CUDA_VISIBLE_DEVICES of a process ("" where it has none), None where there is no such process."""
    try:
        with open(f"{proc}/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None
    values = (one.partition(b"=")[2] for one in variables if one.startswith(b"CUDA_VISIBLE_DEVICES="))
    return visible(next(values, b"").decode(errors="replace"))
