# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What mig_assignment_info does: from its options to its result, through one NVML session."""

from __future__ import annotations

from ..apply.state_directory import HostState
from ..errors import MigError
from ..host import files as host_files
from ..host.units import properties
from ..layout.kept_profiles import in_words, of_today
from ..layout.selectors import select_gpus
from ..model import GpuLayout
from ..nvml.session import Session
from ..profiles import outer
from ..results.data import gpu_data
from ..visible import visible
from . import state
from .access import accesses, check_names, is_given, major_number, rules_giving, rules_revoking
from .assignment import AssignmentError, Wish, assign, devices_of, devices_to_come, kept, mps_clients, still_there
from .record import NOTHING_OWED, VERSION, kept_data, read_record, says_the_same, service_name, without_owed


def assignment(params, run_command, warn):
    """The result of mig_assignment_info; ``params`` are its options, ``warn`` takes a sentence. Raises MigError."""
    services = _checked(params["services"])
    before = read_record(params["record"])
    result = {
        "assignments": [],
        "undecided": None,
        "mps": any(service["mps"] for service in services),
        "missing": [],
        "stale": [],
        "reload": False,
        "restart": [],
        "device_files": [],
        "access_given": True,
        "device_major": None,
        "access_rules": "",
        **_no_longer_wanted(services, before),
    }
    given, given_to, other = [], {}, []
    to_come = params["target"] is not None
    if services:
        with Session() as session:
            snapshot = session.read(("profiles", "instances"))
        _check_told(snapshot)
        recorded = {name: (one["uuid"], one["kept"]) for name, one in before["services"].items()}
        current = still_there(devices_of(snapshot.gpus), recorded)
        devices, result["undecided"] = _decide(services, snapshot, params, current, warn)
        given_to = dict(zip((service["name"] for service in services), devices))
        # The same UUID, and not the same device: its service was left with what is gone.
        other = [
            name
            for name, device in given_to.items()
            if name in recorded and name not in current and device.uuid == recorded[name][0]
        ]
        result["assignments"] = [
            _data(service, device, current, snapshot.cuda_version) for service, device in zip(services, devices)
        ]
        owners = [
            (device, service["users"], service["groups"])
            for service, device in zip(services, devices)
            if service["users"] or service["groups"]
        ]
        if owners and not to_come:
            given = accesses(owners)
            result["device_major"] = major_number()
            result["access_rules"] = rules_giving(given, result["device_major"])
            result["device_files"] = [
                dict(access._asdict(), given=is_given(access, result["device_major"])) for access in given
            ]
            result["access_given"] = all(one["given"] for one in result["device_files"])
    if not to_come:
        _compare(result, before["owed"]["restart"], other, run_command)
    paths = {access.path for access in given}
    revoked = {one["path"]: one for one in before["device_files"] + before["owed"]["revoked"]}
    result["revoked"] = [one for path, one in sorted(revoked.items()) if path not in paths]
    result["revoking_rules"] = rules_revoking(result["revoked"])
    owed = {kind: result[kind] for kind in NOTHING_OWED}
    written = None if to_come else before["written"]
    result["record"] = _record(result["assignments"], {} if to_come else given_to, given, written)
    # Until its service is restarted, the record has what that was left with.
    left_with = {name: before["written"]["services"][name] for name in other if name in result["restart"]}
    first = dict(result["record"], services={**result["record"]["services"], **left_with}, owed=owed)
    result["record_before"] = first if any(owed.values()) else result["record"]
    return result


def _record(assignments, devices, given, before):
    """What is written down; ``before`` is what is. Where they say the same it stays as it is, in the form of another
    release or with another driver's names, for an upgrade is no change.
    """
    services = {
        one["service"]: {
            "uuid": one["uuid"],
            "mps": one["mps"],
            **(kept_data(one["profile"], kept(devices[one["service"]])) if devices else {}),
        }
        for one in assignments
    }
    files = [{"path": access.path, "capability": access.capability} for access in given]
    record = {"version": VERSION, "written_by": host_files.RELEASE, "services": services, "device_files": files}
    return without_owed(before) if before and says_the_same(record, before) else record


def _no_longer_wanted(services, before):
    """The services that had a MIG device, or an MPS control daemon, and are to have none."""
    names = {service["name"] for service in services}
    with_mps = {service["name"] for service in services if service["mps"]}
    had_mps = {name for name, one in before["services"].items() if one["mps"]}
    return {
        "removed": sorted({*before["services"], *before["owed"]["removed"]} - names),
        "mps_removed": sorted({*had_mps, *before["owed"]["mps_removed"]} - with_mps),
    }


def _compare(result, owed, other, run_command):
    """Hold what the host has of each service against what it should have; ``owed`` names those to be restarted, and
    ``other`` those whose MIG device is another under the same UUID.
    """
    assigned = result["assignments"]
    names = [one["service"] for one in assigned]
    asked = names + [state.mps_unit(one["service"]) for one in assigned if one["mps"]]
    units = dict(zip(asked, properties(run_command, state.PROPERTIES, asked))) if asked else {}
    # They are owed until systemd has forgotten their drop-ins.
    result["reload"] = bool(result["removed"])
    for one in assigned:
        name, uuid, mps = one["service"], one["uuid"], one["mps"]
        unit, mps_unit = units[name], units.get(state.mps_unit(name))
        files = {"environment_file": state.environment_file(name, uuid, mps), "drop_in": state.drop_in(name, mps)}
        found = state.Found(
            unit,
            mps_unit,
            _environment(unit),
            _environment(mps_unit or {}),
            _is_right(files["environment_file"]),
            _is_right(files["drop_in"]),
            name in owed,
        )
        running_with = wrong = None
        if found.environment is not None:
            running_with = visible(state.plain(found.environment.get("CUDA_VISIBLE_DEVICES", ""), unset=""))
            wrong = state.differences(found.environment, name, uuid, mps)
        one.update(
            {kind: file._asdict() for kind, file in files.items()},
            load_state=unit.get("LoadState"),
            active_state=unit.get("ActiveState"),
            running_with=running_with,
            wrong=wrong,
            stale=wrong is not None,
        )
        if unit.get("LoadState") != "loaded":
            result["missing"].append(name)
        if wrong is not None:
            result["stale"].append(name)
        result["reload"] |= state.needs_reload(found, name)
        if state.needs_restart(found, name, uuid) or (name in other and unit.get("ActiveState") in state.RUNNING):
            result["restart"].append(name)


def _is_right(file):
    return not host_files.differs(file.path, file.content.encode())


def _environment(unit, proc="/proc"):
    """{variable: value} of a unit's main process, None where there is none or it hides them."""
    try:
        with open(f"{proc}/{int(unit.get('MainPID') or 0)}/environ", "rb") as file:
            variables = file.read().decode(errors="replace").split("\0")
    except (OSError, ValueError):
        return None
    # The first one counts, as for getenv(3).
    return dict(reversed([one.partition("=")[::2] for one in variables if "=" in one]))


def _checked(services):
    """The services with the full names of their units. Raises MigError."""
    found = []
    for number, service in enumerate(services):
        where = f"services[{number}]"
        name = service_name(f"{where}.name", service["name"])
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


def _check_told(snapshot):
    """Raise MigError where the driver has not told where MIG devices are."""
    for gpu in snapshot.gpus:
        instances = gpu.instances or ()
        if gpu.mig_mode and not gpu.problem and gpu.instances is None:
            raise MigError(f"The placements of {gpu.name} could not be read. Run as root (become: true).")
        if any(device.placement is None for instance in instances for device in instance.compute_instances):
            raise MigError(
                f"{gpu.name}: driver {snapshot.driver_version} does not tell the placement of each MIG device, so none"
                " can be given to a service for good. It takes R460 or later."
            )


def _decide(services, snapshot, params, current, warn):
    """(the MigDevice of each service, None), or ((), why nobody can tell yet)."""
    wishes = []
    for number, service in enumerate(services):
        gpus = None
        if service["gpu"] is not None:
            found = select_gpus(service["gpu"], snapshot.gpus, where=f"services[{number}].gpu")
            gpus = frozenset(gpu.index for gpu in found)
        wishes.append(Wish(service["name"], service["profile"], service["memory_mib"], service["placement"], gpus))
    wishes = _by_todays_names(wishes, snapshot.gpus, params["state_dir"], warn)
    to_come = params["target"] is not None
    devices = devices_to_come(snapshot.gpus, params["target"]) if to_come else devices_of(snapshot.gpus)
    try:
        return assign(wishes, devices, current, params["strategy"] == "spread"), None
    except AssignmentError as refusal:
        entries = [uuid for entry in params["target"] or () for uuid in entry["gpus"]]
        unknown = [gpu for gpu in snapshot.gpus if gpu.mig_capable and not gpu.mig_mode and gpu.uuid not in entries]
        if to_come and unknown:
            # A driver before R550 tells what fits on a GPU only when its MIG mode is on.
            names = " and ".join(gpu.name for gpu in unknown)
            return (), f"What {names} will have is known once MIG is on there. Without it: {refusal}"
        problems = "".join(f" {gpu.name} could not be read: {gpu.problem}" for gpu in snapshot.gpus if gpu.problem)
        first = "With the layout to come: " if to_come else ""
        raise MigError(f"{first}{refusal}{problems}") from None


def _by_todays_names(wishes, gpus, state_dir, warn):
    """The Wishes, with what GPUs call a profile today that nobody has by the name in a wish, as far as the host
    remembers what that was.
    """
    names = {name for gpu in gpus for profile in gpu.profiles for name in (profile.name, str(profile.id))}
    if all(wish.profile is None or outer(wish.profile) in names for wish in wishes):
        return wishes
    from ..apply.run import remembered  # only for a name that nobody has

    memory, called, told = remembered(HostState(state_dir)), {}, {gpu.index: {} for gpu in gpus}
    for gpu in gpus:
        for name in {wish.profile for wish in wishes if wish.profile}:
            one, found = of_today(GpuLayout(counts=((name, 1),)), gpu.profiles, memory.get(gpu.uuid.lower(), ()))
            if found:
                called.setdefault(name, {})[gpu.index] = one.counts[0][0]
                told[gpu.index].update(found)
    sentence = in_words([(gpu, told[gpu.index]) for gpu in gpus])
    if sentence:
        warn(sentence)
    return [wish._replace(today=called.get(wish.profile)) for wish in wishes]


def _data(service, device, current, cuda_version):
    keeps = device.uuid is not None and device.uuid == current.get(service["name"])
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
        "kept": keeps,
        "foreseen": _foreseen(service["name"], device, keeps),
        # What the host has of it is not asked for a layout to come.
        "environment_file": None,
        "drop_in": None,
        "load_state": None,
        "active_state": None,
        "running_with": None,
        "wrong": None,
        "stale": False,
    }


def _foreseen(name, device, keeps):
    """What a run would do for a service, in words."""
    where = f"the {device.profile} at slice {device.start} of GPU {device.gpu.index}"
    return f"{name} would keep {where}." if keeps else f"{name} would get {where} and be restarted if it runs."
