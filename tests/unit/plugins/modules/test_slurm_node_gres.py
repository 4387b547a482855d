# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""slurm_node_gres takes nothing into the files of Slurm but a node's GPUs, and puts nothing back but its own files."""

from __future__ import annotations

import os

import pytest
from modules import run_module

CONFIGURATION = "GresTypes=gpu\nInclude nodes.conf\nNodeName=gpu-8 Gres=gpu:a:1\n"
NODES = "NodeName=gpu-7 CPUs=4 Gres=gpu:a:1,nic:2 # ours\n"
GRES = "gpu:nvidia_a100_1g.5gb+me:2,gpu:b:1"
NAMED = (
    "NodeName=gpu-7 AutoDetect=off Name=gpu Type=nvidia_a100_1g.5gb+me"
    " MultipleFiles=/dev/nvidia0,/dev/nvidia-caps/nvidia-cap21,/dev/nvidia-caps/nvidia-cap22 Flags=nvidia_gpu_env"
)
WHOLE = "NodeName=gpu-7 AutoDetect=off Name=gpu Type=b File=/dev/nvidia0 Flags=nvidia_gpu_env"


class Files:
    """Slurm's files in a folder, and the module on them."""

    def __init__(self, host):
        self._host = host
        self.folder = host.directory / "slurm"
        self.folder.mkdir()
        (self.folder / "slurm.conf").write_text(CONFIGURATION, encoding="utf-8")
        (self.folder / "nodes.conf").write_text(NODES, encoding="utf-8")

    def run(self, check=False, **params):
        """The module: a ModuleRun."""
        params = {"node": "gpu-7", "config": str(self.folder / "slurm.conf"), **params}
        return run_module(self._host, "slurm_node_gres", params, check=check)

    def texts(self):
        """{name: text} of all files there but what was kept of earlier ones."""
        return {
            path.name: path.read_text(encoding="utf-8") for path in self.folder.iterdir() if path.name[-1] != "~"
        }  # fmt: skip


@pytest.fixture
def files(simulated_host, monkeypatch):
    """Slurm's files on a host; the module has no state directory."""
    monkeypatch.setattr("modules.WITHOUT_STATE_DIR", ("slurm_node_gres",))
    return Files(simulated_host())


def test_what_the_collection_writes(files):
    foretold = files.run(check=True, gres=GRES, lines=[NAMED, WHOLE]).ok()
    assert files.texts() == {"slurm.conf": CONFIGURATION, "nodes.conf": NODES}
    written = files.run(gres=GRES, lines=[NAMED, WHOLE]).ok()
    assert written["changed"] and foretold["changed"]
    assert [file["path"] for file in foretold["files"]] == [file["path"] for file in written["files"]]
    assert files.texts() == {
        "slurm.conf": CONFIGURATION,
        "nodes.conf": f"NodeName=gpu-7 CPUs=4 Gres={GRES},nic:2 # ours\n",
        "gres.conf": f"# BEGIN gpufleet.mig gpu-7\n{NAMED}\n{WHOLE}\n# END gpufleet.mig gpu-7\n",
    }
    assert not files.run(gres=GRES, lines=[NAMED, WHOLE]).ok()["changed"]
    assert files.run(gres=GRES, lines=["NodeName=gpu-7 AutoDetect=nvml"]).ok()["changed"]
    assert files.run(gres="", lines=[]).ok()["changed"]
    assert files.texts()["gres.conf"] == ""


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"gres": "gpu:a:1\nPrologSlurmctld=/shared/evil"}, r"gres is 'gpu:a:1\nPrologSlurmctld=/shared/evil'"),
        ({"lines": [WHOLE, "Include /shared/evil"]}, "lines has 'Include /shared/evil'. Expected is"),
        ({"lines": ["NodeName=gpu-7 AutoDetect=nvml\nInclude x"]}, "lines has"),
        ({"node": "gpu-7\nInclude x"}, r"node is 'gpu-7\nInclude x', which is no name of one Slurm node."),
    ],
)
def test_what_it_takes_from_nobody(files, params, words):
    """tests/unit/plugins/module_utils/slurm/test_configuration.py has all of it."""
    result = files.run(**{"gres": "gpu:b:2", "lines": [WHOLE], **params}).failed()
    assert words in result["msg"]
    assert result["msg"].isprintable()
    # By that the role sees that nothing can be written there.
    assert "files" not in result
    assert files.texts() == {"slurm.conf": CONFIGURATION, "nodes.conf": NODES}
    assert len(list(files.folder.iterdir())) == 2


def test_a_type_that_disappears_is_warned_of(files):
    """Also in check mode, and once: what is there already is not said again."""
    said = "Slurm: node gpu-7 is to have no gpu:a (1 in slurm.conf) any more. Jobs that ask for that cannot start"
    assert said in str(files.run(check=True, gres=GRES, lines=[]).ok()["warnings"])
    assert "warnings" not in files.run(check=True, gres="gpu:a:7", lines=[]).ok()
    assert said in str(files.run(gres=GRES, lines=[]).ok()["warnings"])
    assert "warnings" not in files.run(gres=GRES, lines=[WHOLE]).ok()
    inherited = 'NodeName=DEFAULT Gres="gpu:c:2,gpu:b:1"\nNodeName=gpu-7\n'
    (files.folder / "nodes.conf").write_text(inherited, encoding="utf-8")
    assert "no gpu:c (2 in slurm.conf) any more" in str(files.run(check=True, gres=GRES, lines=[]).ok()["warnings"])


def test_the_earlier_files_come_back(files):
    written = files.run(gres=GRES, lines=[WHOLE]).ok()["files"]
    foretold = files.run(check=True, restore=written).ok()
    assert foretold["changed"]
    assert files.texts()["nodes.conf"] != NODES
    assert files.run(restore=written).ok()["files"] == foretold["files"]
    assert files.texts() == {"slurm.conf": CONFIGURATION, "nodes.conf": NODES}
    assert not files.run(restore=written).ok()["changed"]


def test_nothing_else_comes_back(files, tmp_path):
    victim = tmp_path / "passwd"
    victim.write_text("root", encoding="utf-8")
    written = files.run(gres=GRES, lines=[WHOLE]).ok()["files"]
    before = files.texts()
    nodes, new = written
    (files.folder / "nodes.conf.evil~").write_text("evil", encoding="utf-8")
    link = f"{nodes['path']}.1.2026-11-21@15:59:35~"
    os.symlink(victim, link)
    for odd, words in (
        ({"path": str(victim), "backup": nodes["backup"]}, "is no file of"),
        ({"path": str(victim), "backup": ""}, "is no file of"),
        ({"path": nodes["path"], "backup": str(victim)}, "is no earlier"),
        ({"path": nodes["path"], "backup": f"{nodes['path']}.evil~"}, "is no earlier"),
        ({"path": nodes["path"], "backup": link}, "is no earlier"),
        ({"path": nodes["path"], "backup": ""}, "is no earlier"),
        ({"path": nodes["path"], "backup": f"{nodes['path']}.2.2026-11-21@15:59:35~"}, "cannot be read: No such file"),
    ):
        assert words in files.run(restore=[new, odd]).failed()["msg"]
        assert (files.texts(), victim.read_text(encoding="utf-8")) == (before, "root")


def test_a_write_that_fails_says_what_was_written(files):
    """Whoever goes back then knows what to put back."""
    (files.folder / "gres.conf").symlink_to(files.folder / "missing" / "gres.conf")
    result = files.run(gres=GRES, lines=[WHOLE]).failed()
    assert "gres.conf cannot be written: No such file" in result["msg"]
    assert [file["path"] for file in result["files"]] == [str(files.folder / "nodes.conf")]
    files.run(restore=result["files"]).ok()
    assert (files.folder / "nodes.conf").read_text(encoding="utf-8") == NODES


def test_gpus_or_earlier_files_but_not_both(files):
    assert "one of the following is required: gres, restore" in files.run().failed()["msg"]
    assert "mutually exclusive" in files.run(gres=GRES, restore=[]).failed()["msg"]
