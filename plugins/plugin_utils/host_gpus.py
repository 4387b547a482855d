# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host says of its GPUs before it is written anywhere else: the shapes that mig_facts and mig_check give. Pure.

A host is whatever root there makes of it. Its words go into the files of another host, or to an API server, only as
names, numbers and counts that NVIDIA's driver could have said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.gpufleet.mig.plugins.module_utils.host.device_files import MOST_GPUS, MOST_MIG_DEVICES

from .host_words import shown

# NVML_DEVICE_NAME_V2_BUFFER_SIZE; RM's tables have printable ASCII alone.
PRODUCT = re.compile(r"[A-Za-z0-9][ -~]{0,95}")
UUID = re.compile(r"[A-Za-z0-9][A-Za-z0-9/-]{0,95}")  # MIG-GPU-<uuid>/<gi>/<ci> on drivers before R470
# As model.PROFILE_NAME, so short that it fits into the name of a label; or the id of a profile whose name is another's,
# too.
PROFILE = re.compile(
    r"(?:[1-9][0-9]?c\.)?(?:[0-9]{1,4}|[1-9][0-9]?g\.[0-9]{1,4}gb(?:[+-][a-z0-9]{1,8}(?:[.+-][a-z0-9]{1,8}){0,2})?)"
)
MOST_PROFILES = 64
MOST = 255  # of a GPU's index or minor number, and of an instance's id
MODES = ("enabled", "disabled", None)
SOURCE = "NVIDIA's driver says nothing like it: compare nvidia-smi -L on that host, and find out what answers there."


class _Odd(Exception):
    """Something that a driver would not say."""


class _Lacking(Exception):
    """Something that the caller needs of a GPU and that this one may lack."""


def layout_read(gpus, what, consequence):
    """{"layout": the layout entries of these GPUs, "refusal": why they are not all there, "" where they are}.

    ``gpus`` as in mig_facts. A GPU without MIG has no layout; one that could not be read may have one. ``what`` could
    not be read of a GPU then, and what is the ``consequence``.
    """
    unread = [gpu for gpu in gpus if gpu.get("mig_capable") is not False and not gpu.get("layout")]
    refusal = ""
    if unread:
        problem = next((gpu["problem"] for gpu in unread if gpu.get("problem")), "Run as root (become: true).")
        indexes = ", ".join(str(gpu.get("index")) for gpu in unread)
        refusal = f"{what} of GPU {indexes} could not be read, so {consequence}. {problem}"
    return {"layout": [gpu["layout"] for gpu in gpus if gpu.get("layout")], "refusal": refusal}


def gpus_refusal(gpus, target=None, needs=("product", "minor")):
    """Why these cannot be the GPUs of a host: a sentence that names the GPU, or None.

    ``gpus`` as in mig_facts, ``target`` the layout to come as in mig_check. What the caller ``needs`` of a GPU besides
    index, UUID and instances has to be there.

    Rule: what a driver can say
    """
    try:
        _check_count("The host", "GPUs", gpus, MOST_GPUS)
        for place, gpu in enumerate(gpus):
            _check_gpu(f"GPU {place}", gpu, needs)
        _check_count("The layout to come", "entries", target or (), MOST_GPUS)
        for entry in target or ():
            _check_entry(entry)
    except _Odd as odd:
        return f"{odd} {SOURCE}"
    except _Lacking as lacking:
        return str(lacking)
    return None


def with_profiles(facts):
    """The facts of mig_facts in which each GPU has the ``profiles`` of its table, unless it has some already.

    A GPU without a table has None. ValueError where facts are none, or a GPU names a table that they do not have.
    """
    try:
        _check_kind("What mig_facts returns", facts)
        tables = facts.get("profile_tables") or {}
        _check_kind("What mig_facts returns as profile_tables", tables)
        _check_count("The host", "GPUs", facts.get("gpus"), MOST_GPUS)
        return {**facts, "gpus": [_with_profiles(f"GPU {at}", gpu, tables) for at, gpu in enumerate(facts["gpus"])]}
    except _Odd as odd:
        raise ValueError(f"{odd} {SOURCE}") from None


def _with_profiles(name, gpu, tables):
    _check_kind(name, gpu)
    if "profiles" in gpu:
        return gpu
    table = gpu.get("profile_table")
    if table is not None and (not isinstance(table, str) or table not in tables):
        raise _Odd(f"{name}: profile_table is {shown(table)}, and no such table is there.")
    return {**gpu, "profiles": None if table is None else tables[table]}


def _check_gpu(name, gpu, needs):
    _check_kind(name, gpu)
    _check_number(name, "its index", gpu.get("index"))
    name = f"GPU {gpu['index']}"
    _check_text(name, "its UUID", gpu.get("uuid"), UUID)
    if "product" in needs or gpu.get("product") is not None:
        _check_text(name, "its product", gpu.get("product"), PRODUCT)
    if "minor" in needs and gpu.get("minor") is None:
        raise _Lacking(
            f"{name} ({', '.join(filter(None, (gpu.get('product'), gpu['uuid'])))}) has no minor number, by which its"
            " device files in /dev are named, so nothing is written that would name them. Leave this host out of what"
            " needs them."
        )
    if "minor" in needs:
        _check_number(name, "its minor number", gpu.get("minor"))
    if gpu.get("mig_mode") not in MODES:
        raise _Odd(f"{name}: its MIG mode is {shown(gpu['mig_mode'])}.")
    if "profiles" in needs and "profiles" not in gpu and gpu.get("profile_table") is not None:
        raise _Lacking(
            f"{name} names its profiles' table and has no profiles: use (facts | gpufleet.mig.mig_with_profiles).gpus,"
            " where facts are what mig_facts returned as ansible_facts.mig."
        )
    profiles = gpu.get("profiles") or ()
    _check_count(name, "profiles", profiles, MOST_PROFILES)
    for profile in profiles:
        _check_kind(f"{name}, a profile", profile)
        _check_text(name, "the name of a profile", profile.get("name"), PROFILE)
        if "driver_name" in needs and profile.get("driver_name") is not None:
            _check_text(name, "the driver's name of a profile", profile["driver_name"], PROFILE)
        for key in ("memory_mib", "multiprocessors", "slices"):
            _check_number(name, f"{key} of {profile['name']}", profile.get(key, 0), most=2**31)
    _check_instances(name, gpu.get("instances"), ids=True, needs=needs)


def _check_entry(entry):
    name = "The layout to come"
    _check_kind(name, entry)
    _check_count(name, "GPUs in an entry", entry.get("gpus"), MOST_GPUS)
    for uuid in entry["gpus"]:
        _check_text(name, "the UUID of a GPU", uuid, UUID)
    name = f"{name} of {', '.join(entry['gpus'])}"
    if not isinstance(entry.get("mig_enabled", True), bool):
        raise _Odd(f"{name}: mig_enabled is {shown(entry['mig_enabled'])}.")
    _check_instances(name, entry.get("instances"), ids=False)


def _check_instances(name, instances, ids, needs=()):
    instances = instances or ()
    _check_count(name, "GPU instances", instances, MOST_MIG_DEVICES)
    devices = []
    for instance in instances:
        _check_kind(f"{name}, a GPU instance", instance)
        if ids:
            _check_number(name, "the id of a GPU instance", instance.get("id"))
            _check_placement(name, "a GPU instance", instance)
        if "profile" in instance:
            _check_text(name, "the profile of a GPU instance", instance["profile"], PROFILE)
        if instance.get("profile_id") is not None:
            _check_number(name, "the profile id of a GPU instance", instance["profile_id"], most=2**31)
        inside = instance.get("compute_instances")
        _check_count(name, "compute instances", inside, MOST_MIG_DEVICES)
        devices += inside
    _check_count(name, "MIG devices", devices, MOST_MIG_DEVICES)
    for device in devices:
        _check_kind(f"{name}, a MIG device", device)
        _check_text(name, "the profile of a MIG device", device.get("profile"), PROFILE)
        if "driver_name" in needs and device.get("driver_name") is not None:
            _check_text(name, "the driver's name of a MIG device", device["driver_name"], PROFILE)
        if ids:
            _check_number(name, "the id of a compute instance", device.get("id"))
            _check_placement(name, "a compute instance", device)
            if device.get("uuid") is not None:
                _check_text(name, "the UUID of a MIG device", device["uuid"], UUID)
            _check_number(name, "the memory of a MIG device", device.get("memory_mib") or 0, most=2**31)
            if device.get("index") is not None:
                _check_number(name, "the index of a MIG device", device["index"])


def _check_placement(name, what, instance):
    placement = instance.get("placement")
    if placement is not None:
        _check_kind(f"{name}, the placement of {what}", placement)
        for key in ("start", "size"):
            _check_number(name, f"the {key} of {what}", placement.get(key))


def _check_kind(name, value):
    if not isinstance(value, Mapping):
        raise _Odd(f"{name} is {shown(value)}, and no dictionary.")


def _check_count(name, what, values, most):
    if not isinstance(values, (list, tuple)):
        raise _Odd(f"{name}: {what} are {shown(values)}, and no list.")
    if len(values) > most:
        raise _Odd(f"{name} has {len(values)} {what}; there can be {most} at the most.")


def _check_number(name, what, value, most=MOST):
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _Odd(f"{name}: {what} is {shown(value)}; expected is a whole number up to {most}.")


def _check_text(name, what, value, expression):
    if not isinstance(value, str) or not expression.fullmatch(value):
        raise _Odd(f"{name}: {what} is {shown(value)}.")
