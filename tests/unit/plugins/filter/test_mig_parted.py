# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters as Ansible loads them: text in, clear errors out, and examples that run."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from hypothesis import given, settings
from hypothesis import strategies as st
from playbook import Run

from ansible_collections.gpufleet.mig.plugins.filter import from_mig_parted, to_mig_parted

FILE = Path(__file__).parent.parent / "module_utils" / "layout" / "files" / "mig-parted.yaml"
from_file = from_mig_parted.FilterModule().filters()["from_mig_parted"]
to_file = to_mig_parted.FilterModule().filters()["to_mig_parted"]


def test_yaml_json_and_data_say_the_same():
    text = FILE.read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    assert len(from_file(text, "all-balanced")) == 3
    for same in (data, json.dumps(data), json.dumps(data, indent="\t")):
        assert from_file(same, "all-balanced") == from_file(text, "all-balanced")


def test_anchors_and_merges_are_yaml_too():
    text = """
        version: v1
        mig-configs:
          a: [&all {devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}]
          b: [{<<: *all, devices: [0]}]
    """
    assert from_file(text, "b") == [{"gpus": [0], "instances": {"1g.5gb": 7}}]


def test_there_and_back():
    layout = from_file(FILE.read_text(encoding="utf-8"), "notebooks-and-training")
    assert from_file(yaml.safe_dump(to_file(layout, "x"))) == layout


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: [", "nvidia-mig-parted configuration: cannot be read as YAML or JSON: while parsing a flow node"),
        ("a: !!int x", "nvidia-mig-parted configuration: cannot be read as YAML or JSON: invalid literal"),
        (
            "a: !!python/object:os.system x",
            "nvidia-mig-parted configuration: cannot be read as YAML or JSON: could not",
        ),
        ("a: 1\na: 2", "nvidia-mig-parted configuration: cannot be read as YAML or JSON: 'a' is there twice"),
        (
            '{"version": "v1", "version": "v1"}',
            "nvidia-mig-parted configuration: cannot be read as YAML or JSON: 'version'",
        ),
        ("", "nvidia-mig-parted configuration: expected a mapping with version, mig-conf"),
        (
            "/etc/nvidia-mig-manager/config.yaml",
            "nvidia-mig-parted configuration: expected a mapping with version, mig-co",
        ),
        ("kind: ConfigMap", "this is a Kubernetes ConfigMap"),
        ("version: v1\nmig-configs: {a: [], b: []}", "label: missing, and mig-configs has several; choose one of a, b"),
    ],
)
def test_errors_are_for_people(text, message):
    with pytest.raises(AnsibleFilterError) as error:
        from_file(text)
    assert str(error.value).startswith(message)


def test_errors_of_the_other_way():
    with pytest.raises(AnsibleFilterError, match=r"^layout\[0\]\.instances: missing"):
        to_file([{}], "x")


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text("{}[]:,-&*!|>'\"?# \n\tab01").map("version: v1\nmig-configs: ".__add__))
def test_any_text_is_a_file_or_is_refused(text):
    with suppress(AnsibleFilterError):
        assert from_file(text)


@pytest.mark.parametrize("module", [from_mig_parted, to_mig_parted])
def test_examples_run(module, tmp_path, main_environment):
    play = {"hosts": "localhost", "gather_facts": False, "tasks": yaml.safe_load(module.EXAMPLES)}
    run = Run(tmp_path / "run", main_environment, [play], []).ok()
    shown = [one["result"]["msg"] for one in run.results("ansible.builtin.debug")]
    assert [yaml.safe_load(text) for text in shown] == [yaml.safe_load(module.RETURN)["_value"]["sample"]] * len(shown)
