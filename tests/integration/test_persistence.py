# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mig_persistence and the program that it leaves on a host: the layout is there again after a reboot, or somebody says
why not."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import environments
import pynvml
import pytest
from kept_host import MIG_MANAGER, OURS, KeptHost, layout_now
from other_runs import claim_of_bob, claim_on
from paths import ROOT

from ansible_collections.gpufleet.mig.plugins.module_utils.layout.mig_parted import from_mig_parted
from ansible_collections.gpufleet.mig.plugins.module_utils.persistence.program import program_bytes

A100, H100 = "A100-SXM4-40GB", "H100-SXM5-80GB"
WISH = {A100: {"1c.3g.20gb": 2, "1g.5gb": 3}, H100: {"1c.3g.40gb": 2, "1g.10gb": 3}}
ENABLED = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "inactive", "NeedDaemonReload": "no"}


@pytest.fixture
def partitioned(modules, simulated_host):
    """A factory of KeptHosts with two GPUs of a model, partitioned."""

    def make(model=H100, wish=None):
        host = simulated_host("--mig", f"{model}:2", name=model)
        modules.run(host, "mig_instances", {"instances": wish or WISH[model]}).ok()
        return KeptHost(host)

    return make


@pytest.fixture
def kept(modules, partitioned):
    """A factory of the same with the layout saved."""

    def make(model=H100, wish=None):
        host = partitioned(model, wish)
        host.saved = layout_now(host.host, modules)
        assert host.run({"layout": host.saved}).ok()["changed"]
        return host

    return make


def devices(host, gpu):
    """The UUIDs of a GPU's MIG devices."""
    instances = host.show()["gpus"][gpu]["instances"]
    return [device["uuid"] for instance in instances for device in instance["compute_instances"]]


def by_uuid(layout):
    """A layout in the order of the file."""
    return sorted(layout, key=lambda entry: entry["gpus"])


def journal(host):
    """The records of the journal."""
    text = (host.state_dir / "journal.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("model", [A100, H100])
def test_the_layout_is_there_again_after_a_reboot(modules, partitioned, model):
    host = partitioned(model)
    layout = layout_now(host.host, modules)
    foretold = host.run({"layout": layout}, check=True).ok()
    assert foretold["changed"]
    assert (host.files(), host.calls()) == ({}, [])
    done = host.run({"layout": layout}).ok()
    assert done["changed"]
    assert (done["actions"], done["diff"]) == (foretold["actions"], foretold["diff"])
    assert done["unit"] == {"enabled": False, "active": False, "status": None}
    assert host.calls() == ["daemon-reload", f"enable {OURS}", f"restart {OURS}"]
    assert [entry["after_header"] for entry in done["diff"]] == [str(host.program), str(host.layout), str(host.unit)]
    written = json.loads(host.layout.read_text(encoding="utf-8"))
    assert (written["version"], written["layout"]) == (2, by_uuid(layout))
    (table,) = written["profiles"]
    assert table["gpus"] == [entry["gpus"][0].lower() for entry in by_uuid(layout)]
    # What the names mean, for a driver with others.
    assert {"attributes": "", "id": 9, "name": {A100: "3g.20gb", H100: "3g.40gb"}[model], "slices": 3} in table[
        "profiles"
    ]
    assert {path.stat().st_mode & 0o777 for path in (host.program, host.layout, host.unit)} == {0o644}

    files = host.files()
    for check in (True, False):
        # However it is written, it is the same layout.
        again = host.run({"layout": list(reversed(layout))}, check=check).ok()
        assert (again["changed"], again["actions"], again["diff"]) == (False, [], [])
        assert again["unit"]["enabled"]
        assert again["unit"]["active"]
    assert (host.files(), host.calls()) == (files, [])

    records = len(journal(host.host))
    host.host.simulator("reboot")
    assert layout_now(host.host, modules) != layout
    answer = host.boot()
    assert "2 of 2 GPUs have the saved layout (2 brought back, 0 left as they were)." in answer.stdout
    assert layout_now(host.host, modules) == layout
    written = journal(host.host)[records:]
    assert [record["event"] for record in written] == ["begin", "end"] * (1 if model == A100 else 2)
    assert {record["cause"] for record in written} == {"boot"}


def test_a_claim_of_an_earlier_boot_keeps_the_boot_from_nothing_but_a_mode_that_its_run_has_set(modules, kept):
    host = kept()
    host.host.simulator("reboot")
    # A run has just had the host reboot to switch the MIG mode of the first GPU off, and goes on after this boot.
    first, second = (gpu["uuid"] for gpu in host.host.show()["gpus"])
    claim_of_bob(host.host, silence=1e9, boot_id="the boot before", stage="reboot", modes={first: False})
    answer = host.boot()
    assert f"{first} is left as it is: a run has just set its MIG mode" in answer.stdout
    assert "1 of 1 GPUs have the saved layout (1 brought back, 0 left as they were)." in answer.stdout
    assert [gpu["mig_mode"] for gpu in host.host.show()["gpus"]] == [False, True]
    assert layout_now(host.host, modules)[1] in host.saved
    assert claim_on(host.host).restored is not None
    # Where its mode is the saved one its instances come, and a claim of any other stage is no reason to wait.
    for stage, modes in (("reboot", {first: True}), ("instances", {second: False})):
        host.host.simulator("reboot")
        claim_of_bob(host.host, silence=1e9, boot_id="the boot before", stage=stage, modes=modes)
        assert "2 of 2 GPUs have the saved layout" in host.boot().stdout
        assert layout_now(host.host, modules) == host.saved


def test_what_is_right_already_is_left_alone(kept):
    host = kept()
    host.host.job(devices(host.host, 0)[0])
    before, records = host.host.show(), journal(host.host)
    assert "(0 brought back, 2 left as they were)" in host.boot().stdout
    assert host.host.show() == before
    assert journal(host.host) == records


def test_only_what_is_missing_is_made(modules, kept):
    host = kept()
    busy = devices(host.host, 0)[-1]
    modules.run(host.host, "mig_instances", {"gpus": [0], "instances": {"1c.3g.40gb": 2}, "keep": [busy]}).ok()
    job = host.host.job(busy)
    host.boot()
    assert layout_now(host.host, modules) == host.saved
    assert busy in devices(host.host, 0)
    assert job.poll() is None


def test_a_mode_that_was_turned_off_comes_back_with_the_reset_that_it_needs(modules, kept):
    host = kept(A100)
    modules.run(host.host, "mig_mode", {"state": "disabled"}).ok()
    host.host.simulator("reboot")
    assert "(2 brought back" in host.boot().stdout
    assert layout_now(host.host, modules) == host.saved


def test_a_gpu_without_mig_stays_so(modules, kept):
    host = kept()
    modules.run(host.host, "mig_mode", {"gpus": [1], "state": "disabled"}).ok()
    layout = layout_now(host.host, modules)
    assert host.run({"layout": layout}).ok()["actions"] == [f"write {host.layout}", f"systemctl restart {OURS}"]
    host.host.simulator("reboot")
    host.boot()
    assert layout_now(host.host, modules) == layout


def test_a_replaced_gpu_is_reported_and_the_other_is_done(modules, kept):
    host = kept()
    there, gone = host.saved[1]["gpus"][0], "GPU-00000000-1111-2222-3333-444444444444"
    host.layout.write_text(host.layout.read_text(encoding="utf-8").replace(there, gone), encoding="utf-8")
    host.host.simulator("reboot")
    answer = host.boot(check=False)
    assert answer.returncode == 1
    assert answer.stdout.startswith(f"{gone} is not among the GPUs of this host (any more). Not saved yet: GPU 1 (")
    assert there in answer.stdout
    assert "1 of 2 GPUs have the saved layout" in answer.stdout
    now = layout_now(host.host, modules)
    assert now[0] == host.saved[0]
    assert now[1] == {"gpus": [there], "mig_enabled": False}


@pytest.mark.parametrize(
    "function", ["nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetMigMode", "nvmlDeviceGetGpuInstances"]
)
def test_a_lost_gpu_is_reported_and_the_other_is_done(modules, kept, function):
    host = kept(A100)
    host.host.simulator("reboot")
    host.host.simulator("fault", function, "--return", "GPU_IS_LOST")
    answer = host.boot(check=False)
    assert answer.returncode == 1
    assert "GPU 0" in answer.stdout
    assert "GPU_IS_LOST" in answer.stdout
    assert "1 of 2 GPUs have the saved layout (1 brought back" in answer.stdout
    assert layout_now(host.host, modules)[1] == host.saved[1]


def test_a_busy_instance_in_the_way_is_named_and_the_other_gpu_is_done(modules, kept):
    host = kept()
    for gpu in (0, 1):
        modules.run(host.host, "mig_instances", {"gpus": [gpu], "instances": {"7g.80gb": 1}}).ok()
    job = host.host.job(devices(host.host, 0)[0])
    answer = host.boot(check=False)
    assert answer.returncode == 1
    assert f"process {job.pid}" in answer.stdout
    assert job.poll() is None
    now = layout_now(host.host, modules)
    assert [one["profile"] for one in now[0]["instances"]] == ["7g.80gb"]
    assert now[1] == host.saved[1]


def test_a_step_that_fails_is_named_and_the_other_gpu_is_done(modules, kept):
    host = kept(A100)
    host.host.simulator("reboot")
    host.host.simulator("fault", "nvmlDeviceCreateGpuInstanceWithPlacement", "--nth", "2", "--return", "UNKNOWN")
    answer = host.boot(check=False)
    assert answer.returncode == 1
    assert "GPU 0 (" in answer.stdout
    assert "could not create GPU instance" in answer.stdout
    assert "This GPU was brought back to where it was." in answer.stdout
    assert layout_now(host.host, modules)[1] == host.saved[1]
    host.boot()
    assert layout_now(host.host, modules) == host.saved


def test_a_gpu_passed_through_waits_for_a_reboot_and_says_so(modules, kept):
    host = kept(A100)
    modules.run(host.host, "mig_mode", {"state": "disabled"}).ok()
    host.host.simulator("passthrough", "on")
    answer = host.boot(check=False)
    assert answer.returncode == 1
    assert "becomes active with the next reboot" in answer.stdout
    host.host.simulator("reboot")
    host.boot()
    assert layout_now(host.host, modules) == host.saved


def test_a_layout_for_the_next_boot_is_saved_and_not_started(modules, kept):
    host = kept(A100)
    host.host.simulator("passthrough", "on")
    modules.run(host.host, "mig_mode", {"gpus": [0], "state": "disabled"}).ok()
    layout = [{"gpus": host.saved[0]["gpus"], "mig_enabled": False}, host.saved[1]]
    host.calls()
    assert host.run({"layout": layout, "start": False}).ok()["actions"] == [f"write {host.layout}"]
    assert not host.run({"layout": layout, "start": False}).ok()["changed"]
    assert host.calls() == []
    host.host.simulator("reboot")
    assert "(1 brought back, 1 left as they were)" in host.boot().stdout
    assert layout_now(host.host, modules) == layout


def test_a_driver_that_comes_late_is_waited_for(modules, kept):
    host = kept()
    host.host.simulator("reboot")
    host.host.simulator("fault", "nvmlInitWithFlags", "--times", "2", "--return", "DRIVER_NOT_LOADED")
    host.boot("--driver-timeout", "600")
    assert layout_now(host.host, modules) == host.saved


def test_a_driver_that_does_not_come_is_said_after_the_deadline(kept):
    host = kept()
    host.host.without_driver()
    answer = host.boot("--driver-timeout", "0", check=False)
    assert answer.returncode == 1
    assert answer.stdout.startswith("libnvidia-ml.so.1, the NVML library, was not found.")
    assert "It did not come up within 0 seconds." in answer.stdout


def test_a_power_cut_in_a_restore_is_finished_by_the_next(modules, kept):
    host = kept()
    host.host.simulator("reboot")
    host.host.simulator("fault", "nvmlDeviceCreateGpuInstanceWithPlacement", "--nth", "2", "--kill", "after")
    assert host.boot(check=False).returncode == -9
    assert "2 of 2 GPUs have the saved layout" in host.boot().stdout
    assert layout_now(host.host, modules) == host.saved


UUID = "GPU-00000000-1111-2222-3333-444444444444"
INEXACT = [
    ([{"gpus": [0], "mig_enabled": False}], "expected one GPU by its UUID"),
    ([{"mig_enabled": False}], "expected one GPU by its UUID"),
    ([{"gpus": [UUID], "instances": {"1g.10gb": 7}}], "every instance has its placement"),
    ([{"gpus": [UUID], "instances": ["1g.10gb"]}], "every instance has its placement"),
    (
        [{"gpus": [UUID], "instances": [{"profile": "1g.10gb", "placement": 0, "compute_instances": ["1g.10gb"]}]}],
        "every instance has its placement",
    ),
    ([{"gpus": [UUID], "mig_enabled": False}] * 2, "has two entries"),
    ([{"gpus": [UUID], "instances": [{"profile": "nonsense"}]}], "expected a profile name"),
    ([], "it is empty"),
]


def test_what_could_come_back_as_something_else_is_not_saved(kept):
    host = kept()
    files = host.files()
    host.calls()
    for layout, said in INEXACT:
        refused = host.run({"layout": layout}).failed()
        assert said in refused["msg"]
        assert refused["msg"].startswith("layout")
        assert not refused["changed"]
        assert (host.files(), host.calls()) == (files, [])


def test_a_damaged_layout_is_said_and_nothing_is_touched(kept):
    host = kept()
    host.host.simulator("reboot")
    before = host.host.show()
    for text, said in [
        ("", "is damaged"),
        ('{"version": 1, "layout": [{"gpus"', "is damaged"),
        ("[]", "is damaged: It is no JSON object"),
        ("{}", "has no version and this program reads version 2"),
        (
            '{"version": 3, "written_by": "9.1.0", "layout": []}',
            "reads version 2: release 9.1.0 of gpufleet.mig wrote it",
        ),
        ('{"version": 2, "layout": [{"gpus": ["GPU-1"], "mig_enabled": false}], "profiles": [5]}', "is damaged"),
        *((json.dumps({"version": 1, "layout": layout}), said) for layout, said in INEXACT),
        (None, "cannot be read: No such file"),
    ]:
        host.layout.unlink() if text is None else host.layout.write_text(text, encoding="utf-8")
        answer = host.boot(check=False)
        assert (answer.returncode, answer.stderr) == (1, "")
        assert answer.stdout.startswith(str(host.layout))
        assert said in answer.stdout
        assert "Nothing was changed." in answer.stdout
        assert len(answer.stdout.splitlines()) == 1
        assert host.host.show() == before


def test_a_full_disk_keeps_the_layout_that_was_saved(modules, kept):
    host = kept()
    modules.run(host.host, "mig_instances", {"instances": {"1g.10gb": 7}}).ok()
    files, layout = host.files(), layout_now(host.host, modules)
    host.calls()
    failed = host.run({"layout": layout}, through=("prlimit", "--fsize=1024")).failed()
    assert f"{host.layout} cannot be written: " in failed["msg"]
    assert "It is as it was." in failed["msg"]
    assert not failed["changed"]
    assert (host.files(), host.calls()) == (files, [])
    assert host.run({"layout": layout}).ok()["changed"]


def test_a_saved_layout_that_cannot_be_read_is_replaced_with_a_warning(kept):
    host = kept()
    files = host.files()
    wrong = {
        '{"version": 3, "written_by": "9.1.0", "layout": []}': "release 9.1.0 of gpufleet.mig wrote it",
        "": "is damaged: It is empty",
    }
    for text, said in wrong.items():
        host.layout.write_text(text, encoding="utf-8")
        for check in (True, False):
            warnings = str(host.run({"layout": host.saved}, check=check).ok()["warnings"])
            assert str(host.layout) in warnings
            assert f"{said}. The layout given now replaces it." in warnings
        assert host.files() == files
        assert "warnings" not in host.run({"layout": host.saved}).ok()
    # None is no damage, and what goes is not asked for.
    host.layout.unlink()
    assert "warnings" not in host.run({"layout": host.saved}).ok()
    host.layout.write_text("", encoding="utf-8")
    assert "warnings" not in host.run({"state": "absent"}).ok()


def test_files_that_somebody_changed_are_written_again(kept):
    host = kept()
    files, ours = host.files(), (host.program, host.layout, host.unit)
    for path in ours:
        path.write_text("else", encoding="utf-8")
    for _twice in range(2):
        for path in ours:
            path.chmod(0o600)
        done = host.run({"layout": host.saved}).ok()
        assert [f"write {path}" for path in ours] == done["actions"][:3]
        assert host.files() == files
        assert {path.stat().st_mode & 0o777 for path in ours} == {0o644}


BEFORE = ROOT / "tests" / "state" / "0.1.0"


@pytest.fixture
def of_release_before(modules, simulated_host):
    """A KeptHost as release 0.1.0 left it, with the layout that it saved."""
    host = simulated_host("--mig", H100)
    text = (BEFORE / "layout.json").read_text(encoding="utf-8")
    text = text.replace(json.loads(text)["layout"][0]["gpus"][0], host.show()["gpus"][0]["uuid"])
    layout = json.loads(text)["layout"]
    modules.run(host, "mig_instances", {"layout": layout}).ok()
    there = KeptHost(host)
    assert there.run({"layout": layout}).ok()["changed"]
    there.layout.write_text(text, encoding="utf-8")
    shutil.copy(BEFORE / "restore.pyz", there.program)
    there.calls()
    return there


def test_an_upgrade_of_the_collection_changes_no_host(modules, of_release_before):
    host = of_release_before
    text, layout = host.layout.read_bytes(), layout_now(host.host, modules)
    foretold = host.run({"layout": layout}, check=True).ok()
    assert host.program.read_bytes() == (BEFORE / "restore.pyz").read_bytes()
    done = host.run({"layout": layout}).ok()
    assert (done["changed"], done["actions"]) == (False, [f"replace {host.program}, which another release wrote"])
    assert (foretold["changed"], foretold["actions"]) == (False, done["actions"])
    assert host.program.read_bytes() == program_bytes()
    assert host.run({"layout": layout}).ok()["actions"] == []
    assert (host.layout.read_bytes(), host.calls()) == (text, [])
    # The program that was put there takes the layout of the release before, and the next change writes the new form.
    host.host.simulator("reboot")
    assert "1 of 1 GPUs have the saved layout (1 brought back" in host.boot().stdout
    assert layout_now(host.host, modules) == layout
    modules.run(host.host, "mig_instances", {"instances": {"1g.10gb": 7}}).ok()
    shutil.copy(BEFORE / "restore.pyz", host.program)
    done = host.run({"layout": layout_now(host.host, modules)}).ok()
    assert (done["changed"], done["actions"][1:]) == (True, [f"write {host.layout}", f"systemctl restart {OURS}"])
    assert json.loads(host.layout.read_text(encoding="utf-8"))["version"] == 2


def test_after_a_driver_with_other_names_all_goes_on_by_id(modules, partitioned, monkeypatch):
    host = partitioned()
    inventory = {"layout": [{"instances": WISH[H100]}]}
    for wanted in ({"layout": [{"instances": {"1g.10gb": 4}}]}, inventory):
        modules.run(host.host, "mig_instances", wanted).ok()
    layout = layout_now(host.host, modules)
    host.run({"layout": layout}).ok()
    text = host.layout.read_bytes()
    # As on a boot with the new driver: the MIG instances are gone, and profiles have other names.
    host.host.simulator("init", "--strange", "names=renamed", f"{H100}:2")
    answer = host.boot()
    warnings = [line for line in answer.stdout.splitlines() if "other names" in line]
    assert "2 of 2 GPUs have the saved layout (2 brought back, 0 left as they were)." in answer.stdout
    (warning,) = warnings
    assert "on GPU 0, 1 1g.10gb is 1g.9gb now (profile 19), 3g.40gb is 3g.36gb now (profile 9)." in warning
    now = layout_now(host.host, modules)
    assert json.dumps(now).replace("1g.9gb", "1g.10gb").replace("3g.36gb", "3g.40gb") == json.dumps(layout)

    def with_one_warning(module, params, **more):
        found = modules.run(host.host, module, params, **more).ok()
        (told,) = (one for one in found.get("warnings", []) if "other names" in str(one))
        assert warning in str(told)
        return found

    # What verify, partition and rollback do with the names of the inventory and of the journal.
    assert with_one_warning("mig_check", inventory)["reached"]
    for check in (True, False):
        assert not with_one_warning("mig_instances", inventory, check=check)["changed"]
    assert not host.run({"layout": now}).ok()["changed"]
    assert host.layout.read_bytes() == text
    back = modules.run(host.host, "mig_journal_info", {}).ok()["layout"]
    assert "1g.10gb" in str(back)
    # Other layouts with the old names, the last one twice: what the host remembers goes on.
    other = [{"instances": {"1g.10gb": 2, "3g.40gb": 1}}]
    for wanted, changed in ((back, True), (other, True), (other, False)):
        found = modules.run(host.host, "mig_instances", {"layout": wanted}).ok()
        assert found["changed"] is changed
        assert "1g.10gb is 1g.9gb now (profile 19)" in str(found["warnings"])
        assert host.run({"layout": layout_now(host.host, modules)}).ok()["changed"] is changed
    # A host that has never kept anything says what there is.
    monkeypatch.setattr(host.host, "state_dir", host.host.directory / "another")
    refused = modules.run(host.host, "mig_instances", inventory).failed()
    assert "1g.9gb" in refused["msg"]


def test_a_run_that_fails_says_which_gpu_and_the_next_run_tries_again(kept):
    host = kept()
    host.host.simulator("reboot")
    host.set_units({**host.units(), OURS: {**host.units()[OURS], "ActiveState": "failed"}})
    host.host.simulator("fault", "nvmlDeviceSetMigMode", "--return", "UNKNOWN")
    failed = host.run({"layout": host.saved}).failed()
    assert "The layout is saved" in failed["msg"]
    assert "GPU 0 (" in failed["msg"]
    host.calls()
    done = host.run({"layout": host.saved}).ok()
    assert done["changed"]
    assert done["actions"] == [f"systemctl restart {OURS}"]
    assert "GPU 0 (" in done["unit"]["status"]
    assert not host.run({"layout": host.saved}).ok()["changed"]


def test_absent_leaves_nothing_behind_and_changes_no_gpu(modules, kept):
    host = kept()
    private = host.program.parent / "python"
    private.mkdir()
    before = host.host.show()
    host.calls()
    foretold = host.run({"state": "absent"}, check=True).ok()
    assert host.files()
    done = host.run({"state": "absent"}).ok()
    assert done["changed"]
    assert (done["actions"], done["diff"]) == (foretold["actions"], foretold["diff"])
    assert host.calls() == [f"disable --now {OURS}", "daemon-reload"]
    assert host.files() == {}
    assert not host.layout.parent.exists()
    assert private.exists()
    assert host.host.show() == before
    for check in (True, False):
        assert not host.run({"state": "absent"}, check=check).ok()["changed"]
    assert host.calls() == []


def test_two_services_do_not_bring_two_layouts_back(modules, partitioned):
    host = partitioned()
    layout = layout_now(host.host, modules)
    assert "is not enabled" in host.run({"layout": layout, "backend": "nvidia-mig-manager"}).failed()["msg"]
    host.set_units({**host.units(), MIG_MANAGER: {**ENABLED, "StatusText": ""}})
    assert "would bring another layout at boot" in host.run({"layout": layout}).failed()["msg"]
    assert host.files() == {}


def test_nvidia_mig_manager_gets_the_counts(modules, kept):
    host = kept()
    host.set_units({**host.units(), MIG_MANAGER: {**ENABLED, "StatusText": ""}})
    host.calls()
    options = {"layout": host.saved, "backend": "nvidia-mig-manager"}
    foretold = host.run(options, check=True).ok()
    done = host.run(options).ok()
    assert (done["actions"], done["diff"]) == (foretold["actions"], foretold["diff"])
    assert "chooses their placements" in str(done["warnings"])
    assert "knows GPUs by their indexes alone" in str(done["warnings"])
    # The unit of the other backend goes; nvidia-mig-manager.service is not started, its hooks would stop kubelet.
    assert host.calls() == [f"disable --now {OURS}", "daemon-reload"]
    files = host.files()
    config, drop_in = (
        "etc/nvidia-mig-manager/gpufleet-mig.yaml",
        f"etc/systemd/system/{MIG_MANAGER}.d/zz-gpufleet-mig.conf",
    )
    assert sorted(files) == [config, drop_in]
    assert b"Environment=MIG_PARTED_SELECTED_CONFIG=gpufleet-mig\n" in files[drop_in]
    layout = from_mig_parted(json.loads(files[config]), "gpufleet-mig")
    assert layout == [{"gpus": [gpu], "instances": WISH[H100]} for gpu in (0, 1)]
    again = host.run(options).ok()
    assert not again["changed"]
    assert again["warnings"]
    assert host.run({"state": "absent"}).ok()["changed"]
    assert host.files() == {}


def test_nvidia_mig_manager_refuses_what_counts_cannot_say(modules, kept):
    host = kept()
    modules.run(host.host, "mig_instances", {"instances": [{"profile": "3g.40gb", "compute_instances": []}]}).ok()
    host.set_units({**host.units(), MIG_MANAGER: {**ENABLED, "StatusText": ""}})
    files = host.files()
    options = {"layout": layout_now(host.host, modules), "backend": "nvidia-mig-manager"}
    assert "without compute instances" in host.run(options).failed()["msg"]
    assert "wants every GPU of a host to be named" in host.run({**options, "layout": host.saved[:1]}).failed()["msg"]
    gone = [{"gpus": [UUID], "mig_enabled": False}, *host.saved]
    assert "is not among the GPUs of this host" in host.run({**options, "layout": gone}).failed()["msg"]
    assert host.files() == files


def test_a_host_without_systemd_is_told_so(modules, partitioned):
    host = partitioned()
    (host.bin / "systemctl").write_text("#!/bin/sh\necho 'System has not been booted with systemd' >&2\nexit 1\n")
    failed = host.run({"layout": layout_now(host.host, modules)}).failed()
    assert "System has not been booted with systemd" in failed["msg"]
    assert host.files() == {}


def test_the_program_runs_on_every_python_of_this_machine(modules, kept, tmp_path):
    host = kept()
    # These have no nvidia-ml-py of their own: a folder on their path stands for it, which -I would hide.
    shutil.copy(pynvml.__file__, tmp_path)
    (metadata,) = Path(pynvml.__file__).parent.glob("nvidia_ml_py-*.dist-info")
    shutil.copytree(metadata, tmp_path / metadata.name)
    host.host.environment["PYTHONPATH"] = str(tmp_path)
    for version in environments.TARGET_PYTHONS:
        if version in environments.interpreters():
            host.host.simulator("reboot")
            answer = host.boot(interpreter=environments.interpreters()[version], isolated=False)
            assert "2 of 2 GPUs have the saved layout (2 brought back" in answer.stdout
            assert answer.stderr == ""
    assert layout_now(host.host, modules) == host.saved


def test_the_role_takes_what_is_there_and_sends_the_whole_program(modules, run_playbook, partitioned, edge_environment):
    host = partitioned()
    host.host.use_interpreter(sys.executable)
    role = {"name": "gpufleet.mig.mig_persistence"}
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": role}]}]
    # In check mode nothing is written, but what would be is made, from the archive that Ansible has sent.
    run = run_playbook(plays, [host.host], environment=edge_environment, check=True, diff=True).ok()
    (done,) = run.results("gpufleet.mig.mig_persistence")
    assert done["result"]["changed"]
    (layout,) = (one["after"] for one in done["result"]["diff"] if one["after_header"].endswith("layout.json"))
    assert json.loads(layout)["layout"] == by_uuid(layout_now(host.host, modules))
