"""A pilot whose vehicle does not take off as asked: it is down at once, or comes home."""

from __future__ import annotations

import asyncio

import pytest

from d2oc.agent import Agent
from d2oc.mission import prepare
from d2oc.runtime.agents import ground_of_team
from d2oc.scenario import load_scenario
from d2oc_hardware.drone_process import agents_of, limits_of, task_of
from d2oc_hardware.fleet import simulated_fleet
from d2oc_hardware.flight_controller import FlightError
from d2oc_hardware.frames import Place
from d2oc_hardware.guard import Guard
from d2oc_hardware.keep_out import Area
from d2oc_hardware.pilot import Phase, Pilot
from d2oc_hardware.simulated.autopilot import Autopilot
from d2oc_hardware.simulated.controller import SimulatedController
from d2oc_hardware.simulated.parameters import DEFAULTS, FOR_SWARMS
from d2oc_hardware.simulated.plant import PointMass


class Alone:
    """A radio with nobody in range."""

    def say_where(self, time, mate):
        pass

    def say(self, message):
        pass

    def teammates(self):
        return []

    def heard(self, place, reach):
        return []


def pilot_of(clock, **parameters):
    scenario = load_scenario("six_drones", overrides=["control.law=closed-form", "team.n_agents=1"])
    prepared = prepare(scenario)
    state = prepared.setup.initial_states[0]
    home = (float(state[0]), float(state[1]))
    fleet = simulated_fleet([home], [14550], 6.0)
    autopilot = Autopilot(PointMass(), {**DEFAULTS, **FOR_SWARMS, "SIM_EKF_DELAY": 0.0, **parameters})
    controller = SimulatedController(autopilot, Place(*home, 0.0), clock)
    boundary = [(float(x), float(y)) for x, y in prepared.field.boundary]
    guard = Guard(fleet.guard_limits(0), fleet.watch(), Area(fleet.fence(boundary, [])[0].corners, []), Area(boundary))
    task = task_of(scenario, prepared, fleet, 0)
    agent = Agent(agents_of(scenario, prepared)[0], ground_of_team(prepared.setup))
    pilot = Pilot(task, controller, guard, limits_of(prepared, 0), agent, Alone(), clock, lambda report: None)
    return pilot, controller


def test_a_vehicle_that_does_not_arm_is_down(timeless):
    async def flight(clock):
        pilot, controller = pilot_of(clock, SIM_BATT_PCT=5.0)
        await controller.connect()
        await clock.sleep(1.0)
        with pytest.raises(FlightError, match="Battery"):
            await pilot.take_off()
        assert pilot.phase == Phase.LANDING
        assert pilot.is_down

    timeless(flight)


def test_a_vehicle_that_climbs_too_slowly_comes_home(timeless):
    async def flight(clock):
        pilot, controller = pilot_of(clock, WPNAV_SPEED_UP=4.0)
        await controller.connect()
        flying = asyncio.ensure_future(pilot.run())
        with pytest.raises(FlightError, match="did not climb"):
            await pilot.take_off()
        assert pilot.phase == Phase.RETURNING
        while not pilot.is_down:
            pilot.operator_heard = clock.now()
            await clock.sleep(0.5)
        flying.cancel()
        assert controller.telemetry.landed

    timeless(flight)


def test_a_pilot_called_home_during_the_climb_stays_on_its_way_home(timeless):
    async def flight(clock):
        pilot, controller = pilot_of(clock)
        await controller.connect()
        rising = asyncio.ensure_future(pilot.take_off())
        while controller.telemetry.landed:
            await clock.sleep(0.2)
        pilot.go_home()
        await rising  # nobody flies the pilot here, so the vehicle climbs on
        assert pilot.phase == Phase.RETURNING

    timeless(flight)
