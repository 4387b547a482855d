# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The driver's nvidia-modprobe, as far as it makes capability files, for a test host."""

from __future__ import annotations

# As the real one it knows a capability by its file in /proc. The simulated driver has only the table of all of them.
PROGRAM = """#!/bin/sh
set -eu
test "$1" = -f
name=$(echo "${2#/proc/driver/nvidia/capabilities/}" | sed 's#/mig/#/#')
minor=$(sed -n "s#^$name ##p" /proc/driver/nvidia-caps/mig-minors)
test -n "$minor"
rm -f "/dev/nvidia-caps/nvidia-cap$minor"
mknod -m 444 "/dev/nvidia-caps/nvidia-cap$minor" c 236 "$minor"
"""


def install(host):
    """Give it to the host."""
    host.run("cat > /usr/bin/nvidia-modprobe && chmod 755 /usr/bin/nvidia-modprobe", text=PROGRAM)
