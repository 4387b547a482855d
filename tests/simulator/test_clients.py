# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVML clients that others wrote read the simulated GPUs as `mig-simulator show` has them.

In C Slurm's node daemon with its NVML plugin, in Python nvitop and gpustat, in Go an example of go-nvml and NVIDIA's
nvidia-mig-parted. The fixtures install them into build/clients, pinned by the files in tests/simulator/clients (Slurm:
what Debian has).
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from go_programs import go
from pci_devices import write_pci_devices

from ansible_collections.gpufleet.mig.plugins.module_utils.layout.saved_layout import exact_entries
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Gpu
from ansible_collections.gpufleet.mig.plugins.module_utils.persistence.files import MIG_MANAGER_LABEL, mig_manager_files

ROOT = Path(__file__).resolve().parents[2]
PINNED = Path(__file__).parent / "clients"
CLIENTS = ROOT / "build" / "clients"


@contextlib.contextmanager
def installing(name: str, *pins: Path):
    """Give the folder of a client and whether it is to be installed: once for these pins, by one process at a time."""
    folder = CLIENTS / name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = "".join(pin.read_text() for pin in pins)
    done = folder / "installed"
    with open(CLIENTS / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = not done.exists() or done.read_text() != wanted
        yield folder, missing
        done.write_text(wanted)


def install(what: str, *command: str, **options) -> None:
    done = subprocess.run(command, capture_output=True, text=True, **options, check=False)
    if done.returncode:
        pytest.skip(f"{what} cannot be installed here: {' '.join(command)}: {done.stderr[-500:]}")


def need(what: str, *programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{what} needs {program}")


@pytest.fixture(scope="session")
def python_client():
    """The Python of an environment with nvitop and gpustat."""
    with installing("python", PINNED / "requirements.txt") as (folder, missing):
        python = folder / "bin" / "python"
        if missing:
            install("nvitop", sys.executable, "-m", "venv", "--clear", str(folder))
            install("nvitop", str(python), "-m", "pip", "install", "-q", "-r", str(PINNED / "requirements.txt"))
    return python


@pytest.fixture(scope="session")
def go_clients():
    """The folder with nvidia-mig-parted and go-nvml's example `devices`."""
    need("nvidia-mig-parted", "cc")
    with installing("go", PINNED / "go.mod", PINNED / "go.sum") as (folder, missing):
        if missing:
            environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "1", "GOFLAGS": "-mod=readonly"}
            install("nvidia-mig-parted", go(), "install", "tool", cwd=PINNED, env=environment)
    return folder


@pytest.fixture(scope="session")
def slurm():
    """The folder in which Debian's slurmd and its NVML plugin lie unpacked: no root, nothing installed."""
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    need("Slurm's slurmd", "apt-get", "dpkg")
    if not sources.exists():
        pytest.skip(f"Slurm's slurmd comes from Debian, and {sources} is not here")
    with installing("slurm", sources) as (folder, missing):
        if missing:
            shutil.rmtree(folder)
            for part in ("lists/partial", "archives/partial", "root"):
                (folder / part).mkdir(parents=True)
            contrib = re.sub(r"^Components:.*$", "Components: main contrib", sources.read_text(), flags=re.MULTILINE)
            (folder / "contrib.sources").write_text(contrib)
            settings = {
                "Dir::Etc::sourcelist": folder / "contrib.sources",
                "Dir::Etc::sourceparts": "-",
                "Dir::State::lists": folder / "lists",
                "Dir::Cache": folder,
                "APT::Sandbox::User": "",
            }
            apt = ["apt-get", "-qq", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
            packages = ["slurmd", "slurm-wlm-basic-plugins", "slurm-wlm-nvml-plugin", "libhwloc15", "libnuma1"]
            install("slurmd", *apt, "update")
            install("slurmd", *apt, "download", *packages, cwd=folder / "archives")
            for package in (folder / "archives").glob("*.deb"):
                install("slurmd", "dpkg", "-x", str(package), str(folder / "root"))
            shutil.rmtree(folder / "lists")
            # It is slurmd only under that name.
            (folder / "root" / "usr" / "sbin" / "slurmd").symlink_to("slurmd-wlm")
    return folder / "root"


def mig_devices(shown: dict) -> list[dict]:
    """The MIG devices of `mig-simulator show --json`, each with its GPU, and id and profile of its GPU instance."""
    return [
        {**compute, "gpu": gpu["index"], "gpu_instance": instance["id"], "gpu_instance_profile": instance["profile"]}
        for gpu in shown["gpus"]
        for instance in gpu["instances"]
        for compute in instance["compute_instances"]
    ]


@pytest.fixture
def fleet(host, simulator_build):
    """A host with a full GPU, one with a shared GPU instance and one with an empty one, one without MIG; one job."""
    host.environment["PATH"] = f"{simulator_build}:{os.environ['PATH']}"
    host.command("init", "--mig", "A100-SXM4-40GB:2", "H100-SXM5-80GB", "L40S-48GB")

    def mig(*arguments):
        subprocess.run(["nvidia-smi", "mig", *arguments], env=host.environment, check=True, capture_output=True)

    mig("-i", "0", "-cgi", "9,14,19,19", "-C")
    mig("-i", "1", "-cgi", "9:0")
    mig("-i", "1", "-cci", "2c.3g.20gb,1c.3g.20gb")
    mig("-i", "2", "-cgi", "1g.10gb,1g.10gb+me,3g.40gb", "-C")
    host.client("run", "--device", mig_devices(host.show())[0]["uuid"])
    return host


@pytest.fixture
def on_driver_host(fleet, tmp_path):
    """Run a command where /proc and /sys show the fleet's driver and GPUs: on_driver_host(command...)."""
    need("/proc/driver of a simulated host", "unshare")
    namespace = ["unshare", "--mount"]
    if os.geteuid():
        namespace += ["--user", "--map-current-user", "--keep-caps"]
    if subprocess.run(
        [*namespace, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    ).returncode:
        pytest.skip("/proc/driver of a simulated host needs a mount namespace: root, or user namespaces")
    pci = write_pci_devices(tmp_path / "pci", fleet.show()["gpus"])
    proc = tmp_path / "proc"
    proc.mkdir()
    script = [str(PINNED / "on_driver_host.sh"), str(proc), f"{fleet.state}.proc/driver", str(pci)]

    def run(*command, **environment):
        return subprocess.run(
            [*namespace, *script, *map(str, command)],
            env={**fleet.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_nvitop_reads_the_same_gpus_and_mig_devices(fleet, python_client):
    code = """
import json
from nvitop import Device
def describe(device):
    return {"uuid": device.uuid(), "memory": device.memory_total(), "pids": sorted(device.processes())}
print(json.dumps([
    {**describe(gpu), "name": gpu.name(), "bus": gpu.bus_id(), "mig": gpu.mig_mode(), "devices": [
        {**describe(mig), "gi": mig.gpu_instance_id(), "ci": mig.compute_instance_id(), "name": mig.name()}
        for mig in gpu.mig_devices()]}
    for gpu in Device.all()]))
"""
    read = subprocess.run(
        [python_client, "-c", code], env=fleet.environment, capture_output=True, text=True, check=False
    )
    assert read.returncode == 0, read.stderr
    shown = fleet.show()
    for gpu, seen in zip(shown["gpus"], json.loads(read.stdout), strict=True):
        assert (seen["uuid"], seen["name"], seen["bus"]) == (gpu["uuid"], gpu["product"], gpu["pci_address"])
        assert seen["memory"] == gpu["memory_mib"] << 20
        assert seen["mig"] == ("Enabled" if gpu["mig_mode"] else "N/A")
        ours = [device for device in mig_devices(shown) if device["gpu"] == gpu["index"]]
        assert [(device["uuid"], device["gi"], device["ci"], device["pids"]) for device in seen["devices"]] == [
            (device["uuid"], device["gpu_instance"], device["id"], [client["pid"] for client in device["clients"]])
            for device in sorted(ours, key=lambda device: device["mig_index"])
        ]
        for device, mig in zip(sorted(ours, key=lambda device: device["mig_index"]), seen["devices"], strict=True):
            assert device["profile"] in mig["name"]
    nvitop = python_client.with_name("nvitop")
    page = subprocess.run([nvitop, "-1"], env=fleet.environment, capture_output=True, text=True, check=False)
    assert page.returncode == 0, page.stderr
    assert all(f"{device['profile']} @ GI/CI:" in page.stdout for device in mig_devices(shown))


def test_gpustat_reads_the_same_gpus(fleet, python_client):
    read = subprocess.run(
        [python_client.with_name("gpustat"), "--json"],
        env=fleet.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode == 0, read.stderr
    shown = fleet.show()["gpus"]
    assert [
        (gpu["index"], gpu["uuid"], gpu["name"], gpu["memory.total"]) for gpu in json.loads(read.stdout)["gpus"]
    ] == [(gpu["index"], gpu["uuid"], gpu["product"], gpu["memory_mib"]) for gpu in shown]


def test_go_nvml_reads_the_same_gpus(fleet, go_clients):
    read = subprocess.run([go_clients / "devices"], env=fleet.environment, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
    assert re.findall(r"uuid=(\S+)", read.stdout) == [gpu["uuid"] for gpu in fleet.show()["gpus"]]


def layout(shown: dict) -> dict:
    """GPU index -> MIG mode and how many MIG devices of each profile."""
    counts = {gpu["index"]: (gpu["mig_mode"], collections.Counter()) for gpu in shown["gpus"]}
    for device in mig_devices(shown):
        counts[device["gpu"]][1][in_layouts(device["profile"], device["gpu_instance_profile"])] += 1
    return counts


def in_layouts(profile: str, gpu_instance: str) -> str:
    """What layouts call a MIG device: the whole of a 1g.10gb+me is a 1g.10gb to the driver."""
    return profile if "c." in profile else gpu_instance


def test_mig_parted_reads_what_mig_persistence_writes_for_it(fleet, go_clients, on_driver_host, tmp_path):
    shown = fleet.show()["gpus"]
    entries = exact_entries([exact_entry(gpu) for gpu in shown if gpu["mig_mode"]])
    gpus = [Gpu(gpu["index"], gpu["uuid"], mig_mode=gpu["mig_mode"] or None) for gpu in shown]
    config, _drop_in, *_absent = mig_manager_files(entries, gpus)
    file = tmp_path / "gpufleet-mig.yaml"
    file.write_bytes(config.content)
    command = [go_clients / "nvidia-mig-parted", "assert", "-f", file, "-c", MIG_MANAGER_LABEL]
    same = on_driver_host(*command)
    assert same.returncode == 0, same.stderr
    device = next(one for one in mig_devices(fleet.show()) if one["gpu"] == 2)
    ids = ["-i", "2", "-gi", str(device["gpu_instance"]), "-ci", str(device["id"])]
    subprocess.run(["nvidia-smi", "mig", "-dci", *ids], env=fleet.environment, check=True, capture_output=True)
    assert on_driver_host(*command).returncode != 0


def exact_entry(gpu):
    """A GPU of `mig-simulator show --json` as an entry of a layout with all placements."""

    def place(one, instance):
        return {"profile": in_layouts(one["profile"], instance["profile"]), "placement": one["placement"]["start"]}

    instances = [
        {**place(one, one), "compute_instances": [place(device, one) for device in one["compute_instances"]]}
        for one in gpu["instances"]
    ]
    return {"gpus": [gpu["uuid"]], "instances": instances}


def test_mig_parted_exports_and_applies(fleet, go_clients, on_driver_host, tmp_path):
    mig_parted = go_clients / "nvidia-mig-parted"
    read = on_driver_host(mig_parted, "export")
    assert read.returncode == 0, read.stderr
    exported = {}
    for entry in yaml.safe_load(read.stdout)["mig-configs"]["current"]:
        device_id = int(entry["device-filter"], 16)
        alike = [gpu["index"] for gpu in fleet.show()["gpus"] if gpu["pci_device_id"] == device_id]
        for index in alike if entry["devices"] == "all" else entry["devices"]:
            exported[index] = (entry["mig-enabled"], collections.Counter(entry["mig-devices"]))
    assert exported == layout(fleet.show())

    fleet.clients[0].end()
    file = tmp_path / "mig-parted.yaml"
    entries = [
        {"devices": [0], "mig-enabled": True, "mig-devices": {"1g.5gb": 7}},
        {"devices": [1], "mig-enabled": False},
        {"devices": [2], "mig-enabled": True, "mig-devices": {"3g.40gb": 2}},
        {"devices": [3], "mig-enabled": False},
    ]
    file.write_text(yaml.safe_dump({"version": "v1", "mig-configs": {"wanted": entries}}))
    assert on_driver_host(mig_parted, "assert", "-f", file, "-c", "wanted").returncode != 0
    applied = on_driver_host(mig_parted, "apply", "-f", file, "-c", "wanted")
    assert applied.returncode == 0, applied.stderr
    after = layout(fleet.show())
    assert after[0] == (True, {"1g.5gb": 7})
    assert after[1] == (False, {})
    assert after[2] == (True, {"3g.40gb": 2})
    asserted = on_driver_host(mig_parted, "assert", "-f", file, "-c", "wanted")
    assert asserted.returncode == 0, asserted.stderr


def test_slurm_detects_the_same_mig_devices(fleet, slurm, on_driver_host, tmp_path, simulator_build):
    shown = fleet.show()
    products = {"A100-SXM4-40GB": "a100", "H100-SXM5-80GB": "h100_80gb_hbm3", "L40S-48GB": "l40s"}
    minors = dict(
        line.split() for line in Path(f"{fleet.state}.proc/driver/nvidia-caps/mig-minors").read_text().splitlines()
    )
    expected = [("l40s", "/dev/nvidia3")]
    for device in mig_devices(shown):
        instance = f"gpu{device['gpu']}/gi{device['gpu_instance']}"
        files = [f"/dev/nvidia{device['gpu']}"]
        for capability in ("access", f"ci{device['id']}/access"):
            files.append(f"/dev/nvidia-caps/nvidia-cap{minors[f'{instance}/{capability}']}")
        # Slurm names a MIG device after its GPU instance, without what follows the memory.
        profile = device["gpu_instance_profile"].partition("+")[0]
        expected.append((f"{products[shown['gpus'][device['gpu']]['model']]}_{profile}", ",".join(files)))
    types = collections.Counter(kind for kind, _unused in expected)
    libraries = slurm / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
    spool = tmp_path / "spool"
    spool.mkdir()
    (tmp_path / "gres.conf").write_text("AutoDetect=nvml\n")
    (tmp_path / "slurm.conf").write_text(
        "ClusterName=test\nSlurmctldHost=node\nAuthType=auth/none\nCryptoType=crypto/none\n"
        f"PluginDir={libraries}/slurm-wlm\nGresTypes=gpu\nProctrackType=proctrack/pgid\nTaskPlugin=task/none\n"
        f"SlurmdSpoolDir={spool}\nSlurmdPidFile={spool}/pid\nSlurmUser={os.geteuid()}\n"
        f"NodeName=node Gres={','.join(f'gpu:{kind}:{count}' for kind, count in types.items())}\n"
        "PartitionName=all Nodes=node\n"
    )
    read = on_driver_host(
        slurm / "usr" / "sbin" / "slurmd", "-D", "-G", "-N", "node", "-f", tmp_path / "slurm.conf",
        LD_LIBRARY_PATH=f"{libraries}:{libraries}/slurm-wlm:{simulator_build}",
    )  # fmt: skip
    assert read.returncode == 0, read.stdout + read.stderr
    records = re.findall(r"Gres Name=gpu Type=(\S+) Count=1 .*?File=(\S+)", read.stdout + read.stderr)
    assert sorted(records) == sorted(expected)
