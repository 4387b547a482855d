# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nvidia-smi stand-in: layout, messages and exit statuses as in published transcripts of the real one."""

from __future__ import annotations

import re
import subprocess

import pytest


@pytest.fixture
def smi(host, simulator_build):
    """smi(*arguments, status=0): run nvidia-smi on the host, expect that exit status, and return what it printed."""

    def run(*arguments, status=0, environment=None):
        done = subprocess.run(
            [simulator_build / "nvidia-smi", *arguments],
            env={**host.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (status, ""), done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def a100(host):
    host.command("init", "--mig", "A100-SXM4-40GB")
    return host


def uuids(host):
    return {
        (instance["id"], compute["id"]): compute["uuid"]
        for gpu in host.show()["gpus"]
        for instance in gpu["instances"]
        for compute in instance["compute_instances"]
    }


PROFILES = """\
+-------------------------------------------------------------------------------+
| GPU instance profiles:                                                        |
| GPU   Name               ID    Instances   Memory     P2P    SM    DEC   ENC  |
|                                Free/Total   GiB              CE    JPEG  OFA  |
|===============================================================================|
|   0  MIG 1g.5gb          19     4/7        4.75       No     14     0     0   |
|                                                               1     0     0   |
+-------------------------------------------------------------------------------+
|   0  MIG 1g.5gb+me       20     1/1        4.75       No     14     1     0   |
|                                                               1     1     1   |
+-------------------------------------------------------------------------------+
|   0  MIG 1g.10gb         15     2/4        9.62       No     14     1     0   |
|                                                               1     0     0   |
+-------------------------------------------------------------------------------+
|   0  MIG 2g.10gb         14     2/3        9.62       No     28     1     0   |
|                                                               2     0     0   |
+-------------------------------------------------------------------------------+
|   0  MIG 3g.20gb          9     1/2        19.50      No     42     2     0   |
|                                                               3     0     0   |
+-------------------------------------------------------------------------------+
|   0  MIG 4g.20gb          5     1/1        19.50      No     56     2     0   |
|                                                               4     0     0   |
+-------------------------------------------------------------------------------+
|   0  MIG 7g.40gb          0     0/1        39.25      No     98     5     0   |
|                                                               7     1     1   |
+-------------------------------------------------------------------------------+
"""

GPU_INSTANCES = """\
+---------------------------------------------------------+
| GPU instances:                                          |
| GPU   Name               Profile  Instance   Placement  |
|                            ID       ID       Start:Size |
|=========================================================|
|   0  MIG 1g.5gb            19       {small:2}          0:1     |
+---------------------------------------------------------+
|   0  MIG 3g.20gb            9       {large:2}          4:4     |
+---------------------------------------------------------+
"""

COMPUTE_PROFILES = """\
+--------------------------------------------------------------------------------------+
| Compute instance profiles:                                                           |
| GPU     GPU       Name             Profile  Instances   Exclusive       Shared       |
|       Instance                       ID     Free/Total     SM       DEC   ENC   OFA  |
|         ID                                                          CE    JPEG       |
|======================================================================================|
|   0     {large:2}       MIG 1c.3g.20gb       0      1/3           14        2     0     0   |
|                                                                      3     0         |
+--------------------------------------------------------------------------------------+
|   0     {large:2}       MIG 2c.3g.20gb       1      0/1           28        2     0     0   |
|                                                                      3     0         |
+--------------------------------------------------------------------------------------+
|   0     {large:2}       MIG 3g.20gb          2*     0/1           42        2     0     0   |
|                                                                      3     0         |
+--------------------------------------------------------------------------------------+
"""

COMPUTE_INSTANCES = """\
+--------------------------------------------------------------------+
| Compute instances:                                                 |
| GPU     GPU       Name             Profile   Instance   Placement  |
|       Instance                       ID        ID       Start:Size |
|         ID                                                         |
|====================================================================|
|   0     {small:2}       MIG 1g.5gb           0         0          0:1     |
+--------------------------------------------------------------------+
|   0     {large:2}       MIG 2c.3g.20gb       1         0          0:2     |
+--------------------------------------------------------------------+
"""


def test_mig_pages_while_instances_come_and_go(smi, a100):
    created = smi("mig", "-cgi", "9:4")
    large = int(re.fullmatch(
        r"Successfully created GPU instance ID +(\d+) on GPU  0 using profile MIG 3g.20gb \(ID  9\)\n", created
    )[1])  # fmt: skip
    assert smi("mig", "-lgip") == PROFILES
    created = smi("mig", "-cgi", "MIG 1g.5gb:0", "-C", "-i", "00000000:07:00.0")
    small = int(re.match(r"Successfully created GPU instance ID +(\d+) on GPU  0", created)[1])
    assert created.endswith(
        f"Successfully created compute instance ID  0 on GPU  0 GPU instance ID {small:2} "
        "using profile MIG 1g.5gb (ID  0)\n"
    )
    assert smi("mig", "-cci", "1:0", "-gi", str(large)) == (
        f"Successfully created compute instance ID  0 on GPU  0 GPU instance ID {large:2} "
        "using profile MIG 2c.3g.20gb (ID  1)\n"
    )
    numbers = {"small": small, "large": large}
    assert smi("mig", "-lgi") == GPU_INSTANCES.format(**numbers)
    assert smi("mig", "-lcip", "-gi", str(large)) == COMPUTE_PROFILES.format(**numbers)
    assert smi("mig", "-lci") == COMPUTE_INSTANCES.format(**numbers)
    assert "GPU  0 Profile ID 15 Placements: {0,2,4,6}:2\n" in smi("mig", "-lgipp")
    assert "GPU  0 Profile ID  0 Placement : {0}:8\n" in smi("mig", "-lgipp")
    assert f"GPU  0 GI {large:2} Profile ID  0 Placements: {{0,1,2}}:1\n" in smi("mig", "-lcipp")

    listed = smi("-L")
    gpu = a100.show()["gpus"][0]
    devices = uuids(a100)
    assert listed.splitlines()[0] == f"GPU 0: NVIDIA A100-SXM4-40GB (UUID: {gpu['uuid']})"
    # Counted by GPU instance id.
    assert f"  MIG 1g.5gb      Device  1: (UUID: {devices[small, 0]})\n" in listed
    assert f"  MIG 2c.3g.20gb  Device  0: (UUID: {devices[large, 0]})\n" in listed

    destroyed = smi("mig", "-dci", "-ci", "0", "-gi", str(large))
    assert destroyed == f"Successfully destroyed compute instance ID  0 from GPU  0 GPU instance ID {large:2}\n"
    assert smi("mig", "-dgi", "-gi", str(large)) == f"Successfully destroyed GPU instance ID {large:2} from GPU  0\n"
    smi("mig", "-dci")
    smi("mig", "-dgi")
    assert a100.show()["gpus"][0]["instances"] == []
    assert smi("mig", "-lgi", status=6) == "No GPU instances found: Not Found\n"
    assert smi("mig", "-dgi", status=6) == "No GPU instances found: Not Found\n"


def test_refusals_of_mig_commands(smi, a100):
    full = smi("mig", "-cgi", "9,9,9", status=255)
    assert full.endswith(
        "Unable to create a GPU instance on GPU  0 using profile 9: Insufficient Resources\n"
        "Failed to create GPU instances: Insufficient Resources\n"
    )
    assert len(a100.show()["gpus"][0]["instances"]) == 2
    wrong = smi("mig", "-cgi", "3g.47gb", status=2)
    assert wrong.startswith("Unable to create a GPU instance on GPU  0 using profile 3g.47gb: Invalid Argument\n")
    smi("mig", "-cci")
    first = a100.show()["gpus"][0]["instances"][0]["id"]
    busy = smi("mig", "-dgi", "-gi", str(first), status=255)
    assert busy == (
        f"Unable to destroy GPU instance ID {first:2} from GPU  0: In use by another client\n"
        "Failed to destroy GPU instances: In use by another client\n"
    )
    assert "No compute instances found: Not Found" in smi("mig", "-dci", "-ci", "5", status=6)
    assert smi("mig", "-foo", status=2).startswith("Invalid combination of input arguments.")
    assert smi("mig", "-lgi", "-i", "7", status=6) == "No devices were found\n"


def test_mig_off_and_no_mig(smi, host):
    host.command("init", "A100-SXM4-40GB", "L40S-48GB")
    assert smi("mig", "-lgi", status=6) == "No MIG-enabled devices found.\n"
    assert smi("mig", "-lgip", "-i", "1", status=6) == "No MIG-supported devices found.\n"
    assert smi("-i", "1", "-mig", "1") == (
        "Unable to enable MIG Mode for GPU 00000000:0F:00.0: Not Supported\n"
        "Treating as warning and moving on.\nAll done.\n"
    )
    assert smi("-i", "0", "-mig", "1") == "Enabled MIG Mode for GPU 00000000:07:00.0\nAll done.\n"
    smi("mig", "-cgi", "0")
    assert smi("-i", "0", "-mig", "0", status=255) == (
        "Unable to disable MIG Mode for GPU 00000000:07:00.0: In use by another client\n"
        "Terminating early due to previous errors.\n"
    )
    smi("mig", "-dgi")
    assert smi("-i", "0,1", "-mig", "0").startswith("Disabled MIG Mode for GPU 00000000:07:00.0\n")


def test_mode_of_a_gpu_in_use_waits_for_a_reset(smi, host):
    host.command("init", "A100-SXM4-40GB:2")
    holder = host.client("hold", "--gpu", "0")
    pending = smi("-i", "0", "-mig", "1")
    assert pending.startswith(
        "Warning: MIG mode is in pending enable state for GPU 00000000:07:00.0:In use by another client\n"
        "00000000:07:00.0 is currently being used by one or more other processes"
    )
    query = ("--query-gpu=pci.bus_id,mig.mode.current,mig.mode.pending", "--format=csv,noheader")
    assert smi(*query, "-i", "0") == "00000000:07:00.0, Disabled, Enabled\n"
    assert "|            Disabled* |" in smi("-i", "0")
    refused = smi("--gpu-reset", "-i", "0", status=255)
    assert refused.startswith(
        "The following GPUs could not be reset:\n  GPU 00000000:07:00.0: In use by another client\n\n"
        "1 device is currently being used by one or more other processes"
    )
    holder.end()
    uuid = host.show()["gpus"][0]["uuid"]
    for selector in ("0", uuid, "00000000:07:00.0", "0000:07:00.0", "07:00.0"):
        assert smi("--gpu-reset", "-i", selector) == "GPU 00000000:07:00.0 was successfully reset.\nAll done.\n"
    assert smi(*query) == "00000000:07:00.0, Enabled, Enabled\n00000000:0F:00.0, Disabled, Disabled\n"


def test_gpus_of_ampere_on_nvswitches_are_reset_together(smi, host):
    host.command("init", "--nvswitch", "A100-SXM4-40GB:3", "A30-24GB")
    assert "try nvidia-smi --gpu-reset" in smi("-i", "0", "-mig", "1")
    before = host.show()
    # The words of nvidia-smi 535; the status is its own for this.
    assert smi("--gpu-reset", "-i", "0", status=2) == (
        "GPU Reset couldn't progress because the specified devices do not meet the reset criterion (e.g. NVLink "
        "connected GPUs must be reset together). Please append the following device indexes to the command line and "
        "retry.\nGPU 1 (00000000:0F:00.0)\nGPU 2 (00000000:47:00.0)\n"
    )
    assert host.show() == before
    assert smi("--gpu-reset", "-i", "3") == "GPU 00000000:4E:00.0 was successfully reset.\nAll done.\n"

    holder = host.client("hold", "--gpu", "2")
    busy = smi("--gpu-reset", "-i", "0,1,2", status=255)
    assert busy.startswith(
        "The following GPUs could not be reset:\n  GPU 00000000:47:00.0: In use by another client\n\n1 device is "
    )
    assert [gpu["mig_mode"] for gpu in host.show()["gpus"]] == [False] * 4
    holder.end()

    done = smi("--gpu-reset", "-i", "2,0,1")
    for bus in ("07", "0F", "47"):
        assert f"GPU 00000000:{bus}:00.0 was successfully reset.\n" in done
    assert "reset all GPUs and NVSwitches" in done
    assert [gpu["mig_mode"] for gpu in host.show()["gpus"]] == [True, False, False, False]
    smi("--gpu-reset")  # without -i all are meant
    host.command("fabric-manager", "on")
    assert smi("--gpu-reset", "-i", "1") == "GPU 00000000:0F:00.0 was successfully reset.\nAll done.\n"
    host.command("fabric-manager", "off")
    host.command("passthrough", "on")
    assert smi("--gpu-reset", "-i", "1", status=3) == "Resetting GPU 00000000:0F:00.0 is not supported.\n"


def test_pass_through_leaves_the_mode_pending(smi, host):
    host.command("init", "A100-SXM4-40GB")
    host.command("passthrough", "on")
    assert smi("-mig", "1") == (
        "Warning: MIG mode is in pending enable state for GPU 00000000:07:00.0:Not Supported\n"
        "Reboot the system or try nvidia-smi --gpu-reset to make MIG mode effective on GPU 00000000:07:00.0\n"
        "All done.\n"
    )
    assert smi("--gpu-reset", status=3) == "Resetting GPU 00000000:07:00.0 is not supported.\n"


def test_without_permission(smi, host):
    host.command("init", "--mig", "--admin-uid", "4242", "A100-SXM4-40GB")
    assert smi("-mig", "0", status=4) == (
        "Unable to disable MIG Mode for GPU 00000000:07:00.0: Insufficient Permissions\n"
        "Terminating early due to previous errors.\n"
    )
    assert "Insufficient Permissions" in smi("mig", "-lgi", status=4)
    assert "Insufficient Permissions" in smi("--gpu-reset", status=4)
    assert "Insufficient Permissions" in smi("-pm", "1", status=4)
    assert "MIG 1g.5gb" in smi("mig", "-lgip")


def test_queries(smi, a100):
    assert smi("--query-gpu=index,name,memory.total,utilization.gpu,fan.speed,power.limit", "--format=csv") == (
        "index, name, memory.total [MiB], utilization.gpu [%], fan.speed [%], power.limit [W]\n"
        "0, NVIDIA A100-SXM4-40GB, 40960 MiB, [N/A], [N/A], 400.00 W\n"
    )
    assert smi("--query-gpu", "count,pci.bus_id", "--format", "csv,noheader,nounits") == "1, 00000000:07:00.0\n"
    assert smi("--query-gpu=index,nonsense", "--format=csv", status=2).startswith(
        'Field "nonsense" is not a valid field to query.\n'
    )
    assert "--format" in smi("--query-gpu=index", status=2)
    smi("mig", "-cgi", "9", "-C")
    client = a100.client("run", "--device", *uuids(a100).values())
    name = smi("--query-compute-apps=gpu_bus_id,pid,name", "--format=csv,noheader").split(", ")
    assert name[:2] == ["00000000:07:00.0", str(client.pid)]


def test_default_page(smi, a100):
    smi("mig", "-cgi", "9:0,19:6", "-C")
    instance, *_unused = a100.show()["gpus"][0]["instances"]
    client = a100.client("run", "--device", instance["compute_instances"][0]["uuid"])
    page = smi()
    lines = page.splitlines()[1:]
    assert {len(line) for line in lines if line} == {91}
    assert "|   0  NVIDIA A100-SXM4-40GB         Off  |   00000000:07:00.0 Off |                    0 |" in lines
    assert "|                                         |                        |              Enabled |" in lines
    assert re.search(
        r"^\| N/A   \d\dC    P0 +\d+W /  400W \| +\d+MiB /  40960MiB \|     N/A      Default \|$", page, re.M
    )
    devices = [line for line in lines if re.match(r"\|  0 +\d+   0   \d  \|", line)]
    assert [line[23:] for line in devices] == [
        line[23:]
        for line in devices
        if re.search(r"MiB / +\d+MiB    \| \d\d      0 \|  \d   0    \d    0    0 \|$", line)
    ]
    assert len(devices) == 2
    job = [line for line in lines if f" {client.pid} " in line]
    assert len(job) == 1
    assert re.fullmatch(rf"\|    0 +{instance['id']} +0 +{client.pid} +C   \S.* +\d+MiB \|", job[0])


def test_other_options(smi, a100):
    assert smi("-pm", "1") == "Enabled persistence mode for GPU 00000000:07:00.0.\nAll done.\n"
    assert smi("-pm", "ENABLED") == "Persistence mode is already Enabled for GPU 00000000:07:00.0.\nAll done.\n"
    assert "NVIDIA A100-SXM4-40GB          On" in smi()
    assert re.search(r"^DRIVER version +: 5\d\d\.", smi("--version"), re.M)
    for arguments in (["--help"], ["mig", "-h"]):
        assert "MIG" in smi(*arguments).upper()
    assert smi("--nonsense", status=2).startswith("Invalid combination of input arguments.")
    assert smi("-i", status=2).startswith("Invalid combination of input arguments.")
    assert smi("-mig", "2", status=2) != ""
    assert smi("-i", "0,0,9", "-L", status=6) == "No devices were found\n"


def test_no_driver(smi, tmp_path):
    missing = {"MIG_SIMULATOR_STATE": str(tmp_path / "missing")}
    assert smi(status=9, environment=missing).startswith(
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    )


@pytest.mark.parametrize("driver", ["450.80.02", "470.57.02", "525.60.13"])
def test_old_drivers(smi, host, driver):
    host.command("init", "--driver", driver, "A100-SXM4-40GB")
    smi("-mig", "1")
    smi("mig", "-cgi", "9,19", "-C")
    assert "MIG 3g.20gb" in smi("mig", "-lgi")
    assert "MIG 3g.20gb          2*" in smi("mig", "-lcip")
    smi("mig", "-lgip")
    smi("mig", "-lgipp")
    assert smi("-L").count("(UUID: MIG-") == 2
    assert f"Driver Version: {driver}" in smi()
    smi("mig", "-dci")
    smi("mig", "-dgi")


def test_no_argument_crashes_it(a100, sanitized_build):
    """Whatever the command line, it ends by itself with one of its exit statuses, under sanitizers too."""
    words = ["mig", "-i", ",", "-cgi", "-lgi", "x" * 5000]
    for first in words:
        for second in words:
            for third in ("0", ":9:", "%s%n"):
                done = subprocess.run(
                    [sanitized_build / "nvidia-smi", first, second, third],
                    env={**a100.environment, "LD_LIBRARY_PATH": str(sanitized_build)},
                    capture_output=True,
                    check=False,
                )
                assert done.returncode in (0, 2, 6, 255), (first, second, third, done)
