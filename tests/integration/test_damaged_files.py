# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each file of the collection's own, damaged in each way, through what reads it: one sentence, and nothing is hurt."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import damage
import pytest
from kept_host import KeptHost, layout_now
from layouts import profiles
from modules import arguments, parsed
from own_files import may_mount
from paths import COLLECTIONS

from ansible_collections.gpufleet.mig.plugins.module_utils.apply.state_directory import HostState

A100, H100 = "A100-SXM4-40GB", "H100-SXM5-80GB"
SEVEN, ONE = {"instances": {"1g.5gb": 7}}, {"instances": {"7g.40gb": 1}}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")
mounts = pytest.mark.skipif(not may_mount(), reason="this machine lets nobody mount anything")
# A crash leaves no line, half a line or zeros.
AFTER_A_CRASH = ("empty", "zeros")
UNREADABLE = "unreadable"
KINDS = [*damage.NO_FILES, *damage.NO_JSON]


def sentence(text, path):
    """What is said names the file in one line, shows nothing of what stands in it, and no word of Python's."""
    assert str(path) in text, text
    assert len(text.splitlines()) == 1, text
    assert len(text) < len(str(path)) + 400, text
    for word in ("Traceback", "Error:", "KeyError", "recursion", "codec", "root:", "\\x00", "errno", "None"):
        assert word not in text, text
    return text


def warnings_of(result):
    """The texts of a module's warnings, which ansible-core 2.19 and later wraps."""
    return [one if isinstance(one, str) else one["event"]["msg"] for one in result.get("warnings", [])]


def journal_findings(checked):
    """Which checks of mig_check found something in the journal."""
    return [one["check"] for one in checked["findings"] if one["check"] in ("interrupted", "journal")]


@pytest.fixture
def host(modules, simulated_host):
    host = simulated_host("--mig", A100)
    modules.run(host, "mig_instances", SEVEN).ok()
    return host


WRONG_RECORDS = [
    {"event": "begin"},
    {"event": "begin", "user": ["root"], "time": {}, "pid": "x"},
    {"event": "begin", "before": {"gpus": 1}, "actions": None},
    {"event": ["begin"]},
]


@pytest.mark.parametrize("kind", [*KINDS, *range(len(WRONG_RECORDS))])
def test_journal(modules, host, kind):
    path = host.state_dir / "journal.jsonl"
    text = json.dumps(WRONG_RECORDS[kind]).encode() if isinstance(kind, int) else b""
    damage.put(path, kind, text + b"\n")
    unknown = kind not in AFTER_A_CRASH and kind != 0  # a record that says little is a record

    found = modules.run(host, "mig_facts", {"state_dir": str(host.state_dir)}).ok()
    assert len(warnings_of(found)) == unknown
    for warning in warnings_of(found):
        sentence(warning, path)
    assert len(found["ansible_facts"]["mig"]["gpus"][0]["instances"]) == 7
    checked = modules.run(host, "mig_check", {"layout": [SEVEN]}).ok()
    assert checked["reached"]
    assert journal_findings(checked) == ["journal"] * unknown + ["interrupted"] * (kind == 0)
    if unknown:
        (finding,) = (one for one in checked["findings"] if one["check"] == "journal")
        sentence(finding["message"], path)

    told = modules.run(host, "mig_journal_info", {})
    if kind in damage.NO_FILES:
        sentence(told.failed()["msg"], path)
    else:
        result = told.ok()
        assert (result["layout"], bool(result["problem"])) == ([], unknown)
        if unknown:
            sentence(result["problem"], path)

    before = host.show()
    changed = modules.run(host, "mig_instances", ONE)
    if kind in damage.NO_FILES:
        said = changed.failed()["msg"]
        assert f"{host.state_dir} cannot be written: journal.jsonl: It is" in said
        assert "Nothing was changed." in said
        assert host.show() == before
    else:
        assert ("was cut short" in str(changed.ok()["warnings"] if kind == 0 else "")) == (kind == 0)
        assert profiles(host) == [{"7g.40gb": 1}]
        after = modules.run(host, "mig_journal_info", {}).ok()
        assert after["last"]["user"]
        again = modules.run(host, "mig_facts", {"state_dir": str(host.state_dir)}).ok()
        assert warnings_of(again) == []


@pytest.mark.parametrize("kind", damage.NO_FILES)
def test_lock(modules, host, kind):
    (host.state_dir / "lock").unlink()
    damage.put(host.state_dir / "lock", kind)
    before = host.show()
    said = modules.run(host, "mig_instances", ONE).failed()["msg"]
    assert f"{host.state_dir} cannot be written: lock: It is" in said
    assert host.show() == before


WRONG_ASSIGNMENTS = [
    {},
    {"services": [], "device_files": []},
    {"services": {"a.service": 5}, "device_files": []},
    {"services": {"a.service": {"uuid": 5, "mps": True}}, "device_files": []},
    {"services": {"a.service": {"uuid": "MIG-1"}}, "device_files": []},
    {"services": {}, "device_files": {"path": "/dev/null"}},
    {"services": {}, "device_files": [{"path": ["/dev/null"], "capability": "gpu0/gi1/access"}]},
]
FACTS = """
import sys
from ansible_collections.gpufleet.mig.plugins.module_utils.assign import record as assignment_record
from ansible_collections.gpufleet.mig.plugins.modules import mig_facts
assignment_record.PATH = sys.argv.pop()
mig_facts.main()
"""


def facts_with_assignments(host, path):
    """What mig_facts returns where the assignments are at ``path``."""
    answer = subprocess.run(
        [sys.executable, "-c", FACTS, str(path)],
        env={**os.environ, **host.environment, "PYTHONPATH": str(COLLECTIONS)},
        input=arguments(host, {"gather": ["instances"], "state_dir": str(host.state_dir)}),
        capture_output=True,
        text=True,
        check=False,
    )
    return parsed(answer.returncode, answer.stdout, answer.stderr).ok()


@pytest.mark.parametrize("kind", [*KINDS, *range(len(WRONG_ASSIGNMENTS))])
def test_assignments(modules, host, kind):
    path = host.directory / "assignments.json"
    damage.put(path, kind, json.dumps(WRONG_ASSIGNMENTS[kind]).encode() if isinstance(kind, int) else b"")
    said = modules.run(host, "mig_assignment_info", {"services": [], "record": str(path)}).failed()["msg"]
    assert sentence(said, path).endswith("remove it to have all services assigned anew.")
    if kind in ("fifo", "cut", 1):
        found = facts_with_assignments(host, path)
        (warning,) = warnings_of(found)
        assert sentence(warning, path).startswith("Which service has which MIG device is not known: ")
        assert len(found["ansible_facts"]["mig"]["gpus"][0]["instances"]) == 7


WRONG_DEVICES = [
    {},
    {"version": 1, "devices": {}},
    {"version": 1, "devices": [5]},
    {"version": 1, "devices": [["a", "b"]]},
    {"version": 1, "devices": [["a", {}, []]]},
    {"version": 1, "devices": [["a", "b", ["c", 5]]]},
    {"version": 2, "devices": [["a", "b", ["c"], 5]]},
    {"version": 2, "devices": [["a", "b", ["c"], [1, 2, {}, 4]]]},
    {"version": 3, "devices": []},
]
DEVICES = [["a100_1g.5gb", "MIG-1", ["/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap66"], [19, 0, None, 0]]]


@pytest.mark.parametrize("kind", [*KINDS, *range(len(WRONG_DEVICES))])
def test_slurm_record(modules, host, kind):
    path = host.state_dir / "slurm.json"
    damage.put(path, kind, json.dumps(WRONG_DEVICES[kind]).encode() if isinstance(kind, int) else b"")
    for check in (True, False):
        found = modules.run(host, "slurm_device_record", {}, check=check).ok()
        assert (found["changed"], found["devices"]) == (False, None)
        (warning,) = warnings_of(found)
        assert sentence(warning, path).endswith("the role mig_slurm restarts slurmd once to know it.")
    foretold = modules.run(host, "slurm_device_record", {"devices": DEVICES}, check=True)
    written = modules.run(host, "slurm_device_record", {"devices": DEVICES})
    if kind == "directory":
        assert sentence(written.failed()["msg"], path).endswith("is a directory. Remove it and run again.")
        return
    assert foretold.ok()["changed"]
    assert written.ok()["changed"]
    assert not path.is_symlink()
    for check in (True, False):
        assert not modules.run(host, "slurm_device_record", {"devices": DEVICES}, check=check).ok()["changed"]
    assert modules.run(host, "slurm_device_record", {}).ok()["devices"] == DEVICES


def test_a_record_of_the_present_release_is_read(modules, host):
    path = host.state_dir / "slurm.json"
    assert modules.run(host, "slurm_device_record", {}).ok()["devices"] is None
    path.write_text(json.dumps({"version": 1, "devices": DEVICES}) + "\n", encoding="utf-8")
    found = modules.run(host, "slurm_device_record", {}).ok()
    assert (found["devices"], warnings_of(found)) == (DEVICES, [])


@pytest.mark.parametrize("kind", KINDS)
def test_drain_record(modules, host, kind):
    """mig_check only says that there is something to restore; whether it can be read is for the role mig_drain."""
    damage.put(host.state_dir / "drain.json", kind)
    assert modules.run(host, "mig_check", {"layout": [SEVEN]}).ok()["drained"] is True


@pytest.fixture(autouse=True)
def what_links_lead_to_is_as_it_was(tmp_path):
    """Whatever a test has run, nothing was written through a link."""
    yield
    for path in tmp_path.rglob("*-secret"):
        assert path.read_text(encoding="utf-8") == damage.SECRET


@as_root
def test_a_state_directory_of_somebody_elses_is_refused_by_root(modules, host):
    before = host.show()
    os.chown(host.state_dir, 4711, 4711)
    said = modules.run(host, "mig_instances", ONE).failed()["msg"]
    assert f"{host.state_dir} cannot be written: lock: {host.state_dir} belongs to user 4711, not to root. " in said
    sentence(modules.run(host, "mig_journal_info", {}).failed()["msg"], host.state_dir)
    assert journal_findings(modules.run(host, "mig_check", {}).ok()) == ["journal"]
    assert host.show() == before


@as_root
def test_what_a_user_may_not_read_is_one_sentence(modules, host):
    """In a process without root's rights over files; setpriv takes the capability away, not the user."""
    for name, module, params in [
        ("journal.jsonl", "mig_journal_info", {}),
        ("assignments.json", "mig_assignment_info", {"services": [], "record": "{}"}),
        ("slurm.json", "slurm_device_record", {}),
    ]:
        path = host.state_dir / name
        path.write_text("{}", encoding="utf-8")
        path.chmod(0)
        values = {
            key: value.replace("{}", str(path)) if isinstance(value, str) else value for key, value in params.items()
        }
        if module != "mig_assignment_info":
            values["state_dir"] = str(host.state_dir)
        without = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override")
        answer = subprocess.run(
            [*without, sys.executable, "-m", f"ansible_collections.gpufleet.mig.plugins.modules.{module}"],
            env={**os.environ, **host.environment, "PYTHONPATH": str(COLLECTIONS)},
            input=arguments(host, values),
            capture_output=True,
            text=True,
            check=False,
        )
        result = parsed(answer.returncode, answer.stdout, answer.stderr).result
        said = result.get("msg") or warnings_of(result)[0]
        assert "cannot be read: Permission denied" in sentence(said, path)


# The boot program


@pytest.fixture
def kept(modules, simulated_host):
    """A KeptHost of two GPUs whose saved layout is gone from them."""
    kept = KeptHost(simulated_host("--mig", f"{H100}:2"))
    modules.run(kept.host, "mig_instances", {"instances": {"1g.10gb": 7}}).ok()
    kept.saved = layout_now(kept.host, modules)
    kept.run({"layout": kept.saved}).ok()
    kept.host.simulator("reboot")
    return kept


BROUGHT_BACK = "2 of 2 GPUs have the saved layout (2 brought back, 0 left as they were)."


def boot(kept, script=""):
    """Run the program after some lines of shell, in a mount namespace of its own where there are any: its output."""
    command = [sys.executable, "-I", kept.program, kept.layout, "--state-dir", kept.host.state_dir]
    through = ["unshare", "--mount", "sh", "-ec", f'{script}\nexec "$@"', "sh"] if script else []
    answer = kept.host.run(*through, *map(str, command), check=False)
    assert answer.stderr == ""
    assert "Traceback" not in answer.stdout
    return answer


def test_boot_whatever_the_journal_is(modules, kept):
    path = kept.host.state_dir / "journal.jsonl"
    for kind in KINDS:
        damage.put(path, kind)
        kept.host.simulator("reboot")
        answer = boot(kept)
        *warnings, last = answer.stdout.splitlines()
        assert (kind, answer.returncode, last) == (kind, 0, BROUGHT_BACK)
        assert layout_now(kept.host, modules) == kept.saved
        assert len(warnings) == (kind in damage.NO_FILES)
        for warning in warnings:
            assert f"{kept.host.state_dir} cannot be written: journal.jsonl: It is" in warning
            assert "The saved layout is brought back all the same." in warning


SPACES = {
    "full": (
        'mount -t tmpfs -o size=4k none "{}"\nhead -c 4096 /dev/zero >"{}/journal.jsonl"',
        "No space left on device",
    ),
    "read-only": ('mount --bind "{}" "{}"\nmount -o remount,bind,ro "{}"', "Read-only file system"),
    "empty and read-only": ('mount -t tmpfs -o ro none "{}"', "Read-only file system"),
}


@mounts
@pytest.mark.parametrize("kind", SPACES)
def test_boot_with_a_state_directory_that_cannot_be_written(modules, kept, kind):
    script, said = SPACES[kind]
    answer = boot(kept, script.replace("{}", str(kept.host.state_dir)))
    *warnings, last = answer.stdout.splitlines()
    assert (answer.returncode, last) == (0, BROUGHT_BACK)
    assert warnings
    for warning in warnings:
        assert said in warning
        assert "Nothing was changed" not in warning
    assert layout_now(kept.host, modules) == kept.saved


@pytest.mark.parametrize("kind", ["fifo", "link", "file"])
def test_boot_without_a_state_directory(modules, kept, kind):
    there = kept.host.state_dir
    there.rename(there.with_name("elsewhere"))
    damage.put(there, kind, b"a file", target=there.with_name("nowhere"))
    answer = boot(kept)
    assert answer.returncode == 0
    assert answer.stdout.splitlines()[-1] == BROUGHT_BACK
    assert f"The state directory {there} cannot be written: " in answer.stdout
    assert layout_now(kept.host, modules) == kept.saved


WRONG_LAYOUTS = [{}, {"version": "1"}, {"version": True, "layout": []}, {"version": 1, "layout": 5}]
WRONG_LAYOUTS += [{"version": 1, "layout": [5]}, {"version": 1, "layout": [{"gpus": [["GPU-0"]], "mig_enabled": []}]}]


def test_boot_with_a_damaged_layout_changes_nothing_and_the_role_mends_it(modules, kept):
    for kind in [*range(len(WRONG_LAYOUTS)), *KINDS]:
        damage.put(kept.layout, kind, json.dumps(WRONG_LAYOUTS[kind]).encode() if isinstance(kind, int) else b"")
        kept.host.simulator("reboot")
        before = kept.host.show()
        answer = boot(kept)
        assert (kind, answer.returncode) == (kind, 1)
        assert sentence(answer.stdout.rstrip("\n"), kept.layout).startswith(f"{kept.layout} ")
        assert "Nothing was changed. Run the role gpufleet.mig.mig_persistence" in answer.stdout
        assert kept.host.show() == before
        mended = kept.run({"layout": kept.saved})
        if kind == "directory":
            assert sentence(mended.failed()["msg"], kept.layout).endswith("is a directory. Remove it and run again.")
            continue
        assert f"write {kept.layout}" in mended.ok()["actions"]
        assert "root:" not in str(mended.result["diff"])
        assert not kept.layout.is_symlink()
        assert layout_now(kept.host, modules) == kept.saved


@as_root
def test_whoever_changes_takes_the_lock_that_boot_may_be_left_with(modules, host, simulated_host):
    other = simulated_host("--mig", A100, name="other")
    with HostState(str(host.state_dir)).lock(0):
        # Whoever comes now finds the first lock free, as with a state directory that cannot be written at boot.
        (host.state_dir / "lock").unlink()
        said = modules.run(host, "mig_instances", {**ONE, "lock_timeout": 0.1}).failed()["msg"]
        assert f"process {os.getpid()} holds /run/gpufleet-mig/" in said
        (link := host.directory / "link").symlink_to(host.state_dir)
        same = modules.run(host, "mig_instances", {**ONE, "lock_timeout": 0.1, "state_dir": str(link)})
        assert "holds /run/gpufleet-mig/" in same.failed()["msg"]
        modules.run(other, "mig_instances", {**ONE, "lock_timeout": 0}).ok()
        assert profiles(host) == [{"1g.5gb": 7}]
    modules.run(host, "mig_instances", ONE).ok()
