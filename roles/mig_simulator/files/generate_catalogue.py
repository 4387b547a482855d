# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the C table of catalogue.yml: generate_catalogue.py OUTPUT catalogue.yml HEADER...

The build identity in it is a digest of all the inputs: what a state file written by another build may not match.
"""

from __future__ import annotations

import hashlib
import pathlib
import re
import sys

import yaml

ENGINES = ("ce", "dec", "enc", "jpeg", "ofa")
PROFILE_KEYS = {"name", "id", "enum", "max", "memory_mib", "sm", *ENGINES, "starts", "size"}
BOARD_KEYS = {
    "board": (
        "part_number",
        "vbios",
        "compute_capability",
        "cuda_cores",
        "memory_bus_bits",
        "bar1_mib",
        "pcie_generation",
        "nvlinks",
    ),
    "power_w": ("idle", "min", "max"),
    "clocks_mhz": ("graphics", "graphics_idle", "memory", "memory_idle", "video"),
    "temperature_c": ("idle", "gpu_max", "memory_max", "slowdown", "shutdown"),
}
MODEL_KEYS = {*BOARD_KEYS, "product", "pci_device_id", "architecture", "memory_total_mib", "minimum_driver", "profiles"}


def check(condition: bool, message: str) -> None:
    """Stop with one sentence where the catalogue is wrong."""
    if not condition:
        sys.exit(f"catalogue.yml: {message}")


def check_keys(where: str, entry: dict, required: set, optional: set) -> None:
    """Every required key must be there and no unknown one."""
    check(required <= entry.keys(), f"{where} lacks {', '.join(sorted(required - entry.keys()))}")
    unknown = entry.keys() - required - optional
    check(not unknown, f"{where}: unknown {', '.join(sorted(unknown))}")


def profile_row(model: str, slices: dict, branch: int, profile: dict) -> str:
    """Return the C initializer of one GPU instance profile."""
    where = f"{model}, profile {profile.get('name')}"
    check_keys(where, profile, PROFILE_KEYS, {"since"})
    compute = re.match(r"(\d+)g\.", profile["name"])
    check(compute is not None, f"{where}: a profile name starts with <slices>g.")
    starts = profile["starts"]
    check(profile["max"] <= len(starts) <= 12, f"{where}: {len(starts)} starts for max {profile['max']}")
    check(max(starts) + profile["size"] <= slices["memory"], f"{where}: a placement ends beyond the last memory slice")
    numbers = [profile["id"], profile["enum"], max(branch, profile.get("since", 0)), profile["max"]]
    numbers += [profile["memory_mib"], profile["sm"], *(profile[engine] for engine in ENGINES)]
    numbers += [int(compute[1]), profile["size"], len(starts)]
    return f'    {{"{profile["name"]}", {", ".join(map(str, numbers))}, {{{", ".join(map(str, starts))}}}}},\n'


def board_row(model: str, entry: dict) -> str:
    """Return the C initializer of a model's board."""
    for key, names in BOARD_KEYS.items():
        check_keys(f"{model}, {key}", entry[key], set(names), set())
    board = entry["board"]
    part = board["part_number"]
    check(bool(re.fullmatch(r"\d{3}-\w{5}-\d{4}-\d{3}", part)), f"{model}: {part} is no part number")
    major, minor = board["compute_capability"].split(".")
    numbers = [major, minor, *(board[name] for name in BOARD_KEYS["board"][3:])]
    numbers += [entry[key][name] for key in ("power_w", "clocks_mhz", "temperature_c") for name in BOARD_KEYS[key]]
    return f'{{"{board["part_number"]}", "{board["vbios"]}", {", ".join(map(str, numbers))}}}'


def tables(catalogue: dict) -> str:
    """Return the C source of all models."""
    rows = ""
    text = ""
    for number, (name, model) in enumerate(catalogue.items()):
        check_keys(name, model, MODEL_KEYS, {"slices"})
        slices = model.get("slices", {"memory": 0, "compute": 0})
        branch = int(model["minimum_driver"].split(".")[0])
        profiles = model["profiles"]
        ids = [profile["id"] for profile in profiles]
        check(len(set(ids)) == len(ids), f"{name}: a profile id occurs twice")
        check(bool(profiles) == ("slices" in model), f"{name}: profiles and slices go together")
        if profiles:
            body = "".join(profile_row(name, slices, branch, profile) for profile in profiles)
            text += f"static const struct profile profiles_{number}[] = {{\n{body}}};\n\n"
        table = f"profiles_{number}" if profiles else "0"
        rows += f'    {{"{name}", "{model["product"]}", "{model["minimum_driver"]}", {model["pci_device_id"]:#010x}, '
        rows += f"{model['architecture'].upper()}, {model['memory_total_mib']}, "
        rows += f"{slices['memory']}, {slices['compute']}, {len(profiles)}, {table},\n"
        rows += f"     {board_row(name, model)}}},\n"
    return f"{text}const struct model models[] = {{\n{rows}}};\nconst unsigned model_count = {len(catalogue)};\n"


def main() -> None:
    """Write the table that the command line names."""
    output, *inputs = map(pathlib.Path, sys.argv[1:])
    identity = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()[:16]
    text = tables(yaml.safe_load(inputs[0].read_text(encoding="utf-8")))
    output.write_text(
        f'/* Made by {pathlib.Path(__file__).name}. */\n#include "catalogue.h"\n\n{text}'
        f"const uint64_t build_identity = 0x{identity}u;\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
