# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The GPUs of one node in the texts of slurm.conf and gres.conf. Pure; other people's lines stay as they are."""

from __future__ import annotations

import re

from ..errors import MigError
from ..host.device_files import MOST_GPUS, MOST_MIG_DEVICES

# What may be written of a node: whoever says it may be a host that is not to be trusted with another's configuration.
NODE = re.compile(r"(?!DEFAULT$)[A-Z0-9](?:[A-Z0-9_.-]{0,251}[A-Z0-9])?", re.ASCII | re.IGNORECASE)
TYPE = re.compile(r"[A-Za-z0-9_.+-]{1,160}")
MOST_DEVICES = MOST_GPUS * MOST_MIG_DEVICES  # of a host
COUNTED = re.compile(rf"gpu:{TYPE.pattern}:([1-9][0-9]{{0,4}})")
# Both as slurm_gres makes them; File= is a GPU, MultipleFiles= a MIG device with the files of its two capabilities.
DETECTED = "NodeName={node} AutoDetect=nvml"
NAMED = re.compile(
    r"NodeName=(?P<node>\S{1,253}) AutoDetect=off Name=gpu"
    rf" Type={TYPE.pattern}"
    r" (?:File=/dev/nvidia[0-9]{1,3}"
    r"|MultipleFiles=/dev/nvidia[0-9]{1,3}(?:,/dev/nvidia-caps/nvidia-cap[0-9]{1,7}){1,2})"
    r" Flags=nvidia_gpu_env"
)
BEGIN, END = "# BEGIN gpufleet.mig {node}\n", "# END gpufleet.mig {node}\n"
# A line that ends in a backslash goes on in the next one (slurm.conf(5)).
LINE = re.compile(r"(?:[^\n\\]|\\[^\n]|\\\n)*(?:\n|\\?\Z)")
# Keys that have one value for each node of the line, so that the line cannot be divided without dividing them.
PER_NODE = re.compile(r"\b(NodeAddr|NodeHostname|BcastAddr|Port)=\S*[\[,]", re.IGNORECASE)
TYPES = re.compile(r"^\s*GresTypes=(\S+)", re.IGNORECASE | re.MULTILINE)
INCLUDE = re.compile(r"\s*include\s+(\S+)", re.IGNORECASE)


def check_node(node):
    """A MigError where this can be no NodeName of one node."""
    if not NODE.fullmatch(node):
        raise MigError(
            f"node is {_shown(node)}, which is no name of one Slurm node. Give the NodeName that slurm.conf has:"
            " letters, digits, dots, hyphens and underscores."
        )


def check_gres(gres):
    """A MigError where this is no list of GPUs as this collection writes it: gpu:TYPE:COUNT, with commas between."""
    counts = [COUNTED.fullmatch(item) for item in gres.split(",", MOST_DEVICES)] if gres else []
    if None in counts:
        raise MigError(
            f"gres is {_shown(gres)}. Expected is a list of gpu:TYPE:COUNT, TYPE of letters, digits and _.+-, as"
            " gpu:a100_1g.5gb:7. Nothing else is written into slurm.conf."
        )
    total = sum(int(one[1]) for one in counts)
    if total > MOST_DEVICES:
        raise MigError(
            f"gres has {total} GPUs. A host has {MOST_GPUS} at the most, each with {MOST_MIG_DEVICES} MIG devices at"
            " the most, as NVIDIA's driver numbers them."
        )


def check_lines(lines, node):
    """A MigError where one of these is no line about the GPUs of that node as this collection writes it."""
    if len(lines) > MOST_DEVICES:
        raise MigError(f"lines are {len(lines)}. A host has {MOST_DEVICES} GPUs and MIG devices at the most.")
    for line in lines:
        named = NAMED.fullmatch(line)
        if line != DETECTED.format(node=node) and not (named and named["node"] == node):
            raise MigError(
                f"lines has {_shown(line)}. Expected is {DETECTED.format(node=node)}, or NodeName={node} AutoDetect=off"
                " Name=gpu with a Type=, the device files of NVIDIA's driver and Flags=nvidia_gpu_env. Nothing else is"
                " written into gres.conf."
            )


def _shown(text):
    return ascii(text if len(text) <= 120 else f"{text[:120]}...")


def logical_lines(text):
    """The lines of a configuration, each with its continuations; together they are the text."""
    return [line for line in LINE.findall(text) if line]


def included(line):
    """The file that a line includes, or None."""
    found = INCLUDE.match(line)
    return found and found.group(1)


def _value(line, key):
    """(start, end) of the value of a key in a line, or None."""
    found = re.search(rf"(?<![^\s]){key}=(\"[^\"\n]*\"|\S*)", line.partition("#")[0], re.IGNORECASE)
    return found and found.span(1)


def node_name(line):
    """The nodes that a line of slurm.conf defines, as they stand there, or None."""
    found = re.match(r"\s*NodeName=(\S+)", line, re.IGNORECASE)
    return found and found.group(1)


def gres_counts(gres):
    """{gres: count} of a list such as ``gpu:a100_1g.5gb:2(S:0),mps:100``: the keys are without their counts.

    scontrol adds the sockets in brackets, and prints (null) where there are none.
    """
    counts = {}
    for item in re.sub(r"\([^()]*\)", "", gres or "").split(","):
        name, _colon, count = item.strip().rpartition(":")
        if not name:
            name, count = count, "1"
        elif not re.fullmatch("[0-9]{1,9}", count):
            name, count = item.strip(), "1"
        if name:
            counts[name] = counts.get(name, 0) + int(count)
    return counts


def gpu_counts(gres):
    """``gres_counts`` of GPUs alone."""
    return {name: count for name, count in gres_counts(gres).items() if name.split(":")[0] == "gpu"}


def _with_gpus(gres, gpus):
    """A Gres= value with these GPUs in place of its own; what else it has stays."""
    if gpu_counts(gres) == gpu_counts(gpus):
        return gres
    quote = '"' if gres.startswith('"') else ""
    others = [item for item in gres.strip('"').split(",") if item and item.split(":")[0] != "gpu"]
    value = ",".join(([gpus] if gpus else []) + others)
    return quote + value + quote if value else ""


def with_node_gres(text, node, gpus, expand=lambda names: [names], fold=",".join, inherited=""):
    """The text of slurm.conf, or of a file that it includes, with these GPUs on that node; None where it is not there.

    ``expand`` and ``fold`` make names of a host list and the other way round. ``inherited`` is the Gres= of a line
    NodeName=DEFAULT before this text. A MigError where the line cannot be changed for that node alone.
    """
    lines = logical_lines(text)
    found = _node_line(lines, node, expand, inherited)
    if found is None:
        return None
    number, names, gres, inherited = found
    line, span = lines[number], _value(lines[number], "Gres")
    wanted = _with_gpus(gres, gpus)
    if wanted == gres:
        return text
    if "\\" in gres:
        raise MigError(f"the Gres= of node {node} goes on in another line: {line.strip()!r}. Write it in one line.")
    if not wanted and inherited:
        raise MigError(f"node {node} inherits Gres={inherited} from NodeName=DEFAULT; give it a Gres= of its own.")
    own = _with_value(line, span, wanted)
    name, rest = node_name(line), [one for one in names if one != node]
    if rest and PER_NODE.search(line):
        raise MigError(
            f"one line defines {name}, each node with an address or port of its own, so the Gres= of {node} cannot"
            " be changed alone. Give it a NodeName= line of its own."
        )
    if rest:
        others = line.replace(name, fold(rest), 1)
        own = (others if others.endswith("\n") else others + "\n") + own.replace(name, node, 1)
    return "".join([*lines[:number], own, *lines[number + 1 :]])


def node_gres(text, node, expand=lambda names: [names], inherited=""):
    """The Gres= that a node has by this text, None where it has no line; as ``with_node_gres`` reads it."""
    found = _node_line(logical_lines(text), node, expand, inherited)
    return found and found[2]


def _node_line(lines, node, expand, inherited):
    """(number of the line that defines a node, the nodes in it, its Gres=, that of NodeName=DEFAULT), or None."""
    for number, line in enumerate(lines):
        name = node_name(line)
        if name is None:
            continue
        span = _value(line, "Gres")
        if name.upper() == "DEFAULT":
            inherited = line[slice(*span)] if span else inherited
            continue
        names = expand(name) if re.search(r"[\[,]", name) else [name]
        if node in names:
            return number, names, line[slice(*span)] if span else inherited, inherited
    return None


def _with_value(line, span, gres):
    """The line with that Gres=; without the key where there is none."""
    if span and gres:
        return line[: span[0]] + gres + line[span[1] :]
    if span:
        return line[: span[0] - len("Gres=")].rstrip(" \t") + line[span[1] :]
    place = re.match(r"\s*NodeName=\S+", line, re.IGNORECASE).end()
    return f"{line[:place]} Gres={gres}{line[place:]}"


def default_gres(text, inherited=""):
    """The Gres= of the last line NodeName=DEFAULT, else what was inherited."""
    for line in logical_lines(text):
        if (node_name(line) or "").upper() == "DEFAULT":
            span = _value(line, "Gres")
            inherited = line[slice(*span)] if span else inherited
    return inherited


def has_gpu_type(text):
    """Whether slurm.conf says that there are gres of that type; None where it says nothing of types."""
    found = TYPES.findall(text)
    return "gpu" in found[-1].split(",") if found else None


def with_block(text, node, lines):
    """The text of gres.conf with these lines about a node in a block of their own; no lines, no block."""
    begin, end = BEGIN.format(node=node), END.format(node=node)
    start = text.find(begin)
    stop = text.find(end, start) if start >= 0 else -1
    if start >= 0 > stop:
        raise MigError(f"{begin.strip()!r} has no {end.strip()!r}. Remove the line, or put its end back.")
    block = begin + "".join(f"{line}\n" for line in lines) + end if lines else ""
    if start >= 0:
        return text[:start] + block + text[stop + len(end) :]
    # A file's last line may lack its end.
    return text + ("\n" if block and text and not text.endswith("\n") else "") + block
