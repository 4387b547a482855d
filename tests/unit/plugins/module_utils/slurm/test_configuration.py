# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node's GPUs in slurm.conf and gres.conf, among lines of other people, and what slurmctld tells of its start."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.configuration import (
    check_gres,
    check_lines,
    check_node,
    gres_counts,
    has_gpu_type,
    logical_lines,
    with_block,
    with_node_gres,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.controller import Controller, parse_start
from ansible_collections.gpufleet.mig.plugins.module_utils.slurm.files import Configuration

NEW = "gpu:b:2"
NODES = {"gpu[1-3]": ["gpu1", "gpu2", "gpu3"], "cpu,gpu2": ["cpu", "gpu2"]}
HEAD = "# NodeName=gpu2 Gres=gpu:a:1\nClusterName=x\n\n"
TAIL = "PartitionName=all Nodes=ALL\n"


def changed(line, node="gpu2", gres=NEW):
    """What becomes of a line about nodes; all others stay as they are."""
    text = with_node_gres(HEAD + line + TAIL, node, gres, expand=lambda names: NODES[names], fold="+".join)
    assert text.startswith(HEAD)
    assert text.endswith(TAIL)
    return text[len(HEAD) : -len(TAIL)]


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("NodeName=gpu2 CPUs=2 Gres=gpu:a:4 Weight=3 # ours\n", "NodeName=gpu2 CPUs=2 Gres=gpu:b:2 Weight=3 # ours\n"),
        ("nodename=gpu2 gres=gpu:a:4,mps:100,nic:2\n", "nodename=gpu2 gres=gpu:b:2,mps:100,nic:2\n"),
        ('NodeName=gpu2 Gres="gpu:a:4,nic:2"\n', 'NodeName=gpu2 Gres="gpu:b:2,nic:2"\n'),
        ("NodeName=gpu2 CPUs=2 # Gres=gpu:a:4\n", "NodeName=gpu2 Gres=gpu:b:2 CPUs=2 # Gres=gpu:a:4\n"),
        ("NodeName=gpu2 CPUs=2 \\\n  Gres=gpu:a:4 \\\n  Weight=3\n",
         "NodeName=gpu2 CPUs=2 \\\n  Gres=gpu:b:2 \\\n  Weight=3\n"),
        ("NodeName=gpu2 Gres=gpu:b:1,gpu:b:1\n", "NodeName=gpu2 Gres=gpu:b:1,gpu:b:1\n"),
        # The node gets a line of its own.
        ("NodeName=gpu[1-3] CPUs=2 Gres=gpu:a:4\n",
         "NodeName=gpu1+gpu3 CPUs=2 Gres=gpu:a:4\nNodeName=gpu2 CPUs=2 Gres=gpu:b:2\n"),
        ("NodeName=cpu,gpu2 CPUs=2\n", "NodeName=cpu CPUs=2\nNodeName=gpu2 Gres=gpu:b:2 CPUs=2\n"),
        ("NodeName=DEFAULT Gres=gpu:a:4,nic:2\nNodeName=gpu2 CPUs=2\n",
         "NodeName=DEFAULT Gres=gpu:a:4,nic:2\nNodeName=gpu2 Gres=gpu:b:2,nic:2 CPUs=2\n"),
        ("NodeName=DEFAULT Gres=gpu:b:2\nNodeName=gpu2 CPUs=2\n",
         "NodeName=DEFAULT Gres=gpu:b:2\nNodeName=gpu2 CPUs=2\n"),
    ],
)  # fmt: skip
def test_the_line_of_a_node(line, after):
    assert changed(line) == after


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("NodeName=gpu2 CPUs=2 Gres=gpu:a:4 Weight=3\n", "NodeName=gpu2 CPUs=2 Weight=3\n"),
        ("NodeName=gpu2 CPUs=2 Gres=nic:1,gpu:a:4\n", "NodeName=gpu2 CPUs=2 Gres=nic:1\n"),
        ("NodeName=gpu2 CPUs=2\n", "NodeName=gpu2 CPUs=2\n"),
    ],
)
def test_a_node_without_gpus(line, after):
    assert changed(line, gres="") == after


@pytest.mark.parametrize(
    ("line", "gres", "words"),
    [
        ("NodeName=gpu[1-3] NodeAddr=10.0.0.[1-3] Gres=gpu:a:4\n", NEW, "line of its own"),
        ("NodeName=gpu2 Gres=gpu:a:4,\\\ngpu:c:1\n", NEW, "Write it in one line"),
        ("NodeName=DEFAULT Gres=gpu:a:4\nNodeName=gpu2 CPUs=2\n", "", "give it a Gres= of its own"),
    ],
)
def test_a_line_that_cannot_be_changed(line, gres, words):
    with pytest.raises(MigError, match=words):
        changed(line, gres=gres)


def test_a_node_that_is_not_there():
    assert with_node_gres(HEAD + TAIL, "gpu2", NEW) is None


def test_lines_are_the_text():
    text = "a \\\n b\\c\n\n# \\\nd\nlast \\"
    assert logical_lines(text) == ["a \\\n b\\c\n", "\n", "# \\\nd\n", "last \\"]


@pytest.mark.parametrize(
    ("gres", "counts"),
    [
        ("gpu:a_1g.5gb:7(S:0-1),gpu:8,mps:100", {"gpu:a_1g.5gb": 7, "gpu": 8, "mps": 100}),
        ("gpu", {"gpu": 1}),
        ("gpu:a100", {"gpu:a100": 1}),
        (None, {}),
    ],
)
def test_counts(gres, counts):
    assert gres_counts(gres) == counts


@pytest.mark.parametrize(
    ("text", "known"), [("GresTypes=nic,gpu\n", True), ("grestypes=nic\n", False), ("#GresTypes=gpu\n", None)]
)
def test_types_of_gres(text, known):
    assert has_gpu_type(text) is known


def test_the_block_of_a_node():
    other = "AutoDetect=nvml\n# BEGIN gpufleet.mig gpu1\nx\n# END gpufleet.mig gpu1\n"
    own = "# BEGIN gpufleet.mig gpu10\na\nb\n# END gpufleet.mig gpu10\n"
    assert with_block(other.rstrip("\n"), "gpu10", ["a", "b"]) == other + own
    assert with_block(other + own + "# mine\n", "gpu10", ["c"]) == other + own.replace("a\nb", "c") + "# mine\n"
    assert with_block(other + own, "gpu10", []) == other
    assert with_block(other, "gpu10", []) == other
    with pytest.raises(MigError, match="has no '# END gpufleet"):
        with_block("# BEGIN gpufleet.mig gpu1\n", "gpu1", ["a"])


@pytest.fixture
def folder(tmp_path):
    """slurm.conf that includes the nodes of gpu1 and gpu2."""
    (tmp_path / "slurm.conf").write_text("GresTypes=gpu\nInclude nodes.conf\nPartitionName=all Nodes=ALL\n")
    (tmp_path / "nodes.conf").write_text("NodeName=gpu1 Gres=gpu:a:1\nNodeName=gpu2 Gres=gpu:a:1")
    return tmp_path


def test_a_node_in_an_included_file(folder):
    found = Configuration(str(folder / "slurm.conf"))
    after = found.changed("gpu2", NEW, ["x"], None, None)
    assert after == {
        str(folder / "nodes.conf"): "NodeName=gpu1 Gres=gpu:a:1\nNodeName=gpu2 Gres=gpu:b:2",
        str(folder / "gres.conf"): "# BEGIN gpufleet.mig gpu2\nx\n# END gpufleet.mig gpu2\n",
    }
    other = folder / "other"
    other.mkdir()
    found.write_into(str(other), after)
    assert (other / "slurm.conf").read_text() == (
        "GresTypes=gpu\nNodeName=gpu1 Gres=gpu:a:1\nNodeName=gpu2 Gres=gpu:b:2\nPartitionName=all Nodes=ALL\n"
    )
    assert (other / "gres.conf").read_text() == after[str(folder / "gres.conf")]


@pytest.mark.parametrize(
    ("head", "node", "words"),
    [
        ("GresTypes=gpu\n", "gpu3", "has no NodeName=gpu3"),
        ("GresTypes=nic\n", "gpu2", "does not have gpu among its GresTypes"),
        ("GresTypes=gpu\nInclude missing.conf\n", "gpu2", "missing.conf cannot be read"),
    ],
)
def test_a_configuration_that_does_not_fit(folder, head, node, words):
    (folder / "slurm.conf").write_text(f"{head}Include nodes.conf\n")
    with pytest.raises(MigError, match=words):
        Configuration(str(folder / "slurm.conf")).changed(node, NEW, None, None, None)


CONFIG = """Configuration data as of 2026-11-21T19:26:41
BOOT_TIME               = {start}
SLURM_VERSION           = {version}
"""


def test_when_slurmctld_started(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    moment, release = parse_start(CONFIG.format(start="2026-11-21T19:15:14", version="22.05.8"))
    monkeypatch.undo()
    time.tzset()
    assert (moment, release) == (1795284914, (22, 5))
    with pytest.raises(MigError, match="something else than a configuration"):
        parse_start("slurm_load_ctl_conf error: Unable to contact slurm controller")


@pytest.mark.parametrize(
    ("written", "version", "command"),
    [
        (-1, "22.05.8", []),
        (1, "22.05.8", ["systemctl", "restart", "slurmctld.service"]),
        (0.5, "23.02.7", ["systemctl", "restart", "slurmctld.service"]),
        (1, "23.11.0", ["/opt/slurm/bin/scontrol", "reconfigure"]),
        (-1, "24.11.5", []),
    ],
)
def test_what_has_slurmctld_read_its_files(tmp_path, written, version, command):
    start = 1790000000
    text = CONFIG.format(start=time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(start)), version=version)
    controller = Controller(lambda *_command, **_options: (0, text, ""), "/opt/slurm/bin")
    for name, moment in (("slurm.conf", start - 1000), ("gres.conf", start + written)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (moment, moment))
    paths = [str(tmp_path / name) for name in ("slurm.conf", "gres.conf", "absent.conf")]
    assert controller.command_for(paths) == command
    assert controller.command_for(paths, force=True) != []


def test_a_slurmctld_that_does_not_come_back():
    answers = iter([(0, "", ""), (0, "", ""), (1, "", "Unable to contact"), (1, "", "Unable to contact")])
    clock = iter([0, 1, 99])
    controller = Controller(lambda *_command, **_options: next(answers))
    with pytest.raises(MigError, match=r"not answer 60 s after systemctl restart slurmctld\.service: .*Unable"):
        controller.apply(
            ["systemctl", "restart", "slurmctld.service"], 60, sleep=lambda _seconds: None, clock=lambda: next(clock)
        )


NAMED = "NodeName=gpu-7 AutoDetect=off Name=gpu Type=b File=/dev/nvidia0 Flags=nvidia_gpu_env"
SLICE = NAMED.replace("File=/dev/nvidia0", "MultipleFiles=/dev/nvidia0,/dev/nvidia-caps/nvidia-cap21")


def test_what_may_be_written():
    for node in ("gpu-7", "a", "7", "gpu_7.example.com", "Default1"):
        check_node(node)
    for gres in ("", "gpu:a:1", "gpu:nvidia_a100_1g.5gb+me:7,gpu:b:2"):
        check_gres(gres)
    check_lines([], "gpu-7")
    two = SLICE.replace(" F", ",/dev/nvidia-caps/nvidia-cap22 F")
    check_lines(["NodeName=gpu-7 AutoDetect=nvml", NAMED, SLICE, two], "gpu-7")


@pytest.mark.parametrize(
    "node",
    [
        "",
        "gpu-7\n",
        "gpu-7\nInclude x",
        "gpu-[7-8]",
        "gpu-7,gpu-8",
        "DEFAULT",
        "default",
        "gpu\u017f",
        "-a",
        "a b",
        "a#",
        'a"',
        "a\\",
        "a\0",
        "../a",
        "a" * 254,
    ],
)
def test_a_node_that_is_none(node):
    with pytest.raises(MigError, match=r"^node is '.*which is no name of one Slurm node") as found:
        check_node(node)
    assert str(found.value).isprintable()


@pytest.mark.parametrize(
    "gres",
    [
        "gpu:a:1\nPrologSlurmctld=/shared/evil",
        "gpu:a:1\r",
        "gpu:a:1\n",
        "gpu:a\0:1",
        "gpu:a#:1",
        'gpu:a":1',
        "gpu:a\\:1",
        "gpu:a:1 State=DOWN",
        "gpu:a:1\\",
        "nic:1",
        "gpu:1",
        "gpu:a:1,,gpu:b:1",
        "gpu:a:1,",
        "gpu:a:0",
        "gpu:a:99999999",
        "gpu:a:-1",
        "gpu:\u0661:1",
        "gpu:a:\u0661",
        "gpu:a:1(S:0)",
        "GPU:a:1",
        "a,b",
        "gpu:" + "a" * 161 + ":1",
    ],
)
def test_gres_that_are_none(gres):
    with pytest.raises(MigError, match=r"^gres is '.*Expected is a list of gpu:TYPE:COUNT") as found:
        check_gres(gres)
    assert str(found.value).isprintable()


@pytest.mark.parametrize(
    "line",
    [
        "PrologSlurmctld=/shared/evil",
        "Include /shared/evil",
        "",
        "AutoDetect=nvml",
        "NodeName=gpu-8 AutoDetect=nvml",
        "NodeName=gpu-7 AutoDetect=nvml\nInclude x",
        "NodeName=gpu-7 AutoDetect=nvml\n",
        "NodeName=gpu-7 AutoDetect=rsmi",
        " NodeName=gpu-7 AutoDetect=nvml",
        f"{NAMED} \\",
        f"{NAMED}\\",
        f"{NAMED} # x",
        NAMED.replace("gpu-7", "gpu-8"),
        NAMED.replace("gpu-7", "gpu-[1-8]"),
        NAMED.replace("/dev/nvidia0", "/dev/sda"),
        NAMED.replace("=b", '="b"'),
        NAMED.replace("/dev/nvidia0", "/dev/nvidia[0-9]"),
        NAMED.replace("nvidia0", "nvidia0/../sda"),
        NAMED.replace("nvidia0", "nvidia0,/dev/nvidia1"),
        NAMED.replace("Type=b", "Type=b\tCount=9"),
        NAMED.replace("=b", "=b\nInclude=x"),
        NAMED.replace(" Flags=nvidia_gpu_env", ""),
        NAMED.replace("nvidia_gpu_env", "nvidia_gpu_env,one_sharing"),
        NAMED.replace("Name=gpu", "Name=nic"),
        SLICE.replace("cap21", "cap21,/dev/sda"),
        SLICE.replace("cap21", "cap"),
        SLICE.replace("cap21", "cap\u0661"),
        SLICE.replace(" F", ",/dev/nvidia-caps/nvidia-cap1,/dev/nvidia-caps/nvidia-cap2 F"),
    ],
)
def test_lines_that_are_none(line):
    with pytest.raises(MigError, match=r"^lines has '.*Expected is NodeName=gpu-7 AutoDetect=nvml, or") as found:
        check_lines([NAMED, line], "gpu-7")
    assert str(found.value).isprintable()


def test_no_host_has_so_many():
    with pytest.raises(MigError, match=r"gres has 6000 GPUs. A host has 32 at the most, each with 120 MIG devices"):
        check_gres("gpu:a:3000,gpu:b:3000")
    with pytest.raises(MigError, match=r"lines are 3841. A host has 3840 GPUs and MIG devices at the most"):
        check_lines([NAMED] * 3841, "gpu-7")
