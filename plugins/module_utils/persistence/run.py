# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What mig_persistence does: from its options to the files and the unit on the host."""

from __future__ import annotations

import sys

from ..apply.claims import heeding_claims
from ..apply.state_directory import HostState
from ..errors import MigError
from ..host import files as host_files
from ..host.units import systemctl, units
from ..layout import saved_layout
from ..layout.kept_profiles import kept_of, merged
from . import files as persistence
from .program import is_program

RUN = ("restart", persistence.UNIT)


def keep(module, result):
    """Bring the host to what the options say. Raises MigError.

    ``module`` is the AnsibleModule; ``result`` has ``changed``, ``actions`` and ``diff`` and grows as it goes.
    """
    steps = _steps(module.params, module.run_command, module.warn, result)
    # The unit takes the lock itself when it runs.
    runs = [step for step in steps if step == RUN]
    if steps and not module.check_mode:
        state = HostState(module.params["state_dir"], heeding_claims(module))
        with state.lock(module.params["lock_timeout"]):
            _do(module, result, [step for step in steps if step not in runs])
        _do(module, result, runs)
    else:
        _do(module, result, steps)


def is_kept(params, run_command):
    """Whether mig_persistence with these options would find nothing to do. Raises MigError where it would fail."""
    return not _steps(params, run_command, lambda _warning: None, {})


def _steps(params, run_command, warn, result):
    """What to do, as persistence/files.py has it; ``result`` gets what systemd tells of the unit. Raises MigError."""
    state_dir = HostState(params["state_dir"]).path
    known = units(run_command, persistence.UNIT, persistence.MIG_MANAGER)
    unit = known[persistence.UNIT]
    result["unit"] = unit.data()
    files = _wanted_files(params, warn, known[persistence.MIG_MANAGER], state_dir)
    files = [_as_upgrade(file) for file in files if host_files.differs(file.path, file.content)]
    keeping = params["state"] == "present" and params["backend"] == "builtin"
    return persistence.steps(files, unit, keeping, params["start"])


def _do(module, result, steps):
    """Do the steps, or in check mode say that they would be done."""
    for step in steps:
        if isinstance(step, persistence.File):
            result["diff"].append(step.diff(host_files.found(step.path)))
        if not module.check_mode:
            _execute(module, step)
        result["changed"] |= not (isinstance(step, persistence.File) and step.upgrade)
        result["actions"].append(persistence.sentence(step))


def _wanted_files(params, warn, mig_manager, state_dir):
    """Every file that either backend may write, as it should be. Raises MigError."""
    if params["state"] == "absent":
        return persistence.no_files()
    entries = saved_layout.exact_entries(params["layout"])
    if params["backend"] == "builtin":
        if mig_manager.enabled:
            raise MigError(
                f"{persistence.MIG_MANAGER} is enabled on this host and would bring another layout at boot. Use the "
                f"backend nvidia-mig-manager, or disable it: systemctl disable --now {persistence.MIG_MANAGER}"
            )
        text = _layout_text(warn, entries, state_dir)
        return persistence.builtin_files(text, sys.executable, state_dir, params["driver_timeout"])
    if not mig_manager.enabled:
        raise MigError(
            f"{persistence.MIG_MANAGER} is not enabled on this host, so it would bring nothing back at boot. Enable "
            "it, or use the backend builtin."
        )
    warn(
        f"{persistence.MIG_MANAGER} keeps how many MIG devices of each profile a GPU has and chooses their placements "
        "itself, so that they may differ after a reboot. It knows GPUs by their indexes alone, which a reboot or "
        "another GPU may change: then a layout comes to another GPU. The backend builtin keeps placements and UUIDs."
    )
    from ..nvml.session import Session  # only for this backend

    with Session() as session:
        gpus = session.read(gather=()).gpus
    return persistence.mig_manager_files(entries, gpus)


def _layout_text(warn, entries, state_dir):
    """The text of the saved layout: as it is where it says the same, whichever release wrote it. Raises MigError."""
    path = saved_layout.PATH
    before = _saved(warn, path)
    if before is not None and saved_layout.same(before, entries, {}):
        return host_files.read(path).decode()
    from ..apply.run import remembered  # only for a layout that is new

    profiles, problem = _profiles()
    if before is not None and saved_layout.same(before, entries, profiles):
        return host_files.read(path).decode()
    if problem:
        warn(f"The layout is saved without the ids of its profiles, so it goes by their names alone: {problem}")
    known = {uuid: kept_of(found) for uuid, found in profiles.items()}
    return saved_layout.to_text(entries, merged(remembered(HostState(state_dir)), known))


def _saved(warn, path):
    """The layout in a file, as saved_layout.read returns it; None where there is none that can be read, with a warning
    where there is something else. Raises MigError for what cannot be replaced.
    """
    if host_files.found(path) is None:
        return None
    try:
        return saved_layout.read(path, "The layout given now replaces it.")
    except MigError as error:
        warn(str(error))
        return None


def _profiles():
    """({UUID in lower case: Profiles} of the GPUs, None or why they could not be read)."""
    from ..nvml.session import Session

    try:
        with Session() as session:
            gpus = session.read(gather=("profiles",)).gpus
    except MigError as error:
        return {}, str(error)
    return {gpu.uuid.lower(): gpu.profiles for gpu in gpus if gpu.profiles}, None


def _as_upgrade(file):
    """The File; where it takes the place of another release's restore program, it says so."""
    content = host_files.found(file.path) if file.path == persistence.PROGRAM_PATH and file.content else None
    replaces = content is not None and content != file.content and is_program(content)
    return file._replace(upgrade=replaces)


def _execute(module, step):
    """Do one step. Raises MigError."""
    if not isinstance(step, persistence.File):
        try:
            systemctl(module.run_command, *step)
        except MigError as error:
            if "restart" not in step:
                raise
            said = units(module.run_command, persistence.UNIT)[persistence.UNIT].status
            raise MigError(
                f"The layout is saved and {persistence.UNIT} brings it back at boot, but its run just now failed. "
                f"{said or error}"
            ) from None
    elif step.content is None:
        host_files.remove(step.path)
    else:
        host_files.write(step.path, step.content, module.atomic_move)
