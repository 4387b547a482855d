# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every example of docs/layouts.md does what the page says."""

from __future__ import annotations

import re

import pytest
import yaml
from gpus import A100, host
from paths import ROOT
from playbook import Run

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import LayoutError
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.entries import (
    resolve_layout,
    validate_layout,
)
from ansible_collections.gpufleet.mig.plugins.module_utils.layout.mig_parted import from_mig_parted

PAGE = (ROOT / "docs" / "layouts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [yaml.safe_load(text) if language == "yaml" else text.strip() for language, text in BLOCKS]
LAYOUTS = [
    (example["layout"], following if isinstance(following, str) else None)
    for example, following in zip(EXAMPLES, [*EXAMPLES[1:], None], strict=True)
    if isinstance(example, dict) and "layout" in example
]


@pytest.mark.parametrize("layout, message", LAYOUTS)
def test_layout(layout, message):
    gpus = host(A100, A100, A100, A100)
    if message is None:
        assert resolve_layout(validate_layout(layout), gpus)
    else:
        with pytest.raises(LayoutError) as error:
            resolve_layout(validate_layout(layout), gpus)
        assert str(error.value).startswith(message.removesuffix("..."))


def test_the_file_becomes_the_layout_after_it():
    (position,) = (
        number for number, example in enumerate(EXAMPLES) if isinstance(example, dict) and "mig-configs" in example
    )
    assert from_mig_parted(EXAMPLES[position]) == EXAMPLES[position + 1]["layout"]


def test_tasks(tmp_path, main_environment):
    (tasks,) = (example for example in EXAMPLES if isinstance(example, list))
    play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
    run = Run(tmp_path / "run", main_environment, [play], []).ok()
    assert run.result("ansible.builtin.set_fact")["ansible_facts"]["layout"] == [{"gpus": "all", "mig_enabled": False}]
    assert "mig-enabled: false" in run.result("ansible.builtin.debug")["msg"]


def test_no_example_is_left_out():
    assert len(EXAMPLES) == len(LAYOUTS) + sum(isinstance(example, str) for example in EXAMPLES) + 2
