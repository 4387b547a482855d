# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's GPUs as a picture for the terminal: each GPU a row, its memory slices side by side, each GPU instance a box.

The input is what mig_facts returns as ``ansible_facts.mig``, once or before and after a change. The output is lines of
(text, style) pairs; ``paint`` makes text of them. Nothing here knows a terminal or Ansible.
"""

from __future__ import annotations

import contextlib

from ansible_collections.gpufleet.mig.plugins.module_utils.driver_releases import model_of, vbios_of_compute_mode
from ansible_collections.gpufleet.mig.plugins.module_utils.profiles import part
from ansible_collections.gpufleet.mig.plugins.module_utils.visible import visible

KEPT, NEW, PLAIN, BUSY, FREE, TEXT = "kept", "new", "plain", "busy", "free", "text"
MARKS = {KEPT: "=", NEW: "+", PLAIN: ""}
LEGEND = "= kept   + new   * busy   ? whether it is busy is unknown   . free memory slice"
# SGR codes: black on green, white on blue, black on white, black on yellow, dim.
COLOURS = {KEPT: "30;42", NEW: "97;44", PLAIN: "30;47", BUSY: "30;43", FREE: "2"}
NARROWEST_SLICE = 6
LONGEST_STEP = 400
WIDEST = 64  # slices of a GPU, and characters of a name; no GPU has as many


def draw(host, after, before=None, disrupted=(), replanned=()):
    """The lines of one host.

    ``before`` is what was read before the change, or None where nothing was; ``disrupted`` names the MIG devices that
    did not live through it, which count as new even where the driver gave them their UUID back; ``replanned`` are steps
    as sentences that did not go as planned. What is nothing that mig_facts returns is not drawn, and a line says so.
    """
    with contextlib.suppress(ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        if _fits(after) and (before is None or _fits(before)):
            return _draw(host, after, before, disrupted) + _replanned(replanned)
    return [[(f"{host}: what it says of its GPUs is nothing that mig_facts returns, and cannot be drawn.", TEXT)]]


def _replanned(steps):
    """Lines with the steps that were planned again, as far as they are sentences of a module's."""
    sentences = [step for step in steps if isinstance(step, str) and len(step) <= LONGEST_STEP]
    return [[(f"    planned again: {sentence}", TEXT)] for sentence in sentences[:WIDEST]]


def _fits(facts):
    """Whether a picture of these facts has a size: a host may say that a GPU has as many slices as it likes."""
    slices = [gpu["slices"]["memory"] or 0 for gpu in facts["gpus"] if gpu["slices"]]
    instances = [instance for gpu in facts["gpus"] for instance in gpu["instances"] or ()]
    places = [number for one in instances if one["placement"] for number in one["placement"].values()]
    inside = [one["compute_instances"] for one in instances]
    names = [len(one["profile"]) for one in [*instances, *(device for devices in inside for device in devices)]]
    sizes = slices + places + names + [len(devices) for devices in inside]
    return all(isinstance(number, int) and 0 <= number <= WIDEST for number in sizes)


def _draw(host, after, before, disrupted):
    gpus = after["gpus"]
    if not gpus:
        return [[(f"{host}: no GPUs. {after['reason'] or ''}".rstrip(), TEXT)]]
    boxes = {gpu["uuid"]: _boxes(gpu, before, set(disrupted)) for gpu in gpus}
    everything = [box for row in boxes.values() for box in row]
    width = max([NARROWEST_SLICE, *(-(-(len(box["label"]) + 1) // box["size"]) for box in everything)])
    lines = [[(f"{host}: {_products(gpus)}, driver {after['driver_version']}", TEXT)]]
    lines += [[(f"    {line}", TEXT)] for line in _claimed(after.get("claim"))]
    for gpu in gpus:
        lines.append([(f"  GPU {gpu['index']:<2} ", TEXT), *_row(gpu, boxes[gpu["uuid"]], width)])
    for box in everything:
        if box["processes"]:
            names = ", ".join(_process(process) for process in box["processes"])
            lines.append([(f"    busy: GPU {box['gpu']} {box['profile']} at slice {box['start']}: {names}", TEXT)])
    return lines


def paint(lines, colour):
    """The lines as text, with the terminal's colours or without any."""

    def styled(text, style):
        text = visible(text)
        return f"\033[{COLOURS[style]}m{text}\033[0m" if colour and style in COLOURS else text

    return "\n".join("".join(styled(*pair) for pair in line).rstrip() for line in lines)


def _claimed(claim):
    if claim:
        where = claim["where"] or "an unknown controller"
        lapsed = ", which has lapsed" if claim["lapsed"] else ""
        yield f"claimed by {claim['who']} from {where} since {claim['since']}{lapsed}"


def _products(gpus):
    counts = {}
    for gpu in gpus:
        product = gpu["product"] or "GPU without a name"
        counts[product] = counts.get(product, 0) + 1
    return ", ".join(f"{count} × {product}" for product, count in counts.items())


def _process(process):
    return " ".join(str(process[key]) for key in ("pid", "name") if process.get(key) is not None)


def _boxes(gpu, before, disrupted):
    """The GPU instances of one GPU from the left: [{start, size, gpu, profile, label, style, processes}].

    Empty where there is nothing to draw: no MIG, or placements that were kept from the reader.
    """
    if gpu["instances"] is None or not all(instance["placement"] for instance in gpu["instances"]):
        return []
    known = None if before is None else _identities(before, disrupted)
    boxes = []
    for instance in sorted(gpu["instances"], key=lambda instance: instance["placement"]["start"]):
        compute_instances = instance["compute_instances"]
        processes = instance["processes"]
        style = PLAIN if known is None else KEPT if _is_among(known, _identity(gpu, instance)) else NEW
        if len(compute_instances) == 1 and compute_instances[0]["profile"] == instance["profile"]:
            name = instance["profile"]
        else:
            # Without compute instances the GPU instance shows its own name with an empty pair of brackets.
            name = f"{instance['profile']}[{' '.join(one['profile'].split('.')[0] for one in compute_instances)}]"
        boxes.append(
            {
                **instance["placement"],
                "gpu": gpu["index"],
                "profile": instance["profile"],
                "label": f"{MARKS[style]}{name}{'?' if processes is None else '*' if processes else ''}",
                "style": BUSY if processes else style,
                "processes": processes,
            }
        )
    return boxes


def _identity(gpu, instance):
    """What makes a GPU instance the same one: {UUID: profile and places} of its MIG devices, because a driver may give
    the UUID of one to another; or its id and place where it has none. What is not told is None.

    Rule: one MIG device
    """
    start = _start(instance)
    devices = {
        one["uuid"]: (instance.get("profile_id"), start, part(one["profile"]) or 0, _start(one))
        for one in instance["compute_instances"]
        if one.get("uuid")
    }
    return devices or {(gpu["uuid"], instance["id"], instance["profile"], start): ()}


def _start(instance):
    return (instance.get("placement") or {}).get("start")


def _identities(facts, disrupted):
    """What was there and is not among these UUIDs."""
    found = {}
    for gpu in facts["gpus"]:
        for instance in gpu["instances"] or ():
            found.update(_identity(gpu, instance))
    return {one: what for one, what in found.items() if one not in disrupted}


def _is_among(known, identity):
    return any(
        one in known and all(None in pair or pair[0] == pair[1] for pair in zip(what, known[one]))
        for one, what in identity.items()
    )


def _row(gpu, boxes, width):
    why_not = _why_not(gpu)
    if why_not:
        return [(why_not, FREE)]
    row, slice_ = [], 0
    for box in boxes:
        row += _free(box["start"] - slice_, width)
        row += [("|", TEXT), (box["label"].ljust(box["size"] * width - 1), box["style"])]
        slice_ = box["start"] + box["size"]
    return [*row, *_free(gpu["slices"]["memory"] - slice_, width), ("|", TEXT)]


def _why_not(gpu):
    """Why the GPU has no row of slices, or None.

    Rule: models that have MIG
    """
    if gpu["problem"]:
        return gpu["problem"]
    if not gpu["mig_capable"]:
        device_id = int(gpu.get("pci_device_id") or "0", 16)
        if vbios_of_compute_mode(device_id):
            return "no MIG: in display mode, or its VBIOS is too old"
        return "no MIG offered by the driver" if model_of(device_id) else "no MIG on this model"
    if gpu["mig_mode"] != "enabled":
        return "MIG off"
    if gpu["instances"] is None:
        return "MIG on"
    if not all(instance["placement"] for instance in gpu["instances"]):
        return "MIG on, placements not shown to this user: " + ", ".join(one["profile"] for one in gpu["instances"])
    if not gpu["slices"]["memory"]:
        return "MIG on, slices not told: " + (", ".join(one["profile"] for one in gpu["instances"]) or "no instances")
    return None


def _free(slices, width):
    return [pair for _number in range(slices) for pair in (("|", TEXT), (".".center(width - 1), FREE))]
