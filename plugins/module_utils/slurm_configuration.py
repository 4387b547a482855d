# Copyright (c) 2026, gpufleet.mig contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The GPUs of one node in the texts of slurm.conf and gres.conf. Pure; other people's lines stay as they are."""

from __future__ import annotations

import re

from .errors import MigError

BEGIN, END = "# BEGIN gpufleet.mig {node}\n", "# END gpufleet.mig {node}\n"
# A line that ends in a backslash goes on in the next one (slurm.conf(5)).
LINE = re.compile(r"(?:[^\n\\]|\\[^\n]|\\\n)*(?:\n|\\?\Z)")
# Keys that have one value for each node of the line, so that the line cannot be divided without dividing them.
PER_NODE = re.compile(r"\b(NodeAddr|NodeHostname|BcastAddr|Port)=\S*[\[,]", re.IGNORECASE)
TYPES = re.compile(r"^\s*GresTypes=(\S+)", re.IGNORECASE | re.MULTILINE)
INCLUDE = re.compile(r"\s*include\s+(\S+)", re.IGNORECASE)


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
    for item in re.sub(r"\([^)]*\)", "", gres or "").split(","):
        name, _colon, count = item.strip().rpartition(":")
        if not name:
            name, count = count, "1"
        elif not count.isdigit():
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
    for number, line in enumerate(lines):
        name = node_name(line)
        if name is None:
            continue
        span = _value(line, "Gres")
        if name.upper() == "DEFAULT":
            inherited = line[slice(*span)] if span else inherited
            continue
        names = expand(name) if re.search(r"[\[,]", name) else [name]
        if node not in names:
            continue
        gres = line[slice(*span)] if span else inherited
        wanted = _with_gpus(gres, gpus)
        if wanted == gres:
            return text
        if "\\" in gres:
            raise MigError(f"the Gres= of node {node} goes on in another line: {line.strip()!r}. Write it in one line.")
        if not wanted and inherited:
            raise MigError(f"node {node} inherits Gres={inherited} from NodeName=DEFAULT; give it a Gres= of its own.")
        own = _with_value(line, span, wanted)
        rest = [one for one in names if one != node]
        if rest and PER_NODE.search(line):
            raise MigError(
                f"one line defines {name}, each node with an address or port of its own, so the Gres= of {node} cannot"
                " be changed alone. Give it a NodeName= line of its own."
            )
        if rest:
            others = line.replace(name, fold(rest), 1)
            own = (others if others.endswith("\n") else others + "\n") + own.replace(name, node, 1)
        return "".join([*lines[:number], own, *lines[number + 1 :]])
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
