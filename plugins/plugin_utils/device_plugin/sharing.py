# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sharing by NVIDIA's device plugin, and its configuration file (k8s-device-plugin, api/config/v1). Pure."""

from __future__ import annotations

import hashlib
import json
import re
from types import MappingProxyType
from typing import Mapping, NamedTuple

import yaml

STRATEGIES = ("none", "single", "mixed")
PREFIX = "nvidia.com/"
GPU = f"{PREFIX}gpu"
NAME = re.compile(r"nvidia\.com/(gpu|mig-[1-9][0-9]*g\.(0|[1-9][0-9]*)gb([.-][a-z0-9]+)*)")
PARTIAL = re.compile(r"nvidia\.com/mig-[1-9][0-9]*c\.")
MOST_MPS_CLIENTS = 48  # of one server; cmd/mps-control-daemon/mps/device.go
CONFIG_PREFIX = "gpufleet-mig-"  # of the names of our configurations


class Refused(Exception):
    """What is wanted cannot be; its text says what there is, what is needed and what to do."""


class Sharing(NamedTuple):
    """``strategy`` is none, time-slicing or mps; ``replicas`` {resource: how many}; ``variable`` where users say it."""

    strategy: str = "none"
    replicas: Mapping = MappingProxyType({})
    rename: bool = False
    fail_requests: bool = False
    variable: str = ""

    def renamed(self, resource):
        """What the resource is called to pods."""
        return f"{resource}.shared" if self.rename and resource in self.replicas else resource


def sharing_of(time_slicing, mps):
    """The Sharing that users describe as NVIDIA does; raises Refused.

    Rule: MPS clients
    """
    if time_slicing and mps:
        raise Refused(
            "A node shares its devices by time slicing or by MPS, not by both. Empty mig_device_plugin_time_slicing or"
            " mig_device_plugin_mps."
        )
    if mps:
        sharing = _sharing("mps", mps, "mig_device_plugin_mps")
        for name, replicas in sharing.replicas.items():
            if name != GPU:
                raise Refused(
                    f"mig_device_plugin_mps names {name}, but the device plugin shares no MIG device by MPS. MPS inside"
                    " a MIG device works without it: give the device to a service with the role mig_assign and"
                    " mps: true."
                )
            if replicas > MOST_MPS_CLIENTS:
                raise Refused(
                    f"mig_device_plugin_mps: {replicas} replicas, but an MPS server has {MOST_MPS_CLIENTS} clients at"
                    " the most."
                )
        return sharing
    return _sharing("time-slicing", time_slicing, "mig_device_plugin_time_slicing") if time_slicing else Sharing()


def _sharing(strategy, said, variable):
    resources = said.get("resources")
    if not resources:
        raise Refused(f"{variable} has no resources. Name those to share, each with name and replicas, or empty it.")
    replicas = {}
    for one in resources:
        said_name, said_number = str(one.get("name", "")), one.get("replicas")
        name = said_name if said_name.startswith(PREFIX) else PREFIX + said_name
        if PARTIAL.match(name):
            raise Refused(
                f"{variable} names {said_name}, but the device plugin has no resource for compute instances that do not"
                " span their GPU instance."
            )
        if not NAME.fullmatch(name):
            raise Refused(
                f"{variable} names {said_name}, which is no resource of the device plugin. There are {GPU} and"
                f" {PREFIX}mig- with a profile, such as {PREFIX}mig-1g.5gb."
            )
        if name in replicas:
            raise Refused(f"{variable} names {name} twice. Say once how many replicas it has.")
        if isinstance(said_number, bool) or not re.fullmatch(r"[2-9]|[1-9][0-9]{1,3}", str(said_number)):
            raise Refused(
                f"{variable}: {said_number} replicas of {name}. It takes a whole number from 2 on; a resource that is"
                " not shared is left out."
            )
        replicas[name] = int(said_number)
    return Sharing(
        strategy,
        replicas,
        bool(said.get("renameByDefault")),
        bool(said.get("failRequestsGreaterThanOne")),
        variable,
    )


def config(strategy, time_slicing=None, mps=None, flags=None):
    """(name, text) of the configuration file, or (None, None) where it cannot be made. Nothing in it is a host's word.

    The name holds a part of the text's hash. So hosts that want the same share one, nobody's changes under a node that
    uses it, and a node that gets another one has another label, by which NVIDIA's programs see that they must read it.
    """
    try:
        sharing = sharing_of(time_slicing, mps)
    except Refused:
        return None, None
    if strategy not in STRATEGIES:
        return None, None
    data = {"version": "v1", "flags": {**(flags or {}), "migStrategy": strategy}}
    if sharing.replicas:
        said = {"resources": [{"name": name, "replicas": number} for name, number in sorted(sharing.replicas.items())]}
        if sharing.rename:
            said["renameByDefault"] = True
        if sharing.fail_requests and sharing.strategy == "time-slicing":
            said["failRequestsGreaterThanOne"] = True
        data["sharing"] = {"timeSlicing" if sharing.strategy == "time-slicing" else "mps": said}
    # What comes from Ansible is of types of its own, which YAML does not know.
    text = yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=True, default_flow_style=False)
    return f"{CONFIG_PREFIX}{strategy}-{hashlib.sha256(text.encode()).hexdigest()[:8]}", text
