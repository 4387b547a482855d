# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host tells of NVIDIA's Container Toolkit, as its programs print it. Pure."""

from __future__ import annotations

import re

from .cdi import NAMES
from .host_words import lines, path_refusal, shown

WITHOUT_SERVICE = "/etc/cdi/nvidia.yaml"
SETTING = re.compile(r"(NVIDIA_CTK_[A-Z0-9_]{1,100})=([ -~]*)")
OUTPUT, STRATEGIES = "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", "NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES"
ENDS = (".yaml", ".json")  # those that CDI reads (cdi package, ScanSpecDirs)
VERSION = re.compile(r"version v?([0-9]{1,4}(?:\.[0-9]{1,4}){0,3})")
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
