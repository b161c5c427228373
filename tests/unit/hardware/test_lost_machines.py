"""What a machine leaves is flown by the others, once; who is done helps; nothing depends on one word being heard."""

from __future__ import annotations

import functools
import itertools
import random
from dataclasses import replace

import msgspec
import pytest

from d2oc.mission import prepare_farm
from d2oc.phases import Phase
from d2oc.scenario import load_scenario
from d2oc.spray.work import Slots, left_of
from d2oc_hardware.machine import Machine
from d2oc_hardware.teamwork import Word

LARGER = (
    "team.n_agents=3", "field.width_m=110", "field.height_m=80", "field.no_spray_zones=[]", "vehicle.liquid_l=3.0",
    "density.components=[{mean_m = [55, 40], sigma_m = [26, 17], weight = 1.0}]",
    "stations=[{place_m = [55, -6], slots = 2, fill_l_min = 30.0, swap_s = 20.0, handling_s = 5.0}]",
)  # fmt: skip


@pytest.fixture(scope="module")
def three(small):
    return load_scenario(small, overrides=LARGER)


@pytest.fixture(scope="module")
def unharmed(fly, three):
    return fly(three)


def keeps_the_label(flown):
    return (flown.cells["deposit_l_ha"] <= flown.cells["maximum_l_ha"] + 1e-9).all()


@pytest.mark.parametrize(("number", "at"), [(0, 40.0), (1, 60.0), (2, 5.0)])
def test_the_others_fly_what_a_killed_program_leaves(fly, three, unharmed, number, at):
    """On its passes, while it lands beside the others' pads, while it takes off."""
    flown = fly(three, kill={number: at})
    assert all(summary["landed"] for summary in flown.summaries)
    assert flown.causes == [[], [], []]
    assert flown.missed < unharmed.missed + 3.0  # of the pass that it was on, a few metres may be sprayed already
    assert keeps_the_label(flown)
    others = [p for n, p in enumerate(flown.pilots) if n != number]
    assert sum(p._machine.litres for p in others) > sum(
        s["litres_by_plan"] for n, s in enumerate(unharmed.summaries) if n != number
    )


def test_without_a_takeover_more_would_be_missed(fly, three, unharmed, monkeypatch):
    monkeypatch.setattr("d2oc_hardware.teamwork.Teamwork.to_divide", lambda self, k: None)
    monkeypatch.setattr("d2oc_hardware.teamwork.Teamwork.is_over", lambda self, k: True)
    assert fly(three, kill={1: 40.0}).missed > unharmed.missed + 15.0


def test_two_die_and_the_last_one_flies_all_that_is_left_though_a_third_of_all_words_is_lost(
    fly, three, unharmed, lossy
):
    flown = fly(three, kill={0: 30.0, 2: 50.0}, radio=lossy)
    assert all(summary["landed"] for summary in flown.summaries)
    assert flown.missed < unharmed.missed + 4.0
    assert keeps_the_label(flown)


def test_drones_of_limited_range_keep_to_what_was_reserved_for_them(fly, small):
    flown = fly(load_scenario(small, overrides=["radio.comm_range_m=15"]))
    assert all(summary["landed"] for summary in flown.summaries)
    assert keeps_the_label(flown)
    assert all(pilot._machine.team._share is None for pilot in flown.pilots)


def test_a_machine_that_was_given_up_goes_home_and_sprays_no_more(fly, three):
    litres = []

    async def ground_station(pilots, clock):
        while pilots[1].phase != Phase.MISSION:
            await clock.sleep(0.5)
        await clock.sleep(3.0)
        for pilot in pilots:
            pilot.gone = frozenset({1})
        await clock.sleep(2.0)
        litres.append(pilots[1].summary()["litres_by_pump"])
        while not all(pilot.is_down for pilot in pilots):
            for pilot in (pilots[0], pilots[2]):
                pilot.serviced()
            await clock.sleep(1.0)

    flown = fly(three, beside=ground_station)
    assert flown.summaries[1]["litres_by_pump"] == litres[0]
    assert flown.summaries[1]["sorties"] == 1
    assert all(summary["landed"] for summary in flown.summaries)


def test_a_pause_of_a_minute_sends_nobody_home(fly, three, unharmed):
    async def operator(pilots, clock):
        while pilots[1].phase != Phase.MISSION:
            await clock.sleep(0.5)
        for pilot in pilots:
            pilot.pause()
        await clock.sleep(60.0)
        for pilot in pilots:
            await pilot.engage()
            pilot.begin(clock.now() + 1.0)
        while not all(pilot.is_down for pilot in pilots):
            for pilot in pilots:
                pilot.serviced()
            await clock.sleep(1.0)

    flown = fly(three, beside=operator)
    assert flown.causes == [[], [], []]
    assert flown.missed < unharmed.missed + 3.0


# Words alone, no flight


@functools.cache
def _planned(scenario):
    plan = prepare_farm(scenario)[1].runtime.plan
    return replace(plan, routes=[[leg for route in plan.routes for leg in route], [], []])


class Desk:
    """Machines of a plan that all stands in the route of the first one; they only talk."""

    def __init__(self, scenario):
        plan = prepare_farm(scenario, _planned(scenario))[1].runtime.plan
        self.machines = [Machine(prepare_farm(scenario, plan)[1].runtime, r, 0.1) for r in range(3)]
        self.teams = [machine.team for machine in self.machines]
        self.passes = plan.passes
        self.whole = [leg.segment for leg in plan.routes[0]]

    def talk(self, k, *, silent=(), ended=(), lost=lambda a, b: False):
        words = [(r, team.word(k, ended=r in ended)) for r, team in enumerate(self.teams) if r not in silent]
        for (sender, word), (r, team) in itertools.product(words, enumerate(self.teams)):
            if sender != r and r not in silent and not lost(sender, r):
                team.hear(word, k)

    def share(self, k):
        for team in self.teams:
            divide = team.to_divide(k)
            if divide is not None:
                team.take(divide())

    def ways(self, r):
        return [leg.segment for leg in self.machines[r]._drone.route]


def test_who_is_done_early_helps_and_every_slot_is_flown_once(three):
    desk = Desk(three)
    assert desk.machines[1].is_idle
    for k in (0, 100, 101):
        desk.talk(k)
        desk.share(k)
    for team in desk.teams:
        team.obey(102, at_once=True)
    parts = [desk.ways(r) for r in range(3)]
    assert all(parts)
    held = [Slots(desk.passes, own) for own in parts]
    sprayed = [own.flow > 0 for own in desk.passes]
    for lattice, on in enumerate(sprayed):
        times = sum(h._held[lattice].astype(int) for h in held)
        whole = Slots(desk.passes, desk.whole)._held[lattice]
        assert (times[on & whole] == 1).all()


def test_a_machine_that_waits_for_a_person_is_given_nothing_to_help_with(three):
    desk = Desk(three)
    for team in desk.teams[1:]:
        team.own_waits = True
    for k in (0, 100, 101):
        desk.talk(k)
        desk.share(k)
    assert all(team._share is None for team in desk.teams)


def test_a_silent_machine_is_lost_only_if_the_ground_station_does_not_hear_it_either(three):
    desk = Desk(three)
    desk.talk(0)
    desk.talk(30, silent=[0])
    assert [team.lost(30) for team in desk.teams[1:]] == [frozenset(), frozenset()]
    desk.teams[1].gone = desk.teams[2].gone = frozenset({0})
    assert [team.lost(30) for team in desk.teams[1:]] == [{0}, {0}]
    assert not desk.teams[1].is_over(30)
    for k in (30, 31):
        desk.share(k) if k == 30 else None
        desk.talk(k, silent=[0])
    for team in desk.teams[1:]:
        team.obey(32, at_once=True)
    assert desk.ways(1)
    assert desk.ways(2)
    assert desk.teams[1]._share == desk.teams[2]._share


def test_the_mission_is_over_when_all_are_idle_or_lost_and_nothing_is_left(three):
    desk = Desk(three)
    desk.talk(0)
    assert not desk.teams[1].is_over(0)  # the first one has everything to do still
    drone = desk.machines[0]._drone
    drone.flown, drone.route, drone.phase = list(desk.whole), [], Phase.GROUND
    desk.talk(1)
    assert desk.teams[1].is_over(1)


@pytest.mark.parametrize("seed", range(4))
def test_words_that_are_lost_or_late_lead_to_the_same_knowledge(three, seed):
    desk, chance = Desk(three), random.Random(seed)
    drone = desk.machines[0]._drone
    words = []
    for k in range(len(desk.whole)):
        drone.flown.append(drone.route.pop(0).segment)
        words.append(desk.teams[0].word(k, ended=False))
    kept = [word for word in words[:-1] if chance.random() < 0.5]
    chance.shuffle(kept)
    for word in [*kept, words[-1], *kept]:
        desk.teams[1].hear(word, 5)
    for part in desk.whole:
        assert left_of(desk.passes, part, desk.teams[1]._flown) == []


def test_what_is_no_word_of_this_mission_is_dropped(three):
    desk = Desk(three)
    good = msgspec.msgpack.decode(desk.teams[0].word(3, ended=False), type=Word)
    team, before = desk.teams[1], dict(desk.teams[1]._words)
    wrong = [
        {"version": 99}, {"sender": 1}, {"sender": 7}, {"station": 9}, {"phase": 77}, {"place": (float("nan"), 0.0)},
        {"flown": ((0, 0, 5, 2),)}, {"route": ((9, 0, 0, 1, True),)}, {"of_pass": (None, (0, -1, 0, 1), True)},
    ]  # fmt: skip
    for change in wrong:
        team.hear(msgspec.msgpack.encode(msgspec.structs.replace(good, **change)), 3)
    chance = random.Random(1)
    for _ in range(2000):
        data = bytearray(msgspec.msgpack.encode(good))
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        team.hear(bytes(data[: chance.randrange(len(data))]), 3)
    assert team._words == before
    team.hear(msgspec.msgpack.encode(good), 3)
    assert team._words == {0: good}
