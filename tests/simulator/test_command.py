# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mig-simulator: its picture of a host, and what it says to wrong usage."""

from __future__ import annotations

import os
import re
import subprocess

import pynvml as n
import pytest
from mig_calls import create, spanning

VERBS = ["init", "show", "run", "hold", "fault", "calls", "reboot", "reload-driver", "passthrough", "fabric-manager"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(host, verb):
    assert host.command(verb, "--help").stdout.startswith(f"Usage: mig-simulator {verb}")
    assert f"mig-simulator {verb}" in host.command("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shoo"], "no verb shoo: did you mean show?"),
        (["init"], "init needs a GPU model"),
        (["init", "A100"], "no GPU model A100: did you mean A100-SXM4-40GB or A100-SXM4-80GB?"),
        (["init", "A100-SXM4-40GB:0"], "expected MODEL:COUNT with a count from 1 to 16"),
        (["init", "A100-SXM4-40GB:x"], "expected MODEL:COUNT with a count from 1 to 16"),
        (["init", "A100-SXM4-40GB:9", "L40S-48GB:8"], "at most 16 GPUs"),
        (["init", "--driver", "new", "L40S-48GB"], "expected a version such as"),
        (["init", "--admin-uid", "root", "L40S-48GB"], "--admin-uid root: expected a user id, a number"),
        (["init", "--driver"], "--driver needs a value"),
        (["init", "--colour"], "--colour is no option of init"),
        (["show", "GPU-1"], "show takes no argument GPU-1"),
        (["run", "--device", "0"], "run needs --device and a command"),
        (["run", "--type", "cuda", "--device", "0", "--", "true"], "expected compute, graphics or mps"),
        (["hold", "--", "true"], "hold needs --gpu and a command"),
        (["hold", "--gpu", "MIG-1", "--", "true"], "a GPU is held, not a MIG device"),
        (["reboot", "now"], "reboot takes no argument now"),
        (["passthrough", "perhaps"], "on or off"),
        (["fabric-manager", "perhaps"], "on or off"),
        (["init", "--nvswitch", "A30-24GB"], "none of these models has NVLinks"),
        (["calls", "--rest"], "--rest is no option of calls"),
    ],
)
def test_wrong_usage_is_one_clear_message_and_status_2(host, arguments, message):
    error = host.command(*arguments, status=2).stderr
    assert message in error
    assert error.startswith("mig-simulator: ")
    assert not host.state.exists()


@pytest.mark.parametrize("verb", [["show"], ["calls"], ["reboot"], ["fault", "any", "--lie"], ["passthrough", "on"]])
def test_without_a_host_every_verb_says_how_to_make_one(host, verb):
    error = host.command(*verb, status=1).stderr
    assert error == f"mig-simulator: {host.state} is not there; make a simulated host with: mig-simulator init MODEL\n"


def test_show_draws_the_slices(nvml, host):
    gpu = nvml("--mig", "A100-SXM4-40GB", "L40S-48GB")
    _unused, _unused, device = spanning(gpu, 9, 4, 4)
    create(gpu, 19, 1, 1)
    client = host.client("run", "--device", n.nvmlDeviceGetUUID(device))
    host.client("hold", "--gpu", "1")
    lines = host.command("show").stdout.splitlines()
    assert lines[0] == f"Driver 580.95.05, CUDA 13.0, administrator is user {os.geteuid()}"
    assert lines[1].startswith("GPU 0  NVIDIA A100-SXM4-40GB  00000000:07:00.0  GPU-")
    assert lines[2:4] == ["       MIG on", f"       [       ][1g.5gb ][       ][       ][3g.20gb{' ' * 27}]"]
    assert re.fullmatch(r"       GI \d+ +1g.5gb         slices 1-1", lines[4])
    assert re.fullmatch(r"       GI [12]  3g.20gb        slices 4-7", lines[5])
    assert lines[6].split("  ")[-1] == f"busy: {client.pid} sh"
    assert re.fullmatch(r"       no MIG  busy: \d+ sh \(holder\)", lines[8])


def test_show_as_json_has_everything(nvml, host):
    gpu = nvml("--mig", "H100-SXM5-80GB")
    instance, _unused, device = spanning(gpu, 9)
    client = host.client("run", "--device", n.nvmlDeviceGetUUID(device), "--type", "mps")
    shown = host.show()
    assert {key: shown[key] for key in ("driver_version", "cuda_version", "passthrough", "strange")} == {
        "driver_version": "580.95.05", "cuda_version": "13.0", "passthrough": False, "strange": {},
    }  # fmt: skip
    (found,) = shown["gpus"]
    assert found["uuid"] == n.nvmlDeviceGetUUID(gpu)
    assert found["pci_address"] == n.nvmlDeviceGetPciInfo(gpu).busId
    assert found["serial"] == n.nvmlDeviceGetSerial(gpu)
    assert found["pci_device_id"] == n.nvmlDeviceGetPciInfo(gpu).pciDeviceId
    info = n.nvmlGpuInstanceGetInfo(instance)
    (gpu_instance,) = found["instances"]
    assert (gpu_instance["id"], gpu_instance["profile"]) == (info.id, "3g.40gb")
    assert gpu_instance["placement"] == {"start": info.placement.start, "size": 4}
    (compute_instance,) = gpu_instance["compute_instances"]
    assert compute_instance["uuid"] == n.nvmlDeviceGetUUID(device)
    assert compute_instance["clients"] == [{"pid": client.pid, "type": "mps", "memory_mib": 512, "name": "sh"}]


def test_the_same_path_gives_the_same_gpus_again_and_another_path_others(host, tmp_path):
    host.command("init", "A100-SXM4-40GB:2")
    first = [gpu["uuid"] for gpu in host.show()["gpus"]]
    host.command("init", "A100-SXM4-40GB:2")
    assert [gpu["uuid"] for gpu in host.show()["gpus"]] == first
    host.environment["MIG_SIMULATOR_STATE"] = str(tmp_path / "new" / "folder" / "state")
    host.command("init", "A100-SXM4-40GB:2")
    assert not set(first) & {gpu["uuid"] for gpu in host.show()["gpus"]}


def test_a_path_relative_to_the_working_directory(host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    host.environment["MIG_SIMULATOR_STATE"] = "state-here"
    host.command("init", "L40S-48GB")
    assert host.show()["state"] == str(tmp_path / "state-here")


def test_output_that_cannot_be_written_is_a_failure(host):
    host.command("init", "L40S-48GB")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [host.simulator, "show"], env=host.environment, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"mig-simulator: the output could not be written\n")


def test_nvswitches_and_fabric_manager_are_shown_and_kept(host):
    host.command("init", "A100-SXM4-40GB:2")
    refused = host.command("fabric-manager", "on", status=1)
    assert "no NVSwitches" in refused.stderr
    assert (host.show()["nvswitch"], host.show()["fabric_manager"]) == (False, False)
    host.command("init", "--nvswitch", "A100-SXM4-40GB:2")
    assert (host.show()["nvswitch"], host.show()["fabric_manager"]) == (True, False)
    assert "NVSwitches without Fabric Manager" in host.command("show").stdout
    host.command("fabric-manager", "on")
    host.command("reboot")
    assert (host.show()["nvswitch"], host.show()["fabric_manager"]) == (True, True)
    assert "NVSwitches with Fabric Manager" in host.command("show").stdout
    host.command("fabric-manager", "off")
    assert not host.show()["fabric_manager"]
