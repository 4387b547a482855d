#!/bin/sh
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# What a container host has beside nvidia-ctk: engines that count their starts, the driver's libcuda.
set -eu
cp /opt/mig-simulator/libnvidia-ml.so.1 "/usr/lib/$(uname -m)-linux-gnu/libcuda.so.$(cat /sys/module/nvidia/version)"
ldconfig
cd /etc/systemd/system
for name in docker containerd; do
    # With the file `refuses` an engine does not come up with NVIDIA's runtime.
    printf '%s\n' '[Service]' Type=oneshot RemainAfterExit=yes \
        "ExecStart=/bin/sh -c 'echo start >> /var/log/$name; ! test -e /etc/$name/refuses || ! grep -qs nvidia /etc/$name/daemon.json'" > "$name.service"
done
systemctl daemon-reload
mkdir /etc/docker /etc/containerd
cat > /etc/docker/daemon.json <<'END'
{"runtimes": {"kata": {"path": "/usr/bin/kata-runtime"}}, "log-driver": "journald", "features": {"buildkit": true}}
END
cat > /etc/containerd/config.toml <<'END'
# Ours.
version = 2
root = "/data/containerd"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.example/pause:3.9"
END
chmod 600 /etc/docker/daemon.json
