# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation builds, and says what is so."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
import yaml
from parser_targets import TARGETS
from paths import BIN, COLLECTIONS, ROOT

ENVIRONMENT = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
KINDS = {"modules": "module", "filter": "filter", "callback": "callback", "lookup": "lookup"}
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PLUGINS = sorted(
    (kind, path.stem)
    for folder, kind in KINDS.items()
    for path in (ROOT / "plugins" / folder).glob("*.py")
    if not path.name.startswith("_")
)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def run(*command):
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_ansible_doc_knows_every_plugin():
    names = [(kind, f"gpufleet.mig.{name}") for kind, name in PLUGINS]
    assert names
    for kind in sorted({kind for kind, _name in names}):
        wanted = sorted(name for one, name in names if one == kind)
        listed = run(BIN / "ansible-doc", "-t", kind, "--list", "--json", "gpufleet.mig")
        assert sorted(json.loads(listed.stdout)) == wanted
        answer = run(BIN / "ansible-doc", "-t", kind, "--json", *wanted)
        assert answer.returncode == 0, answer.stderr
        assert "WARNING" not in answer.stderr, answer.stderr
        assert all(json.loads(answer.stdout)[name]["doc"]["short_description"] for name in wanted)


def test_antsibull_docs_finds_nothing():
    target = COLLECTIONS / "ansible_collections" / "gpufleet" / "mig"
    options = ["--plugin-docs", "--validate-collection-refs", "self"]
    answer = run(BIN / "antsibull-docs", "lint-collection-docs", *options, target)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_changelog_fragments_are_well_formed():
    answer = run(BIN / "antsibull-changelog", "lint")
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("role", ROLES)
def test_role_defaults_are_those_of_its_argument_specs(role):
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    options = {name: option for entry in specs["argument_specs"].values() for name, option in entry["options"].items()}
    assert defaults == {name: option["default"] for name, option in options.items() if "default" in option}
    assert all(name.startswith(f"{role}_") for name in options)


@pytest.mark.parametrize("role", ROLES)
def test_role_readme_names_every_variable(role):
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    assert [name for name in defaults if f"`{name}`" not in readme] == []


def test_readme_names_what_there_is():
    rows = re.findall(r"^\| (\w+) \| \[?`gpufleet\.mig\.(\w+)`", README, re.MULTILINE)
    playbooks = [("playbook", path.stem) for path in (ROOT / "playbooks").glob("*.yml")]
    assert sorted(rows) == sorted([*PLUGINS, *playbooks, *(("role", role) for role in ROLES)])


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/reliability.md"])
def test_make_targets_and_paths_in_documents_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    commands = " ".join(re.findall(r"`[^`]*`|^\$ .*", text, re.MULTILINE))
    for target in re.findall(r"\bmake ((?:[a-z]+-?)+)\b", commands):
        answer = run("make", "--dry-run", "--question", target)
        assert "No rule to make target" not in answer.stderr, f"{document}: make {target}"
    for path in re.findall(r"`((?:tests|plugins|roles|demo|playbooks|docs|changelogs)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), f"{document}: {path}"
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / path).exists(), f"{document}: {path}"


def test_reliability_page_has_the_figures_of_every_exhaustive_test():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    parts = re.findall(r"^<!-- (.+): written by make prove -->\n(.*?)^<!-- end of \1 -->$", page, re.M | re.S)
    assert [name for name, figures in parts if not figures.strip()] == []
    assert [name for name in TARGETS if f"fuzz {name}" not in dict(parts)] == []


def test_one_version_everywhere():
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    changelog = yaml.safe_load((ROOT / "changelogs" / "changelog.yaml").read_text(encoding="utf-8"))
    assert list(changelog["releases"])[-1] == version
    assert f"## v{version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("\\", "")
    assert f"This is version {version}." in README


def test_every_source_names_its_licence():
    patterns = ["*.py", "*.c", "*.h", "*.sh", "Makefile", "**/Makefile", ".ci/run", "demo/job"]
    listed = run("git", "ls-files", *patterns).stdout
    lacking = []
    for name in listed.split():
        text = (ROOT / name).read_text(encoding="utf-8")
        licence = "BSD-2-Clause" if name.startswith("plugins/module_utils/") else "GPL-3.0-or-later"
        if text.strip() and f"SPDX-License-Identifier: {licence}" not in text:
            lacking.append(name)
    assert lacking == []
