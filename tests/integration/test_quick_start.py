# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""README's installation and quick start, typed as they stand there, in a home that has nothing yet.

In `make prove`: what pip installs anew costs two minutes. `make test` runs the four commands in test_whole_change.py.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess

import pytest
from checkout import built_collection
from layouts import profiles
from paths import COLLECTIONS, ROOT

H100 = "H100-SXM5-80GB"


def blocks(chapter):
    """The code blocks of a chapter of README."""
    (text,) = re.findall(rf"^## {chapter}$(.*?)^## ", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    return re.findall(r"^```\w+\n(.*?)^```$", text, re.M | re.S)


def typed(block):
    """The commands of a console block."""
    return re.findall(r"^\$ (.*?)(?: +#.*)?$", block, re.M)


@pytest.mark.prove
def test_the_quick_start_from_an_empty_home(simulated_host, tmp_path):
    # MIG is on where the inventory wants it off, and off where it wants it on.
    mig = {"gpu-1": [], "gpu-2": [], "gpu-3": ["--mig"]}
    hosts = {name: simulated_host(f"{H100}:2", *options, name=name) for name, options in mig.items()}
    before = {name: profiles(host) for name, host in hosts.items()}
    home = tmp_path / "home"
    (home / "host_vars").mkdir(parents=True)
    install, _requirements, *_rest = blocks("Installation")
    inventory, commands, *_rest = blocks("Quick start: a real fleet")
    # What is a site's own: its file of nvidia-mig-parted, where it wants the report, how its hosts are reached.
    config, report = ROOT / "demo" / "mig-parted-config.yaml", home / "partition.json"
    for theirs, ours in (("/etc/nvidia-mig-manager/config.yaml", config), ("/tmp/partition.json", report)):
        assert theirs in inventory
        inventory = inventory.replace(theirs, str(ours))
    (home / "inventory.yml").write_text(inventory, encoding="utf-8")
    for name, host in hosts.items():
        variables = {**host.variables(), "ansible_become": False}
        (home / "host_vars" / f"{name}.yml").write_text(json.dumps(variables), encoding="utf-8")
    # The collection as Galaxy would hand it out, and the one that it depends on.
    archive = built_collection(tmp_path)
    kubernetes = home / ".ansible" / "collections" / "ansible_collections" / "kubernetes"
    kubernetes.mkdir(parents=True)
    (kubernetes / "core").symlink_to(COLLECTIONS / "ansible_collections" / "kubernetes" / "core")

    lines = typed(install)
    assert lines[-1] == "ansible-galaxy collection install gpufleet.mig"
    lines[-1] = f"ansible-galaxy collection install --offline {shlex.quote(str(archive))}"
    lines += typed(commands)
    assert len(lines) == 8
    script = "set -eu\n" + "".join(f"echo {shlex.quote(f'$ {line}')}\n{line}\n" for line in lines)
    ours = ("ANSIBLE_", "MIG_", "GPUFLEET_", "PYTHON", "VIRTUAL_ENV", "MADE_ONCE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment.update(HOME=str(home), PIP_CONSTRAINT=str(ROOT / "requirements-demo.txt"), ANSIBLE_NOCOLOR="1")
    run = subprocess.run(
        ["bash", "-c", script], cwd=home, env=environment, check=False, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    rehearsed, changed, verified, back = re.split(r"^\$ .*\n", run.stdout, flags=re.M)[-4:]
    assert "MIG (check mode): 3 would change" in rehearsed
    assert re.search(r"^\+ .*3g\.40gb", rehearsed, re.M), rehearsed
    assert "MIG: 3 changed" in changed
    assert verified.count("has its layout") == 3
    assert "MIG: 3 changed" in back
    assert json.loads(report.read_text(encoding="utf-8"))["counts"] == {"changed": 3}
    assert {name: profiles(host) for name, host in hosts.items()} == before
