# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a change that failed goes back to, and which GPUs it must not touch any more. Pure.

A GPU goes back only while all that is on it is this change's business: what was there before, what was wanted, or
something on the way between them, which a module that was cut off may leave. Anything else came from somebody else.
"""

from __future__ import annotations

CREATE_GPU_INSTANCE, CREATE_COMPUTE_INSTANCE = "create_gpu_instance", "create_compute_instance"


def way_back(check, now, targets=(), plans=()):
    """What to bring back on a host: a dict.

    :param check: the result of mig_check before anything was done
    :param now: the result of mig_check at this moment, without a layout
    :param targets: the layouts that were wanted, lists of layout entries with every placement
    :param plans: the steps that were planned, and those that were done, which may be others: lists of what modules
        return as ``plan`` and ``done``
    :returns: ``layout``, the entries to bring back; ``is_back``, whether nothing is to do; ``lost``, the UUIDs of GPUs
        that can be read no longer; ``foreign``, ``[{uuid, message}]`` of GPUs that are not touched
    """
    concerned = list(dict.fromkeys(step["gpu"]["uuid"] for step in check.get("plan") or ()))
    before, there = _by_gpu(check.get("before")), _by_gpu(now.get("before"))
    modes, earlier_modes = _modes(now), _modes(check)
    wanted = [_by_gpu(target) for target in targets]
    steps = [step for plan in plans for step in plan]
    layout, foreign = [], []
    for uuid in concerned:
        if uuid not in there or uuid not in before:
            continue
        known = [before[uuid], *(one[uuid] for one in wanted if uuid in one)]
        mine = [step for step in steps if step["gpu"]["uuid"] == uuid]
        strange = _strange_modes(modes[uuid], earlier_modes.get(uuid, ()), known)
        strange += _strange_instances(there[uuid], known, mine)
        if strange:
            name = _name(now, uuid)
            foreign.append({"uuid": uuid, "message": f"{name} is not touched any more: {' and '.join(strange)}."})
        else:
            layout.append(before[uuid])
    back = [entry["gpus"][0] for entry in layout]
    is_back = [there[uuid] for uuid in back] == layout and all(modes[one] == earlier_modes.get(one) for one in back)
    return {
        "layout": layout,
        "is_back": is_back,
        "lost": [uuid for uuid in concerned if uuid not in there],
        "foreign": foreign,
    }


def way_back_of(check, now, results=()):
    """What way_back returns, from the results of the modules that the change has run: mig_check, mig_mode and
    mig_instances."""
    targets = [check.get("target") or (), *(one.get("target") or () for one in results)]
    return way_back(check, now, targets, [one.get(key) or () for key in ("plan", "done") for one in results])


def _by_gpu(layout):
    return {entry["gpus"][0]: entry for entry in layout or ()}


def _modes(check):
    """{GPU UUID: (its MIG mode, the mode that is pending)} in nvidia-smi's words."""
    gpus = (check.get("mig") or {}).get("gpus") or ()
    return {gpu["uuid"]: (gpu["mig_mode"], gpu["mig_mode_pending"]) for gpu in gpus if gpu.get("uuid")}


def _strange_modes(modes, earlier, known):
    words = {*earlier, *("enabled" if entry.get("mig_enabled", True) else "disabled" for entry in known)}
    return [
        f"its {what} is {mode}, which is neither as it was nor as it is wanted"
        for what, mode in zip(("MIG mode", "pending MIG mode"), modes)
        if mode not in words
    ]


def _strange_instances(entry, known, steps):
    """What a GPU has and this change knows nothing of, in words."""
    places = {}
    for instance in (one for layout in known for one in layout.get("instances") or ()):
        inside = places.setdefault((instance["profile"], instance["placement"]), set())
        inside.update((one["profile"], one["placement"]) for one in instance.get("compute_instances") or ())
    for step in steps:
        if step["action"] == CREATE_GPU_INSTANCE:
            places.setdefault((step["profile"], _start(step.get("placement"))), set())
    for step in steps:
        if step["action"] == CREATE_COMPUTE_INSTANCE:
            for (_profile, start), inside in places.items():
                if start == _start(step.get("gpu_instance")):
                    inside.add((step["profile"], _start(step.get("placement"))))
    found = []
    for instance in entry.get("instances") or ():
        place = (instance["profile"], instance["placement"])
        where = f"slice {instance['placement']}"
        if place not in places:
            found.append(f"it has a GPU instance {instance['profile']} at {where} that this change did not make")
            continue
        for one in instance.get("compute_instances") or ():
            # A start that only the driver knew beforehand is any.
            if not {(one["profile"], one["placement"]), (one["profile"], None)} & places[place]:
                found.append(
                    f"its GPU instance {instance['profile']} at {where} has a compute instance {one['profile']} that "
                    "this change did not make"
                )
    return found


def _start(placement):
    return placement["start"] if placement else None


def _name(check, uuid):
    index = next((gpu["index"] for gpu in check["mig"]["gpus"] if gpu.get("uuid") == uuid), "?")
    return f"GPU {index} ({uuid})"


def by_whom(foreign, changes):
    """``foreign`` of way_back as a text, for each GPU with the last change that the journal has of it.

    :param changes: {GPU UUID: {user, sudo_user, time, change}}, as far as it is known
    """
    return " ".join(one["message"] + _author((changes or {}).get(one["uuid"])) for one in foreign)


def _author(change):
    if not change:
        return " The journal does not tell who did that."
    who = change.get("sudo_user") or change.get("user") or "somebody"
    return f" The last change of it that the journal has is {who}'s, of {change.get('time')}."
