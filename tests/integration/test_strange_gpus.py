# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a GPU does in another way than usual, each layout is reached or refused as strange_gpus.yml has it."""

from __future__ import annotations

import functools
import multiprocessing
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from evidence import PAGE, table, write_evidence
from model_gpu import catalogue
from modules import ModulesHere
from strange import MODELS, NEWEST, PAIRS, Card, Walk, Wish, rows, switches, usual

from ansible_collections.gpufleet.mig.plugins.module_utils.apply import execution

SEEDS = range(8)
PROVE_SEEDS = 60
# What of it shows when the mode changes and when the host starts again.
LIFE = ("activation", "mode-off", "mig-off-profiles", "restart", "minor")
PASSED_THROUGH = ("reset-required", "not-supported", "refused")
# Before R525 a driver places compute instances itself, before R510 it does not let all GPU instances go together.
OLD_DRIVERS = ("460.73.01", "470.57.02", "510.47.03")


modules_here = functools.cache(ModulesHere)


@pytest.fixture
def here(simulator):
    """The real modules in this process."""
    return modules_here()


def walk(here, directory, model, strange, layouts, samples, driver=NEWEST):
    """Reach so many of the maximal layouts of a model, None for all of them, and so many others: the outcomes."""
    chance = random.Random(f"{model} {strange} {driver}")
    with Walk(here, directory, model, strange, chance, driver=driver) as gpu:
        maximal = gpu.card.maximal
        chosen = chance.sample(maximal, min(layouts or len(maximal), len(maximal)))
        wishes = [gpu.card.wish(layout, chance) for layout in chosen] + [
            gpu.card.sample(chance) for _ in range(samples)
        ]
        chance.shuffle(wishes)
        outcomes = [gpu.reach(wish) for wish in wishes]
        if "reached" in outcomes:
            gpu.told()
        return outcomes


def test_it_is_written_down_for_each_value_of_each_switch(simulator):
    there = {(name, word) for name, words in switches().items() for word in words}
    assert there <= rows().keys()


def what_must_hold():
    """strange_gpus.yml as lines of Markdown."""
    found = {}
    for (switch, value), row in rows().items():
        found.setdefault((switch, row["holds"]), []).append(value)
    lines = [f"| {switch} | {', '.join(values)} | {holds} |" for (switch, holds), values in found.items()]
    return ["| switch | values | the layout, or the mode, is |", "|---|---|---|", *lines]


def test_the_page_shows_what_must_hold(simulator):
    assert "\n".join(what_must_hold()) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("model", MODELS)
def test_every_maximal_layout(here, tmp_path, model, record_property):
    outcomes = walk(here, tmp_path, model, None, None, 3)
    record_property("strange", len(outcomes))
    assert set(outcomes) == {"reached"}


@pytest.mark.parametrize("switch", dict.fromkeys(name for name, _value in rows()))
def test_each_switch_alone(here, tmp_path, switch):
    for value in switches()[switch]:
        for number, model in enumerate(PAIRS):
            outcomes = walk(here, tmp_path / value / model, model, f"{switch}={value}", 1, number % 2)
            assert set(outcomes) <= {"reached", switch}


@pytest.mark.parametrize("model", MODELS)
def test_many_at_once_by_a_seed(here, tmp_path, model):
    for seed in SEEDS:
        assert walk(here, tmp_path / str(seed), model, f"random:{seed}", 1, 2)


@pytest.mark.parametrize("switch", LIFE)
def test_from_mode_off_over_a_reboot_to_mode_off(here, tmp_path, monkeypatch, switch):
    monkeypatch.setattr(execution, "ACTIVATION_SECONDS", 0.1)
    monkeypatch.setattr(execution, "ACTIVATION_POLL_SECONDS", 0.01)
    for value in switches()[switch]:
        for model in PAIRS[::2]:
            chance = random.Random(f"{model} {switch}={value}")
            with Walk(here, tmp_path / value / model, model, f"{switch}={value}", chance, off=True) as gpu:
                if value in PASSED_THROUGH:
                    gpu.host.simulator("passthrough", "on")
                gpu.live(gpu.card.wish(chance.choice(gpu.card.maximal), chance))


def test_who_has_a_gpu_open_is_in_the_way_of_its_mode_where_the_driver_says_so(here, tmp_path):
    for value in switches()["mode-clients"]:
        for model in PAIRS[::2]:
            with Walk(here, tmp_path / value / model, model, f"mode-clients={value}", random, off=True) as gpu:
                holder = gpu.host.hold("0")
                run = here.run(gpu.host, "mig_mode", {"state": "enabled"})
                if value == "ignored" and catalogue()[model]["architecture"] != "ampere":
                    run.ok()
                else:
                    assert rows()["mode-clients", "refused"]["says"] in run.failed()["msg"]
                    assert not gpu.look()["mig_mode_pending"]
                assert holder.poll() is None
                gpu.host.close()
                assert gpu.turn("enabled")


def test_who_uses_an_empty_gpu_is_in_the_way_of_its_first_instance_where_the_driver_says_so(here, tmp_path):
    for value in switches()["first-instance"]:
        for model in PAIRS[::2]:
            chance = random.Random(f"{model} {value}")
            with Walk(here, tmp_path / value / model, model, f"first-instance={value}", chance) as gpu:
                wish = gpu.card.wish(chance.choice(gpu.card.maximal), chance)
                for kind in ("hold",) if value == "free" else ("hold", "job"):
                    user = getattr(gpu.host, kind)("0")
                    if value == "free" or (kind, value) == ("hold", "processes"):
                        gpu.run(wish).ok()
                        assert gpu.card.holds(wish, gpu.card.instances(gpu.look()))
                    else:
                        assert rows()["first-instance", value]["says"] in gpu.run(wish).failed()["msg"]
                        assert not gpu.look()["instances"]
                    assert user.poll() is None
                    gpu.host.close()
                    gpu.look()
                    assert gpu.reach(wish) == gpu.reach(Wish(())) == "reached"


@pytest.mark.parametrize("driver", OLD_DRIVERS)
def test_older_drivers(here, tmp_path, driver):
    for number, model in enumerate(("A100-SXM4-40GB", "A100-SXM4-80GB", "A30-24GB")):
        for strange in ("compute-places=simple", "compute-places=model,combination=driver"):
            outcomes = walk(here, tmp_path / f"{number}-{strange}", model, strange, 1, 5, driver)
            assert set(outcomes) <= {"reached", "combination"}


def stretch(task):
    """One walk of test_every_switch_with_every_layout, in a process of its own: (its row of the table, outcomes)."""
    row, model, strange, layouts, samples = task
    directory = Path(tempfile.mkdtemp(prefix="strange-"))
    try:
        return row, walk(modules_here(), directory, model, strange, layouts, samples)
    finally:
        shutil.rmtree(directory)


@pytest.mark.prove
def test_every_switch_with_every_layout(simulator, progress):
    most = {model: len(Card(model, usual()).maximal) for model in MODELS}
    tasks = [
        (f"{switch}: {value}", model, f"{switch}={value}", None, most[model] // 4)
        for switch, values in switches().items()
        for value in values
        for model in PAIRS
    ]
    tasks += [
        (f"several at once, by {PROVE_SEEDS} seeds", model, f"random:{seed}", 10, 5)
        for seed in range(PROVE_SEEDS)
        for model in MODELS
    ]
    total = sum(
        samples + (most[model] if layouts is None else layouts) for _row, model, _how, layouts, samples in tasks
    )
    found = {row: Counter() for row, *_how in tasks}
    with multiprocessing.Pool() as pool, progress("strange GPUs", total) as tally:
        for row, outcomes in pool.imap_unordered(stretch, tasks):
            found[row].update(outcome == "reached" for outcome in outcomes)
            tally.step(len(outcomes))
    counted = [[row, sum(count.values()), count[True], count[False]] for row, count in found.items()]
    lines = table(["what is strange", "layouts", "reached", "refused"], counted)
    write_evidence("strange", [f"{total:,} layouts, {tally.seconds:,} s.", "", *lines])
