# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mig_facts, mig_mode and mig_instances on every simulated GPU model: what they do, and that they say it truly."""

from __future__ import annotations

import json
import subprocess

import pytest
from faults import layout_of
from model_gpu import catalogue
from nvml_process import in_session

from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import with_profiles

MODELS = sorted(name for name, facts in catalogue().items() if facts["profiles"])
A100, H100 = "A100-SXM4-40GB", "H100-SXM5-80GB"


def gpus(host):
    """Each GPU of the host as (mode, pending mode, {start: (profile, compute instances)})."""
    return [layout_of(gpu) for gpu in host.show()["gpus"]]


def mig_devices(host):
    """{UUID: (profile, start of the GPU instance, start inside)} of all MIG devices of the host."""
    return {
        device["uuid"]: (device["profile"], instance["placement"]["start"], device["placement"]["start"])
        for gpu in host.show()["gpus"]
        for instance in gpu["instances"]
        for device in instance["compute_instances"]
    }


def journal(host):
    """The journal's records."""
    return [json.loads(line) for line in (host.state_dir / "journal.jsonl").read_text(encoding="utf-8").splitlines()]


def facts(modules, host, **options):
    """What mig_facts returns, each GPU with its profiles."""
    return with_profiles(modules.run(host, "mig_facts", options).ok()["ansible_facts"]["mig"])


def check_apply_check_apply(modules, host, module, options):
    """Foretold, done, and then nothing more to do: the result of the run that changed the host."""
    before = host.show()
    rehearsal = modules.run(host, module, {**options, "rehearse": True}).ok()
    foretold = modules.run(host, module, options, check=True, diff=True).ok()
    assert host.show() == before
    assert not rehearsal["changed"]
    assert foretold["changed"]
    done = modules.run(host, module, options, diff=True).ok()
    assert done["changed"]
    for key in ("plan", "actions", "diff", "kept", "disrupted"):
        assert done[key] == foretold[key] == rehearsal[key]
    assert done["plan"]
    assert len(done["actions"]) == len(done["plan"])
    for step, planned in zip(done["done"], done["plan"], strict=True):
        # A driver before R525 chooses the places of compute instances itself.
        own = ("placement",) if step.get("replanned") else ()
        assert {key: step[key] for key in planned if key not in own} == {
            key: planned[key] for key in planned if key not in own
        }
    assert done["diff"]["before"] != done["diff"]["after"]
    reached = host.show()
    for check in (True, False):
        again = modules.run(host, module, options, check=check, diff=True).ok()
        assert not again["changed"]
        assert again["plan"] == []
        assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
        assert host.show() == reached
    return done


@pytest.mark.parametrize("model", MODELS)
def test_from_mode_off_to_instances_and_back(modules, simulated_host, model):
    host = simulated_host(model)
    on = check_apply_check_apply(modules, host, "mig_mode", {"state": "enabled"})
    needs_reset = catalogue()[model]["architecture"] == "ampere"
    assert [step["action"] for step in on["plan"]] == ["set_mig_mode"] + ["reset_gpu"] * needs_reset
    assert [(gpu["before"], gpu["after"], gpu["pending"]) for gpu in on["gpus"]] == [("disabled", "enabled", "enabled")]
    assert (on["reset_required"], on["reboot_required"]) == (False, False)
    assert gpus(host) == [(True, True, {})]

    profiles = facts(modules, host)["gpus"][0]["profiles"]
    smallest = min(
        (one for one in profiles if "+" not in one["name"]), key=lambda one: (one["slices"], one["memory_mib"])
    )
    wish = {"instances": {smallest["name"]: smallest["max"]}}
    full = check_apply_check_apply(modules, host, "mig_instances", wish)
    assert len(full["done"]) == 2 * smallest["max"]
    assert {step["uuid"] for step in full["done"] if step["action"] == "create_compute_instance"} == set(
        mig_devices(host)
    )

    off = check_apply_check_apply(modules, host, "mig_mode", {"state": "disabled"})
    assert sorted(off["disrupted"]) == sorted(step["uuid"] for step in full["done"] if "uuid" in step)
    assert gpus(host) == [(False, False, {})]
    begins, ends = journal(host)[0::2], journal(host)[1::2]
    assert [record["event"] for record in begins + ends] == ["begin"] * 3 + ["end"] * 3
    assert [record["change"] for record in begins] == [record["change"] for record in ends]
    assert all(record["outcome"][0]["result"] == "done" for record in ends)


@pytest.mark.parametrize("model", MODELS)
def test_every_profile_can_be_made_and_free_tells_how_often(modules, simulated_host, model):
    host = simulated_host("--mig", model)
    first = facts(modules, host)["gpus"][0]["profiles"][0]["name"]
    modules.run(host, "mig_instances", {"instances": {first: 1}}).ok()
    state, there = host.state.read_bytes(), gpus(host)[0][2]
    for name, count in facts(modules, host)["gpus"][0]["free"].items():
        handle = f"""
gpu = session.read().gpus[0]
profile = next(one for one in gpu.profiles if one.name == {name!r})
result = 0
for start in [place.start for place in profile.placements for _again in range(2)]:
    try:
        create(session, gpu, profile.name, start)
        result += 1
    except NvmlError:
        pass
"""
        made = in_session(host, handle)
        host.state.write_bytes(state)
        assert made == count, (name, there)
        if count:
            present = {profile: 1 for profile, _inside in there.values()}
            present[name] = present.get(name, 0) + count
            modules.run(host, "mig_instances", {"instances": present}).ok()
            host.state.write_bytes(state)


def test_the_list_form_with_placements_and_compute_instances(modules, simulated_host):
    host = simulated_host("--mig", A100)
    wish = {
        "instances": [
            {"profile": "3g.20gb", "placement": 4, "compute_instances": ["2c.3g.20gb", "1c.3g.20gb"]},
            {"profile": "2g.10gb", "placement": 2, "compute_instances": []},
            {"profile": "1g.5gb+me"},
        ]
    }
    done = check_apply_check_apply(modules, host, "mig_instances", wish)
    (_mode, _pending, instances), *_others = gpus(host)
    # Where they are inside is the driver's to say.
    assert (instances[4][0], sorted(name for _start, name in instances[4][1])) == (
        "3g.20gb",
        ["1c.3g.20gb", "2c.3g.20gb"],
    )
    assert instances[2] == ("2g.10gb", ())
    assert sorted(profile for profile, _inside in instances.values()) == ["1g.5gb+me", "2g.10gb", "3g.20gb"]
    assert "slices 4-7   3g.20gb holding 2c.3g.20gb + 1c.3g.20gb" in done["diff"]["after"]
    assert "slices 2-3   2g.10gb without compute instances" in done["diff"]["after"]


def test_counts_of_compute_instances_fill_what_is_there_first(modules, simulated_host):
    host = simulated_host("--mig", A100)
    modules.run(host, "mig_instances", {"instances": {"1c.3g.20gb": 2}}).ok()
    kept = set(mig_devices(host))
    done = check_apply_check_apply(modules, host, "mig_instances", {"instances": {"1c.3g.20gb": 3}})
    assert [step["action"] for step in done["plan"]] == ["create_compute_instance"]
    assert set(done["kept"]) == kept < set(mig_devices(host))
    assert done["disrupted"] == []


def test_what_the_facts_call_layout_is_there_already(modules, simulated_host):
    host = simulated_host("--mig", f"{A100}:2", H100)
    wish = [{"gpus": [0], "instances": {"1c.3g.20gb": 2, "2g.10gb": 1}}, {"gpus": [1], "instances": {}}]
    modules.run(host, "mig_instances", {"layout": wish}).ok()
    modules.run(host, "mig_mode", {"gpus": [2], "state": "disabled"}).ok()
    before = host.show()
    layout = [gpu["layout"] for gpu in facts(modules, host)["gpus"]]
    for module in ("mig_mode", "mig_instances"):
        result = modules.run(host, module, {"layout": layout}).ok()
        assert not result["changed"]
        assert result["plan"] == []
    assert host.show() == before

    modules.run(host, "mig_instances", {"gpus": [0], "instances": {"7g.40gb": 1}}).ok()
    modules.run(host, "mig_instances", {"layout": layout}).ok()
    assert gpus(host) == [layout_of(gpu) for gpu in before["gpus"]]


def test_busy_and_kept_instances_stay_or_are_named(modules, simulated_host):
    host = simulated_host("--mig", A100)
    modules.run(host, "mig_instances", {"instances": {"1g.5gb": 7}}).ok()
    busy, kept, *idle = sorted(mig_devices(host))
    job = host.job(busy)
    done = check_apply_check_apply(modules, host, "mig_instances", {"instances": {"1g.5gb": 2}, "keep": [kept]})
    assert set(done["kept"]) == {busy, kept}
    assert set(done["disrupted"]) == set(idle)

    before = host.show()
    wish = {"instances": {"7g.40gb": 1}, "keep": [kept]}
    for check in (True, False):
        refused = modules.run(host, "mig_instances", wish, check=check).failed()
        because = {one["uuid"]: one["because"] for one in refused["must_be_free"]}
        assert because == {busy: "busy", kept: "kept"}
        assert [(one["pid"], one["uuid"]) for one in refused["blockers"]] == [(job.pid, busy)]
        assert f"process {job.pid}" in refused["msg"]
        assert "an allocation (keep)" in refused["msg"]
        ((_gpu, nearest),) = refused["nearest"].items()
        assert nearest == {"1g.5gb": 2}
        assert refused["msg"].endswith("Beside it, the nearest that fits is 2 × 1g.5gb.")
    rehearsal = modules.run(host, "mig_instances", {**wish, "rehearse": True}).ok()
    assert rehearsal["must_be_free"] == refused["must_be_free"]
    assert rehearsal["plan"]
    assert host.show() == before


def test_busy_timeout_waits_for_the_end_of_a_job(modules, simulated_host):
    host = simulated_host("--mig", A100)
    modules.run(host, "mig_instances", {"instances": {"3g.20gb": 1}}).ok()
    (busy,) = mig_devices(host)
    # The job ends when the waiting run has found it busy, which the run's second look at it proves.
    job = host.job(busy)
    host.simulator("calls", "--reset")
    found_busy = 'mig-simulator calls --json | grep -q "RunningProcesses_v3[^0-9]*[4-9]"'
    watch = subprocess.Popen(
        ["sh", "-c", f'until {found_busy}; do :; done; kill "$0"', str(job.pid)], env=dict(host.environment)
    )
    result = modules.run(host, "mig_instances", {"instances": {"7g.40gb": 1}, "busy_timeout": 120}).ok()
    assert watch.wait() == 0
    assert result["disrupted"] == [busy]
    assert [profile for profile, *_place in mig_devices(host).values()] == ["7g.40gb"]


@pytest.mark.parametrize("model", [A100, H100])
@pytest.mark.parametrize("unnamed", [False, True], ids=["process", "unnamed holder"])
def test_a_mode_that_somebody_is_in_the_way_of(modules, simulated_host, model, unnamed):
    host = simulated_host(model)
    holder = host.hold(0) if unnamed else host.job(0)
    before = host.show()
    refused = modules.run(host, "mig_mode", {"state": "enabled"}).failed()
    assert not refused["changed"]
    assert host.show() == before
    if unnamed:
        assert "does not name" in refused["msg"] or "IN_USE" in refused["msg"]
    else:
        assert f"process {holder.pid}" in refused["msg"]
        assert [one["pid"] for one in refused["blockers"]] == [holder.pid]

    left = modules.run(host, "mig_mode", {"state": "enabled", "when_busy": "pending"}).ok()
    assert left["changed"]
    assert left["reset_required"]
    assert [(gpu["after"], gpu["pending"]) for gpu in left["gpus"]] == [("disabled", "enabled")]
    assert gpus(host) == [(False, True, {})]
    again = modules.run(host, "mig_mode", {"state": "enabled", "when_busy": "pending"}).ok()
    assert not again["changed"]

    host.close()
    modules.run(host, "mig_mode", {"state": "enabled"}).ok()
    assert gpus(host) == [(True, True, {})]


def test_without_a_reset_the_mode_stays_pending(modules, simulated_host):
    host = simulated_host(A100)
    host.hold(0)
    result = modules.run(host, "mig_mode", {"state": "enabled", "reset": False, "when_busy": "pending"}).ok()
    assert [step["action"] for step in result["plan"]] == ["set_mig_mode"]
    assert result["reset_required"]
    assert gpus(host) == [(False, True, {})]


def test_pass_through_needs_a_reboot(modules, simulated_host):
    host = simulated_host(A100)
    host.simulator("passthrough", "on")
    result = modules.run(host, "mig_mode", {"state": "enabled"}).ok()
    assert result["changed"]
    assert result["reboot_required"]
    assert gpus(host) == [(False, True, {})]
    host.simulator("reboot")
    after = modules.run(host, "mig_mode", {"state": "enabled"}).ok()
    assert gpus(host)[0][0] is True or after["reboot_required"]


@pytest.mark.parametrize("activation", ["not-supported", "refused"])
def test_pass_through_may_say_not_supported(modules, simulated_host, activation):
    host = simulated_host("--strange", f"activation={activation}", A100)
    host.simulator("passthrough", "on")
    result = modules.run(host, "mig_mode", {"state": "enabled"}).ok()
    assert (result["changed"], result["reboot_required"]) == (True, True)
    assert gpus(host) == [(False, True, {})]
    assert not modules.run(host, "mig_mode", {"state": "enabled"}).ok()["changed"]
    # Away from there the reset that is planned does it, whatever was said before.
    host.simulator("passthrough", "off")
    result = modules.run(host, "mig_mode", {"state": "enabled"}).ok()
    assert [one["action"] for one in result["done"]] == ["reset_gpu"]
    assert gpus(host) == [(True, True, {})]


@pytest.mark.parametrize("model", [A100, H100])
@pytest.mark.parametrize(
    ("activation", "done"),
    [("timeout", ["set_mig_mode"]), ("timeout-always", ["set_mig_mode", "reset_gpu"])],
)
def test_a_mode_whose_activation_times_out(modules, simulated_host, model, activation, done):
    host = simulated_host("--strange", f"activation={activation}", model)
    foretold = modules.run(host, "mig_mode", {"state": "enabled"}, check=True).ok()
    result = modules.run(host, "mig_mode", {"state": "enabled"}).ok()
    assert result["plan"] == foretold["plan"]
    assert [one["action"] for one in result["done"] if one.get("needed", True)] == done
    assert (result["reset_required"], result["reboot_required"]) == (False, False)
    assert result["replanned"] is (model == H100 and "reset_gpu" in done)
    assert gpus(host) == [(True, True, {})]
    assert not modules.run(host, "mig_mode", {"state": "enabled"}).ok()["changed"]


def test_a_mode_that_is_turned_off_and_stays_on_is_reset(modules, simulated_host):
    host = simulated_host("--mig", "--strange", "mode-off", H100)
    modules.run(host, "mig_instances", {"instances": {"3g.40gb": 1}}).ok()
    result = modules.run(host, "mig_mode", {"state": "disabled"}).ok()
    assert [one["action"] for one in result["done"]][-2:] == ["set_mig_mode", "reset_gpu"]
    assert gpus(host) == [(False, False, {})]
    # Without a reset it stays as it then reads, and that is said.
    host = simulated_host("--mig", "--strange", "mode-off", H100, name="without")
    left = modules.run(host, "mig_mode", {"state": "disabled", "reset": False}).ok()
    assert (left["reset_required"], left["reboot_required"]) == (True, False)
    assert gpus(host) == [(True, False, {})]


def test_without_a_reset_an_idle_gpu_may_get_its_mode_all_the_same(modules, simulated_host):
    host = simulated_host(A100)
    result = modules.run(host, "mig_mode", {"state": "enabled", "reset": False}).ok()
    assert not result["reset_required"]
    assert [(gpu["after"], gpu["pending"]) for gpu in result["gpus"]] == [("enabled", "enabled")]
    assert gpus(host) == [(True, True, {})]


@pytest.mark.parametrize("kind", ["compute", "graphics", "mps"])
def test_a_process_on_an_empty_gpu_is_in_the_way_of_its_first_instance(modules, simulated_host, kind):
    host = simulated_host("--mig", "--strange", "first-instance=processes", H100)
    process = host.job(0, kind=kind)
    before = host.show()
    assert [one["pid"] for one in facts(modules, host)["gpus"][0]["processes"]] == [process.pid]
    wish = {"instances": {"3g.40gb": 2}}
    for check in (True, False):
        refused = modules.run(host, "mig_instances", wish, check=check).failed()
        (free,) = refused["must_be_free"]
        assert (free["uuid"], free["because"]) == (None, "busy")
        assert [one["pid"] for one in refused["blockers"]] == [process.pid]
        assert "the whole GPU must be free" in refused["msg"]
        assert refused["nearest"] == {}
    rehearsal = modules.run(host, "mig_instances", {**wish, "rehearse": True}).ok()
    assert rehearsal["must_be_free"] == refused["must_be_free"]
    assert len(rehearsal["plan"]) == 4
    assert modules.run(host, "mig_check", {"layout": [wish]}).ok()["must_be_free"] == refused["must_be_free"]
    off = modules.run(host, "mig_mode", {"state": "disabled"}).failed()
    assert off["must_be_free"] == refused["must_be_free"]
    assert modules.run(host, "mig_instances", {"instances": {}}).ok()["plan"] == []
    assert host.show() == before
    host.close()
    modules.run(host, "mig_instances", wish).ok()
    assert facts(modules, host)["gpus"][0]["processes"] is None


def test_one_gpu_fails_and_the_others_do_not_unless_atomic(modules, simulated_host):
    for atomic in (False, True):
        host = simulated_host("--mig", f"{A100}:3", name=f"atomic-{atomic}")
        create = "nvmlDeviceCreateGpuInstanceWithPlacement"
        host.simulator("fault", create, "--nth", "2", "--return", "UNKNOWN")
        result = modules.run(host, "mig_instances", {"instances": {"7g.40gb": 1}, "atomic": atomic}).failed()
        assert [len(instances) for _mode, _pending, instances in gpus(host)] == ([0, 0, 0] if atomic else [1, 0, 1])
        assert result["changed"] is not atomic
        assert result["failed_step"]["gpu"]["index"] == 1
        assert result["nvml_code"] == "UNKNOWN"
        assert "GPU 1 (" in result["msg"]
        assert result["left"] == []
        assert {step["gpu"]["index"] for step in result["undone"]} == ({0} if atomic else set())
        outcome = {one["index"]: one["result"] for one in journal(host)[-1]["outcome"]}
        assert outcome[1] == "failed"
        assert modules.run(host, "mig_instances", {"instances": {"7g.40gb": 1}, "atomic": atomic}).ok()["changed"]


@pytest.mark.parametrize("uuids", ["new", "profile", "engine"])
def test_what_was_destroyed_and_comes_back_is_disrupted_whatever_its_uuid(modules, simulated_host, uuids):
    host = simulated_host("--mig", "--strange", f"uuids={uuids}", A100)
    modules.run(host, "mig_instances", {"instances": {"3g.20gb": 2}}).ok()
    before = host.show()["gpus"][0]
    host.simulator("fault", "nvmlDeviceCreateGpuInstanceWithPlacement", "--return", "UNKNOWN")
    result = modules.run(host, "mig_instances", {"instances": {"7g.40gb": 1}}).failed()
    after = host.show()["gpus"][0]
    assert layout_of(after) == layout_of(before)
    assert result["changed"]
    assert set(result["disrupted"]) == set(before_uuids(before))
    assert (set(before_uuids(before)) == set(before_uuids(after))) is (uuids != "new")


def before_uuids(gpu):
    """The UUIDs of a GPU's MIG devices."""
    return [device["uuid"] for instance in gpu["instances"] for device in instance["compute_instances"]]


@pytest.mark.parametrize("driver", ["460.73.01", "470.57.02", "525.85.12", "580.95.05"])
def test_drivers(modules, simulated_host, driver):
    host = simulated_host("--driver", driver, A100)
    check_apply_check_apply(modules, host, "mig_mode", {"state": "enabled"})
    wish = {
        "instances": [
            {"profile": "3g.20gb", "placement": 4, "compute_instances": ["1c.3g.20gb", "2c.3g.20gb"]},
            "2g.10gb",
        ]
    }
    check_apply_check_apply(modules, host, "mig_instances", {"instances": {"3g.20gb": 1, "1g.5gb": 4}})
    check_apply_check_apply(modules, host, "mig_instances", wish)
    seen = facts(modules, host)
    assert seen["driver_version"] == driver
    assert seen["incomplete"] == []
    assert not modules.run(host, "mig_instances", {"layout": [seen["gpus"][0]["layout"]]}).ok()["changed"]


@pytest.mark.parametrize(("wish", "expected"), [({"3g.20gb": 2}, "repaired"), ({"1g.5gb": 7}, "removed")])
def test_an_orphan_is_seen_and_repaired_or_removed(modules, simulated_host, wish, expected):
    host = simulated_host("--mig", A100)
    host.run("nvidia-smi", "mig", "-cgi", "9")
    (instance,) = facts(modules, host)["gpus"][0]["instances"]
    assert instance["compute_instances"] == []
    done = check_apply_check_apply(modules, host, "mig_instances", {"instances": wish})
    destroyed = [step["placement"] for step in done["plan"] if step["action"] == "destroy_gpu_instance"]
    assert destroyed == ([] if expected == "repaired" else [instance["placement"]])
    assert all(inside for _profile, inside in gpus(host)[0][2].values())


def test_a_killed_run_is_visible_in_the_journal_and_finished_by_the_next(modules, simulated_host):
    host = simulated_host("--mig", A100)
    host.simulator("fault", "nvmlGpuInstanceCreateComputeInstanceWithPlacement", "--nth", "3", "--kill", "before")
    wish = {"instances": {"1g.5gb": 7}}
    assert modules.run(host, "mig_instances", wish).status == -9
    (begin,) = journal(host)
    assert begin["event"] == "begin"
    assert modules.run(host, "mig_instances", wish).ok()["changed"]
    assert len(mig_devices(host)) == 7
    assert [record["event"] for record in journal(host)] == ["begin", "begin", "end"]


def test_without_a_journal_nothing_is_written(modules, simulated_host):
    host = simulated_host("--mig", A100)
    modules.run(host, "mig_instances", {"instances": {"7g.40gb": 1}, "journal": False}).ok()
    assert not (host.state_dir / "journal.jsonl").exists()


def test_check_mode_with_mode_off_counts_it_as_on_and_empty(modules, simulated_host):
    host = simulated_host(H100)
    before = host.show()
    result = modules.run(host, "mig_instances", {"instances": {"1g.10gb": 7}}, check=True).ok()
    assert len(result["plan"]) == 14
    assert "MIG mode is off" in str(result["warnings"])
    assert host.show() == before


def test_facts_without_privilege_say_what_is_missing(modules, simulated_host):
    host = simulated_host("--mig", "--admin-uid", "12345", A100)
    seen = facts(modules, host)
    assert {"placements", "orphans", "free"} <= set(seen["incomplete"])
    (gpu,) = seen["gpus"]
    assert (gpu["mig_mode"], gpu["free"], gpu["layout"]) == ("enabled", None, None)
    assert gpu["profiles"]


@pytest.mark.parametrize("code", ["NOT_SUPPORTED", "FUNCTION_NOT_FOUND", "RESET_TYPE_NOT_SUPPORTED"])
def test_a_gpu_that_seems_to_have_no_mig_once_is_not_taken_for_one_with_mig_off(modules, simulated_host, code):
    host = simulated_host("--mig", A100)
    host.simulator("fault", "nvmlDeviceGetMigMode", "--nth", "1", "--return", code)
    run = modules.run(host, "mig_mode", {"state": "disabled", "reset": True})
    if code == "RESET_TYPE_NOT_SUPPORTED":
        # No GPU answers that for want of MIG.
        assert code in run.failed()["msg"]
        assert host.show()["gpus"][0]["mig_mode"] is True
    else:
        assert run.ok()["changed"]
        assert host.show()["gpus"][0]["mig_mode"] is False
