# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot be done is said in one message, before the first step, and changes nothing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import sys
from pathlib import Path

import ansible
import pytest
from modules import run_module
from nvml_process import in_session
from paths import COLLECTIONS
from simulated_host import SimulatedHost

A100, L40S = "A100-SXM4-40GB", "L40S-48GB"
CHANGES = re.compile("Create|Destroy|Set")
SEVEN = {"instances": {"1g.5gb": 7}}


@contextlib.contextmanager
def untouched(host):
    """Nothing of the host's GPUs changes meanwhile, and nobody tries."""
    before = host.show()
    host.simulator("calls", "--reset")
    yield
    calls = json.loads(host.simulator("calls", "--json").stdout)
    assert host.show() == before
    assert not [name for name in calls["calls"] if CHANGES.search(name)]


def refusal(run):
    """The message of a failed run that planned nothing."""
    result = run.failed()
    assert result.get("changed", False) is False
    assert result.get("plan", []) == []
    message = result["msg"]
    assert ".." not in message.replace("...", "")
    assert len(message) < 700
    return message


@pytest.fixture(scope="module")
def mixed_host(simulator, tmp_path_factory):
    """Two A100 with MIG on and an L40S, which has no MIG; no test here changes it."""
    host = SimulatedHost("mixed", tmp_path_factory.mktemp("mixed"))
    host.simulator("init", "--mig", f"{A100}:2", L40S)
    return host


WRONG_LAYOUTS = {
    # what is wrong: (options of mig_instances, what the message must name)
    "unknown profile": (
        {"instances": {"9g.99gb": 1}},
        ["GPU 0 (NVIDIA A100-SXM4-40GB, GPU-", "no profile 9g.99gb", "it has 1g.10gb, 1g.5gb", "7g.40gb", "GPU 1"],
    ),
    "another model's profile": ({"instances": {"1g.10gb+me": 1}}, ["no profile 1g.10gb+me", "1g.5gb+me"]),
    "unknown compute instance profile": (
        {"instances": {"3c.7g.40gb": 1, "5c.7g.40gb": 1}},
        ["no profile 5c.7g.40gb", "inside 7g.40gb it has 1c.7g.40gb"],
    ),
    "no profile name": ({"instances": {"large": 1}}, ["instances:", "'large'", "such as 3g.20gb"]),
    "more than max": ({"instances": {"3g.20gb": 3}}, ["3 × 3g.20gb are wanted, at most 2", "nearest", "2 × 3g.20gb"]),
    "more compute instances than fit": ({"instances": {"1c.3g.20gb": 7}}, ["at most 6", "6 × 1c.3g.20gb"]),
    "more memory slices than there are": (
        {"instances": {"4g.20gb": 1, "3g.20gb": 1, "1g.5gb": 1}},
        ["9 memory slices", "the GPU has 8", "The nearest that fits is 4g.20gb + 3g.20gb"],
    ),
    "alignment": (
        {"instances": {"4g.20gb": 1, "2g.10gb": 2}},
        ["cannot have", "no arrangement on 8 memory slices", "2g.10gb takes 2 from 0, 2 or 4", "nearest"],
    ),
    "engines": ({"instances": {"1g.5gb+me": 2}}, ["2 × 1g.5gb+me are wanted, at most 1"]),
    "impossible start": (
        {"instances": [{"profile": "2g.10gb", "placement": 1}]},
        ["2g.10gb cannot start at memory slice 1, only at 0, 2 or 4"],
    ),
    "compute instances that do not fit together": (
        {"instances": [{"profile": "3g.20gb", "compute_instances": ["2c.3g.20gb", "2c.3g.20gb"]}]},
        ["instances[0].compute_instances", "4 compute slices", "3g.20gb has 3"],
    ),
    "a compute instance of another GPU instance": (
        {"instances": [{"profile": "3g.20gb", "compute_instances": ["1c.2g.10gb"]}]},
        ["instances[0].compute_instances[0]", "1c.2g.10gb does not belong in a 3g.20gb"],
    ),
    "one start for two": (
        {"instances": [{"profile": "3g.20gb", "placement": 0}, {"profile": "4g.20gb", "placement": 0}]},
        ["3g.20gb and 4g.20gb cannot both start at memory slice 0"],
    ),
    "two plain entries": (
        {"layout": [{"instances": {}}, {"instances": {"1g.5gb": 1}}]},
        ["layout[0] and layout[1] both claim GPU 0", "let only one"],
    ),
    "two entries naming a GPU": (
        {"layout": [{"gpus": [1], "instances": {}}, {"gpus": "00000000:0F:00.0", "instances": {}}]},
        ["layout[0] and layout[1] both claim GPU 1"],
    ),
    "two entries naming a product": (
        {"layout": [{"product": "*A100*", "instances": {}}, {"pci_device_id": "0x20B010DE", "instances": {}}]},
        ["layout[0] and layout[1] both claim GPU 0"],
    ),
    "absent index": ({"gpus": [7], **SEVEN}, ["gpus[0]: there is no GPU 7", "which has GPU 0 (", "GPU 2 ("]),
    "absent UUID": ({"gpus": ["GPU-no"], **SEVEN}, ["gpus[0]: there is no GPU GPU-no"]),
    "absent address": ({"gpus": "42:00.0", **SEVEN}, ["gpus: there is no GPU 42:00.0"]),
    "a GPU without MIG": (
        {"gpus": [0, 2], **SEVEN},
        ["gpus[1]: GPU 2 (NVIDIA L40S", "is not MIG-capable", "MIG-capable on this host: GPU 0 ("],
    ),
    "a MIG device for a GPU": ({"gpus": ["MIG-1"], **SEVEN}, ["gpus[0]:", "is a MIG device", "GPU-"]),
    "an address that YAML reads as a number": ({"gpus": 7.0, **SEVEN}, ["gpus:", "in quotes"]),
    "no GPUs": ({"gpus": [], **SEVEN}, ["gpus: the list is empty"]),
    "neither layout nor instances": ({}, ["one of the following is required: layout, instances"]),
    "gpus alone": ({"gpus": [0]}, ["one of the following is required: layout, instances"]),
    "layout and instances": ({"layout": [], "instances": {}}, ["mutually exclusive: layout|instances"]),
    "an entry without instances": ({"layout": [{"gpus": [0]}]}, ["layout[0].instances: missing", "write {}"]),
    "an entry with both modes": (
        {"layout": [{"mig_enabled": False, "instances": {"1g.5gb": 1}}]},
        ["layout[0].instances", "mig_enabled: true"],
    ),
    "an unknown key": ({"layout": [{"instance": {}}]}, ["layout.instance", "Supported parameters", "instances"]),
    "a number for instances": ({"instances": 7}, ["instances: expected counts such as {1g.5gb: 7}", "got 7"]),
    "text for instances": ({"instances": "{1g.5gb: 7}"}, ["instances: expected counts", "got '{1g.5gb: 7}'"]),
    "a negative count": ({"instances": {"1g.5gb": -1}}, ["instances['1g.5gb']: expected a count, 0 or more, got -1"]),
    "half an instance": ({"instances": {"1g.5gb": 1.5}}, ["instances['1g.5gb']: expected a count", "got 1.5"]),
    "a boolean for a count": ({"instances": {"1g.5gb": True}}, ["instances['1g.5gb']: expected a count", "got True"]),
    "an empty item": ({"instances": [{}]}, ["instances[0]: profile is missing"]),
    "an item of another kind": ({"instances": [["3g.20gb"]]}, ["instances[0]: expected a mapping with profile"]),
    "a product that is none": (
        {"layout": [{"product": " ", "instances": {}}]},
        ["layout[0].product: expected a product"],
    ),
    "another vendor": (
        {"layout": [{"pci_device_id": "0x20B08086", "instances": {}}]},
        ["layout[0].pci_device_id", "0x20B010DE", "got '0x20B08086'"],
    ),
    "a layout that is no list": ({"layout": 3}, ["layout"]),
    # Ansible checks the type of an entry, in words of its own.
    "an entry that is no mapping": ({"layout": ["all"]}, ["dictionary requested"]),
    "text for seconds": ({"busy_timeout": "soon", **SEVEN}, ["busy_timeout", "float"]),
    "an unknown option": ({"nonsense": 1, **SEVEN}, ["nonsense", "Supported parameters"]),
}


@pytest.mark.parametrize(("options", "named"), WRONG_LAYOUTS.values(), ids=WRONG_LAYOUTS)
def test_a_layout_that_cannot_be(modules, mixed_host, options, named):
    with untouched(mixed_host):
        messages = {refusal(modules.run(mixed_host, "mig_instances", options, check=check)) for check in (True, False)}
    (message,) = messages
    for words in named:
        assert words in message


@pytest.mark.parametrize("kind", ["more than max", "more compute instances than fit", "alignment"])
def test_what_is_said_to_fit_fits(modules, mixed_host, kind):
    result = modules.run(mixed_host, "mig_instances", WRONG_LAYOUTS[kind][0]).failed()
    for uuid, nearest in result["nearest"].items():
        wish = {"gpus": [uuid], "instances": nearest}
        plan = modules.run(mixed_host, "mig_instances", wish, check=True).ok()["plan"]
        assert sum(step["action"] == "create_compute_instance" for step in plan) == sum(nearest.values())


WRONG_MODES = {
    "neither state nor layout": ({}, ["one of the following is required: state, layout"]),
    "state and layout": ({"state": "enabled", "layout": []}, ["mutually exclusive: state|layout"]),
    "no such state": ({"state": "on"}, ["state must be one of: enabled, disabled", "got: on"]),
    "no such answer": ({"state": "enabled", "when_busy": "kill"}, ["when_busy must be one of: fail, pending"]),
    "absent GPU": ({"state": "enabled", "gpus": [9]}, ["gpus[0]: there is no GPU 9 on this host"]),
    "a GPU without MIG": ({"state": "enabled", "gpus": [2]}, ["gpus[0]: GPU 2 (NVIDIA L40S", "is not MIG-capable"]),
    "an unknown key": ({"layout": [{"gpu": 1}]}, ["layout[0]: unknown key 'gpu'; did you mean gpus?"]),
    "a layout that is no list": ({"layout": "all"}, ["layout"]),
}


@pytest.mark.parametrize(("options", "named"), WRONG_MODES.values(), ids=WRONG_MODES)
def test_a_mode_that_cannot_be(modules, mixed_host, options, named):
    with untouched(mixed_host):
        message = refusal(modules.run(mixed_host, "mig_mode", options))
    for words in named:
        assert words in message
    assert not message.startswith("layout") or "layout" in options


@pytest.mark.parametrize(
    ("options", "named"),
    [({"gpus": [9]}, "gpus[0]: there is no GPU 9"), ({"gather": ["clocks"]}, "profiles, instances, processes")],
)
def test_facts_that_cannot_be(modules, mixed_host, options, named):
    with untouched(mixed_host):
        assert named in refusal(modules.run(mixed_host, "mig_facts", options))


def test_eight_gpus_with_one_reason_say_it_once(modules, simulated_host):
    host = simulated_host("--mig", f"{A100}:8")
    message = refusal(modules.run(host, "mig_instances", {"instances": {"9g.99gb": 1}}))
    assert message.count("has no profile") == 1
    assert message.endswith("The same goes for GPU 1, 2, 3, 4, 5, 6, 7.")


def test_mig_off(modules, simulated_host):
    host = simulated_host(A100)
    with untouched(host):
        message = refusal(modules.run(host, "mig_instances", SEVEN))
    assert "GPU 0 (NVIDIA A100-SXM4-40GB" in message
    assert "MIG mode is off" in message
    assert "gpufleet.mig.mig_mode" in message


@pytest.mark.parametrize(("now", "then"), [(False, True), (True, False)])
def test_mode_pending(modules, simulated_host, now, then):
    host = simulated_host(*["--mig"] * now, A100)
    host.hold(0)
    in_session(host, "mode(session, session.read().gpus[0], wanted)", wanted=then)
    with untouched(host):
        message = refusal(modules.run(host, "mig_instances", SEVEN))
    assert f"MIG mode is {'on' if now else 'off'} and will be {'on' if then else 'off'} after the next reset" in message
    assert "gpufleet.mig.mig_mode" in message


@pytest.mark.parametrize(
    ("module", "options"), [("mig_instances", SEVEN), ("mig_mode", {"state": "disabled"})], ids=["instances", "mode"]
)
def test_no_permission(modules, simulated_host, module, options):
    host = simulated_host("--mig", "--admin-uid", "12345", A100)
    with untouched(host):
        message = refusal(modules.run(host, module, options))
    assert "GPU 0 (NVIDIA A100-SXM4-40GB" in message
    assert "Run as root (become: true)" in message


def test_no_permission_for_the_mode(modules, simulated_host):
    host = simulated_host("--admin-uid", "12345", A100)
    before = host.show()
    result = modules.run(host, "mig_mode", {"state": "enabled"}).failed()
    assert host.show() == before
    assert result["changed"] is False
    assert result["done"] == []
    assert result["nvml_code"] == "NO_PERMISSION"
    assert "could not enable MIG mode" in result["msg"]
    assert "Run as root (become: true)" in result["msg"]


@pytest.mark.parametrize(
    ("module", "options"), [("mig_instances", SEVEN), ("mig_mode", {"state": "enabled"}), ("mig_facts", {})]
)
def test_no_driver_and_no_library(simulated_host, module, options):
    for host, named in (
        (simulated_host(name="no-driver"), ["NVML_ERROR_DRIVER_NOT_LOADED", "Load the NVIDIA kernel modules"]),
        (simulated_host(name="no-library").without_driver(), ["libnvidia-ml.so.1", "Install the NVIDIA driver"]),
    ):
        run = run_module(host, module, options)
        if module == "mig_facts":
            facts = run.ok()["ansible_facts"]["mig"]
            assert facts["gpus"] == []
            message = facts["reason"]
        else:
            message = refusal(run)
        for words in named:
            assert words in message


@pytest.fixture
def bare_python(tmp_path):
    """An interpreter and its environment with ansible-core, which brings the modules, and no other package."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "ansible").symlink_to(Path(ansible.__file__).parent)
    (packages / "ansible_collections").symlink_to(COLLECTIONS / "ansible_collections")
    return {"interpreter": (sys.executable, "-S"), "environment": {"PYTHONPATH": str(packages)}}


@pytest.mark.parametrize(
    ("module", "options"), [("mig_instances", SEVEN), ("mig_mode", {"state": "disabled"}), ("mig_facts", {})]
)
def test_nvidia_ml_py_missing(simulated_host, bare_python, module, options):
    host = simulated_host("--mig", A100)
    with untouched(host):
        message = refusal(run_module(host, module, options, **bare_python))
    assert re.search(r"nvidia-ml-py>=\d+\.\d+\.\d+ is needed on this host: found no module pynvml", message)
    assert f"{sys.executable} -m pip install" in message


@pytest.mark.parametrize(
    ("module", "options"), [("mig_instances", SEVEN), ("mig_mode", {"state": "disabled"}), ("mig_facts", {})]
)
def test_nvidia_ml_py_too_old(simulated_host, bare_python, module, options):
    packages = Path(bare_python["environment"]["PYTHONPATH"])
    (packages / "pynvml.py").write_text("def nvmlInit():\n    raise AssertionError\n", encoding="utf-8")
    metadata = packages / "nvidia_ml_py-11.450.51.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: nvidia-ml-py\nVersion: 11.450.51\n", encoding="utf-8"
    )
    host = simulated_host("--mig", A100)
    with untouched(host):
        message = refusal(run_module(host, module, options, **bare_python))
    assert "nvidia-ml-py>=" in message
    assert f"found version 11.450.51 in {packages / 'pynvml.py'}, which is too old" in message


@pytest.mark.parametrize(
    ("module", "options"), [("mig_instances", SEVEN), ("mig_mode", {"state": "disabled"})], ids=["instances", "mode"]
)
def test_unwritable_state_dir(modules, simulated_host, module, options):
    host = simulated_host("--mig", A100)
    file = host.directory / "file"
    file.touch()
    with untouched(host):
        message = refusal(modules.run(host, module, {**options, "state_dir": str(file / "state")}))
    assert f"The state directory {file / 'state'} cannot be written: Not a directory. Nothing was changed." in message
    assert "state_dir" in message


@pytest.mark.parametrize("path", ["state", "/srv/../etc", "/srv/a\nb", "/srv/a\x1b[2J"])
@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("mig_instances", SEVEN),
        ("mig_mode", {"state": "disabled"}),
        ("mig_check", {}),
        ("mig_facts", {}),
        ("mig_persistence", {"layout": [{"gpus": ["GPU-1"], "mig_enabled": False}]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_state_dir_that_is_no_path_of_a_directory(simulated_host, module, options, path):
    host = simulated_host("--mig", A100)
    with untouched(host):
        run = run_module(host, module, {**options, "state_dir": path}, check=module == "mig_mode")
        message = run.failed()["msg"]
    assert message.startswith("state_dir: got ")
    assert "expected the absolute path of a directory" in message
    assert "\n" not in message


def test_a_journal_that_cannot_be_written_stops_a_change_before_its_first_step(modules, simulated_host):
    host = simulated_host("--mig", A100)
    (host.state_dir / "journal.jsonl").mkdir(parents=True)
    with untouched(host):
        message = refusal(modules.run(host, "mig_instances", SEVEN))
    assert f"{host.state_dir} cannot be written" in message


def test_another_run_holds_the_lock(modules, simulated_host):
    host = simulated_host("--mig", A100)
    host.state_dir.mkdir()
    with untouched(host), open(host.state_dir / "lock", "w", encoding="utf-8") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        message = refusal(modules.run(host, "mig_instances", {**SEVEN, "lock_timeout": 0.1}))
        foretold = modules.run(host, "mig_instances", SEVEN, check=True).ok()
    assert f"process 4711 holds {host.state_dir / 'lock'}" in message
    assert "within 0.1 seconds. Nothing was changed. Wait for it, or raise lock_timeout." in message
    assert foretold["changed"]


def test_a_driver_of_r450_is_read_only(modules, simulated_host):
    host = simulated_host("--mig", "--driver", "450.80.02", A100)
    with untouched(host):
        run = modules.run(host, "mig_instances", SEVEN)
    message = refusal(run)
    assert "driver 450.80.02 cannot create a GPU instance at a given placement" in message
    assert "Install R460 or later" in message
    assert "warnings" not in run.result
    assert modules.run(host, "mig_facts", {}).ok()["ansible_facts"]["mig"]["profile_tables"]["0"]


@pytest.mark.parametrize(
    "function",
    ["nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID", "nvmlDeviceGetMigMode", "nvmlDeviceGetGpuInstances"],
)
@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("mig_instances", SEVEN),
        ("mig_instances", {"gpus": [0], **SEVEN}),
        ("mig_mode", {"state": "disabled"}),
        ("mig_mode", {"state": "disabled", "gpus": [0]}),
    ],
)
def test_a_lost_gpu(modules, simulated_host, function, module, options):
    host = simulated_host("--mig", A100)
    host.simulator("fault", function, "--times", "0", "--return", "GPU_IS_LOST")
    with untouched(host):
        message = refusal(modules.run(host, module, options))
    assert "GPU 0" in message
    assert "could not be read, so nothing was changed on this host" in message
    assert "NVML_ERROR_GPU_IS_LOST" in message
    assert "Xid" in message
    assert "MIG-capable" not in message


def test_the_others_go_on_without_a_lost_gpu_when_they_are_named(modules, simulated_host):
    host = simulated_host("--mig", f"{A100}:2")
    host.simulator("fault", "nvmlDeviceGetHandleByIndex_v2", "--nth", "2", "--return", "GPU_IS_LOST")
    result = modules.run(host, "mig_instances", {"gpus": [0], **SEVEN}).ok()
    assert "GPU 1 was left alone" in str(result["warnings"])
    assert [len(gpu["instances"]) for gpu in host.show()["gpus"]] == [7, 0]


@pytest.mark.parametrize("code", ["NOT_SUPPORTED", "NO_PERMISSION"])
def test_a_driver_that_tells_no_placements(modules, simulated_host, code):
    host = simulated_host("--mig", A100)
    host.simulator("fault", "nvmlDeviceGetGpuInstancePossiblePlacements_v2", "--times", "0", "--return", code)
    with untouched(host):
        message = refusal(modules.run(host, "mig_instances", SEVEN))
    assert "the driver tells no placement for 1g.5gb" in message
