# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services, pods and Slurm jobs the drain hooks have to move, of all that is in the way. Pure."""

from __future__ import annotations

import re

# As systemd.unit(5). A user's manager is nobody's to stop.
SERVICE = re.compile(r"(?!user@)[A-Za-z0-9:_.@\\-]{1,250}\.service")
# A pod's, and the kubelet's own of a static pod.
UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")
JOB = re.compile(r"[1-9][0-9]{0,9}")


def in_the_way(must_be_free):
    """{"services": names, "pods": [{uid, namespace, name}], "slurm_jobs": ids} of what ``must_be_free`` lists.

    ``must_be_free`` is what mig_check returns under that name. A pod counts where the kubelet has given it the device,
    or where a process of it holds that by a cgroup that root has named; by its UID, because its name may be another's
    by now. What a process only claims does not count. A process of a pod, container or job is not its unit's, which is
    the kubelet, containerd or slurmd.
    """
    processes = [process for one in must_be_free for process in one.get("processes") or ()]
    pods = [process.get("pod") for process in processes]
    pods += [pod for one in must_be_free for pod in one.get("allocated_to") or ()]
    jobs = [str((process.get("slurm_job") or {}).get("id")) for process in processes]
    services = [
        str(process.get("unit"))
        for process in processes
        if not (process.get("pod") or process.get("container") or process.get("slurm_job"))
    ]
    found = {pod["uid"]: pod for pod in pods if pod and isinstance(pod.get("uid"), str) and UID.fullmatch(pod["uid"])}
    return {
        "services": [one for one in dict.fromkeys(services) if SERVICE.fullmatch(one)],
        "pods": [
            {"uid": uid, "namespace": pod.get("namespace"), "name": pod.get("name")} for uid, pod in found.items()
        ],
        "slurm_jobs": [int(job) for job in dict.fromkeys(jobs) if JOB.fullmatch(job)],
    }
