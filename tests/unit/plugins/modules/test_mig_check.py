# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mig_check on simulated hosts."""

from __future__ import annotations

import pytest
import yaml
from layouts import profiles
from modules import run_module
from nvml_process import in_session

from ansible_collections.gpufleet.mig.plugins.module_utils.check import run as checking
from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LibraryMissing
from ansible_collections.gpufleet.mig.plugins.modules import mig_check

A100, H100, L40S = "A100-SXM4-40GB", "H100-SXM5-80GB", "L40S-48GB"
SEVEN = [{"product": "*A100*", "instances": {"1g.5gb": 7}}, {"product": "*H100*", "instances": {"1g.10gb": 7}}]
ON_BUS = "DRIVER={}\nPCI_CLASS=30200\nPCI_ID=10DE:20B0\nPCI_SLOT_NAME=0000:07:00.0\n"


def check(host, **params):
    """The result of mig_check, which never changes anything."""
    before = host.show() if "LD_LIBRARY_PATH" in host.environment else None
    result = run_module(host, "mig_check", params).ok()
    assert not result.get("changed")
    assert before is None or host.show() == before
    return result


def checks(result, severity=None):
    """The names of the checks that found something."""
    return [one["check"] for one in result["findings"] if severity in (None, one["severity"])]


def test_a_host_without_gpu_has_nothing_to_do(simulated_host):
    found = check(simulated_host().without_driver(), layout=SEVEN)
    assert (found["ok"], found["findings"], found["reached"], found["plan"]) == (True, [], True, [])
    assert found["evidence"]["nvidia_devices"] is False
    assert "reached" not in check(simulated_host().without_driver())


def test_a_host_whose_gpus_have_no_mig_has_nothing_to_do(simulated_host):
    found = check(simulated_host(L40S), layout=[{"instances": {"1g.5gb": 7}}])
    assert (found["findings"], found["reached"]) == ([], True)
    assert (found["evidence"]["nvidia_devices"], found["evidence"]["mig_capable"]) == (True, False)


def test_mode_and_instances_are_rehearsed_together(simulated_host):
    host = simulated_host("--strange", "mig-off-profiles=architecture", A100, H100)
    found = check(host, layout=SEVEN)
    assert (found["ok"], found["reached"], found["refusal"]) == (True, False, None)
    steps = [(step["action"], step["gpu"]["index"]) for step in found["plan"]]
    assert steps[:3] == [("set_mig_mode", 0), ("reset_gpu", 0), ("set_mig_mode", 1)]
    assert steps[3:] == [("create_gpu_instance", 1), ("create_compute_instance", 1)] * 7
    assert [gpu["index"] for gpu in found["reset_gpus"]] == [0]
    assert (found["reset_required"], found["reboot_required"]) == (True, False)
    assert "1g.10gb" in found["diff"]["after"]
    assert "1g.10gb" not in found["diff"]["before"]
    # What a driver tells only with MIG on is said; that MIG is off is part of the plan.
    (warning,) = found["warnings"]
    assert "GPU 0: MIG mode is off, and this driver tells profiles only while it is on" in str(warning)
    assert [gpu["uuid"] for gpu in found["not_checked"]] == [found["mig"]["gpus"][0]["uuid"]]
    foretold = run_module(host, "mig_instances", {"layout": SEVEN}, check=True).ok()
    assert foretold["not_checked"] == found["not_checked"]
    assert "MIG disabled" not in foretold["diff"]["after"]
    assert "not_checked" not in run_module(simulated_host("--mig", H100), "mig_instances", {"layout": SEVEN[1:]}).ok()


def test_what_it_rehearses_is_what_happens(simulated_host):
    host = simulated_host("--mig", A100, H100)
    run_module(host, "mig_mode", {"gpus": [1], "state": "disabled"}).ok()
    found = check(host, layout=SEVEN)
    done = [run_module(host, module, {"layout": SEVEN}).ok() for module in ("mig_mode", "mig_instances")]
    for key in ("actions", "kept", "disrupted"):
        assert sorted(found[key]) == sorted(done[0][key] + done[1][key])
    assert profiles(host) == [{"1g.5gb": 7}, {"1g.10gb": 7}]
    after = check(host, layout=SEVEN)
    assert (after["reached"], after["plan"], after["must_be_free"], len(after["kept"])) == (True, [], [], 14)
    assert len(check(host, layout=found["before"])["disrupted"]) == 14
    assert check(host, layout=after["before"])["reached"]


def test_who_is_in_the_way_of_mode_and_instances(simulated_host):
    host = simulated_host("--mig", f"{A100}:2")
    run_module(host, "mig_instances", {"layout": [{"instances": {"1g.5gb": 2}}]}).ok()
    first, second = (gpu["instances"] for gpu in host.show()["gpus"])
    (busy, kept) = (instances[0]["compute_instances"][0]["uuid"] for instances in (first, second))
    job = host.job(busy)
    layout = [{"gpus": [0], "instances": {"7g.40gb": 1}}, {"gpus": [1], "mig_enabled": False}]
    found = check(host, layout=layout, keep=[kept, "MIG-gone"])
    assert {one["uuid"]: one["because"] for one in found["must_be_free"]} == {busy: "busy", kept: "kept"}
    assert [one["pid"] for one in found["blockers"]] == [job.pid]
    assert (found["ok"], found["refusal"], found["reached"]) == (True, None, False)
    assert {step["action"] for step in found["plan"] if step["gpu"]["index"] == 1} >= {"set_mig_mode", "reset_gpu"}
    assert "MIG-gone" in str(found["warnings"])
    assert len(found["disrupted"]) == 4


def test_a_layout_that_does_not_fit_is_a_refusal(simulated_host):
    found = check(simulated_host("--mig", A100), layout=[{"instances": {"3g.20gb": 3}}])
    assert "at most 2 fit on one GPU" in found["refusal"]
    assert (found["ok"], found["reached"], found["plan"], found["reset_gpus"]) == (True, False, [], [])
    assert list(found["nearest"].values()) == [{"3g.20gb": 2}]


@pytest.mark.parametrize(
    ("model", "instances", "needed"),
    [
        (A100, {"3g.20gb": 2, "1g.5gb": 1}, "at least 9 memory slices, and the GPU has 8"),
        ("A30-24GB", {"2g.12gb": 2, "1g.6gb": 1}, "at least 5 compute slices, and the GPU has 4"),
    ],
)
def test_a_layout_impossible_by_its_names_is_a_refusal_before_the_driver_tells_profiles(
    simulated_host, model, instances, needed
):
    host = simulated_host("--driver", "535.161.07", model)
    layout = [{"instances": instances}]
    found = check(host, layout=layout)
    assert needed in found["refusal"]
    nothing = {"ok": True, "reached": False, "plan": [], "target": [], "not_checked": [], "reset_gpus": []}
    assert {key: found[key] for key in nothing} == nothing
    assert needed in run_module(host, "mig_instances", {"layout": layout}, check=True).failed()["msg"]
    # Where the driver tells profiles, the planner says more of it.
    on = check(simulated_host("--mig", model), layout=layout)["refusal"]
    assert "cannot have" in on
    assert "The nearest that fits is" in on


def test_bad_input_fails(simulated_host):
    host = simulated_host(A100)
    for params, said in (
        ({"minimum": "R535"}, "minimum: got 'R535'; expected a driver version such as 535.161.07"),
        ({"layout": [{"instances": {"3x": 1}}]}, "layout[0].instances"),
        ({"layout": [{"gpus": [7], "instances": {}}]}, "layout[0].gpus[0]: there is no GPU 7 on this host"),
    ):
        assert run_module(host, "mig_check", params).failed()["msg"].startswith(said)


def test_a_driver_too_old_for_what_the_layout_asks(simulated_host):
    host = simulated_host("--mig", "--driver", "470.57.02", f"{A100}:3")
    found = check(host, layout=[{"instances": {"1g.10gb": 1}}], minimum="535.161.07")
    assert checks(found, "error") == ["driver_minimum"] + ["driver_profile"] * 3
    assert found["ok"] is False
    assert found["problem"].count("1g.10gb on A100 40GB needs 525.60.13 or later") == 1
    assert "The same goes for GPU 1, 2." in found["problem"]


def test_a_gpu_that_the_driver_knows_no_mig_on_is_explained(simulated_host):
    """The layout names it, and the driver says that it has no MIG: bad input, were there no finding to explain it."""
    host = simulated_host(H100)
    host.simulator("fault", "nvmlDeviceGetMigMode", "--times", "9", "--return", "NOT_SUPPORTED")
    found = check(host, layout=[{"gpus": [0], "instances": {}}])
    assert checks(found) == ["mig"]
    assert "is not MIG-capable" in found["refusal"]
    assert (found["reached"], found["evidence"]["mig_capable"]) == (False, True)
    # Where no MIG is wanted there is nothing to explain.
    found = check(host, layout=[{"gpus": [0], "mig_enabled": False}])
    assert checks(found) == []
    assert (found["reached"], found["ok"], found["plan"]) == (True, True, [])


def test_a_layout_that_is_about_none_of_the_gpus(simulated_host):
    host = simulated_host(A100, "L40S-48GB")
    found = check(host, layout=[{"product": "*H100*", "instances": {}}, {"gpus": [1], "mig_enabled": False}])
    assert found["nothing_to_compare"].startswith(
        "No entry of the layout is about any MIG-capable GPU of this host: GPU 0 ("
    )
    assert found["nothing_to_compare"] in str(found["warnings"])
    assert (found["reached"], found["ok"], found["plan"], found["target"]) == (True, True, [], [])
    assert check(host, layout=[{"gpus": [0], "mig_enabled": False}])["nothing_to_compare"] is None
    assert check(simulated_host("L40S-48GB", name="l40s"), layout=SEVEN)["nothing_to_compare"] is None


def test_a_library_of_another_version_than_the_module(simulated_host):
    host = simulated_host(A100)
    host.simulator("fault", "nvmlInitWithFlags", "--return", "LIB_RM_VERSION_MISMATCH")
    found = check(host, layout=SEVEN)
    assert checks(found, "error") == ["nvml_version"]
    assert (found["reached"], found["plan"], found["ok"]) == (False, [], False)
    assert check(host)["ok"]


def test_a_library_that_fails_is_told(simulated_host):
    host = simulated_host(A100)
    host.simulator("fault", "nvmlDeviceGetCount_v2", "--return", "UNKNOWN")
    found = check(host, layout=SEVEN)
    assert checks(found, "error") == ["nvml"]
    assert not found["reached"]


@pytest.mark.parametrize("code", ["GPU_IS_LOST", "RESET_REQUIRED"])
def test_a_gpu_that_does_not_answer_is_named_and_the_others_are_checked(simulated_host, code):
    host = simulated_host("--mig", f"{A100}:2")
    host.simulator("fault", "nvmlDeviceGetHandleByIndex_v2", "--nth", "2", "--return", code)
    found = check(host, layout=[{"instances": {"1g.5gb": 7}}])
    (finding,) = (one for one in found["findings"] if one["severity"] == "error")
    assert finding["check"] == {"GPU_IS_LOST": "lost", "RESET_REQUIRED": "reset_required"}[code]
    assert finding["gpu"]["index"] == 1
    assert "could not be read" in found["refusal"]
    assert len(found["before"]) == 1


def test_pass_through_means_a_reboot(simulated_host):
    host = simulated_host(A100)
    host.simulator("passthrough", "on")
    found = check(host, layout=SEVEN)
    assert "pass-through" in checks(found, "warning")
    assert (found["reboot_required"], found["reset_required"], found["reset_gpus"]) == (True, False, [])


def test_without_root_it_says_what_it_could_not_see(simulated_host):
    host = simulated_host("--mig", "--admin-uid", "12345", A100)
    found = check(host)
    assert (found["ok"], checks(found)[0]) == (True, "permission")
    assert found["before"] == []
    assert "may not list" in check(host, layout=SEVEN)["refusal"]


def test_ecc_pending_is_told_until_the_reset(simulated_host):
    host = simulated_host(A100)
    assert "ecc" not in checks(check(host))
    set_ecc = "handle = pynvml.nvmlDeviceGetHandleByIndex(0); pynvml.nvmlDeviceSetEccMode(handle, 0)"
    in_session(host, f"import pynvml; {set_ecc}")
    found = check(host)
    assert checks(found, "warning") == ["ecc"]
    assert [(gpu["ecc"], gpu["ecc_pending"]) for gpu in found["evidence"]["gpus"]] == [(True, False)]
    host.run("nvidia-smi", "--gpu-reset", "-i", "0")
    assert "ecc" not in checks(check(host))


def test_a_mode_left_pending_is_told_and_planned_away(simulated_host):
    host = simulated_host(A100)
    holder = host.hold(0)
    run_module(host, "mig_mode", {"state": "enabled", "when_busy": "pending"}).ok()
    assert holder.poll() is None
    assert "pending_mode" in checks(check(host))
    found = check(host, layout=[{"mig_enabled": False}])
    assert [step["action"] for step in found["plan"]] == ["set_mig_mode"]
    assert not found["reached"]


def test_a_change_that_was_cut_short(simulated_host):
    host = simulated_host("--mig", A100)
    host.simulator("fault", "nvmlGpuInstanceCreateComputeInstanceWithPlacement", "--kill", "before")
    assert run_module(host, "mig_instances", {"instances": {"7g.40gb": 1}}).status == -9
    found = check(host)
    assert checks(found, "warning")[-1] == "interrupted"
    assert found["interrupted"]["event"] == "begin"


def test_every_key_is_documented_and_every_documented_key_is_there(simulated_host):
    documented = yaml.safe_load(mig_check.RETURN)
    host = simulated_host("--mig", "--driver", "470.57.02", A100)
    found = check(host, layout=[{"instances": {"3g.20gb": 3}}], minimum="535.161.07")
    found.pop("invocation", None)
    found.pop("warnings", None)
    # The last is of a host without nvidia-ml-py.
    assert set(found) == set(documented) - {"nvidia_ml_py"}
    assert set(documented["findings"]["contains"]) == set(found["findings"][0])
    assert set(documented["evidence"]["contains"]) == set(found["evidence"])


class Params(dict):
    """The options of mig_check with their defaults."""

    def __init__(self, host, **params):
        defaults = {"layout": None, "keep": [], "minimum": None, "container_runtime": False}
        super().__init__({**defaults, "state_dir": str(host.state_dir), **params})


@pytest.mark.parametrize(("driver", "check_name"), [("nvidia", "driver"), ("nouveau", "nouveau")])
def test_a_mig_capable_gpu_without_a_working_driver_is_an_error(
    simulated_host, tmp_path, monkeypatch, driver, check_name
):
    uevent = tmp_path / "sys/bus/pci/devices/0000:07:00.0/uevent"
    uevent.parent.mkdir(parents=True)
    uevent.write_text(ON_BUS.format(driver), encoding="utf-8")

    def no_library():
        raise LibraryMissing()

    monkeypatch.setattr(checking, "Session", no_library)
    found, _warnings = checking.check(Params(simulated_host(), layout=SEVEN), None, str(tmp_path))
    assert checks(found, "error") == [check_name]
    assert (found["ok"], found["reached"]) == (False, False)
    assert (found["evidence"]["nvidia_devices"], found["evidence"]["mig_capable"]) == (True, True)
    uevent.write_text(ON_BUS.format("vfio-pci"), encoding="utf-8")
    found, _warnings = checking.check(Params(simulated_host(), layout=SEVEN), None, str(tmp_path))
    assert (found["ok"], found["reached"], found["evidence"]["mig_capable"]) == (True, True, False)
