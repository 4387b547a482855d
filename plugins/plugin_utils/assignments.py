# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of services that do not use the MIG devices that they were given. Pure."""

from __future__ import annotations


def assignment_failure(after, restarted, host):
    """Why services of ``host`` do not use their MIG devices: sentences, "" where all do.

    :param after: the result of mig_assignment_info after the ``restarted`` services were; empty, or skipped, where
        nobody looked; of a module that failed its message
    """
    if not after or after.get("skipped"):
        return ""
    sentences = [f"On {host} a service does not use its MIG device."]
    if "assignments" not in after:
        return f"What the services run with could not be seen: {after.get('msg')} {sentences[0]}"
    for one in after["assignments"]:
        if one["stale"]:
            sentences.append(
                f"{one['service']} runs with {one['wrong']}, its {one['profile']} on GPU {one['gpu']['index']}."
                f" Something overrides {one['environment_file']['path']}: see systemctl cat {one['service']}."
            )
    for one in after["assignments"]:
        if one["service"] in restarted and one["active_state"] == "failed":
            sentences.append(
                f"{one['service']} was restarted with its {one['profile']} on GPU {one['gpu']['index']} and failed: see"
                f" systemctl status {one['service']}. Once it can start, run this again."
            )
    return " ".join(sentences) if len(sentences) > 1 else ""
