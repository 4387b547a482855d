# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The layout language: from what a user writes to one GpuLayout per GPU; layout/written.py is the way back.

Nothing here asks whether a profile exists on a GPU or fits there: that is the planner's business.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..errors import LayoutError
from ..model import GpuLayout, WantedComputeInstance, WantedInstance
from ..visible import shown
from .parsing import (
    check_keys,
    check_product,
    parse_boolean,
    parse_counts,
    parse_device_ids,
    parse_start,
    profile_or_id,
)
from .selectors import Selector, find_gpus, in_order, parse_selectors, require_mig_capable

NAMES_GPUS, NAMES_PRODUCT, NAMES_ALL = 2, 1, 0


class Entry(NamedTuple):
    """One checked entry of a layout; ``gpus`` is None for ``all``, ``prefix`` is how messages begin."""

    prefix: str
    gpus: tuple[Selector, ...] | None
    product: str | None
    pci_device_ids: tuple[int, ...] | None
    layout: GpuLayout

    @property
    def rank(self):
        """The entry of the highest rank has the say over a GPU."""
        if self.gpus is not None:
            return NAMES_GPUS
        return NAMES_PRODUCT if self.narrowed else NAMES_ALL

    @property
    def narrowed(self):
        """True where it is only about GPUs of a product or device id."""
        return self.product is not None or self.pci_device_ids is not None

    def is_about(self, gpu):
        """True where product and device id, if given, are those of this Gpu."""
        return (self.product is None or fnmatchcase(gpu.product.lower(), self.product.lower())) and (
            self.pci_device_ids is None or gpu.pci_device_id in self.pci_device_ids
        )


def short_form(gpus, instances):
    """The layout that the options ``gpus`` and ``instances`` stand for; its messages want ``prefix=""``."""
    return [{"gpus": gpus, "instances": instances}]


def validate_layout(entries, prefix="layout[{}]."):
    """Say everything that can be said about a layout without hardware.

    :param entries: the list that a user writes; a key whose value is None counts as absent
    :param prefix: how messages call an entry, with ``{}`` for its number
    :returns: a tuple of Entry
    :raises LayoutError: naming the place, what was expected and what to do
    """
    if not isinstance(entries, (list, tuple)):
        raise LayoutError(f"layout: expected a list of entries, got {shown(entries)}")
    return tuple(_parse_entry(entry, prefix.format(number)) for number, entry in enumerate(entries))


def resolve_layout(entries, gpus):
    """Decide which entry has the say over which GPU.

    One naming the GPU comes before one naming its product or device id, and that before plain ``all``.

    :param entries: what validate_layout returns
    :param gpus: the Gpu values of this host
    :returns: a tuple of (Gpu, GpuLayout) in index order, without the GPUs that no entry is about
    :raises LayoutError: for GPUs that are named and absent, or shall have MIG and are not MIG-capable, and for two
        entries of equal rank about one GPU
    """
    chosen = {}
    for entry in entries:
        for gpu in _gpus_of(entry, gpus):
            other = chosen.setdefault((gpu.index, entry.rank), entry)
            if other is not entry:
                raise LayoutError(
                    f"{other.prefix.rstrip('.')} and {entry.prefix.rstrip('.')} both claim {gpu.name} with equal right;"
                    " let only one of them be about it"
                )
    best = {index: chosen[index, rank].layout for index, rank in sorted(chosen)}
    return tuple((gpu, best[gpu.index]) for gpu in in_order(gpus) if gpu.index in best)


def _gpus_of(entry, gpus):
    """The GPUs an entry is about, those that could not be read among them: nobody knows that they are not MIG-capable.

    On a host without its product, the GPUs that it names need not be there.
    """
    fitting = [gpu for gpu in gpus if entry.is_about(gpu)]
    if entry.gpus is None:
        return [gpu for gpu in fitting if gpu.mig_capable or gpu.problem]
    if entry.narrowed and not fitting:
        return []
    found = [(gpu, selector) for gpu, selector in find_gpus(entry.gpus, gpus) if entry.is_about(gpu)]
    if not entry.layout.mig_enabled:
        # Without MIG a GPU is as such an entry wants it.
        return [gpu for gpu, _selector in found if gpu.mig_capable or gpu.problem]
    require_mig_capable(found, gpus)
    return [gpu for gpu, _selector in found]


def _parse_entry(entry, prefix):
    check_keys(entry, ("gpus", "product", "pci_device_id", "mig_enabled", "instances"), prefix.rstrip("."))
    product = entry.get("product")
    if product is not None:
        check_product(product, prefix + "product")
    device_ids = entry.get("pci_device_id")
    if device_ids is not None:
        device_ids = parse_device_ids(device_ids, prefix + "pci_device_id")
    enabled = entry.get("mig_enabled")
    enabled = True if enabled is None else parse_boolean(enabled, prefix + "mig_enabled")
    instances = entry.get("instances")
    if not enabled:
        if instances:
            raise LayoutError(f"{prefix}instances: MIG instances need mig_enabled: true; remove one of the two")
        layout = GpuLayout(mig_enabled=False)
    elif instances is None:
        raise LayoutError(f"{prefix}instances: missing; write {{}} for MIG on and no instances, or mig_enabled: false")
    elif isinstance(instances, dict):
        layout = GpuLayout(counts=parse_counts(instances, prefix + "instances", profile_or_id))
    elif isinstance(instances, (list, tuple)):
        layout = GpuLayout(instances=_parse_instances(instances, prefix + "instances"))
    else:
        raise LayoutError(
            f"{prefix}instances: expected counts such as {{1g.5gb: 7}} or a list of instances, got {shown(instances)}"
        )
    return Entry(prefix, parse_selectors(entry.get("gpus"), prefix + "gpus"), product, device_ids, layout)


def _parse_instances(instances, where):
    """The list form: a tuple of WantedInstance."""
    wanted = []
    for number, item in enumerate(instances):
        here = f"{where}[{number}]"
        item = _item(item, ("profile", "placement", "compute_instances"), here)
        profile = profile_or_id(item.get("profile"), here + ".profile")
        if profile.name != profile.gpu_instance:
            raise LayoutError(
                f"{here}.profile: {profile.name} is a compute instance; write profile: {profile.gpu_instance}"
                f" with compute_instances: [{profile.name}]"
            )
        computes = item.get("compute_instances")
        if computes is None:
            computes = (WantedComputeInstance(profile.name),)
        else:
            computes = _parse_compute_instances(computes, profile, here + ".compute_instances")
        wanted.append(WantedInstance(profile.name, parse_start(item, here), computes))
    _check_starts(wanted, where)
    return tuple(wanted)


def _parse_compute_instances(items, outer, where):
    """A tuple of WantedComputeInstance inside the GPU instance whose ProfileName is ``outer``.

    Rule: names in a layout
    """
    if not isinstance(items, (list, tuple)):
        raise LayoutError(f"{where}: expected a list such as [1c.{outer.name}], or [] for none, got {shown(items)}")
    wanted, taken = [], 0
    for number, item in enumerate(items):
        here = f"{where}[{number}]"
        item = _item(item, ("profile", "placement"), here)
        profile = _as_inside(profile_or_id(item.get("profile"), here), outer)
        if profile.gpu_instance != outer.name and outer.slices:
            raise LayoutError(
                f"{here}: {profile.name} does not belong in a {outer.name}; its names end in {outer.name}"
            )
        taken += profile.compute
        wanted.append(WantedComputeInstance(profile.name, parse_start(item, here)))
    if taken > outer.slices and outer.slices:
        raise LayoutError(
            f"{where}: they take {taken} compute slices, and {outer.name} has {outer.slices}; leave some out"
        )
    _check_starts(wanted, where)
    return tuple(wanted)


def _as_inside(profile, outer):
    """The ProfileName of a compute instance in ``outer``, also where it is the driver's own.

    A driver may leave the attributes out: what is in a 1g.10gb+me, it calls a 1g.10gb (seen on H100 and A100). So
    journals and saved layouts have it that release 0.1.0 wrote.

    Rule: names of compute instances
    """
    if profile.gpu_instance == outer.name or profile.gpu_instance != re.sub(r"(?<=gb)[+-].*", "", outer.name):
        return profile
    name = outer.name if profile.compute == outer.slices else f"{profile.compute}c.{outer.name}"
    return profile._replace(name=name, gpu_instance=outer.name)


def _item(item, keys, where):
    """An item of a list form as a mapping; a profile's name or id alone stands for one."""
    if isinstance(item, str) or (isinstance(item, int) and not isinstance(item, bool)):
        return {"profile": item}
    check_keys(item, keys, where)
    if item.get("profile") is None:
        raise LayoutError(f"{where}: profile is missing; write {{profile: 1g.5gb}} or the like")
    return item


def _check_starts(wanted, where):
    """Refuse two of one profile at one start; whether two different ones may share a place is the planner's business.

    Rule: two at one place
    """
    first = {}
    for number, instance in enumerate(wanted):
        place = instance.profile, instance.start
        if instance.start is not None and first.setdefault(place, number) != number:
            raise LayoutError(f"{where}[{first[place]}] and [{number}] both start at slice {instance.start}; move one")
