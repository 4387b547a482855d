# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host tells of NVIDIA's Container Toolkit, as its programs print it, and what its engines need. Pure."""

from __future__ import annotations

import posixpath
import re

from .cdi import NAMES
from .host_words import lines, path_refusal, shown, slurped

WITHOUT_SERVICE = "/etc/cdi/nvidia.yaml"
SETTING = re.compile(r"(NVIDIA_CTK_[A-Z0-9_]{1,100})=([ -~]*)")
OUTPUT, STRATEGIES = "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", "NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES"
ENDS = (".yaml", ".json")  # those that CDI reads (cdi package, ScanSpecDirs)
VERSION = re.compile(r"version v?([0-9]{1,4}(?:\.[0-9]{1,4}){0,3})")
REFRESH = "nvidia-cdi-refresh.service"
# The first release whose specification has both names, by index and by UUID, and that enables CDI in Docker; and the
# first that leaves containerd's own file alone and writes one beside it.
RELEASE, RELEASE_FOR_CONTAINERD = "1.15.0", "1.18.0"
WHERE = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"


def container_toolkit(version, environment="", specifications="", directories=()):
    """What there is: {version, settings, specification, strategies, others, refusal}.

    ``version`` is what `nvidia-ctk --version` prints; ``environment`` that of nvidia-cdi-refresh.service as `env`
    prints it, empty without that service; ``specifications`` the paths of files in ``directories`` that name GPUs, one
    a line.

    ``settings`` are those of the toolkit and no others, ``specification`` is the path where its service writes,
    ``strategies`` how it names devices, ``others`` the paths of other specifications. ``refusal`` says which of it is
    not used and why, and then that has its default; else it is None.

    Rule: settings of the container toolkit
    """
    settings, problems = {}, []
    for line in lines(environment):
        found = SETTING.fullmatch(line)
        if found:
            settings.setdefault(found[1], found[2])
        elif line.startswith("NVIDIA_CTK_"):
            problems.append(f"{WHERE} gives {shown(line)}, which is no setting of one line.")
    specification = settings.get(OUTPUT, WITHOUT_SERVICE)
    problem = path_refusal(specification, f"{OUTPUT} in {WHERE}")
    if not problem and not specification.endswith(ENDS):
        problem = f"{OUTPUT} in {WHERE} is {specification}, but a CDI specification ends in .yaml or .json."
    strategies = settings.get(STRATEGIES, "index,uuid").split(",")
    unknown = [one for one in strategies if one not in NAMES]
    if problem:
        problems.append(problem)
    if unknown:
        problems.append(f"{STRATEGIES} in {WHERE} has {shown(unknown[0])}; there are {', '.join(NAMES)}.")
    if problems:
        settings, specification, strategies = {}, WITHOUT_SERVICE, ["index", "uuid"]
    found = next(filter(None, map(VERSION.search, lines(version))), None)
    return {
        "version": found[1] if found else "0",
        "settings": settings,
        "specification": specification,
        "strategies": strategies,
        "others": _others(specifications, directories, specification),
        "refusal": problems[0] if problems else None,
    }


def _others(paths, directories, specification):
    """The files that name GPUs besides the specification; one whose path is odd is shown so, for nobody to copy."""
    own = {specification, re.sub("^/run/", "/var/run/", specification)}
    found = [path for path in lines(paths) if path.startswith(tuple(f"{one}/" for one in directories))]
    return [path if path_refusal(path, "") is None else shown(path) for path in found if path not in own]


def container_runtime(units, toolkit, environment="", specifications="", directories=(), engines=None, host=""):
    """What a host's containers can have: what container_toolkit() returns, and {engines, refreshes}.

    ``units`` is what `systemctl list-unit-files` prints, ``toolkit`` the result {rc, stdout} of `nvidia-ctk --version`,
    ``engines`` those that are named, None to find them; the rest as in container_toolkit(). ``refreshes`` says whether
    the toolkit writes the specification at every boot. ``refusal`` says why it cannot work, else it is None.

    Rule: releases of other programs
    """
    there = _units(units)
    found = container_toolkit(toolkit.get("stdout", ""), environment, specifications, directories)
    if engines is None:
        engines = [next((one for one in ("docker", "containerd") if f"{one}.service" in there), None)]
        engines = [one for one in engines if one]
    absent = [one for one in engines if f"{one}.service" not in there]
    needed = RELEASE_FOR_CONTAINERD if "containerd" in engines else RELEASE
    refusal = None
    if _release(found["version"]) < _release(needed):
        refusal = (
            "There is no nvidia-ctk on PATH. Install the package nvidia-container-toolkit from NVIDIA's repository."
            if toolkit.get("rc", 0) != 0
            else f"The NVIDIA Container Toolkit is {found['version']}; it takes {needed} or later"
            f"{' with containerd' if 'containerd' in engines else ''}. Upgrade the package nvidia-container-toolkit."
        )
    elif found["refusal"]:
        refusal = f"{host}: {found['refusal']}"
    elif absent:
        refusal = f"mig_container_runtime_engines names {', '.join(absent)}, but this host has no such service."
    elif found["others"]:
        # What such a file names stays for containers when it is gone.
        refusal = (
            f"The CDI specification of this host is {found['specification']}, but {', '.join(found['others'])} names"
            " GPUs as well, and would go on naming MIG devices that are gone. Remove it."
        )
    return {**found, "engines": engines, "refreshes": there.get(REFRESH) == "enabled", "refusal": refusal}


def _units(text):
    """{unit file: its state} of what systemctl prints."""
    words = [line.split() for line in lines(text) if not line[:1].isspace()]
    return {one[0]: one[1] for one in words if len(one) > 1}


def _release(version):
    return [int(one) for one in version.split(".")]


def containerd_change(merged, before, folder, config, drop_in):
    """What to write so that containerd has NVIDIA's runtime: {files: [{path, content}], refusal}.

    :param merged: results of slurp for what nvidia-ctk made in a folder: a copy of containerd's own file, and a drop-in
    :param before: the same for the two files that are there
    :param folder: that folder
    :param config: the path of containerd's own file, which is written only where it lacks the import of the other
    :param drop_in: the path of the other
    """
    (new_config, new_drop_in), (old_config, old_drop_in) = map(slurped, merged), map(slurped, before)
    there, wanted = f"{folder}/drop-in/*.toml", f"{posixpath.dirname(drop_in)}/*.toml"
    if there not in new_config:
        return {
            "files": [],
            "refusal": f"{config} is a containerd configuration of version 1, which cannot import the toolkit's file."
            " Bring it to version 2 or later (containerd config migrate).",
        }
    files = [{"path": drop_in, "content": new_drop_in}]
    if not re.search(rf"(?m)^[^#\n]*[\"']{re.escape(wanted)}[\"']", old_config):
        files.append({"path": config, "content": new_config.replace(there, wanted)})
    elif old_drop_in == new_drop_in:
        files = []
    return {"files": files, "refusal": None}
