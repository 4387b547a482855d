# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a unit may be called before it is a word of a command."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host.units import unit_name


@pytest.mark.parametrize(
    "text, name",
    [
        ("train", "train.service"),
        ("train.service", "train.service"),
        ("inference@a", "inference@a.service"),
        ("notebooks.socket", "notebooks.socket"),
        (r"mnt-my\x2ddisk.mount", r"mnt-my\x2ddisk.mount"),
        ("a" * 247, "a" * 247 + ".service"),
    ],
)
def test_units_and_short_names_of_services(text, name):
    assert unit_name("units[0]", text) == name


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "-x", "--now", "-.mount", "--now.service", "/", "../a.service", "a/b.service", "a b.service",
        "a\n", "a.service\n", "a\nb.service", "a\0", "a%i", "a*", "[a]", "@a", "worker@", "worker@.service", "ä",
        "a" * 248, ".hidden.service", None, 7, ["a.service"], {"a": 1},
    ],
)  # fmt: skip
def test_what_no_unit_is_called(text):
    with pytest.raises(MigError) as refusal:
        unit_name("units[0]", text)
    assert str(refusal.value).startswith("units[0]: got ")
    assert str(refusal.value).endswith("; expected a systemd unit such as train.service")
    assert "\n" not in str(refusal.value)
