# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who may open the capability files of MIG devices, which is who may compute there.

NVIDIA's driver makes no device of its own for udev to see: nvidia-modprobe makes these files when somebody needs them,
and resets owner and mode to what /proc/driver/nvidia/capabilities says, which is for everybody, unless
``DeviceFileModify: 0`` was written there. A file outlives the instance, the minor number goes to the next one with the
same ids, and the /proc file is then a new one.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import struct
from typing import NamedTuple, Tuple

from ..errors import MigError
from ..host.device_files import capability_file, capability_minors, capability_proc_file
from ..visible import shown

NAME = "nvidia-caps"  # in /proc/devices
KNOWN_FILE = capability_file(1)  # mig/config, which every driver with such files has
MODE = 0o440  # where there is an ACL, the bits of the group are its mask
ACL = "system.posix_acl_access"
# From linux/posix_acl.h and posix_acl_xattr.h.
ENTRY, NAMED_USER, NAMED_GROUP, READ = "<HHI", 0x02, 0x08, 4


class Access(NamedTuple):
    """A capability file and the names of those who may open it; ``capability`` is its file in /proc."""

    path: str
    minor: int
    capability: str
    users: Tuple[str, ...]
    groups: Tuple[str, ...]


def accesses(owners):
    """The Accesses of [(MigDevice, users, groups)], by minor number. Raises MigError.

    Who computes in a MIG device opens the file of its compute instance and that of its GPU instance ("Device nodes and
    capabilities" in NVIDIA's MIG User Guide), so the first alone keeps everybody else out. The second is restricted,
    too, but not where the GPU instance has other compute instances: it would keep out those who compute there.

    Rule: who has a device file open
    """
    found = []
    for device, users, groups in owners:
        if device.gpu.minor is None:
            raise MigError(
                f"{device.gpu.name} has no minor number, by which its device files are named, so users and groups"
                " cannot be kept apart on it. Leave users and groups out, or take a MIG device of another GPU."
            )
        minors = capability_minors(device.gpu.minor, device.gpu_instance_id, device.compute_instance_id)
        if len(minors) < 2:
            raise MigError(
                f"{device.gpu.name}: the driver has no capability files for {device.uuid}, so users and groups cannot"
                " be kept apart. It takes an R450 driver or later with nv_cap_enable_devfs=1, the default since R470."
            )
        # The GPU instance's is the first.
        for name, minor in list(minors.items())[1 if device.shared else 0 :]:
            proc_file = capability_proc_file(name)
            found.append(Access(capability_file(minor), minor, proc_file, tuple(sorted(users)), tuple(sorted(groups))))
    return sorted(found, key=lambda access: access.minor)


def rules_giving(given, major):
    """The text for systemd-tmpfiles by which exactly these Accesses are given; see tmpfiles.d(5).

    Users and groups stand there by their ids: a name may hold what means something there, and may not be known yet when
    a host boots.
    """
    text = (
        "# Written by the Ansible role gpufleet.mig.mig_assign: who may use which MIG device. See tmpfiles.d(5).\n"
        "d /dev/nvidia-caps 0755 root root -\n"
    )
    for access in given:
        named = [f"u:{pwd.getpwnam(name).pw_uid}:r" for name in access.users]
        named += [f"g:{grp.getgrnam(name).gr_gid}:r" for name in access.groups]
        text += (
            f"# {', '.join(map(ascii, access.users + access.groups))}\n"
            f"w {access.capability} - - - - DeviceFileModify: 0\n"
            f"c {access.path} 0440 root root - {major}:{access.minor}\n"
            f"a {access.path} - - - - {','.join(named)}\n"
        )
    return text


def rules_revoking(files):
    """The text by which device files {path, capability} are as the driver has them, for everybody.

    What is no instance any more is nobody's, whatever its file says.
    """
    return "".join(
        f"w {file['capability']} - - - - DeviceFileModify: 1\n"
        f"z {file['path']} 0444 root root -\n"
        f"a {file['path']} - - - - u::r,g::r,o::r\n"
        for file in files
    )


def check_names(where, users, groups):
    """Raise MigError for a user or group that this host does not know; ``where`` is how messages call the option."""
    for kind, names, look_up in (("user", users, pwd.getpwnam), ("group", groups, grp.getgrnam)):
        for name in names:
            try:
                look_up(name)
            except (KeyError, ValueError):  # the latter for what holds a NUL, or is no text that can be written
                called = name if name and name.isprintable() and len(name) <= 80 else shown(name)
                raise MigError(f"{where}.{kind}s: there is no {kind} {called} on this host.") from None


def major_number(devices="/proc/devices", known_file=KNOWN_FILE):
    """The major number of capability files, which the kernel chooses when it loads the driver. Raises MigError."""
    with open(devices, encoding="utf-8") as lines:
        for line in lines:
            number, _blank, name = line.strip().partition(" ")
            if name == NAME:
                return int(number)
    try:
        return os.major(os.stat(known_file).st_rdev)
    except OSError:
        raise MigError(f"{devices} has no {NAME} and there is no {known_file}: is the NVIDIA driver loaded?") from None


def is_given(access, major):
    """True where the file is there for exactly these users and groups, and nvidia-modprobe leaves it so."""
    try:
        status = os.stat(access.path)
        entries = _named_entries(access.path)
    except OSError:
        return False
    wanted = {(NAMED_USER, pwd.getpwnam(name).pw_uid) for name in access.users}
    wanted |= {(NAMED_GROUP, grp.getgrnam(name).gr_gid) for name in access.groups}
    return (
        stat.S_ISCHR(status.st_mode)
        and status.st_rdev == os.makedev(major, access.minor)
        and (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 0, MODE)
        and entries == {(tag, READ, name) for tag, name in wanted}
        and _is_left_alone(access.capability)
    )


def _named_entries(path):
    """{(tag, permissions, id)} of the users and groups that an ACL names."""
    try:
        data = os.getxattr(path, ACL)
    except OSError:
        return set()  # none, or a file system that has none
    entries = struct.iter_unpack(ENTRY, data[4:])
    return {(tag, rights, name) for tag, rights, name in entries if tag in (NAMED_USER, NAMED_GROUP)}


def _is_left_alone(capability):
    try:
        with open(capability, encoding="utf-8") as lines:
            return "DeviceFileModify: 0" in lines.read().splitlines()
    except OSError:
        return True  # there is nothing from which nvidia-modprobe could make the file anew
