# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The files that make a layout outlive a reboot: the saved layout, the program that brings it back, and its unit; or
those of nvidia-mig-manager. Pure: what should be where, as text and bytes.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from typing import TYPE_CHECKING, NamedTuple, Optional

from . import saved_layout
from .selectors import LayoutError

if TYPE_CHECKING:  # never run: Ansible sends a module with all that is imported anywhere, so the program's rooms too
    from . import boot  # noqa: F401

UNIT = "gpufleet-mig.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
PROGRAM_PATH = "/usr/local/lib/gpufleet-mig/restore.pyz"

MIG_MANAGER = "nvidia-mig-manager.service"
MIG_MANAGER_CONFIG = "/etc/nvidia-mig-manager/gpufleet-mig.yaml"
# Drop-ins are read in the order of their names and the last word counts: after the service's own override.conf, which
# its hooks rewrite.
MIG_MANAGER_DROP_IN = f"/etc/systemd/system/{MIG_MANAGER}.d/zz-gpufleet-mig.conf"
MIG_MANAGER_LABEL = "gpufleet-mig"

# The rooms that boot.py needs, all of them with the modules; a test holds this list against their imports.
_ROOMS = """
boot by_name cgroups changing claims comparison compensation data device_files driver_releases errors execution
geometry holders host_evidence host_files host_planner host_state journal kept_profiles kubelet layout model nvml
nvml_read nvml_state planner pod_resources processes profiles refusals refused_places reset reset_groups reset_peers
results saved_layout search selectors slurm transaction visible
"""
ROOMS = _ROOMS.split()
MAIN = "import sys\n\nfrom gpufleet_mig.boot import main\n\nsys.exit(main())\n"


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
    unit = unit_text(python, state_dir, driver_timeout)
    program = program_bytes()
    return [
        File(PROGRAM_PATH, program, f"{len(ROOMS)} modules of gpufleet.mig\n"),
        File(saved_layout.PATH, layout.encode(), layout),
        File(UNIT_PATH, unit.encode(), unit),
        File(MIG_MANAGER_DROP_IN, None),
        File(MIG_MANAGER_CONFIG, None),
    ]


def is_program(content):
    """Whether these bytes are a whole restore program, of whatever release."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as program:
            return {"__main__.py", "gpufleet_mig/boot.py"} <= {*program.namelist()} and program.testzip() is None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError, RuntimeError):
        return False


def mig_manager_files(entries, gpus):
    """The files of the backend nvidia-mig-manager; ``gpus`` are the Gpu values of this host.

    Raises LayoutError for what counts of MIG devices cannot say; placements are left out. nvidia-mig-parted takes a
    configuration for applied only where every GPU of the host is in it.

    Rule: files of nvidia-mig-parted
    """
    from .mig_parted import to_mig_parted  # only for this backend

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


def program_bytes():
    """The restore program: a zip archive that Python runs, the same bytes from the same sources."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as program:
        _add(program, "__main__.py", MAIN.encode())
        _add(program, "gpufleet_mig/__init__.py", b"")
        for room in ROOMS:
            # From where this very module came from: a folder, or the archive that Ansible sent.
            source = os.path.join(os.path.dirname(__file__), f"{room}.py")
            _add(program, f"gpufleet_mig/{room}.py", __spec__.loader.get_data(source))
    return archive.getvalue()


def _add(archive, name, content):
    """Uncompressed, and with the first date that a zip archive knows: neither clock nor zlib has a say."""
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o644 << 16
    archive.writestr(member, content)


def unit_text(python, state_dir, driver_timeout):
    """The unit file.

    Its order follows nvidia-mig-manager.service and nvidia-gpu-reset.target (deployments/systemd in
    github.com/NVIDIA/mig-parted, v0.15.0), which dcgm, nvsm and DGX OS's docker order themselves after.

    Rule: order at boot
    """
    command = " ".join(
        _quoted(word)
        for word in (
            python,
            "-I",
            PROGRAM_PATH,
            saved_layout.PATH,
            "--state-dir",
            state_dir,
            "--driver-timeout",
            f"{driver_timeout:g}",
        )
    ).replace("$", "$$")
    return f"""\
# Written by gpufleet.mig.mig_persistence.
[Unit]
Description=Saved MIG layout of the NVIDIA GPUs
Documentation=https://github.com/gpufleet/gpufleet.mig/blob/main/roles/mig_persistence/README.md
# Only what is said here orders this unit: with the usual dependencies a driver service that wants to come after
# multi-user.target would close a circle, and systemd would drop a unit to break it.
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target
Conflicts=shutdown.target
Before=shutdown.target
# These load the driver and bring up NVSwitches. A mode change or a reset needs both to be as they will stay.
After=nvidia-persistenced.service nvidia-fabricmanager.service
# All that counts GPUs or MIG devices when it starts.
Before=nvidia-gpu-reset.target nvidia-cdi-refresh.service nvidia-dcgm.service nvidia-dcgm-exporter.service
Before=dcgm.service dcgm-exporter.service nvsm.service display-manager.service
Before=docker.service containerd.service crio.service podman.service
Before=kubelet.service k3s.service k3s-agent.service rke2-server.service rke2-agent.service slurmd.service
RequiresMountsFor={PROGRAM_PATH} {saved_layout.PATH}
# Where the journal is; a layout comes back without it, too.
After={" ".join(_mounts(state_dir))}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command}
# Says in systemctl status which GPU is not right, and why.
NotifyAccess=main
# The driver's time, another change's, and a reset's.
TimeoutStartSec={driver_timeout + 600:g}
# It loads the driver, makes device nodes and may reset GPUs: no limits on devices, modules or capabilities.
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
RestrictAddressFamilies=AF_UNIX AF_NETLINK
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target nvidia-gpu-reset.target
"""


def _mounts(path):
    """The units of the mounts below which a path may be, named as by systemd-escape --path."""
    parts = [part for part in path.split("/") if part]
    for number in range(1, len(parts) + 1):
        name = "-".join(
            re.sub(rb"[^A-Za-z0-9:_.]", lambda found: b"\\x%02x" % ord(found.group()), os.fsencode(part)).decode()
            for part in parts[:number]
        )
        yield f"{name}.mount" if name[0] != "." else f"\\x2e{name[1:]}.mount"


def _quoted(word):
    """A word as systemd reads it in a unit file, see systemd.syntax(7); % would begin a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if escaped != word or any(character in " \t'" for character in word) else word
