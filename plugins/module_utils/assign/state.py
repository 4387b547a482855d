# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a service with a MIG device should have, in its files, in what systemd has loaded and in what its process runs
with; and what follows where it has something else. Pure.

Nothing here asks what this run has written: a run may have been killed between any two of these.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional

from ..errors import MigError
from ..visible import shown
from .record import UUID

ENVIRONMENT = "/etc/gpufleet-mig/services"
UNITS = "/etc/systemd/system"
WRITTEN_BY = "# Written by the Ansible role gpufleet.mig.mig_assign.\n"
# Of `systemctl show`. NeedDaemonReload alone does not do: systemd looks for new drop-ins only where it knew a directory
# when it read its units (unit_need_daemon_reload and the unit path cache in systemd's src/core).
PROPERTIES = ("LoadState", "ActiveState", "MainPID", "NeedDaemonReload", "DropInPaths", "Requires")
RUNNING = ("active", "activating", "reloading", "refreshing")
PIPE = "CUDA_MPS_PIPE_DIRECTORY"


class File(NamedTuple):
    """A file as it should be."""

    path: str
    content: str


class Found(NamedTuple):
    """What a host has of a service.

    ``unit`` and ``mps_unit`` are {property: value} of the service and of its MPS control daemon, the latter None where
    the service wants none. ``environment`` and ``mps_environment`` are those of their main processes, None where there
    is no such process or it hides them. ``environment_right`` and ``drop_in_right`` say that the service's files are as
    they should be. ``owed`` says that an earlier run meant to restart it and may not have done so.
    """

    unit: Dict[str, str]
    mps_unit: Optional[Dict[str, str]] = None
    environment: Optional[Dict[str, str]] = None
    mps_environment: Optional[Dict[str, str]] = None
    environment_right: bool = True
    drop_in_right: bool = True
    owed: bool = False


def mps_unit(service):
    """The unit of a service's MPS control daemon."""
    return f"gpufleet-mig-mps@{service}"


def environment_path(service):
    """The path of a service's environment file."""
    return f"{ENVIRONMENT}/{service}.env"


def drop_in_path(service):
    """The path of a service's drop-in."""
    return f"{UNITS}/{service}.d/50-gpufleet-mig.conf"


def variables(service, uuid, mps):
    """{variable: value} that a service runs with that has this MIG device. Raises MigError for what is no UUID.

    Rule: how programs are told their device
    """
    if not UUID.fullmatch(uuid):
        raise MigError(f"NVML calls the MIG device of {service} {shown(uuid)}, which is no UUID. Nothing was changed.")
    found = {
        "CUDA_VISIBLE_DEVICES": uuid,
        "NVIDIA_VISIBLE_DEVICES": uuid,
        "CDI_DEVICE": f"nvidia.com/gpu={uuid}",
    }
    if mps:
        name = service[: -len(".service")]
        found[PIPE] = f"/run/gpufleet-mig-mps/{name}"
        found["CUDA_MPS_LOG_DIRECTORY"] = f"/var/log/gpufleet-mig-mps/{name}"
    return found


def environment_file(service, uuid, mps):
    """The environment File of a service."""
    lines = [f"{name}={value}\n" for name, value in variables(service, uuid, mps).items()]
    return File(environment_path(service), WRITTEN_BY + "".join(lines))


def drop_in(service, mps):
    """The File that makes systemd give a service its environment file."""
    daemon = f"Requires={mps_unit(service)}\nAfter={mps_unit(service)}\n" if mps else ""
    return File(
        drop_in_path(service),
        f"{WRITTEN_BY}[Unit]\nAfter=gpufleet-mig.service gpufleet-mig-access.service\n{daemon}\n"
        f"[Service]\nEnvironmentFile={environment_path(service)}\n",
    )


def differences(environment, service, uuid, mps):
    """What a process has and should not: "VARIABLE=value; expected value" of the variable that matters first, or None.

    The variables of one file are read together, so two tell of all. Without MPS the pipe directory of somebody else's
    control daemon is the service's own affair.
    """
    wanted = variables(service, uuid, mps)
    visible = environment.get("CUDA_VISIBLE_DEVICES", "")
    pipe = environment.get(PIPE, "")
    if visible != uuid:
        return f"CUDA_VISIBLE_DEVICES={plain(visible)}; expected {uuid}"
    if mps and pipe != wanted[PIPE]:
        return f"{PIPE}={plain(pipe)}; expected {wanted[PIPE]}"
    if not mps and pipe == variables(service, uuid, True)[PIPE]:
        return f"{PIPE}={plain(pipe)}; expected none"
    return None


def plain(value, unset="(unset)"):
    """What a process has in a variable, on one line of a message."""
    return (value if value.isprintable() and len(value) <= 100 else shown(value)) or unset


def needs_reload(found, service):
    """True where systemd has not loaded a service's unit as its files are, or will be once they are right."""
    if not found.drop_in_right or not _is_loaded(found, service):
        return True
    if found.mps_unit is not None and found.mps_unit.get("LoadState") != "loaded":
        return True
    return "yes" in (unit.get("NeedDaemonReload") for unit in (found.unit, found.mps_unit or {}))


def needs_restart(found, service, uuid):
    """True where a service that should run does not run with its MIG device, and will after a restart.

    One that was stopped stays so, unless a run that was to restart it may have left it like that: an MPS control daemon
    that does not start keeps it down without a failure of its own. One that failed is tried again where it failed with
    something else than it should have; otherwise it has its own reasons.
    """
    right = found.environment_right and found.drop_in_right and _is_loaded(found, service)
    state = found.unit.get("ActiveState")
    if state not in RUNNING:
        return found.owed or (state == "failed" and not right)
    if found.environment is None:
        restart = found.owed or not right
    else:
        restart = differences(found.environment, service, uuid, found.mps_unit is not None) is not None
    return restart or _lacks_mps(found, uuid)


def _is_loaded(found, service):
    """Whether systemd has read this drop-in, and that the service has, or has not, an MPS control daemon."""
    requires_mps = mps_unit(service) in found.unit.get("Requires", "").split()
    has_drop_in = drop_in_path(service) in found.unit.get("DropInPaths", "").split()
    return has_drop_in and requires_mps == (found.mps_unit is not None)


def _lacks_mps(found, uuid):
    if found.mps_unit is None:
        return False
    of_another = found.mps_environment is not None and found.mps_environment.get("CUDA_VISIBLE_DEVICES") != uuid
    return found.mps_unit.get("ActiveState") not in RUNNING or of_another
