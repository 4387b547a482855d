# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The files that make a layout outlive a reboot: the saved layout, the program that brings it back, and its unit; or
those of nvidia-mig-manager. Pure: what should be where, as text and bytes.
"""

from __future__ import annotations

import json
from typing import NamedTuple, Optional

from ..errors import LayoutError
from ..layout import saved_layout
from .program import MODULES, program_bytes
from .unit import unit_text

UNIT = "gpufleet-mig.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
PROGRAM_PATH = "/usr/local/lib/gpufleet-mig/restore.pyz"

MIG_MANAGER = "nvidia-mig-manager.service"
MIG_MANAGER_CONFIG = "/etc/nvidia-mig-manager/gpufleet-mig.yaml"
# Drop-ins are read in the order of their names and the last word counts: after the service's own override.conf, which
# its hooks rewrite.
MIG_MANAGER_DROP_IN = f"/etc/systemd/system/{MIG_MANAGER}.d/zz-gpufleet-mig.conf"
MIG_MANAGER_LABEL = "gpufleet-mig"


class File(NamedTuple):
    """A file of the collection on a host: its path, its bytes (None: it must not be), and a text for a diff.

    ``upgrade`` is true where it replaces the same of another release, which is no change of the host.
    """

    path: str
    content: Optional[bytes]
    text: Optional[str] = None
    upgrade: bool = False

    def diff(self, found):
        """Its part of a diff, where ``found`` is what is there now (bytes or None)."""
        before = (found or b"").decode(errors="replace") if self.path != PROGRAM_PATH else "another version\n"
        return {
            "before_header": self.path,
            "after_header": self.path,
            "before": "" if found is None else before,
            "after": self.text or "",
        }


def steps(files, unit, keeping, start):
    """What to do, in order: Files to write or remove, and arguments of systemctl as tuples of words.

    ``files`` are those that differ, ``unit`` is what systemd says of ours, ``keeping`` whether it is to run at boot,
    ``start`` whether it is to have run now.
    """
    before, after = [], []
    if any(file.path == UNIT_PATH and file.content is None for file in files):
        before.append(("disable", "--now", UNIT))
    if unit.stale or any(file.path in (UNIT_PATH, MIG_MANAGER_DROP_IN) for file in files):
        after.append(("daemon-reload",))
    if keeping and not unit.enabled:
        after.append(("enable", UNIT))
    if keeping and start and (any(not file.upgrade for file in files) or not unit.active):
        after.append(("restart", UNIT))
    return [*before, *files, *after]


def sentence(step):
    """A step in words."""
    if isinstance(step, File):
        if step.upgrade:
            return f"replace {step.path}, which another release wrote"
        return f"{'remove' if step.content is None else 'write'} {step.path}"
    return f"systemctl {' '.join(step)}"


def builtin_files(layout, python, state_dir, driver_timeout):
    """The files of the backend builtin, in the order in which to write them.

    ``layout`` is the text of the saved layout, ``python`` the interpreter, ``driver_timeout`` in seconds.
    """
    unit = unit_text(PROGRAM_PATH, python, state_dir, driver_timeout)
    program = program_bytes()
    return [
        File(PROGRAM_PATH, program, f"{len(MODULES)} modules of gpufleet.mig\n"),
        File(saved_layout.PATH, layout.encode(), layout),
        File(UNIT_PATH, unit.encode(), unit),
        File(MIG_MANAGER_DROP_IN, None),
        File(MIG_MANAGER_CONFIG, None),
    ]


def mig_manager_files(entries, gpus):
    """The files of the backend nvidia-mig-manager; ``gpus`` are the Gpu values of this host.

    Raises LayoutError for what counts of MIG devices cannot say; placements are left out. nvidia-mig-parted takes a
    configuration for applied only where every GPU of the host is in it.

    Rule: files of nvidia-mig-parted
    """
    from ..layout.mig_parted import to_mig_parted  # only for this backend

    wanted, layout = dict(entries), []
    for gpu in gpus:
        entry = wanted.pop(gpu.uuid.lower(), None)
        if entry is None and (gpu.mig_capable or gpu.problem):
            raise LayoutError(f"layout: {gpu.name} is missing, and {MIG_MANAGER} wants every GPU of a host to be named")
        layout.append(_counted(gpu, entry))
    for entry in wanted.values():
        raise LayoutError(f"{entry.prefix}gpus: {entry.gpus[0].text} is not among the GPUs of this host")
    config = json.dumps(to_mig_parted(layout, MIG_MANAGER_LABEL), indent=2) + "\n"  # JSON is YAML
    drop_in = (
        "# Written by gpufleet.mig.mig_persistence.\n"
        "[Service]\n"
        f"Environment=MIG_PARTED_CONFIG_FILE={MIG_MANAGER_CONFIG}\n"
        f"Environment=MIG_PARTED_SELECTED_CONFIG={MIG_MANAGER_LABEL}\n"
    )
    return [
        File(MIG_MANAGER_CONFIG, config.encode(), config),
        File(MIG_MANAGER_DROP_IN, drop_in.encode(), drop_in),
        *(one for one in no_files() if one.path not in (MIG_MANAGER_CONFIG, MIG_MANAGER_DROP_IN)),
    ]


def no_files():
    """Every path that either backend writes, none of which is to be."""
    paths = (UNIT_PATH, saved_layout.PATH, PROGRAM_PATH, MIG_MANAGER_DROP_IN, MIG_MANAGER_CONFIG)
    return [File(path, None) for path in paths]


def _counted(gpu, entry):
    """An entry as far as nvidia-mig-parted knows it, with an index and no placements; None is a GPU without MIG."""
    if entry is None or not entry.layout.mig_enabled:
        return {"gpus": [gpu.index], "mig_enabled": False}
    instances = [
        {"profile": instance.profile, "compute_instances": [compute.profile for compute in instance.compute_instances]}
        for instance in entry.layout.instances
    ]
    return {"gpus": [gpu.index], "instances": instances}
