"""The `[world]` of a scenario."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from d2oc.airframes.airframe import Airframe, load_preset
from d2oc.arrays import Floats
from d2oc.bus.from_scenario import first_ticks
from d2oc.errors import ScenarioError
from d2oc.runtime.arrays import TeamSetup
from d2oc.scenario.schema import Scenario, TerrainTable, TransitTable, VehicleTable, WindTable
from d2oc.team import SENSOR_STREAM, WIND_STREAM, random_stream, team_kinds
from d2oc.vehicles.motion import motion_arrays
from d2oc.world import World
from d2oc.world.bullet import BulletSetup, BulletWorld
from d2oc.world.failing import FailingWorld
from d2oc.world.ideal import IdealWorld
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.terrain import Hill, Terrain, hilly_ground, level_ground
from d2oc.world.watched import Watcher
from d2oc.world.wind import Wind, low_altitude_gusts
from d2oc.world.window import Window

MARGIN_M = 50.0
"""Ground beyond what is to be treated; further out it is level. [m]"""

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
    return bullet_world(scenario, team, vehicles)


def bullet_world(scenario: Scenario, team: TeamSetup, vehicles: Sequence[VehicleTable]) -> BulletWorld:
    """The bullet world of a scenario; arguments as for `build_world`."""
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


@contextmanager
def watched_world(scenario: Scenario, speed: float) -> Iterator[Callable[[TeamSetup], World]]:
    """What makes the world of a scenario with its window, no faster than so many times real time.

    Parameters
    ----------
    scenario : Scenario
        Whose world is `bullet`.
    speed : float
        Simulated time over real time.

    Raises
    ------
    ScenarioError
        If the world has no window. What it returns raises DisplayError where there is no display.
    """
    if scenario.world.kind != "bullet" or scenario.spray is not None:
        raise ScenarioError(
            "only the bullet world has a window: add --set world.kind=bullet, or leave --gui away"
            if scenario.spray is None
            else "a spraying mission has no window: leave --gui away, and see it with d2oc replay"
        )

    windows: list[Window] = []

    def build(team: TeamSetup) -> World:
        kinds = team_kinds(scenario)
        presets = [load_preset(kinds[kind].vehicle.preset) for kind in team.kind]
        window = Window(
            [(airframe.radius_m, airframe.height_m) for airframe in presets],
            _terrain(scenario.world.terrain, team),
            team.points.min(axis=0),
            team.points.max(axis=0),
        )
        windows.append(window)
        world = bullet_world(scenario, team, [kind.vehicle for kind in kinds])
        window.show(world.body)
        world.watcher = Watcher(window, scenario.mission.time_step_s / speed)
        return world

    try:
        yield build
    finally:
        for window in windows:
            window.close()


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
        home=_home(scenario, team),
        time_step=scenario.mission.time_step_s,
        terrain=_terrain(scenario.world.terrain, team),
        ground_effect=scenario.world.ground_effect,
        downwash=scenario.world.downwash,
    )


def start_heights(scenario: Scenario, team: TeamSetup) -> Floats:
    """Height above ground that each agent holds, shape (L,). [m]"""
    kinds = team_kinds(scenario)
    presets = [load_preset(kind.vehicle.preset) for kind in kinds]
    return _heights(scenario, [presets[kind] for kind in team.kind])


def _heights(scenario: Scenario, airframes: Sequence[Airframe]) -> Floats:
    step = scenario.world.height_step_m
    if step is None:
        step = max(airframe.tilted_height for airframe in airframes) + CLEARANCE
    return np.asarray(scenario.world.height_m + step * np.arange(len(airframes)))


def start_places(team: TeamSetup) -> Floats:
    """Where each agent starts, shape (L, 2). [m]"""
    states = zip(team.kind, team.initial_states, strict=True)
    return np.array([state[list(team.models[kind].position_states)] for kind, state in states])


def _places(scenario: Scenario, team: TeamSetup, airframes: Sequence[Airframe]) -> Floats:
    """Where each agent starts, at the height above ground it holds, shape (L, 3). [m]"""
    return np.column_stack([start_places(team), _heights(scenario, airframes)])


def _home(scenario: Scenario, team: TeamSetup) -> Floats | None:
    """Where each stands before take-off; None: missions begin in the air."""
    if scenario.spray is not None:
        return start_places(team)  # at the stations
    return None if scenario.transit is None else home_places(scenario.transit, team)


def home_places(transit: TransitTable, team: TeamSetup) -> Floats:
    """Where each agent takes off and lands, shape (places, 2); not checked. [m]"""
    return start_places(team) if transit.home_m is None else np.array(transit.home_m, np.float64)


def _terrain(table: TerrainTable | None, team: TeamSetup) -> Terrain:
    """The ground, as far as drones may fly."""
    if table is None:
        return level_ground()
    places = np.vstack([team.points, start_places(team)])
    low, high = places.min(axis=0) - MARGIN_M, places.max(axis=0) + MARGIN_M
    return hilly_ground(
        (float(low[0]), float(low[1])),
        (float(high[0]), float(high[1])),
        table.cell_m,
        table.slope_percent / 100.0,
        math.radians(table.uphill_deg),
        [Hill(*hill.top_m, hill.sigma_m, hill.height_m) for hill in table.hills],
    )


def _wind(table: WindTable, height: float, streams: Sequence[np.random.Generator]) -> Wind:
    gusts = low_altitude_gusts(height, table.speed_m_s) if table.gusts else None
    return Wind(table.speed_m_s, math.radians(table.toward_deg), gusts, streams)
