# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mig_driver on hosts without internet and without nvidia-ml-py, of which some have a source for it."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pip
import pynvml
import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.nvml.binding import PRIVATE_DIRECTORY

A100 = [{"model": "A100-SXM4-40GB", "count": 2}]
CHECK = "gpufleet.mig.mig_driver_check"
SITE = "find /usr/lib/python3* /usr/local/lib/python3* -not -name '*.pyc' -not -name __pycache__ | sort | md5sum"
SYSTEM = "/usr/lib/python3/dist-packages"
INDEX, COPY = "Install from the index that pip uses", "Copy it"
PACKAGE = "Install the distribution's package"
# {host: the task that must bring nvidia-ml-py there}
SOURCES = {
    "plain": COPY,
    "index": INDEX,
    "package": PACKAGE,
    "trixie-1": COPY,
    "old-package": COPY,
    "package-with-library": COPY,
    "no-gpu": None,
}
FEW = 3  # of these bring it in each of the three ways


def play(**variables):
    """The play of the role's README, more or less."""
    return [{"hosts": "all", "gather_facts": False, "roles": [{"role": "gpufleet.mig.mig_driver", **variables}]}]


@pytest.fixture(scope="module", params=[FEW, pytest.param(len(SOURCES), marks=pytest.mark.prove)])
def hosts(systemd_hosts, request):
    """{name: host} of SOURCES, each with the source of nvidia-ml-py that its name says. None has pip but index."""
    names = list(SOURCES)[: request.param]
    started = systemd_hosts({name: A100 if SOURCES[name] else [] for name in names})
    hosts = {host.name: host for host in started}
    make_index(hosts["index"])
    make_packages(hosts["package"], "12.550.89-3")
    if len(names) > FEW:
        make_packages(hosts["old-package"], "11.515.48-1")
        make_packages(hosts["package-with-library"], "12.550.89-3", "libnvidia-ml1")
    return hosts


def changed(run, host):
    """The tasks that changed something there."""
    return [one["task"].rpartition(" : ")[2] for one in run.results(host=host) if one["result"].get("changed")]


def brought(run, host):
    """What the last check on that host says of nvidia-ml-py, after no finding at all."""
    result = run.results(CHECK, host)[-1]["result"]
    assert result["ok"], result["problem"]
    return result["evidence"]["nvidia_ml_py"]


def test_each_host_gets_it_from_where_it_can(run_playbook, hosts):
    before = {name: host.run(SITE).stdout for name, host in hosts.items()}
    rehearsal = run_playbook(play(), hosts.values(), check=True, forks=len(hosts)).ok()
    for name, host in hosts.items():
        assert bool(changed(rehearsal, name)) is bool(SOURCES[name])
        # Checked meanwhile with a copy of the controller's, which went with its task.
        (check,) = rehearsal.results(CHECK, name)
        assert (check["result"]["ok"], check["result"].get("nvidia_ml_py")) == (
            True,
            "temporary" if SOURCES[name] else None,
        )
        assert host.run("find / -xdev -name pynvml.py -newer /etc/hostname").stdout == ""
        assert (f"nvidia-ml-py would be brought to {name}." in rehearsal.output) is bool(SOURCES[name])
        assert host.run(f"test -e {PRIVATE_DIRECTORY}", check=False).returncode == 1
    assert {name: host.run(SITE).stdout for name, host in hosts.items()} == before

    run = run_playbook(play(), hosts.values(), forks=len(hosts)).ok()
    again = run_playbook(play(), hosts.values(), forks=len(hosts)).ok()
    for name, host in hosts.items():
        assert changed(again, name) == []
        took = [task for task in (PACKAGE, INDEX, COPY) if task in changed(run, name)]
        assert took == ([SOURCES[name]] if SOURCES[name] else []), name
        there = brought(run, name)
        assert there == brought(again, name)
        if SOURCES[name] == PACKAGE:
            assert there["path"] == f"{SYSTEM}/pynvml.py"
        elif SOURCES[name]:
            assert there["path"] == f"{PRIVATE_DIRECTORY}/pynvml.py"
            assert host.run(f"ls {PRIVATE_DIRECTORY}/__pycache__", sudo=False).stdout.startswith("pynvml.cpython-")
            assert host.run(f"find {PRIVATE_DIRECTORY} -perm /022 -o -not -user root").stdout == ""
            assert host.run(SITE).stdout == before[name]
    if "no-gpu" in hosts:
        assert hosts["package-with-library"].run("dpkg -s libnvidia-ml1", check=False).returncode == 1
        assert changed(run, "no-gpu") == []
        (nothing,) = run.results(CHECK, "no-gpu")
        assert nothing["result"]["evidence"]["nvidia_devices"] is False


def test_an_index_that_is_asked_for_and_has_nothing(run_playbook, hosts):
    host = hosts["index"]
    host.run(f"rm -rf {PRIVATE_DIRECTORY} /srv/wheels/*")
    refused = run_playbook(play(mig_driver_python_package="index"), [host]).failed()
    assert "No matching distribution found for nvidia-ml-py" in refused.output


def test_one_that_is_too_old_is_replaced(run_playbook, hosts):
    host = hosts["plain"]
    host.run(
        f"mkdir -p {PRIVATE_DIRECTORY} && cd {PRIVATE_DIRECTORY} && rm -rf * && mkdir nvidia_ml_py-11.450.51.dist-info"
        " && echo 'class NVMLError(Exception): pass' > pynvml.py"
    )
    assert brought(run_playbook(play(), [host]).ok(), "plain")["version"] != "11.450.51"
    assert host.run(f"ls -d {PRIVATE_DIRECTORY}/*.dist-info").stdout.count("\n") == 1


def test_errors_fail_the_host_with_all_of_them(run_playbook, hosts):
    hosts["plain"].simulator("fault nvmlInitWithFlags --return LIB_RM_VERSION_MISMATCH")
    run = run_playbook(play(mig_driver_minimum="999.0"), [hosts[name] for name in ("plain", "package")]).failed()
    said = {one["host"]: one["result"]["msg"] for one in run.results(CHECK)}
    assert "The loaded NVIDIA kernel module is version 580.95.05" in said["plain"]
    assert "mig_driver_minimum asks for 999.0 or later." in said["package"]
    assert {one["host"] for one in run.results() if one["status"] == "failed"} == {"plain", "package"}
    hosts["plain"].simulator("fault --clear")


class User:
    """A host that Ansible reaches as a user who does not become root."""

    def __init__(self, host):
        self.name = host.name
        self._host = host

    def variables(self):
        """What an inventory says of this host."""
        return {**self._host.variables(), "ansible_become": False}


def test_the_checks_alone_without_root(run_playbook, hosts):
    *_others, host = (host for name, host in hosts.items() if name in ("plain", "trixie-1"))
    layout = [{"instances": {"1g.5gb": 7}}]
    run = run_playbook(play(mig_driver_layout=layout), [User(host)], tags=["check"]).ok()
    result = run.result(CHECK)
    assert result["evidence"]["user"] != 0
    assert [step["action"] for step in result["plan"]] == ["set_mig_mode", "reset_gpu"] * 2
    assert [finding["check"] for finding in result["findings"]] == ["permission"]
    host.run(f"rm -rf {PRIVATE_DIRECTORY}")
    refused = run_playbook(play(), [User(host)]).failed()
    assert f"{host.name} lacks nvidia-ml-py, and only root can bring it." in refused.output


def make_index(host):
    """Give a host pip, in an externally managed Python, and an index."""
    (metadata,) = Path(pynvml.__file__).parent.glob("nvidia_ml_py-*.dist-info")
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("METADATA", "WHEEL", "RECORD"):
            archive.write(metadata / name, f"{metadata.name}/{name}")
        archive.write(pynvml.__file__, "pynvml.py")
    host.run(f"test -e /usr/lib/python3.11/EXTERNALLY-MANAGED && mkdir -p /srv/wheels {SYSTEM}")
    send(
        host,
        {
            f"srv/wheels/{metadata.name.removesuffix('.dist-info')}-py3-none-any.whl": wheel.getvalue(),
            f"{SYSTEM}/pip": Path(pip.__file__).parent,
            "etc/pip.conf": b"[global]\nno-index = true\nfind-links = /srv/wheels\n",
        },
    )


def make_packages(host, version, depends=None):
    """Give a host a package repository with python3-pynvml, and with the package it depends on."""
    packages = {"python3-pynvml": f"Version: {version}\n" + (f"Depends: {depends}\n" if depends else "")}
    if depends:
        packages[depends] = "Version: 535.183.01-1\n"
    files = {
        "srv/python3-pynvml/usr/lib/python3/dist-packages/pynvml.py": Path(pynvml.__file__).read_bytes(),
        "etc/apt/sources.list.d/test.list": b"deb [trusted=yes] file:/srv/apt ./\n",
    }
    lines = ["set -e", "mkdir -p /srv/apt", "cd /srv/apt"]
    for name, control in packages.items():
        control = f"Package: {name}\nArchitecture: all\nMaintainer: nobody\nDescription: test\n{control}"
        files[f"srv/{name}/DEBIAN/control"] = control.encode()
        lines += [
            f"dpkg-deb --build --root-owner-group /srv/{name} {name}.deb > /dev/null",
            f"cat /srv/{name}/DEBIAN/control >> Packages",
            f'echo "Filename: ./{name}.deb\nSize: $(stat -c %s {name}.deb)" >> Packages',
            f'echo "SHA256: $(sha256sum {name}.deb | cut -d" " -f1)\n" >> Packages',
        ]
    send(host, files)
    host.run("\n".join([*lines, "apt-get -q update -o Dir::Etc::sourcelist=/dev/null"]))


def send(host, files):
    """Put files {path: bytes} and folders {path: Path} on a host."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            if isinstance(content, Path):
                archive.add(content, name)
            else:
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))
    command = host.ssh("sudo", "tar", "-x", "--no-same-owner", "-C", "/")
    subprocess.run(command, input=data.getvalue(), check=True)
