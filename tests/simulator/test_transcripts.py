# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real cards showed (transcripts/), made in the same order on the simulated model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

TRANSCRIPTS = {path.stem: path for path in sorted((Path(__file__).parent / "transcripts").glob("*.yml"))}

NUMBER = r"(\d+)"
ROWS = {
    "lgi": rf"\|\s+\d+\s+MIG (\S+)\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}:{NUMBER} +\|",
    "lci": rf"\|\s+\d+\s+{NUMBER}\s+MIG (\S+)\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}:{NUMBER} +\|",
    "L": rf"  MIG (\S+)\s+Device\s+{NUMBER}:",
    "lgip": rf"\|\s+\d+\s+MIG (\S+)\s+{NUMBER}\s+{NUMBER}/{NUMBER}\s+([\d.]+)\s+\w+"
    rf"\s+{NUMBER}\s+{NUMBER}\s+{NUMBER} +\|\n\|\s+{NUMBER}\s+{NUMBER}\s+{NUMBER} +\|",
}


class Card:
    """A simulated card, read and changed with nvidia-smi alone, as the real ones were."""

    def __init__(self, host, build, facts):
        self.host, self.smi = host, build / "nvidia-smi"
        options = ["--mig"] if facts.get("mig", True) else []
        options += ["--strange", facts["strange"]] if "strange" in facts else []
        host.command("init", *options, "--driver", facts["driver"], facts["model"])

    def run(self, *arguments):
        done = self.host.program(self.smi, *arguments)
        assert done.returncode == 0, f"nvidia-smi {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def listing(self, name):
        """The rows of a listing, in the order shown; numbers as numbers."""
        text = self.run("-L") if name == "L" else self.run("mig", f"-{name}")
        return [[_value(field) for field in row] for row in re.findall(ROWS[name], text)]

    def make(self, wanted):
        """Create a GPU instance and what it holds; return [GPU instance id, compute profile id...]."""
        place = f":{wanted['start']}" if "start" in wanted else ""
        said = self.run("mig", "-cgi", f"{wanted['profile']}{place}")
        instance = int(re.search(rf"GPU instance ID +{NUMBER} on", said)[1])
        for compute in wanted.get("compute", []):
            self.run("mig", "-cci", str(compute["profile"]), "-gi", str(instance))
        return [instance, *(compute["profile"] for compute in wanted.get("compute", []))]


def _value(field):
    return int(field) if field.isdigit() else float(field) if re.fullmatch(r"\d+\.\d+", field) else field


def _same_profiles(found, seen, tolerance):
    assert [[*row[:4], *row[5:]] for row in found] == [[*row[:4], *row[5:]] for row in seen]
    for row, wanted in zip(found, seen, strict=True):
        assert row[4] == pytest.approx(wanted[4], rel=tolerance, abs=0.011), row[0]


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_the_simulated_card_shows_what_the_real_one_did(host, simulator_build, name):
    facts = yaml.safe_load(TRANSCRIPTS[name].read_text(encoding="utf-8"))
    card = Card(host, simulator_build, facts)
    seen_empty = facts.get("lgip_of_an_empty_gpu", False)
    profiles = card.listing("lgip") if seen_empty else []
    created = [card.make(wanted) for wanted in facts["made"]]
    assert set(facts["has"]) == facts.keys() & {*ROWS, "created"}
    for listing in facts["has"]:
        if listing == "created":
            assert created == facts["created"]
        elif listing == "lgip":
            found = profiles or card.listing("lgip")
            shown = [row[0] for row in facts["lgip"]]
            _same_profiles([row for row in found if row[0] in shown], facts["lgip"], facts.get("memory_tolerance", 0))
        else:
            assert card.listing(listing) == facts[listing]


def test_what_a_transcript_says_of_itself():
    assert len(TRANSCRIPTS) >= 12
    for name, path in TRANSCRIPTS.items():
        facts = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert facts["source"] and facts["driver"] and facts["has"], name
