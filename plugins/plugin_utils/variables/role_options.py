# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables with which a role begins, and the facts of a host that may not be among them."""

from __future__ import annotations

import functools
import re
from difflib import SequenceMatcher
from pathlib import Path

from ansible import release
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load

from .connection_variables import planted_connection

# Every variable of the collection, the roles' private ones included. The fact ``mig`` is what mig_facts returns.
OURS = re.compile(r"_*mig_")
# How many names a message lists, and how much of each.
NAMES, LENGTH = 8, 60
COLLECTION = Path(__file__).resolve().parents[3]
ROLES = COLLECTION / "roles"
NAME = re.compile(r"\bmig_\w+")


def controller_refusal():
    """Why nothing can be done with this ansible-core: a sentence, or None. It itself only warns, and goes on."""
    needed = yaml_load((COLLECTION / "meta" / "runtime.yml").read_text(encoding="utf-8"))["requires_ansible"]
    # What comes before a release counts as it, as ansible-core does.
    least, there = (re.findall("[0-9]+", version)[:3] for version in (needed, release.__version__))
    if list(map(int, there)) >= list(map(int, least)):
        return None
    return (
        f"gpufleet.mig needs ansible-core {needed} on the controller, and this is {release.__version__}. So the run"
        " ends before any of its roles has done anything. Install a later one (pip install --upgrade ansible-core)."
    )


@functools.cache
def argument_specs(role):
    """The entry points of a role, as meta/argument_specs.yml has them: {name: its spec}.

    :param role: its folder, without links on the way
    """
    text = Path(role, "meta", "argument_specs.yml").read_text(encoding="utf-8")
    return yaml_load(text)["argument_specs"]


@functools.cache
def option_names():
    """What the argument specs of all roles say: ({each option, and each variable that one's default reads}, {each name
    that they speak of, such as results})."""
    options, spoken_of = set(), set()
    for role in ROLES.iterdir():
        specs = argument_specs(str(role))
        spoken_of.update(NAME.findall(str(specs)))
        for entry_point in specs.values():
            for name, option in entry_point["options"].items():
                options.update([name, *NAME.findall(str(option.get("default")))])
    return frozenset(options), frozenset(spoken_of)


def begins_like_an_option(name):
    """Whether it could be meant for an option of a role. What goes on after an option's name is somebody's own
    (mig_partition_layout_a100)."""
    return any(name.startswith(f"{role.name}_") for role in ROLES.iterdir()) and not any(
        name.startswith(f"{option}_") for option in option_names()[0]
    )


def meant(name):
    """The option that somebody who wrote this name, which is none, has meant; or None.

    Near are two that differ in a letter or two: one changed, two swapped, up to two missing or too many.
    """
    for option in sorted(option_names()[0]):
        letters = len(name) + len(option)
        if abs(len(name) - len(option)) <= 2 and not name.startswith(f"{option}_"):
            same = sum(block.size for block in SequenceMatcher(None, name, option, False).get_matching_blocks())
            if letters - 2 * same <= 2:
                return option
    return None


def planted(facts):
    """Those of a host's facts (``ansible_facts``) that have the name of a variable of the collection or of Ansible's
    connections, sorted."""
    return sorted([str(name) for name in facts if OURS.match(str(name))] + planted_connection(facts))


def planted_refusal(host, names):
    """What is said of a host that has such facts. The names are its words: only what a name may hold is shown."""
    shown = [re.sub(r"\W", "?", name[:LENGTH], flags=re.ASCII) for name in names[:NAMES]]
    whose = "gpufleet.mig" if all(map(OURS.match, names)) else "gpufleet.mig or of Ansible's connections"
    if len(names) > NAMES:
        shown.append(f"and {len(names) - NAMES} more")
    return (
        f"{host} has facts with names of variables of {whose}: {', '.join(shown)}. Facts outrank inventory and"
        " role defaults, so whoever is root on a host could choose which commands run on the controller and on other"
        " hosts. So nothing more is done with it. They came with an answer of that host, or from a fact cache of an"
        " earlier run. If nobody of yours has set them (set_fact with cacheable: true, a fact module, a file in"
        " /etc/ansible/facts.d), treat the host as compromised. If they are yours, put them into the inventory instead,"
        " and run again with --flush-cache."
    )


def strategy_refusal(host, strategy):
    """Why a role that does something once for all hosts is not run in a play of this strategy: a sentence, or None."""
    if not strategy.endswith(("free", "host_pinned")):
        return None
    return (
        f"Nothing was done for {host}: this play has strategy: {strategy}, under which each host goes its own way, and"
        " this role does something once for all hosts of the play. Leave strategy out, or write strategy: linear; forks"
        " and serial say how many hosts are worked on at the same time."
    )


def converted(options, values):
    """The values of a role's options as the types of its argument spec: ({option: value}, [what is wrong with them]).

    :param options: ``options`` of an entry point in meta/argument_specs.yml
    :param values: {option: its value}, without those that have none
    """
    # An empty line of an INI inventory is a list without elements, and not one of an empty element.
    values = {
        name: [] if value == "" and options[name].get("type") == "list" else value for name, value in values.items()
    }
    checked = ArgumentSpecValidator(_spec(options)).validate(values)
    return {name: _given(checked.validated_parameters[name], options[name]) for name in values}, checked.error_messages


def _spec(options):
    """The part of these options that says what a value may be.

    A path stays as it is written: the host that it belongs to knows what ``~`` is. Defaults are the role's own matter.
    """
    spec = {}
    for name, option in options.items():
        spec[name] = {key: option[key] for key in ("choices", "required") if key in option}
        for key in ("type", "elements"):
            if key in option:
                spec[name][key] = "str" if option[key] == "path" else option[key]
        if "options" in option:
            spec[name]["options"] = _spec(option["options"])
    return spec


def _given(value, option):
    """The value without what the validator has added to it: a None for each option within it that was not given."""
    if "options" not in option:
        return value
    if isinstance(value, dict):
        within = option["options"]
        return {name: _given(one, within[name]) for name, one in value.items() if one is not None and name in within}
    return [_given(one, option) for one in value] if isinstance(value, list) else value
