"""Spraying missions flown by pilots, guards and simulated autopilots: sorties, the pump, the word of the operator."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import numpy as np
import pytest

from d2oc.mission import prepare_farm, simulate
from d2oc.scenario import load_scenario
from d2oc.transport.wasserstein import wasserstein2
from d2oc_hardware.fleet import simulated_fleet
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.pilot import Phase
from d2oc_hardware.simulated.autopilot import CopterMode
from d2oc_hardware.simulated.plant import RigidBody, lag_of
from d2oc_hardware.swarm import require_flyable, require_pads


@pytest.fixture(scope="session")
def flown(fly, small):
    return fly(load_scenario(small))


def test_machines_spray_refill_and_land(flown, small):
    simulated = simulate(load_scenario(small)).summary()
    assert [s["landed"] for s in flown.summaries] == [True, True]
    assert flown.causes == [[], []]
    assert sum(s["sorties"] for s in flown.summaries) > 2  # somebody has come back and gone out again
    assert flown.missed < simulated["missed_percent"] + 4.0  # in flight nobody goes out again for what was missed
    assert sum(s["litres_by_plan"] for s in flown.summaries) == pytest.approx(simulated["litres"], rel=0.2)
    assert flown.w2 == pytest.approx(simulated["w2_m"], rel=0.1)


def test_slow_vehicles_spray_to_the_ends_of_passes_and_go_on_where_they_left_them(fly, small):
    farm = load_scenario(Path(small).with_name("small_farm.toml"))
    simulated = simulate(farm).summary()
    flown = fly(farm, lag=0.8)
    assert flown.missed < simulated["missed_percent"] + 2.0
    assert sum(s["litres_by_plan"] for s in flown.summaries) == pytest.approx(simulated["litres"], rel=0.03)


def test_four_rigid_sprayers_spray_a_field_as_it_was_simulated(fly, small):
    """Rigid bodies whose tanks drain, on both sides."""
    farm = load_scenario(Path(small).with_name("small_farm.toml"), overrides=["world.kind=bullet"])
    simulated = simulate(farm)
    flown = fly(farm, plant=lambda response: RigidBody("sprayer"), lag=lag_of("bullet", "sprayer"))
    assert flown.causes == [[], [], [], []]
    assert flown.missed < simulated.summary()["missed_percent"] + 2.0
    assert sum(s["litres_by_plan"] for s in flown.summaries) == pytest.approx(simulated.summary()["litres"], rel=0.03)
    assert flown.w2 == pytest.approx(simulated.summary()["w2_m"], rel=0.1)
    ticks = [row for rows in flown.reports for row in rows.values()]
    columns = simulated.trajectory
    laid = [
        w2_of_litres(litres, east, north, simulated.samples)
        for litres, east, north in (
            (columns["spray_l_min"], columns["x_m"], columns["y_m"]),
            np.array([[row["machine"]["spray_l_min"], row["state"][0], row["state"][2]] for row in ticks]).T,
        )
    ]
    assert laid[1] == pytest.approx(laid[0], rel=0.1)


def w2_of_litres(litres, east, north, samples):
    """How far the liquid would have to be moved to lie as it was wanted. [m]"""
    places, wanted = np.column_stack([east, north]), np.column_stack([samples["x_m"], samples["y_m"]])
    on = litres > 0.0
    return wasserstein2(places[on], litres[on] / litres[on].sum(), wanted, samples["weight"]).value


def test_what_is_counted_is_what_was_pumped(flown):
    for summary in flown.summaries:
        assert summary["litres_by_pump"] == pytest.approx(summary["litres_by_plan"], rel=0.03, abs=0.04)


def test_the_pump_runs_on_passes_only(flown):
    for rows in flown.reports:
        for row in rows.values():
            assert row["pump"] == 0.0 or row["phase"] in (Phase.MISSION, Phase.RETURNING, Phase.TRANSIT)
            assert row["pump"] == 0.0 or row["height"] > 2.0
    assert all(s["spray_outside_mission_s"] == 0.0 for s in flown.summaries)


def test_nothing_comes_down_on_the_hive_and_no_dose_is_above_the_label(flown):
    cells = flown.cells
    hive = (abs(cells["x_m"] - 49) < 3) & (abs(cells["y_m"] - 25) < 3)
    assert hive.sum() > 30
    assert cells["deposit_l_ha"][hive].max() == 0.0
    assert (cells["deposit_l_ha"] <= cells["maximum_l_ha"] + 1e-9).all()


def test_programs_that_stand_still_now_and_then_count_what_was_sprayed_where_it_was(fly, small, flown):
    async def busy_computer(pilots, clock):
        while not all(pilot.is_down for pilot in pilots):
            await clock.sleep(7.0)
            asyncio.get_running_loop()._times.now += 0.9  # nobody runs meanwhile, and the vehicles fly on
            for pilot in pilots:
                pilot.serviced()

    stopped = fly(load_scenario(small), beside=busy_computer)
    assert max(max(pilot.periods) for pilot in stopped.pilots) > 0.8
    assert stopped.causes == [[], []]
    assert stopped.missed < flown.missed + 4.0
    assert (stopped.cells["deposit_l_ha"] <= stopped.cells["maximum_l_ha"] + 1e-9).all()


def test_every_machine_knows_what_all_have_laid_where_they_laid_it(flown):
    laid = flown.cells["deposit_l_ha"]
    for pilot in flown.pilots:
        known = pilot._machine._runtime.ground.known
        assert known.sum() == pytest.approx(laid.sum(), rel=0.01)
        assert abs(known - laid).max() < 0.12 * laid.max()  # told in metres and litres, each period evenly


def test_a_machine_on_the_ground_waits_for_the_word_of_the_operator(fly, small):
    seen = []

    async def operator(pilots, clock):
        while not any(pilot.phase == Phase.SERVICE for pilot in pilots):
            await clock.sleep(1.0)
        await clock.sleep(300.0)
        waiting = [pilot for pilot in pilots if pilot.phase == Phase.SERVICE]
        seen.append([(p._controller.telemetry.armed, p._controller.telemetry.battery) for p in waiting])
        while not all(pilot.is_down for pilot in pilots):
            for pilot in pilots:
                pilot.serviced()
            await clock.sleep(5.0)

    flown = fly(load_scenario(small), beside=operator)
    assert seen
    assert all(not armed and battery == 1.0 for armed, battery in seen[0])
    assert max(len(rows) for rows in flown.reports) * 0.5 > 300.0
    assert sum(s["sorties"] for s in flown.summaries) > 2


def test_a_machine_whose_battery_calls_it_home_goes_on_with_a_fresh_one(fly, small):
    drained = []

    async def operator(pilots, clock):
        pilot = pilots[0]
        while pilot.phase != Phase.MISSION:
            await clock.sleep(1.0)
        await clock.sleep(4.0)
        pilot._controller._autopilot.battery = 0.2
        drained.append(pilot.summary()["sorties"])
        while not all(p.is_down for p in pilots):
            for p in pilots:
                p.serviced()
            await clock.sleep(5.0)

    flown = fly(load_scenario(small), beside=operator)
    first, second = flown.summaries
    assert first["causes"] == ["the battery is needed for the way home"]
    assert first["sorties"] > drained[0]
    assert first["landed"]
    assert second["causes"] == []


def test_a_machine_that_its_pilot_lands_stays_down_and_the_other_finishes(fly, small, flown):
    together = flown

    async def operator(pilots, clock):
        while pilots[0].phase != Phase.MISSION:
            await clock.sleep(1.0)
        pilots[0]._controller._autopilot.set_mode(CopterMode.LAND)
        while not all(p.is_down for p in pilots):
            pilots[1].serviced()
            await clock.sleep(5.0)

    flown = fly(load_scenario(small), beside=operator)
    first, second = flown.summaries
    assert first["sorties"] == 1
    assert first["causes"] == ["a pilot has changed the mode"]
    assert second["sorties"] >= 1
    assert second["causes"] == []
    assert all(s["landed"] for s in flown.summaries)
    assert flown.missed < together.missed + 6.0  # it has flown the passes of the first one, too


def test_a_called_home_machine_stays_home(fly, small):
    async def operator(pilots, clock):
        await clock.sleep(45.0)
        for pilot in pilots:
            pilot.go_home()

    flown = fly(load_scenario(small), beside=operator)
    assert [s["sorties"] for s in flown.summaries] == [1, 1]
    assert all(s["landed"] for s in flown.summaries)


def test_methods_without_passes_and_homes_off_the_pads_are_refused(small):
    scenario = load_scenario(small, overrides=["spray.method=hedac"])
    homes = [(30.0, -6.0), (35.0, -6.0)]
    fleet = simulated_fleet(homes, [1, 2], 6.0)
    with pytest.raises(FlightError, match=r"spray.method = hedac cannot be flown, only d2oc"):
        require_flyable(scenario, fleet)
    scenario = load_scenario(small)
    _, farm = prepare_farm(scenario)
    require_pads(scenario, fleet, farm)
    elsewhere = simulated_fleet([homes[0], (45.0, -6.0)], [1, 2], 6.0)
    with pytest.raises(FlightError, match=r"drones\[1\].home_m must be \[35, -6\]"):
        require_pads(scenario, elsewhere, farm)


def test_a_flow_told_ahead_is_the_flow_of_the_plan(small):
    _, farm = prepare_farm(load_scenario(small, overrides=["field.no_spray_zones=[]"]))
    runtime = farm.runtime
    for k in range(400):
        runtime.step(k)
        drone = runtime.drones[0]
        if drone.phase == Phase.MISSION and drone.on_pass and drone.pump > 0.0:
            break
    runtime.ground.known[:] = 0.0
    place = runtime.team.position[0]
    velocity = runtime.team.state[0][runtime.motion.velocity_states[0]]
    wanted = runtime.wanted_flow(0, place, velocity)
    passes = runtime.plan.passes[drone.leg.segment.lattice]
    lines = passes.lines
    along = (place + runtime.task.shift - [lines.x, lines.y]) @ [lines.cos, lines.sin]
    rate = passes.flow[drone.leg.segment.line, math.floor(along / lines.slot)]
    assert rate > 0
    expected = rate * 1e-4 * lines.spacing * np.hypot(*velocity) / (1.0 - runtime.task.spray.evaporated_share)
    assert wanted == pytest.approx(expected, rel=0.1)
    assert runtime.wanted_flow(0, place, np.zeros(2)) == 0.0
    assert runtime.wanted_flow(0, np.array([-500.0, 0.0]), velocity) == 0.0
