# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each check on both of its sides: what it finds, and that it is silent on a host that is fine."""

from __future__ import annotations

import pytest
import yaml
from paths import ROOT

from ansible_collections.gpufleet.mig.plugins.module_utils.check.findings import (
    check_host,
    check_without_nvml,
    finding_data,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.driver_releases import MODELS, is_older, model_of
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import (
    BindingMissing,
    DriverMissing,
    LayoutError,
    LibraryMissing,
    NvmlError,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.host.evidence import HostEvidence, PciDevice
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import resolve_layout, validate_layout
from ansible_collections.gpufleet.mig.plugins.module_utils.model import Engines, Gpu, GpuState, Profile, Snapshot

A100 = Gpu(
    0,
    "GPU-a",
    "00000000:07:00.0",
    "NVIDIA A100-SXM4-40GB",
    0x20B010DE,
    mode_needs_reset=True,
    mig_mode=True,
    mig_mode_pending=True,
    profiles=(Profile("1g.5gb", 19, 1, 7, 4864, 14, Engines(), ()),),
)
H100 = A100._replace(index=1, uuid="GPU-h", pci_device_id=0x233010DE, mode_needs_reset=False, product="NVIDIA H100")
L40S = Gpu(2, "GPU-l", "00000000:09:00.0", "NVIDIA L40S", 0x26B910DE)
GOOD = GpuState(ecc=True, ecc_pending=True, persistence=True, virtualization="none")
FINE = HostEvidence(kernel_module="580.95.05", capability_minors=True, capability_devices=True)
ON_BUS = PciDevice("0000:07:00.0", 0x20B010DE, None)


def checked(*gpus, layout=None, driver="580.95.05", cuda="13.0", state=GOOD, evidence=FINE, minimum=None, snapshot=()):
    """{check: Finding} of a host with these GPUs."""
    gpus = gpus or (A100,)
    facts = {"gpus": gpus, "driver_version": driver, "cuda_version": cuda, **dict(snapshot)}
    entries = None if layout is None else validate_layout(layout)
    wanted = () if entries is None else resolve_layout(entries, gpus)
    states = {gpu.uuid: state for gpu in gpus}
    return by_check(check_host(evidence, Snapshot(**facts), states, entries, wanted, minimum))


def by_check(findings):
    for finding in findings:
        data = finding_data(finding)
        for part in ("found", "needed", "remedy"):
            assert data[part].endswith((".", ")")), data[part]
            assert data[part] in data["message"]
        if finding.gpu:
            assert finding.gpu.pci_address in data["message"]
            assert data["gpu"]["pci_address"] == finding.gpu.pci_address
    assert len({finding.check for finding in findings}) == len(findings), findings
    return {finding.check: finding for finding in findings}


def test_a_host_that_is_fine_has_no_findings():
    everything = [{"instances": {"1g.5gb": 7}}]
    assert checked() == checked(A100, H100, L40S) == checked(layout=everything) == {}


# The driver's age


@pytest.mark.parametrize(
    ("gpu", "minimum"),
    [(A100, "450.80.02"), (A100._replace(pci_device_id=0x20B710DE), "460.73.01"), (H100, "525.85.12")],
)
def test_the_minimum_of_the_model_explains_a_driver_that_offers_no_mig(gpu, minimum):
    without = gpu._replace(mig_mode=None, mig_mode_pending=None)
    found = checked(without, driver="450.51.06", cuda="11.0")["driver_model"]
    assert found.severity == "error"
    assert found.found == "The NVIDIA driver is 450.51.06, which offers no MIG on this GPU."
    assert f"needs {minimum} or later" in found.needed
    assert "driver_model" not in checked(without, driver=minimum)


@pytest.mark.parametrize("device_id", [device_id for model in MODELS for device_id in model.pci_device_ids])
def test_no_version_is_too_old_for_what_the_driver_offers(device_id):
    """Our table may be wrong: for GB300 the guide has one driver, and GPUs of that name run on another."""
    gpu = A100._replace(pci_device_id=device_id << 16 | 0x10DE)
    assert checked(gpu, driver="450.36.06", cuda="10.0", layout=[{"instances": {"1g.5gb": 7}}]) == {}


@pytest.mark.parametrize(
    ("device_id", "name"),
    [
        (0x2342, "GH200"),
        (0x2345, "GH200"),
        (0x2348, "GH200 144GB"),
        (0x2941, "GB200"),
        (0x31C2, "GB300"),
        (0x31C3, "GB300"),
        (0x20B6, "PG506 96GB"),
        (0x233D, "H100"),
        (0x2330, "H100"),
        (0x2901, "B200"),
        (0x3182, "B300"),
    ],
)
def test_a_gpu_is_named_for_what_it_is(device_id, name):
    gpu = H100._replace(mig_mode=None, mig_mode_pending=None, pci_device_id=device_id << 16 | 0x10DE)
    assert f"MIG on {name} needs " in checked(gpu, driver="440.33.01", cuda="11.0")["driver_model"].needed
    (finding,) = check_without_nvml(
        HostEvidence(gpus=(PciDevice("0009:01:00.0", device_id << 16 | 0x10DE, None),)), LibraryMissing()
    )
    assert f"GPU at 0009:01:00.0 ({name}): " in finding.message


def test_the_minimum_of_a_model_that_the_driver_is_too_old_to_know_mig_on():
    gpu = H100._replace(mig_mode=None, mig_mode_pending=None)
    assert checked(gpu, driver="510.47.03")["driver_model"].severity == "error"
    assert checked(gpu, driver="510.47.03", layout=[{"instances": {"1g.10gb": 1}}])["driver_model"]
    assert checked(gpu)["mig"].severity == "error"
    assert checked(gpu, A100, layout=[{"gpus": [0], "instances": {}}]) == {}


@pytest.mark.parametrize(
    ("device_id", "vbios"),
    [(0x2BB1, "98.02.55.00.00"), (0x2BB4, "98.02.6A.00.00"), (0x2BB3, "98.02.73.00.00")],
)
def test_a_workstation_card_in_display_mode_is_explained(device_id, vbios):
    gpu = H100._replace(mig_mode=None, mig_mode_pending=None, pci_device_id=device_id << 16 | 0x10DE)
    for layout in (None, [{"instances": {"1g.24gb": 1}}]):
        found = checked(gpu, layout=layout)["mig"]
        assert "display mode" in found.needed
        assert f"VBIOS {vbios} or later" in found.needed
        assert "DisplayModeSelector, 1.72 or later" in found.remedy
    with pytest.raises(LayoutError, match=f"display mode, or with a VBIOS before {vbios}, it has no MIG"):
        checked(gpu, layout=[{"gpus": [1], "instances": {"1g.24gb": 1}}])
    # With MIG, and where none is wanted, nothing is said; no other card has such a mode.
    assert checked(gpu._replace(mig_mode=False, mig_mode_pending=False)) == {}
    assert checked(gpu, layout=[{"mig_enabled": False}]) == {}
    server = checked(gpu._replace(pci_device_id=0x2BB510DE))["mig"]
    assert "display mode" not in server.message


@pytest.mark.parametrize(
    ("device_id", "profile", "since"),
    [
        (0x20B0, "1g.5gb+me", "470.42.01"),
        (0x20B0, "1g.10gb", "525.60.13"),
        (0x20B2, "1g.10gb+me", "470.42.01"),
        (0x20B2, "1g.20gb", "525.60.13"),
        (0x20B7, "2g.12gb+me", "525.60.13"),
    ],
)
def test_the_minimum_of_a_profile(device_id, profile, since):
    gpu = A100._replace(pci_device_id=device_id << 16 | 0x10DE)
    for instances in ({profile: 1}, [profile], {f"1c.{profile}": 1} if profile.startswith("2") else {profile: 2}):
        found = checked(gpu, driver="460.106.00", layout=[{"instances": instances}])["driver_profile"]
        assert found.severity == "error"
        assert f"{profile} on " in found.needed
        assert f"needs {since} or later" in found.needed
    assert checked(gpu, driver="460.106.00", layout=[{"instances": {profile: 0, "1g.5gb": 1}}]) == {}
    assert checked(gpu, driver=since, layout=[{"instances": {profile: 1}}]) == {}
    silent = checked(gpu._replace(profiles=()), driver="460.106.00", layout=[{"instances": {profile: 1}}])
    assert silent["driver_profile"].severity == "warning"  # nobody has been asked yet
    offered = (A100.profiles[0]._replace(name=profile),)
    assert checked(gpu._replace(profiles=offered), driver="460.106.00", layout=[{"instances": {profile: 1}}]) == {}


def test_a_profile_that_no_driver_has_is_the_planners_business():
    assert checked(layout=[{"instances": {"5g.25gb": 1}}]) == {}


def test_the_minimum_that_the_user_asks_for():
    found = checked(driver="535.104.12", minimum="535.161.07")["driver_minimum"]
    assert (found.severity, found.gpu) == ("error", None)
    assert "535.161.07" in found.needed
    assert checked(driver="535.161.07", minimum="535.161.07") == {}


def test_cuda():
    without = H100._replace(mig_mode=None, mig_mode_pending=None)
    assert checked(without, cuda="11.8")["cuda"].severity == "error"
    assert list(checked(without, cuda="12.0")) == list(checked(without, cuda=None)) == ["mig"]
    assert checked(H100, cuda="11.8") == checked(H100, cuda="12.0") == checked(H100, cuda=None) == {}


def test_r450_can_only_be_read():
    old = {"driver": "450.119.04", "cuda": "11.0", "snapshot": {"places_gpu_instances": False}}
    assert checked(layout=[{"instances": {}}], **old)["driver_age"].severity == "error"
    assert checked(layout=[{"mig_enabled": False}], **old) == {}
    assert checked(**old) == {}


def test_compute_instances_at_places_need_r525():
    def layout(device):
        return [{"instances": [{"profile": "1g.5gb", "compute_instances": [device]}]}]

    placed, anywhere = layout({"profile": "1g.5gb", "placement": 0}), layout("1g.5gb")
    without = {"places_compute_instances": False}
    assert checked(layout=placed, driver="515.65.01", snapshot=without)["driver_age"].severity == "warning"
    assert checked(layout=anywhere, driver="515.65.01", snapshot=without) == {}
    assert checked(layout=placed, driver="515.65.01") == {}  # the driver has the call, whatever its number


# The host


def test_nouveau_beside_the_driver():
    assert checked(evidence=FINE._replace(nouveau=True))["nouveau"].severity == "warning"


@pytest.mark.parametrize(("version", "finds"), [("", True), ("1.2.0", True), ("1.3.0", False), ("1.17.4", False)])
def test_the_container_toolkit(version, finds):
    found = checked(evidence=FINE._replace(container_toolkit=version))
    assert list(found) == ["container_toolkit"] * finds
    assert all(finding.severity == "error" for finding in found.values())


def test_what_this_user_may_not_see():
    found = checked(evidence=FINE._replace(user=1000), snapshot={"incomplete": ("placements", "orphans", "free")})
    assert found["permission"].severity == "warning"
    assert "User 1000" in found["permission"].found
    assert checked(evidence=FINE._replace(user=1000), snapshot={"incomplete": ("memory",)}) == {}


def test_capability_devices():
    without = FINE._replace(capability_devices=False)
    assert checked(evidence=without)["capability_devices"].severity == "warning"
    assert checked(A100._replace(mig_mode=False, mig_mode_pending=False), evidence=without) == {}
    assert checked(evidence=without._replace(capability_minors=False)) == {}


def test_persistence():
    off = GOOD._replace(persistence=False)
    assert checked(state=off)["persistence"].severity == "warning"
    assert checked(state=off, evidence=FINE._replace(persistence_daemon=True)) == {}
    assert checked(state=off._replace(persistence=None)) == {}
    assert checked(A100._replace(mig_mode=False, mig_mode_pending=False), state=off) == {}


def test_fabric_manager_and_what_it_means_for_resets():
    machine = FINE._replace(nvswitches=("0000:0c:00.0",) * 6)
    found = checked(evidence=machine)["fabric_manager"]
    assert found.severity == "warning"
    assert "6 NVSwitches" in found.found
    assert "reset together" in found.needed
    assert "580.95.05" in found.remedy
    assert "reset together" not in checked(H100, evidence=machine)["fabric_manager"].needed
    assert checked(evidence=machine._replace(fabric_manager=True)) == {}


@pytest.mark.parametrize(("state", "finds"), [("not_started", True), ("in_progress", True), ("completed", False)])
def test_a_gpu_that_the_fabric_does_not_have(state, finds):
    assert list(checked(H100, state=GOOD._replace(fabric=state))) == ["fabric"] * finds


# The GPUs


def test_ecc_pending():
    found = checked(state=GOOD._replace(ecc_pending=False))["ecc"]
    assert found.severity == "warning"
    assert "ECC is on and will be off" in found.found
    assert "nvidia-smi -e 1 -i 00000000:07:00.0" in found.remedy
    assert checked(state=GOOD._replace(ecc=None, ecc_pending=None)) == {}


def test_a_mode_that_somebody_left_pending():
    found = checked(A100._replace(mig_mode_pending=False))["pending_mode"]
    assert found.severity == "warning"
    assert "MIG mode is enabled; somebody left it to become disabled." in found.found


def test_pass_through_matters_where_the_mode_changes():
    inside = GOOD._replace(virtualization="pass-through")
    off = [{"mig_enabled": False}]
    assert checked(state=inside, layout=off)["pass-through"].severity == "warning"
    assert checked(state=inside, layout=[{"instances": {}}]) == {}
    assert checked(H100, state=inside, layout=off) == {}
    assert checked(state=inside) == {}


def test_vgpu():
    assert checked(state=GOOD._replace(virtualization="vgpu"))["vgpu"].severity == "error"
    assert checked(state=GOOD._replace(virtualization="host_vgpu"))["vgpu"].severity == "warning"


@pytest.mark.parametrize(
    ("code", "check"),
    [("GPU_IS_LOST", "lost"), ("RESET_REQUIRED", "reset_required"), ("UNKNOWN", "unreadable")],
)
def test_a_gpu_that_does_not_answer(code, check):
    error = NvmlError("nvmlDeviceGetUUID", code)
    gpu = Gpu(3, problem=str(error), problem_code=error.code)
    found = checked(A100, gpu._replace(pci_address="00000000:0F:00.0"))[check]
    assert found.severity == "error"
    assert found.message.count(found.remedy) == 1
    assert f"NVML_ERROR_{code}" in found.found
    elsewhere = checked(A100, gpu._replace(pci_address="00000000:0F:00.0"), layout=[{"gpus": [0], "instances": {}}])
    assert elsewhere[check].severity == "warning"


def test_a_gpu_that_only_the_bus_has():
    evidence = FINE._replace(gpus=(ON_BUS._replace(driver="nvidia"), PciDevice("0000:0f:00.0", 0x20B010DE, None)))
    found = checked(evidence=evidence)["lost"]
    assert found.severity == "error"
    assert "0000:0f:00.0 (A100 40GB)" in found.message
    assert finding_data(found)["gpu"] == {"index": None, "uuid": None, "pci_address": "0000:0f:00.0"}
    for gpus, severity in ((["0f:00.0"], "error"), ("all", "error"), ([0], "warning")):
        entries = validate_layout([{"gpus": gpus, "instances": {}}])
        snapshot = Snapshot((A100,), "580.95.05")
        (found,) = check_host(evidence, snapshot, {A100.uuid: GOOD}, entries)
        assert (found.check, found.severity) == ("lost", severity)
    assert checked(evidence=FINE._replace(gpus=(ON_BUS,))) == {}
    assert checked(evidence=FINE._replace(gpus=(ON_BUS, PciDevice("0000:0f:00.0", 0x26B910DE, None)))) == {}


def test_a_gpu_that_belongs_to_a_virtual_machine():
    device = PciDevice("0000:0f:00.0", 0x20B010DE, "vfio-pci")
    found = checked(evidence=FINE._replace(gpus=(device,)))
    assert list(found) == ["pass-through"]
    assert found["pass-through"].severity == "warning"


# No driver that answers


@pytest.mark.parametrize(
    "problem",
    [LibraryMissing(), DriverMissing("DRIVER_NOT_LOADED"), BindingMissing("nvidia-ml-py", "python3")],
)
def test_a_host_without_an_nvidia_gpu_is_fine(problem):
    assert check_without_nvml(HostEvidence(), problem) == []


def test_a_library_that_fails_is_no_host_without_a_gpu():
    problem = NvmlError("nvmlInit", "UNKNOWN")
    found = by_check(check_without_nvml(HostEvidence(), problem))["nvml"]
    assert found.severity == "error"
    assert "NVML_ERROR_UNKNOWN" in found.found


@pytest.mark.parametrize(
    ("problem", "module", "driver", "check", "found"),
    [
        (LibraryMissing(), None, None, "driver", "No NVIDIA driver is installed."),
        (LibraryMissing(), None, "nouveau", "nouveau", "The kernel module nouveau drives it."),
        (DriverMissing("DRIVER_NOT_LOADED"), None, None, "driver", "its kernel module is not loaded."),
        (DriverMissing("DRIVER_NOT_LOADED"), "535.161.07", "nvidia", "driver", "NVML does not open"),
        (NvmlError("nvmlInit", "UNKNOWN"), "535.161.07", "nvidia", "driver", "NVML_ERROR_UNKNOWN"),
    ],
)
def test_a_mig_capable_gpu_without_a_driver_is_an_error(problem, module, driver, check, found):
    evidence = HostEvidence(gpus=(ON_BUS._replace(driver=driver),), kernel_module=module)
    finding = by_check(check_without_nvml(evidence, problem))[check]
    assert finding.severity == "error"
    assert found in finding.found
    assert "450.80.02" in finding.needed
    unknown = HostEvidence(gpus=(PciDevice("0000:0f:00.0", 0x1EB810DE, driver),), kernel_module=module)
    assert by_check(check_without_nvml(unknown, problem))[check].severity == "warning"


def test_library_and_module_of_two_versions():
    evidence = HostEvidence(kernel_module="535.161.07")
    mismatch = DriverMissing("LIB_RM_VERSION_MISMATCH")
    found = by_check(check_without_nvml(evidence, mismatch, "535.183.01"))["nvml_version"]
    assert found.severity == "error"
    assert "535.161.07" in found.found
    assert "535.183.01" in found.found
    assert "unattended upgrades" in found.remedy


def test_device_files_without_a_bus_and_a_driver_that_does_not_answer():
    evidence = HostEvidence(device_files=True)
    assert by_check(check_without_nvml(evidence, DriverMissing("DRIVER_NOT_LOADED")))["driver"].severity == "error"


def test_no_python_binding():
    for found in (None, ("11.450.51", "/usr/lib/python3/dist-packages/pynvml.py")):
        problem = BindingMissing("nvidia-ml-py>=12", "python3", found)
        finding = by_check(check_without_nvml(HostEvidence(gpus=(ON_BUS,)), problem))["nvidia_ml_py"]
        assert finding.severity == "error"
        assert ("too old" in finding.found) is bool(found)


def test_gpus_of_virtual_machines_need_no_driver_here():
    evidence = HostEvidence(gpus=(ON_BUS._replace(driver="vfio-pci"),))
    assert list(by_check(check_without_nvml(evidence, LibraryMissing()))) == ["pass-through"]


# The table


def test_versions_are_compared_by_their_numbers():
    assert is_older("450.80.02", "450.119.04")
    assert is_older("575.64", "575.64.03")
    assert not is_older("575.64.03", "575.64")
    assert not is_older("535.161.07", "535.161.07")


def test_the_table_agrees_with_the_simulators_catalogue():
    catalogue = yaml.safe_load((ROOT / "roles/mig_simulator/files/catalogue.yml").read_text(encoding="utf-8"))
    for name, facts in catalogue.items():
        model = model_of(facts["pci_device_id"])
        assert bool(model) is bool(facts["profiles"]), name
        if model:
            assert model.minimum_driver == facts["minimum_driver"], name
            assert set(model.later_profiles) <= {profile["name"] for profile in facts["profiles"]}, name


def test_a_device_id_belongs_to_one_model():
    ids = [device_id for model in MODELS for device_id in model.pci_device_ids]
    assert len(ids) == len(set(ids))
