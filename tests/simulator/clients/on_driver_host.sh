#!/bin/sh
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# on_driver_host.sh PROC DRIVER PCI COMMAND...
#
# Run a command that sees what the NVIDIA driver adds to /proc and /sys: /proc/driver is the folder DRIVER, /proc/modules
# names the module, /sys/bus/pci/devices is the folder PCI. In a mount namespace of its own (unshare --mount), where the
# rest of /proc moves to the empty folder PROC and links lead to it: a file that the kernel does not have, as
# /proc/modules of one without modules, cannot be mounted over.
set -eu
proc=$1 driver=$2 pci=$3
shift 3
mount --rbind /proc "$proc"
mount -t tmpfs none /proc
for entry in "$proc"/*; do
    case $entry in */driver | */modules) ;; *) ln -s "$entry" /proc/ ;; esac
done
ln -s "$driver" /proc/driver
echo 'nvidia 62713856 1 - Live 0x0000000000000000' >/proc/modules
mount --bind "$pci" /sys/bus/pci/devices
exec "$@"
