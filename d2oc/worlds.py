"""The `[world]` of a scenario."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from d2oc.airframes.airframe import Airframe, load_preset
from d2oc.arrays import Floats
from d2oc.bus.from_scenario import first_ticks
from d2oc.runtime.inline import TeamSetup
from d2oc.scenario.schema import Scenario, VehicleTable, WindTable
from d2oc.team import SENSOR_STREAM, WIND_STREAM, random_stream
from d2oc.vehicles.motion import motion_arrays
from d2oc.world import World
from d2oc.world.bullet import BulletSetup, BulletWorld
from d2oc.world.failing import FailingWorld
from d2oc.world.ideal import IdealWorld
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.wind import Wind, low_altitude_gusts

CLEARANCE = 0.5
"""Between the bodies of drones that fly one above the other. [m]"""


def build_world(scenario: Scenario, team: TeamSetup, vehicles: Sequence[VehicleTable]) -> World | None:
    """World of a scenario.

    Parameters
    ----------
    scenario : Scenario
        Which world, wind and sensors.
    team : TeamSetup
        Who flies, with which model.
    vehicles : sequence of VehicleTable
        One for each kind of agent.

    Returns
    -------
    world : World or None
        None: the ideal world, which needs no more than the team.

    Raises
    ------
    MissingExtraError
        If PyBullet is needed and not installed.
    """
    if scenario.world.kind == "ideal":
        return None
    agents = range(len(team.kind))
    wind = _wind(
        scenario.world.wind, scenario.world.height_m, [random_stream(scenario, WIND_STREAM, r) for r in agents]
    )
    sensors = scenario.world.sensors
    receiver = SatelliteReceiver(
        sensors.position_sigma_m,
        sensors.velocity_sigma_m_s,
        [random_stream(scenario, SENSOR_STREAM, r) for r in agents],
    )
    return BulletWorld(_setup(scenario, team, vehicles), motion_arrays(team.models), wind, receiver)


def with_crashes(scenario: Scenario, team: TeamSetup, world: World | None) -> World | None:
    """The world in which those crash that a scenario lets crash; `world` itself if there are none."""
    crashes = [fault for fault in scenario.faults if fault.what == "crash"]
    if not crashes:
        return world
    if world is None:
        world = IdealWorld(motion_arrays(team.models), team.kind)
    return FailingWorld(world, first_ticks(crashes, scenario.mission.time_step_s, len(team.kind)))


def _setup(scenario: Scenario, team: TeamSetup, vehicles: Sequence[VehicleTable]) -> BulletSetup:
    presets = [load_preset(vehicle.preset) for vehicle in vehicles]
    airframes = [presets[kind] for kind in team.kind]
    liquid = np.array([vehicles[kind].liquid_l for kind in team.kind])
    return BulletSetup(
        models=team.models,
        kind=team.kind,
        airframes=airframes,
        liquid=liquid,
        flow=liquid / (team.n_steps * scenario.mission.time_step_s),
        place=_places(scenario, team, airframes),
        time_step=scenario.mission.time_step_s,
    )


def _places(scenario: Scenario, team: TeamSetup, airframes: Sequence[Airframe]) -> Floats:
    """Where each agent starts, at the height it holds, shape (L, 3). [m]"""
    place = np.empty((len(team.kind), 3))
    for r, (kind, state) in enumerate(zip(team.kind, team.initial_states, strict=True)):
        place[r, :2] = state[list(team.models[kind].position_states)]
    step = scenario.world.height_step_m
    if step is None:
        step = max(airframe.tilted_height for airframe in airframes) + CLEARANCE
    place[:, 2] = scenario.world.height_m + step * np.arange(len(place))
    return place


def _wind(table: WindTable, height: float, streams: Sequence[np.random.Generator]) -> Wind:
    gusts = low_altitude_gusts(height, table.speed_m_s) if table.gusts else None
    return Wind(table.speed_m_s, math.radians(table.toward_deg), gusts, streams)
