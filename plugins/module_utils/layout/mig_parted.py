# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Layouts to and from the configuration files of nvidia-mig-parted, version v1.

The format is that of api/spec/v1/spec.go in github.com/NVIDIA/mig-parted (v0.15.0). Entries that match one GPU are
applied to it in the order of the file, so the last one stays (WalkSelectedMigConfigForEachGPU in
cmd/nvidia-mig-parted/assert/assert.go). A layout decides by rank instead (layout/entries.py).
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import LayoutError
from ..model import PROFILE_NAME
from ..visible import shown
from .entries import NAMES_ALL, NAMES_GPUS, NAMES_PRODUCT, validate_layout
from .parsing import (
    as_list,
    as_text,
    check_keys,
    parse_boolean,
    parse_counts,
    parse_device_ids,
    parse_profile,
    parse_whole_number,
)

VERSION = "v1"


class Spec(NamedTuple):
    """One entry of a file: GPUs by index and by PCI device id (None for any), and what they get (None for MIG off)."""

    where: str
    devices: frozenset | None
    device_ids: frozenset | None
    counts: tuple | None

    @property
    def rank(self):
        """The rank that it has as an entry of a layout."""
        if self.devices is not None:
            return NAMES_GPUS
        return NAMES_ALL if self.device_ids is None else NAMES_PRODUCT

    def meets(self, other):
        """True where a GPU may exist that both match."""
        return _overlap(self.devices, other.devices) and _overlap(self.device_ids, other.device_ids)


def from_mig_parted(data, label=None):
    """The layout that a configuration file has under a label.

    :param data: what the file's YAML or JSON holds
    :param label: a key of its mig-configs; None where it has only one
    :returns: a list of entries in the form that counts MIG devices
    :raises LayoutError: for what is no such file, a label it does not have, and what no layout can say

    Rule: files of nvidia-mig-parted
    """
    if isinstance(data, dict) and data.get("kind") == "ConfigMap":
        raise LayoutError("this is a Kubernetes ConfigMap; give the text that it holds, such as data['config.yaml']")
    check_keys(data, ("version", "mig-configs"), "nvidia-mig-parted configuration")
    if data.get("version") != VERSION:
        raise LayoutError(f"version: expected {VERSION}, got {shown(data.get('version'))}")
    configs = data.get("mig-configs")
    if not isinstance(configs, dict) or not configs:
        raise LayoutError(f"mig-configs: expected a mapping with at least one label, got {shown(configs)}")
    configs = {as_text(key) or shown(key): entries for key, entries in configs.items()}
    labels = ", ".join(sorted(configs))
    if label is None:
        if len(configs) > 1:
            raise LayoutError(f"label: missing, and mig-configs has several; choose one of {labels}")
        label = labels
    if not isinstance(label, str) or label not in configs:
        raise LayoutError(f"label: mig-configs has no {shown(label)}; it has {labels}")
    entries, where = configs[label], f"mig-configs[{label!r}]"
    if not isinstance(entries, (list, tuple)) or not entries:
        raise LayoutError(f"{where}: expected a list with at least one entry, got {shown(entries)}")
    specs = [_parse_spec(entry, f"{where}[{number}]") for number, entry in enumerate(entries)]
    layout = []
    for number, spec in enumerate(specs):
        parts = [spec]
        for later in specs[number + 1 :]:
            parts = [rest for part in parts for rest in _without(part, later)]
        layout.extend(map(_entry, parts))
    return layout


def to_mig_parted(layout, label):
    """The data of a configuration file that has a layout under a label.

    :param layout: the list of entries that a user writes
    :param label: the key in mig-configs
    :returns: a mapping to be written as YAML or JSON
    :raises LayoutError: for a layout that is malformed, and for what such a file cannot say
    """
    if not isinstance(label, str) or not label.strip():
        raise LayoutError(f"label: expected a name such as all-balanced, got {shown(label)}")
    specs = sorted(map(_spec, validate_layout(layout)), key=lambda spec: spec.rank)
    if not specs:
        raise LayoutError("layout: it is empty, and nvidia-mig-parted wants at least one entry")
    for number, spec in enumerate(specs):
        for later in specs[number + 1 :]:
            if spec.meets(later):
                _check_both_apply(spec, later)
    return {"version": VERSION, "mig-configs": {label: list(map(_spec_data, specs))}}


def _overlap(these, those):
    return these is None or those is None or not these.isdisjoint(those)


def _parse_spec(entry, where):
    check_keys(entry, ("device-filter", "devices", "mig-enabled", "mig-devices"), where)
    for key in ("devices", "mig-enabled"):
        if entry.get(key) is None:
            raise LayoutError(f"{where}: {key} is missing; nvidia-mig-parted requires it")
    devices = entry["devices"]
    if devices == "all":
        devices = None
    elif isinstance(devices, (list, tuple)) and devices:
        expected = "an index; nvidia-mig-parted knows no other names of GPUs"
        devices = frozenset(parse_whole_number(device, f"{where}.devices", expected) for device in devices)
    else:
        raise LayoutError(f"{where}.devices: expected all or a list of indexes, got {shown(devices)}")
    return Spec(where, devices, _parse_device_filter(entry, where), _parse_mig_devices(entry, where))


def _parse_device_filter(entry, where):
    """Device ids or None. An empty filter filters nothing, see MatchesDeviceFilter in api/spec/v1/helpers.go."""
    given = entry.get("device-filter")
    if given is None or given in ("", [], ()):
        return None
    for item in as_list(given):
        if isinstance(item, str) and ":" in item:
            raise LayoutError(
                f"{where}.device-filter: {shown(item)} names a subsystem, which a layout cannot;"
                " write a layout that names these GPUs by UUID or index"
            )
    return frozenset(parse_device_ids(given, f"{where}.device-filter"))


def _parse_mig_devices(entry, where):
    """Counts, or None for MIG off."""
    counts = entry.get("mig-devices")
    if not parse_boolean(entry["mig-enabled"], f"{where}.mig-enabled"):
        if counts:
            raise LayoutError(f"{where}.mig-devices: MIG devices need mig-enabled: true; remove one of the two")
        return None
    if not isinstance(counts, dict):
        raise LayoutError(f"{where}.mig-devices: expected counts such as {{1g.5gb: 7}} or {{}}, got {shown(counts)}")
    return parse_counts(counts, f"{where}.mig-devices")


def _without(spec, later):
    """What is left of an entry after a later one: a list of Spec that, as a layout, leave the later one its GPUs."""
    if not spec.meets(later) or later.rank > spec.rank:
        return [spec]
    left, device_ids = [], spec.device_ids
    if later.device_ids is not None:
        if device_ids is None:
            raise LayoutError(
                f"{spec.where} and {later.where} may match the same GPU, whose model then decides which one stays;"
                f" a layout cannot say that: give {spec.where} a device-filter, or other devices"
            )
        if device_ids - later.device_ids:
            left.append(spec._replace(device_ids=device_ids - later.device_ids))
        device_ids &= later.device_ids
    if later.devices is not None and spec.devices - later.devices:
        left.append(spec._replace(device_ids=device_ids, devices=spec.devices - later.devices))
    return left


def _entry(spec):
    """A Spec as an entry of a layout."""
    entry = {"gpus": "all" if spec.devices is None else sorted(spec.devices)}
    if spec.device_ids is not None:
        entry["pci_device_id"] = _device_filter(spec)
    if spec.counts is None:
        entry["mig_enabled"] = False
    else:
        entry["instances"] = dict(spec.counts)
    return entry


def _spec_data(spec):
    """A Spec as an entry of a file."""
    data = {} if spec.device_ids is None else {"device-filter": _device_filter(spec)}
    data["devices"] = "all" if spec.devices is None else sorted(spec.devices)
    data["mig-enabled"] = spec.counts is not None
    if spec.counts is not None:
        data["mig-devices"] = dict(spec.counts)
    return data


def _device_filter(spec):
    return [f"0x{number:08X}" for number in sorted(spec.device_ids)]


def _spec(entry):
    """A layout's Entry as a Spec."""
    if entry.product is not None:
        raise LayoutError(f"{entry.prefix}product: nvidia-mig-parted knows no product names; write pci_device_id")
    for selector in entry.gpus or ():
        if not isinstance(selector.key, int):
            raise LayoutError(f"{selector.where}: nvidia-mig-parted knows GPUs by index only, not as {selector.text}")
    layout, where = entry.layout, entry.prefix + "instances"
    for name, _count in layout.counts or ():
        _check_named(name, where)
    return Spec(
        entry.prefix.rstrip("."),
        None if entry.gpus is None else frozenset(selector.key for selector in entry.gpus),
        None if entry.pci_device_ids is None else frozenset(entry.pci_device_ids),
        layout.counts if layout.instances is None else _counts(layout.instances, where),
    )


def _check_named(profile, where):
    if not PROFILE_NAME.fullmatch(profile):
        raise LayoutError(f"{where}: nvidia-mig-parted knows profiles by name only, not as {profile}")


def _counts(instances, where):
    """MIG devices by profile name, where these counts say all that the list of instances says.

    Rule: what nvidia-mig-parted makes of counts
    """
    counts, divided = {}, {}
    for number, instance in enumerate(instances):
        here = f"{where}[{number}]"
        if instance.start is not None or any(compute.start is not None for compute in instance.compute_instances):
            raise LayoutError(f"{here}: nvidia-mig-parted chooses placements itself; leave placement out")
        if not instance.compute_instances:
            raise LayoutError(f"{here}: nvidia-mig-parted has no GPU instances without compute instances; remove it")
        names = [compute.profile for compute in instance.compute_instances]
        for name in names:
            _check_named(name, here)
            counts[name] = counts.get(name, 0) + 1
        if names != [instance.profile]:
            divided.setdefault(instance.profile, []).append(names)
    for profile, groups in divided.items():
        kinds = {name for names in groups for name in names}
        full = parse_profile(profile, where).slices // parse_profile(min(kinds), where).compute
        if len(groups) > 1 and (len(kinds) > 1 or any(len(names) < full for names in groups)):
            raise LayoutError(
                f"{where}: nvidia-mig-parted counts MIG devices and cannot say which {profile} holds which of them;"
                f" divide one {profile} only, or all of them into as many of one profile as they hold"
            )
    return tuple(sorted(counts.items()))


def _check_both_apply(spec, later):
    """Refuse two entries that may match one GPU unless applying first one, then the other is what the layout says."""
    problem = None
    if spec.rank == later.rank:
        problem = "have equal right to it"
    elif (spec.counts is None) != (later.counts is None):
        # ApplyMigConfig in cmd/nvidia-mig-parted/apply/config.go wants the MIG mode of each entry that matches.
        problem = "differ in mig_enabled, which nvidia-mig-parted cannot apply"
    elif later.rank == NAMES_PRODUCT and spec.counts:
        problem = "are for different models, and nvidia-mig-parted would apply both"
    if problem:
        both = f"{spec.where} and {later.where} may match the same GPU"
        raise LayoutError(f"{both} and {problem}; name every GPU in one of them only")
