# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A driver that tells names and values which nobody has seen: they are shown as told, and nothing breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pynvml
import pytest
from modules import run_module
from paths import COLLECTIONS

from ansible_collections.gpufleet.mig.plugins.module_utils.layout.saved_layout import exact_entries
from ansible_collections.gpufleet.mig.plugins.plugin_utils.cdi import cdi_devices
from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.expected import expected
from ansible_collections.gpufleet.mig.plugins.plugin_utils.device_plugin.sharing import sharing_of
from ansible_collections.gpufleet.mig.plugins.plugin_utils.host_gpus import with_profiles
from ansible_collections.gpufleet.mig.plugins.plugin_utils.report.picture import draw, paint
from ansible_collections.gpufleet.mig.plugins.plugin_utils.slurm.gres import slurm_gres

A100 = "A100-SXM4-40GB"
NAMES = {"1g.5gb": "1g.0gb", "1g.5gb+me": "1g.0gb+xyz", "1g.10gb": "1g.0gb+a1.b2", "2g.10gb": "2g.0gb-abc"}
# Behind the text of pynvml: the driver's names are others, and numbers are such as no header has.
BINDING = """
NAMES, WHOLE_NAME = {names!r}, {whole!r}

def _named(name):
    text = name.decode() if isinstance(name, bytes) else name
    head, _blank, last = text.rpartition(" ")
    part, c, outer = last.rpartition("c.")
    return (f"{{head}} " * bool(head) + part + c + NAMES.get(outer, WHOLE_NAME or outer)).encode()

def _renamed(function):
    def call(*arguments):
        info = function(*arguments)
        if hasattr(info, "name"):
            info.name = _named(info.name)
        return info
    return call

nvmlDeviceGetGpuInstanceProfileInfo = _renamed(nvmlDeviceGetGpuInstanceProfileInfo)
nvmlGpuInstanceGetComputeInstanceProfileInfo = _renamed(nvmlGpuInstanceGetComputeInstanceProfileInfo)
_nvmlDeviceGetName = nvmlDeviceGetName

def nvmlDeviceGetName(handle):
    name = _nvmlDeviceGetName(handle)
    return _named(name.encode()).decode() if " MIG " in name else name

def nvmlDeviceGetVirtualizationMode(handle):
    return 77

def nvmlDeviceGetArchitecture(handle):
    return 4711

def nvmlDeviceGetGpuFabricInfo(handle, info):
    info._obj.state = 9
    return 0
"""


@pytest.fixture
def odd(simulated_host, tmp_path):
    """A function that runs a module on a host with such a driver."""

    def make(*arguments, names=NAMES, whole=None):
        host = simulated_host("--mig", *arguments)
        folder = tmp_path / "odd"
        folder.mkdir(exist_ok=True)
        text = Path(pynvml.__file__).read_text(encoding="utf-8") + BINDING.format(names=names, whole=whole)
        (folder / "pynvml.py").write_text(text, encoding="utf-8")
        environment = {"PYTHONPATH": f"{folder}:{COLLECTIONS}"}
        return host, lambda name, **params: run_module(host, name, params, environment=environment)

    return make


def through_filters(gpus, target=None):
    """What becomes of facts on the controller: data, or a sentence; never another exception."""
    facts = {"gpus": gpus, "reason": None, "driver_version": "1", "claim": None}
    said = [paint(draw("host", facts), False)]
    for strategy in ("none", "single", "mixed"):
        said.append(json.dumps(expected(gpus, strategy, target=target)))
    for release in ("22.05.8", "24.11.5"):
        said.append(json.dumps(slurm_gres(gpus, "", None, target, release)))
    said.append(json.dumps(cdi_devices(gpus, "", ["index", "uuid"])))
    return said


def test_names_are_shown_as_told_and_can_be_asked_for(odd):
    host, run = odd(A100)
    facts = with_profiles(run("mig_facts").ok()["ansible_facts"]["mig"])["gpus"][0]
    assert {one["name"] for one in facts["profiles"]} == {*NAMES.values(), "3g.20gb", "4g.20gb", "7g.40gb"}
    layout = [{"instances": {"1g.0gb+xyz": 1, "1g.0gb": 1, "1g.0gb+a1.b2": 1, "1c.2g.0gb-abc": 2}}]
    check = run("mig_check", layout=layout).ok()
    assert check["evidence"]["gpus"][0]["virtualization"] == "unknown_77"
    assert check["evidence"]["gpus"][0]["fabric"] == "unknown_9"
    assert run("mig_mode", state="enabled").ok()["changed"] is False
    made = run("mig_instances", layout=layout).ok()
    assert made["changed"]
    assert run("mig_instances", layout=layout).ok()["changed"] is False
    gpus = with_profiles(run("mig_facts").ok()["ansible_facts"]["mig"])["gpus"]
    devices = [one for instance in gpus[0]["instances"] for one in instance["compute_instances"]]
    names = sorted(one["profile"] for one in devices)
    assert names == ["1c.2g.0gb-abc", "1c.2g.0gb-abc", "1g.0gb", "1g.0gb+a1.b2", "1g.0gb+xyz"]
    assert run("mig_instances", layout=[gpus[0]["layout"]]).ok()["changed"] is False
    for told in through_filters(gpus):
        assert "Traceback" not in told
    assert "gpu:nvidia_a100_1g.0gb+a1.b2:1" in slurm_gres(gpus)["gres"]
    drawn = paint(draw("host", {"gpus": gpus, "reason": None, "driver_version": "1"}), False)
    assert "1g.0gb+xyz" in drawn
    refused = run("mig_instances", layout=[{"instances": {"1g.0gb+xyz": 2}}]).failed()["msg"]
    assert "2 × 1g.0gb+xyz are wanted, at most 1 fit on one GPU" in refused
    uuid = devices[0]["uuid"]
    assert uuid in json.dumps(host.show())


def test_a_name_that_is_no_profile_name_is_shown_and_asked_for_by_its_id(odd):
    _host, run = odd(A100, names={}, whole="a \x1b[31mname")
    facts = with_profiles(run("mig_facts").ok()["ansible_facts"]["mig"])["gpus"][0]
    assert {one["name"] for one in facts["profiles"]} == {str(one["id"]) for one in facts["profiles"]}  # all share it
    made = run("mig_instances", layout=[{"instances": {"9": 1, "19": 2}}]).ok()
    assert made["changed"]
    assert run("mig_instances", layout=[{"instances": {"9": 1, "19": 2}}]).ok()["changed"] is False
    gpus = with_profiles(run("mig_facts").ok()["ansible_facts"]["mig"])["gpus"]
    assert run("mig_instances", layout=[gpus[0]["layout"]]).ok()["changed"] is False
    target = run("mig_check", layout=[{"instances": {"9": 2}}]).ok()["target"]
    for told in through_filters(gpus) + through_filters(gpus, target):
        assert "\x1b" not in told
    one_name = {"3g.20gb": "a name"}
    _host, run = odd(A100, names=one_name)
    assert "a name" in run("mig_instances", layout=[{"instances": {"5g.25gb": 1}}]).failed()["msg"]
    assert run("mig_instances", layout=[{"instances": {"9": 1, "1g.5gb": 1}}]).ok()["changed"]
    gpus = with_profiles(run("mig_facts").ok()["ansible_facts"]["mig"])["gpus"]
    assert "a name" in [one["profile"] for one in gpus[0]["instances"]]
    # Its layout can be applied and kept all the same.
    assert {one["profile"] for one in gpus[0]["layout"]["instances"]} == {"9", "1g.5gb"}
    assert run("mig_instances", layout=[gpus[0]["layout"]]).ok()["changed"] is False
    assert exact_entries([gpus[0]["layout"]])
    assert "a name" in paint(draw("host", {"gpus": gpus, "reason": None, "driver_version": "1"}), False)
    assert "the name of a profile is 'a name'" in slurm_gres(gpus)["refusal"]
    assert "the name of a profile is 'a name'" in expected(gpus, "mixed")["refusal"]
    with pytest.raises(ValueError, match="the name of a profile is 'a name'"):
        cdi_devices(gpus, "", ["uuid"])


def test_profiles_called_by_their_ids_have_the_names_of_other_programs(odd, simulated_host):
    host = simulated_host("--mig", "--strange", "twin", A100)
    run_module(host, "mig_instances", {"layout": [{"instances": {"19": 2}}]}).ok()
    gpus = with_profiles(run_module(host, "mig_facts", {}).ok()["ansible_facts"]["mig"])["gpus"]
    assert {one["profile"] for one in gpus[0]["instances"]} == {"19"}
    assert list(expected(gpus, "mixed")["resources"]) == ["nvidia.com/mig-1g.5gb"]
    assert slurm_gres(gpus)["gres"] == "gpu:nvidia_a100_1g.5gb:2"
    assert {one["driver_name"] for one in gpus[0]["profiles"] if one["name"] != one["driver_name"]} == {"1g.5gb"}
    # So it has those of what is still to come.
    layout = [{"instances": {"19": 3, "1c.9": 2}}]
    target = run_module(host, "mig_check", {"layout": layout}).ok()["target"]
    gres = slurm_gres(gpus, target=target)["gres"].split(",")
    assert sorted(gres) == ["gpu:nvidia_a100_1c.3g.20gb:2", "gpu:nvidia_a100_1g.5gb:3"]
    odd = [{**one, "driver_name": "a name"} for one in gpus[0]["profiles"]]
    assert "the driver's name of a profile is 'a name'" in slurm_gres([{**gpus[0], "profiles": odd}])["refusal"]


def test_an_integrated_gpus_memory_is_a_resource():
    resources = [{"name": "mig-1g.0gb", "replicas": 2}, {"name": "mig-1g.5gb.xyz2", "replicas": 2}]
    assert list(sharing_of({"resources": resources}, None).replicas) == [
        "nvidia.com/mig-1g.0gb",
        "nvidia.com/mig-1g.5gb.xyz2",
    ]
