# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The systemd unit that runs the restore program at boot. Pure."""

from __future__ import annotations

import os
import re

from ..layout import saved_layout


def unit_text(program, python, state_dir, driver_timeout):
    """The unit file, for the restore program at the path ``program``.

    Its order follows nvidia-mig-manager.service and nvidia-gpu-reset.target (deployments/systemd in
    github.com/NVIDIA/mig-parted, v0.15.0), which dcgm, nvsm and DGX OS's docker order themselves after.

    Rule: order at boot
    """
    command = " ".join(
        _quoted(word)
        for word in (
            python,
            "-I",
            program,
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
RequiresMountsFor={program} {saved_layout.PATH}
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
