# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Strange simulated GPUs: what one can hold, layouts for it, and the real modules at work on it.

Nothing here knows the planner. What fits is counted from the simulator's catalogue and the switches, what is there is
what `mig-simulator show` says, and which refusals are right stands in tests/integration/strange_gpus.yml.
"""

from __future__ import annotations

import functools
import subprocess
from collections import Counter
from typing import NamedTuple

import yaml
from model_gpu import catalogue
from paths import ROOT, SIMULATOR
from simulated_host import SimulatedHost

TABLE = ROOT / "tests" / "integration" / "strange_gpus.yml"
MODELS = sorted(name for name, facts in catalogue().items() if facts["profiles"])
# Two of each generation.
PAIRS = ("A100-SXM4-40GB", "A30-24GB", "H100-SXM5-80GB", "H200-SXM5-141GB", "B200-SXM6-180GB")
PAIRS += ("RTX-PRO-6000-BLACKWELL-96GB",)

# Compute slices of the compute instance profiles by their ids; 7 is one slice with the place of two.
COMPUTE_SLICES = {0: 1, 1: 2, 2: 3, 3: 4, 4: 7, 7: 1}
DOUBLE = 7
# The simulator's own driver, and the first one with which two different profiles of half a GPU always go together.
NEWEST, R510 = "580.95.05", 510
REFUSED_HALVES = (("halves", True), ("halves", False), ("driver", True))
# How often a step of a change is refused once, which step, and how.
STUMBLES = 0.2
STEPS = (
    "nvmlComputeInstanceDestroy",
    "nvmlGpuInstanceDestroy",
    "nvmlDeviceCreateGpuInstanceWithPlacement",
    "nvmlGpuInstanceCreateComputeInstanceWithPlacement",
)
CODES = ("IN_USE", "INVALID_ARGUMENT", "INSUFFICIENT_RESOURCES", "UNKNOWN")
# Nothing needs more runs to get a mode.
RUNS = 4
# What a GPU instance with so many compute slices can hold wherever a driver places it; None spans.
WHOLE = (None,)
INSIDE = {
    1: (WHOLE,),
    2: (WHOLE, (1,), (1, 1)),
    3: (WHOLE, (1, 1, 1), (1, 2), (2,)),
    4: (WHOLE, (1, 1, 1, 1), (1, 1, 2), (2, 2)),
    7: (WHOLE, (1, 1, 1, 1, 1, 1, 1), (1, 2, 4), (3, 4), (1, 2, 2, 2)),
}


@functools.cache
def rows():
    """{(switch, value): what must hold}, see strange_gpus.yml."""
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return {(switch, value): row for switch, values in table.items() for value, row in values.items()}


@functools.cache
def switches():
    """{switch: {value: whether a host has it that asks for nothing}}, as `mig-simulator init --strange help` lists."""
    command = [str(SIMULATOR / "mig-simulator"), "init", "--strange", "help"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    pairs = (line.split("=", 1) for line in lines if line[0] not in " (")
    return {name: {word.rstrip("*"): word.endswith("*") for word in words.split("|")} for name, words in pairs}


def usual():
    """{switch: value} of a host that asks for nothing."""
    return {name: next(word for word, is_so in words.items() if is_so) for name, words in switches().items()}


class Profile(NamedTuple):
    """A GPU instance profile as a strange GPU has it; ``engines`` are decoders, encoders, JPEG and OFA engines."""

    name: str
    id: int
    slices: int
    size: int
    starts: tuple
    max: int
    engines: tuple


class Wanted(NamedTuple):
    """A GPU instance of a layout: profile id, start or None, and the compute slices of what is in it, None spanning."""

    profile: int
    start: int | None = None
    inside: tuple = WHOLE


class Wish(NamedTuple):
    """A layout: its GPU instances, whether it is written as counts, and whether profiles are written as ids."""

    wanted: tuple
    counts: bool = True
    by_id: bool = False


class Device(NamedTuple):
    """A compute instance that is there: compute slices (None: it spans), start, UUID, and who uses it."""

    slices: int | None
    start: int
    uuid: str
    clients: tuple


class Instance(NamedTuple):
    """A GPU instance that is there."""

    profile: int
    start: int
    devices: tuple

    @property
    def inside(self):
        return tuple(sorted((device.slices for device in self.devices), key=str))


class Card:
    """What a GPU of a model with these switches, {switch: value} of all of them, can hold under a driver."""

    def __init__(self, model, strange, driver=NEWEST):
        facts = catalogue()[model]
        branch = int(driver.partition(".")[0])
        table = facts["profiles"]
        self.model, self.driver, self.branch = model, driver, branch
        ids = [row["id"] for row in table]
        if strange["profile-ids"] == "reversed":
            ids.reverse()
        unit = 2 if strange["placement-unit"] == "halves" else 1
        found = [
            Profile(
                row["name"],
                identity,
                int(row["name"].split("g.")[0]),
                row["size"] * unit,
                tuple(start * unit for start in row["starts"]),
                row["max"],
                (row["dec"], row["enc"], row["jpeg"], row["ofa"]),
            )
            for row, identity in zip(table, ids, strict=True)
            if row.get("since", 0) <= branch
        ]
        self.plain = tuple(one.id for one in found)
        if strange["twin"] == "on":
            starts = found[0].starts[: (len(found[0].starts) + 1) // 2]
            most = min(found[0].max, len(starts))
            found.append(found[0]._replace(id=max(ids) + 1, starts=starts, max=most))
        self.strange = strange
        self.slices = facts["slices"]["memory"] * unit
        self.profiles = {one.id: one for one in found}
        self.engines = next(one.engines for one in found if one.size == self.slices)

    @property
    def layouts(self):
        """Every multiset of the model's own profiles that fits, as tuples of ids."""
        return [tuple(self.plain[at] for at in one) for one in _layouts(self.model, self.driver)[0]]

    @property
    def maximal(self):
        """Those to which nothing can be added."""
        return [tuple(self.plain[at] for at in one) for one in _layouts(self.model, self.driver)[1]]

    def fits(self, wanted):
        """Whether Wanteds fit together, by placements, maxima and engines."""
        return self.places(wanted) is not None

    def places(self, wanted, chance=None):
        """Starts for Wanteds, in their order, or None; with ``chance`` any, else the lowest."""
        wanted = list(wanted)
        counts = Counter(want.profile for want in wanted)
        used = [sum(self.profiles[one].engines[kind] * count for one, count in counts.items()) for kind in range(4)]
        if any(count > self.profiles[one].max for one, count in counts.items()):
            return None
        if any(need > most for need, most in zip(used, self.engines, strict=True)):
            return None
        order = sorted(
            range(len(wanted)), key=lambda at: (wanted[at].start is None, -self.profiles[wanted[at].profile].size)
        )
        found = self._place([wanted[at] for at in order], 0, chance)
        return found and [start for _at, start in sorted(zip(order, found, strict=True))] if wanted else []

    def _place(self, wanted, taken, chance):
        if not wanted:
            return []
        profile = self.profiles[wanted[0].profile]
        starts = [start for start in profile.starts if wanted[0].start in (None, start)]
        if chance:
            chance.shuffle(starts)
        for start in starts:
            place = ((1 << profile.size) - 1) << start
            rest = None if taken & place else self._place(wanted[1:], taken | place, chance)
            if rest is not None:
                return [start, *rest]
        return None

    def wish(self, layout, chance):
        """A Wish for one spanning MIG device in each GPU instance of a multiset of profile ids."""
        return Wish(tuple(map(Wanted, layout)), True, self._by_id(layout, chance))

    def sample(self, chance):
        """Any Wish: less than the GPU can hold, divided GPU instances, given placements."""
        layout = list(chance.choice(self.layouts))
        chance.shuffle(layout)
        starts = self.places(map(Wanted, layout), chance)
        wanted = []
        for identity, start in zip(layout, starts, strict=True):
            inside = chance.choice([WHOLE, *INSIDE[self.profiles[identity].slices], ()])
            wanted.append(Wanted(identity, chance.choice([None, start]), inside))
        counts = chance.random() < 0.4 and all(want.inside for want in wanted)
        if counts:
            wanted = [want._replace(start=None) for want in wanted]
        return Wish(tuple(wanted), counts, self._by_id(layout, chance))

    def _by_id(self, layout, chance):
        """Whether profiles must be written by their ids, or are by chance."""
        return self.strange["names"] != "given" or any(map(self._shared, layout)) or chance.random() < 0.1

    def _shared(self, identity):
        names = [profile.name for profile in self.profiles.values()]
        return names.count(self.profiles[identity].name) > 1

    def written(self, wish):
        """The option ``instances`` for a Wish."""

        def name(want, slices=None):
            outer = str(want.profile) if wish.by_id else self.profiles[want.profile].name
            return outer if slices is None else f"{slices}c.{outer}"

        if wish.counts:
            return dict(Counter(name(want, slices) for want in wish.wanted for slices in want.inside))
        return [
            {
                "profile": name(want),
                **({} if want.start is None else {"placement": want.start}),
                **({} if want.inside == WHOLE else {"compute_instances": [name(want, one) for one in want.inside]}),
            }
            for want in wish.wanted
        ]

    def refused(self, wish):
        """The (switch, value) for which a Wish must be refused, None where it must be reached."""
        if not wish.by_id and any(self._shared(want.profile) for want in wish.wanted):
            return "twin", "on"
        if self.strange["engines"] == "one-fewer" and self._decoders(wish) > self.engines[0] - 1:
            return "engines", "one-fewer"
        halves = {want.profile for want in wish.wanted if self.profiles[want.profile].size * 2 == self.slices}
        if len(halves) > 1 and (self.strange["combination"], self.branch < R510) in REFUSED_HALVES:
            return "combination", self.strange["combination"]
        return None

    def _decoders(self, wish):
        """How many decoders the profiles of a Wish say that they have together."""
        profiles = [self.profiles[want.profile] for want in wish.wanted]
        return sum(one.engines[0] - (one.size == self.slices) for one in profiles)

    def instances(self, gpu):
        """The Instances of a GPU as `mig-simulator show` tells it."""
        found = []
        for one in gpu["instances"]:
            profile = self.profiles[one["profile_id"]]
            assert one["profile"] == profile.name or self.strange["names"] == "renamed", (one, profile)
            devices = []
            for device in one["compute_instances"]:
                slices = COMPUTE_SLICES[device["profile_id"]]
                # Of several profiles with one slice the one that takes least is meant.
                assert device["profile_id"] != DOUBLE or profile.slices == 1, one
                pids = tuple(client["pid"] for client in device["clients"])
                spans = slices == profile.slices
                devices.append(Device(None if spans else slices, device["placement"]["start"], device["uuid"], pids))
            found.append(Instance(profile.id, one["placement"]["start"], tuple(devices)))
        return found

    def holds(self, wish, instances):
        """Whether Instances are what a Wish asks for, and nothing else."""
        if wish.counts:
            wanted = Counter((want.profile, slices) for want in wish.wanted for slices in want.inside)
            return all(one.devices for one in instances) and wanted == Counter(
                (one.profile, device.slices) for one in instances for device in one.devices
            )
        there = {one.start: one for one in instances}
        for want in wish.wanted:
            if want.start is not None:
                one = there.pop(want.start, None)
                if not one or (one.profile, one.inside) != (want.profile, _sorted(want.inside)):
                    return False
        free = Counter((want.profile, _sorted(want.inside)) for want in wish.wanted if want.start is None)
        return free == Counter((one.profile, one.inside) for one in there.values())

    def may_stay(self, wish, instances):
        """UUIDs of the MIG devices that some arrangement of a Wish leaves alone."""
        stay = []
        for one in instances:
            for at, want in enumerate(wish.wanted):
                same = (want.profile, _sorted(want.inside)) == (one.profile, one.inside)
                if same and want.start in (None, one.start):
                    rest = (*wish.wanted[:at], *wish.wanted[at + 1 :])
                    if self.fits([want._replace(start=one.start), *rest]):
                        stay += [device.uuid for device in one.devices]
                    break
        return stay

    def must_go(self, wish, instances):
        """UUIDs of the MIG devices that no arrangement of a Wish has."""
        kept = {want.profile for want in wish.wanted}
        return [device.uuid for one in instances if one.profile not in kept for device in one.devices]


@functools.cache
def _layouts(model, driver):
    """(every multiset of a model's profiles that fits, those that are maximal), as sorted tuples of positions."""
    card = Card(model, usual(), driver)
    positions = range(len(card.plain))
    found = frontier = {()}
    while frontier:
        more = {tuple(sorted((*one, at))) for one in frontier for at in positions}
        frontier = {one for one in more - found if card.fits(Wanted(card.plain[at]) for at in one)}
        found = found | frontier
    maximal = [one for one in found if not any(tuple(sorted((*one, at))) in found for at in positions)]
    return sorted(found), sorted(maximal)


def _sorted(inside):
    return tuple(sorted(inside, key=str))


class Walk:
    """A host with one strange GPU that gets layout after layout, while somebody uses what may stay; a context manager.

    ``strange`` is what --strange takes, or None. With ``off`` MIG is off at first.
    """

    def __init__(self, modules, directory, model, strange, chance, off=False, driver=NEWEST):
        self.modules, self.chance = modules, chance
        self.host = SimulatedHost("strange", directory)
        self.name = f"{model} {strange or 'plain'} {driver}"
        options = [*([] if off else ["--mig"]), *(["--strange", strange] if strange else []), "--driver", driver]
        self.host.simulator("init", *options, model)
        shown = self.host.show()
        self.card = Card(model, {**usual(), **shown["strange"]}, driver)
        (self.gpu,) = shown["gpus"]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.host.close()

    def told(self):
        """What mig_facts tells is what is there, and its layout, asked for, has nothing to do."""
        facts = self.modules.run(self.host, "mig_facts", {}).ok()["ansible_facts"]["mig"]["gpus"][0]
        assert [_identities(one) for one in facts["instances"]] == [
            _identities(one, index="mig_index") for one in self.gpu["instances"]
        ]
        again = self.modules.run(self.host, "mig_instances", {"layout": [facts["layout"]]}).ok()
        assert (again["changed"], again["plan"]) == (False, []), (facts["layout"], again)

    def turn(self, state):
        """Set the MIG mode, again after a reboot where the result asks for one: whether it is active in the end."""
        for _run in range(RUNS):
            run = self.modules.run(self.host, "mig_mode", {"state": state})
            gpu = self.look()
            pending = gpu["mig_mode"] != gpu["mig_mode_pending"]
            result = run.ok()
            assert (result["reset_required"] or result["reboot_required"]) == pending, (result, gpu)
            if not pending:
                return gpu["mig_mode"] == (state == "enabled")
            self.reboot()
        return False

    def reboot(self):
        """Reboot the host."""
        self.host.simulator("reboot")
        self.look()

    def live(self, wish):
        """From mode off to a layout, over a reboot, and to mode off again."""
        assert self.run(wish, rehearse=True).ok()["changed"] is False
        assert self.turn("enabled")
        assert self.reach(wish) == "reached"
        self.reboot()
        assert self.turn("enabled")
        stayed = len(self.gpu["instances"])
        result = self.run(wish).ok()
        assert self.card.holds(wish, self.card.instances(self.look())), (self.gpu, result)
        actions = Counter(step["action"] for step in result["plan"])
        assert actions["create_gpu_instance"] == len(wish.wanted) - stayed, result["plan"]
        assert set(actions) <= {"create_gpu_instance", "create_compute_instance"}, result["plan"]
        assert self.turn("disabled")
        assert not self.gpu["instances"]

    def look(self):
        """Read the GPU as it is now."""
        (self.gpu,) = self.host.show()["gpus"]
        return self.gpu

    def run(self, wish, **options):
        """Ask for a Wish."""
        return self.modules.run(self.host, "mig_instances", {"instances": self.card.written(wish), **options})

    def reach(self, wish):
        """Ask for a Wish and hold what comes of it against what must hold: reached, or the switch of the refusal."""
        try:
            return self._reach(wish)
        except AssertionError as error:
            gpu = self.gpu["instances"]
            raise AssertionError(f"{self.name}: {self.card.written(wish)} from {gpu}: {error}") from error

    def _reach(self, wish):
        if self.chance.random() < STUMBLES and not self.card.refused(wish):
            self._stumble(wish)
        before = self.gpu
        there = self.card.instances(before)
        why = self.card.refused(wish)
        busy = self._busy(self.card.may_stay(wish, there))
        if not why and not busy:
            self._obstruct(wish, there, before)
            before = self.gpu
        result = self.run(wish)
        after = self.look()
        if busy:
            self._lives(busy, before)
            self.host.close()
            self.look()
        if why:
            assert rows()[why]["says"] in result.failed()["msg"], result.result["msg"]
            assert not result.result.get("left"), result.result
            assert _places(self.card.instances(after)) == _places(there), after
            return why[0]
        result = result.ok()
        assert self.card.holds(wish, self.card.instances(after)), (after, result)
        assert result["changed"] == bool(result["plan"]), result
        assert not busy or busy[0] in result["kept"], (busy, result)
        made = {
            step["uuid"]: (step["gpu_instance"]["start"], step["placement"]["start"])
            for step in result["done"]
            if step["action"] == "create_compute_instance"
        }
        there = {device.uuid: (one.start, device.start) for one in self.card.instances(after) for device in one.devices}
        assert made.items() <= there.items(), (made, there)
        reached = self.gpu
        again = self.run(wish).ok()
        assert (again["changed"], again["plan"]) == (False, []), again
        assert self.look() == reached
        return "reached"

    def _stumble(self, wish):
        """One step of the change is refused: the layout is reached all the same, or all is as it was."""
        before = self.card.instances(self.gpu)
        function, code = self.chance.choice(STEPS), self.chance.choice(CODES)
        nth = self.chance.randint(1, 1 + len(wish.wanted))
        self.host.simulator("fault", function, "--nth", str(nth), "--return", code)
        run = self.run(wish)
        self.host.simulator("fault", "--clear")
        after = self.card.instances(self.look())
        if run.status:
            assert not run.failed().get("left"), run.result
            assert _places(after) == _places(before), (function, nth, code, run.result, self.gpu)
        else:
            assert self.card.holds(wish, after), (function, nth, code, run.result, self.gpu)

    def _busy(self, uuids):
        """Start a job on one of these MIG devices: (UUID, the job), or None."""
        if not uuids:
            return None
        uuid = self.chance.choice(uuids)
        return uuid, self.host.job(uuid)

    def _lives(self, busy, before):
        """The job is there, on the MIG device that it had, where that was."""
        uuid, job = busy
        was, now = (
            [
                (one.profile, one.start, device.slices, device.start)
                for one in self.card.instances(gpu)
                for device in one.devices
                if device.uuid == uuid and (gpu is before or device.clients == (job.pid,))
            ]
            for gpu in (before, self.gpu)
        )
        assert job.poll() is None
        assert len(now) == 1
        assert was == now, (was, now, self.gpu)

    def _obstruct(self, wish, there, before):
        """Somebody uses a MIG device that may be in the way: the layout is reached with it, or he is named."""
        must_go = self.card.must_go(wish, there)
        busy = self._busy(must_go or [device.uuid for one in there for device in one.devices])
        if not busy:
            return
        run = self.run(wish)
        self.look()
        self._lives(busy, before)
        if run.status:
            assert f"process {busy[1].pid}" in run.failed()["msg"], run.result["msg"]
            assert [one["uuid"] for one in run.result["must_be_free"]] == [busy[0]], run.result["must_be_free"]
            assert _places(self.card.instances(self.gpu)) == _places(there)
        else:
            assert busy[0] not in must_go, run.result
            assert self.card.holds(wish, self.card.instances(self.gpu)), run.result
        self.host.close()
        self.look()


def _identities(instance, index="index"):
    inside = [(one["id"], one["placement"], one["uuid"], one[index]) for one in instance["compute_instances"]]
    return instance["id"], instance["placement"], sorted(inside, key=str)


def _places(instances):
    return [(one.profile, one.start, sorted((str(d.slices), d.start) for d in one.devices)) for one in instances]
