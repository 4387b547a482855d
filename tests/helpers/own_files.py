# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that a process finds in the places of the system's own: device files, the driver's /proc, the kubelet's."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import stat
import subprocess

SCRIPT = """set -e
if [ -d "$0/dev" ]; then mount -t overlay -o "lowerdir=$0/dev:/dev" overlay /dev; fi
if [ -d "$0/driver" ]; then mount --bind "$0/driver" /proc/driver; fi
for place in lib/kubelet log/pods; do
    if [ -d "$0/$place" ]; then
        mount -t tmpfs none "/var/${place%/*}"
        mkdir -p "/var/$place"
        mount --bind "$0/$place" "/var/$place"
    fi
done
exec "$@"
"""
MAJOR = 195
MINORS = itertools.count(os.getpid() << 4 & 0xFFFFF)  # not those of other tests, which run at the same time


def may_mount():
    """Whether this machine lets the tests mount something where only one process sees it."""
    return not subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode


@contextlib.contextmanager
def opened(paths):
    """Descriptors of files, for processes to inherit; without a driver a device file cannot be opened to be read."""
    files = [os.open(path, os.O_PATH) for path in paths]
    yield files
    for file in files:
        os.close(file)


class OwnFiles:
    """A directory of such files, and ``through``, the beginning of a command line that runs a program with them."""

    def __init__(self, directory):
        self.directory = directory
        self.through = ("unshare", "--mount", "sh", "-c", SCRIPT, str(directory))

    def device(self, name):
        """Make the device file /dev/NAME, with a device number of its own: its path outside."""
        path = self.directory / "dev" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(MAJOR, next(MINORS)))
        return path

    def driver(self, host):
        """/proc/driver is that of the simulated host."""
        (self.directory / "driver").symlink_to(f"{host.state}.proc/driver")

    def give(self, uid, namespace, name, *devices):
        """A kubelet has given devices to a pod, which has not started yet."""
        kubelet = self.directory / "lib" / "kubelet"
        for path in (
            kubelet / "device-plugins",
            kubelet / "pods" / uid,
            self.directory / "log" / "pods" / f"{namespace}_{name}_{uid}",
        ):
            path.mkdir(parents=True, exist_ok=True)
        entry = {"PodUID": uid, "ContainerName": "main", "ResourceName": "nvidia.com/mig", "DeviceIDs": {"-1": devices}}
        checkpoint = {"Data": {"PodDeviceEntries": [entry], "RegisteredDevices": {}}, "Checksum": 1}
        (kubelet / "device-plugins" / "kubelet_internal_checkpoint").write_text(json.dumps(checkpoint), "utf-8")

    def delete_pod(self, uid):
        """The pod is gone; the checkpoint still has it, as a kubelet's does until its next allocation."""
        (self.directory / "lib" / "kubelet" / "pods" / uid).rmdir()
