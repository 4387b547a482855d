# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What NVIDIA's device plugin and GPU feature discovery make of a host's GPUs: resources, labels, or a refusal. Pure.

As their release 0.19.0 does it: internal/rm (resources), internal/lm (labels) and cmd/nvidia-device-plugin (what they
refuse) of k8s-device-plugin. tests/kubernetes/golden_table.yml has every case, compared with the programs themselves.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from ansible_collections.gpufleet.mig.plugins.module_utils.model import PROFILE_NAME
from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.reading import profile_name_by_rule

from ..host_gpus import gpus_refusal
from .sharing import GPU, PREFIX, STRATEGIES, Refused, Sharing, sharing_of

WHOLE = re.compile(r"[0-9]+g\.[0-9]+gb")  # of a profile's name, without what is in front of it and behind
# Of a label, as the API server has it; Node Feature Discovery makes no label with another one.
VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


class Device(NamedTuple):
    """A GPU, or a MIG device in it. ``uuid`` is None where it is still to come, ``kind`` what makes two alike."""

    gpu: dict
    profile: Optional[str] = None
    uuid: Optional[str] = None
    kind: tuple = ()

    @property
    def resource(self):
        """The resource that it is with the strategy mixed."""
        return mig_resource(self.profile) if self.profile else GPU

    @property
    def spans(self):
        """False for a compute instance that leaves a part of its GPU instance to others."""
        found = PROFILE_NAME.match(self.profile)
        return not found or found["compute"] is None


def mig_resource(profile):
    """The name under which the plugin offers MIG devices of a profile with the strategy mixed.

    It takes the first profile whose name is a part of the device's (api/config/v1/resources.go, Matches): 1g.5gb+me is
    offered as mig-1g.5gb too.

    Rule: names of the device plugin
    """
    return f"{PREFIX}mig-{WHOLE.search(profile)[0]}"


def mig_label(profile):
    """The beginning of the labels about a MIG profile with the strategy mixed; a label's name has no plus sign."""
    return f"{PREFIX}mig-{profile.replace('+', '.')}"


def expected(gpus, strategy, time_slicing=None, mps=None, target=None):
    """What a node with these GPUs of mig_facts advertises: {resources, labels, refusal}.

    ``resources`` is {name: [device id]} as the kubelet has them, ``labels`` {label: value} as feature discovery makes
    them, without those that are not certain. With ``target``, complete layout entries that name GPUs by UUID, it is for
    the layout to come, in which a device has no id yet (None). ``refusal`` says why that cannot be, else it is None.
    """
    try:
        if strategy not in STRATEGIES:
            raise Refused(f"There is no MIG strategy {strategy}. It is {', '.join(STRATEGIES)}.")
        refusal = gpus_refusal(gpus, target, needs=("product", "profiles"))
        if refusal:
            raise Refused(refusal)
        gpus = to_come(gpus, target or ())
        sharing = sharing_of(time_slicing, mps)
        _check_gpus(gpus, strategy, sharing)
        return {
            "resources": _resources(gpus, strategy, sharing),
            "labels": _labels(gpus, strategy, sharing),
            "refusal": None,
        }
    except Refused as error:
        return {"resources": {}, "labels": {}, "refusal": str(error)}


def to_come(gpus, target):
    """The GPUs as they are once ``target`` is reached; a GPU without an entry stays as it is."""
    entries = {uuid: entry for entry in target for uuid in entry["gpus"]}
    changed = []
    for gpu in gpus:
        entry = entries.get(gpu["uuid"])
        if entry is not None:
            enabled = entry.get("mig_enabled", True)
            inside = [
                {
                    "profile": instance["profile"],
                    "compute_instances": [
                        {"profile": one["profile"], "uuid": None} for one in instance["compute_instances"]
                    ],
                }
                for instance in (entry.get("instances") or () if enabled else ())
            ]
            gpu = {**gpu, "mig_mode": "enabled" if enabled else "disabled", "instances": inside}
        changed.append(gpu)
    return changed


def has_mig(gpu):
    """Whether MIG is on."""
    return gpu["mig_mode"] == "enabled"


def mig_devices(gpu):
    """The MIG devices of a GPU."""
    sizes = {one["name"]: (one["memory_mib"], one["multiprocessors"]) for one in gpu.get("profiles") or ()}
    devices = []
    for instance in gpu["instances"] or ():
        size = sizes.get(instance["profile"], ())
        for inside in instance["compute_instances"]:
            part = inside["profile"].rpartition("c.")[0]
            memory_mib = inside.get("memory_mib") or (size[0] if size else None)
            name = (f"{part}c." if part else "") + _name_by_rule(gpu, instance["profile"], memory_mib)
            devices.append(Device(gpu, name, inside["uuid"], (inside["profile"], *size)))
    return devices


def _name_by_rule(gpu, profile, memory_mib):
    """A profile's name as the plugin makes it, in eighths of the GPU's memory, where the driver's says another size
    (go-nvlib, pkg/nvlib/device/mig_profile.go): on GB200 a driver's 1g.24gb is its 1g.23gb.

    Rule: names of the device plugin
    """
    said = WHOLE.search(profile)
    if said and (not memory_mib or not gpu.get("memory_mib")):
        return profile
    if said:
        slices = profile.partition("g.")[0]
        return WHOLE.sub(profile_name_by_rule(slices, memory_mib, gpu["memory_mib"]), profile, 1)
    slices = next((one.get("slices") for one in gpu.get("profiles") or () if one["name"] == profile), None)
    if not (slices and memory_mib and gpu.get("memory_mib")):
        raise Refused(
            f"GPU {gpu['index']} has a profile that mig_facts calls {profile}, and it is not known what NVIDIA's device"
            " plugin calls it. Leave it out of the layout, or keep this node out of mig_device_plugin."
        )
    return profile_name_by_rule(slices, memory_mib, gpu["memory_mib"])


def _check_gpus(gpus, strategy, sharing):
    """Refuse what the plugin would refuse on the node, when it is too late.

    Rule: what the device plugin takes
    """
    with_mig = [gpu for gpu in gpus if has_mig(gpu)]
    devices = [device for gpu in with_mig for device in mig_devices(gpu)]
    if sharing.strategy == "mps":
        if with_mig:
            raise Refused(
                f"The device plugin shares no GPU by MPS on a node with MIG, and MIG is on on {_named(with_mig)}. MPS"
                " inside a MIG device works without it: give the device to a service with the role mig_assign and"
                " mps: true. Pods share MIG devices by mig_device_plugin_time_slicing."
            )
        if strategy == "mixed":
            raise Refused(
                "The device plugin does not start with MPS and the strategy mixed. Set mig_device_plugin_strategy: none"
                " for this node, on which no GPU has MIG."
            )
    _check_names(gpus, strategy, sharing)
    if strategy == "single" and with_mig:
        _check_uniform(gpus, with_mig, devices)
    partial = [device for device in devices if not device.spans]
    if strategy == "mixed" and partial:
        raise Refused(
            "With the strategy mixed the device plugin offers a compute instance that does not span its GPU instance as"
            f" if it did: {partial[0].profile} as {partial[0].resource}. There is {_counted(partial)}. Give each GPU"
            " instance one compute instance, or keep this node out of mig_device_plugin."
        )


def _check_uniform(gpus, with_mig, devices):
    needs = "The strategy single needs MIG on on every GPU, and MIG devices of one profile on each of them"
    way = "Change the layout, or set mig_device_plugin_strategy: mixed."
    without = [gpu for gpu in gpus if not has_mig(gpu)]
    if without:
        raise Refused(f"{needs}, but {_named(without)} {'have' if len(without) > 1 else 'has'} no MIG on. {way}")
    empty = [gpu for gpu in with_mig if not mig_devices(gpu)]
    if empty:
        raise Refused(f"{needs}, but {_named(empty)} {'have' if len(empty) > 1 else 'has'} none. {way}")
    if len({device.kind for device in devices}) > 1:
        raise Refused(f"{needs}. There is {_counted(devices)}. {way}")


def _check_names(gpus, strategy, sharing):
    """A name that this host cannot have would be ignored by the plugin, and nothing shared."""
    offered = {
        mig_resource(_name_by_rule(gpu, one["name"], one["memory_mib"]))
        for gpu in gpus
        for one in gpu.get("profiles") or ()
    }
    unknown = any(gpu["mig_capable"] and not gpu.get("profiles") for gpu in gpus)
    for name in sharing.replicas:
        if name == GPU:
            continue
        if strategy != "mixed":
            raise Refused(
                f"{sharing.variable} names {name}, but with the strategy {strategy} every device is {GPU}. Name that,"
                " or set mig_device_plugin_strategy: mixed."
            )
        if name not in offered and not unknown:
            raise Refused(
                f"{sharing.variable} names {name}, which no GPU of this node can have. There can be"
                f" {', '.join([GPU, *sorted(offered)])}."
            )


def _resources(gpus, strategy, sharing):
    found = {}
    for gpu in gpus:
        devices = mig_devices(gpu) if strategy != "none" and has_mig(gpu) else [Device(gpu, None, gpu["uuid"])]
        for device in devices:
            name = device.resource if strategy == "mixed" else GPU
            replicas = sharing.replicas.get(name, 1)
            ids = [device.uuid and f"{device.uuid}::{number}" for number in range(replicas)]
            found.setdefault(sharing.renamed(name), []).extend(ids if replicas > 1 else [device.uuid])
    return {name: found[name] for name in sorted(found)}


def _labels(gpus, strategy, sharing):
    if not gpus:
        return {}
    labels = dict(_gpu_labels(gpus, sharing))
    if strategy != "none":
        labels[f"{PREFIX}mig.strategy"] = strategy
        devices = [device for gpu in gpus if has_mig(gpu) for device in mig_devices(gpu)]
        by_resource = {}
        for device in devices:
            by_resource.setdefault(mig_label(device.profile) if strategy == "mixed" else GPU, []).append(device)
        for name, same in by_resource.items():
            what = f"{same[0].gpu['product']} MIG {same[0].profile.replace('+', '.')}"
            labels.update(_resource_labels(name, what, len(same), sharing))
    return {name: value for name, value in sorted(labels.items()) if VALUE.fullmatch(value)}


def _gpu_labels(gpus, sharing):
    """Those of whole GPUs. Of several products it is chance which one a label speaks of, so then there are none.

    A GPU without MIG comes before one that has it, of which nothing is shared.
    """
    whole = [gpu for gpu in gpus if not has_mig(gpu)]
    products = {gpu["product"] for gpu in whole or gpus}
    if len(products) > 1:
        return {}
    (product,) = products
    count = sum(gpu["product"] == product for gpu in gpus)
    return _resource_labels(GPU, product, count, sharing if whole else None)


def _resource_labels(name, what, count, sharing: Optional[Sharing]):
    replicas = 0 if sharing is None else sharing.replicas.get(name, 1)
    shared = replicas > 1
    product = "-".join(re.sub(r"[^A-Za-z0-9\-_. ]", "", what).split())
    if shared and not sharing.rename:
        product += "-SHARED"
    return {
        f"{name}.product": product,
        f"{name}.count": str(count),
        f"{name}.replicas": str(replicas),
        f"{name}.sharing-strategy": sharing.strategy if shared else "none",
    }


def _named(gpus):
    return ("GPUs " if len(gpus) > 1 else "GPU ") + ", ".join(str(gpu["index"]) for gpu in gpus)


def _counted(devices):
    """What there is, GPU by GPU: 2 x 1g.5gb on GPU 0."""
    counts = {}
    for device in devices:
        key = device.gpu["index"], device.profile
        counts[key] = counts.get(key, 0) + 1
    return ", ".join(f"{count} x {profile} on GPU {index}" for (index, profile), count in sorted(counts.items()))
