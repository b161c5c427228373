"""From a scenario to a spraying mission ready to fly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2oc.airframes.airframe import load_preset
from d2oc.arrays import Floats
from d2oc.control.baselines import baseline_steering
from d2oc.control.baselines.guidance import CoverageTask
from d2oc.control.baselines.steering import Steering, response_of
from d2oc.control.fence import fence_of
from d2oc.control.ways import Ways
from d2oc.density import SampleSet
from d2oc.density.protocol import Density
from d2oc.field import Field
from d2oc.runtime.arrays import TeamSetup
from d2oc.scenario.schema import DoseTable, Scenario, SprayTable
from d2oc.spray.deposit import footprint_of
from d2oc.spray.dose import response_of as dose_response_of
from d2oc.spray.farm import GUST_CUT, Air, FarmRuntime
from d2oc.spray.logistics import BODY_PAD_M, PAD_M, Drone, Stations
from d2oc.spray.nozzles import Gear
from d2oc.spray.plan import Plan, Task, blocks
from d2oc.spray.raster import DoseMap, dose_map, widened
from d2oc.spray.routes import Pace
from d2oc.spray.rules import load_rules, require_allowed
from d2oc.team import GUIDANCE_STREAM, SENSOR_STREAM, WIND_STREAM, Kind, initial_state, random_stream
from d2oc.vehicles.linear import top_speed_of
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.wind import Wind, low_altitude_gusts
from d2oc.worlds import bullet_world

ZONE_CLEARANCE_M = 2.0
"""Ways lead around no-fly zones at this distance. [m]"""

STEEPEST = 1.6
"""Largest relative change of the dose by a stray of one sigma of the footprint."""
AIM, AIM_STRAY = 1.1, 1.25
"""Doses are planned at the effective one times the first, and more by the second for each sigma of the footprint that
liquid strays, which is what it changes the dose by between two passes."""


@dataclass(frozen=True, eq=False)
class FarmMission:
    """All that `d2oc.mission` needs to fly and record it."""

    samples: SampleSet
    setup: TeamSetup
    runtime: FarmRuntime
    raster: Mapping[str, Any]
    """`RecordHeader.raster`."""
    dose: DoseTable

    def cells(self) -> dict[str, NDArray[Any]]:
        """The table `cells` of the record."""
        return self.runtime.cells(dose_response_of(self.dose))


def farm_mission(
    scenario: Scenario,
    density: Density,
    field: Field,
    kinds: Sequence[Kind],
    plan: Plan | None = None,
    *,
    flown: bool = False,
) -> FarmMission:
    """Get a spraying mission ready.

    Parameters
    ----------
    scenario : Scenario
        With `[spray]`.
    density : Density
        Severity.
    field : Field
    kinds : sequence of Kind
    plan : Plan, optional
        Passes that were planned before, for this very mission; default: plans them.
    flown : bool
        Vehicles move the drones: no world of bodies is built.

    Returns
    -------
    mission : FarmMission

    Raises
    ------
    ScenarioError
        If a rule is broken, or nothing needs treatment.
    """
    spray, dose = scenario.spray or SprayTable(), scenario.dose or DoseTable()
    agents = [kind for kind in kinds for _ in range(kind.n_agents)]
    rules = load_rules(scenario.rules)
    require_allowed(scenario, rules, len(agents))
    air = _air(scenario, spray, len(agents))
    task = _task(scenario, density, field, spray, dose, air, rules.buffer_m)
    points, litres, block = blocks(task.map.grid, task.map.target, scenario.sampling.n_samples)
    samples = SampleSet(
        points=points, weights=litres / litres.sum(), n_requested=len(litres), n_outside_field=0, n_in_no_fly_zones=0,
        removed_share=0.0, nodata_share=0.0, notes=density.notes(),
    )  # fmt: skip
    stations = Stations(scenario.stations, BODY_PAD_M if scenario.world.kind == "bullet" else PAD_M)
    drones = [_drone(r, kind, spray, air, len(stations.tables)) for r, kind in enumerate(agents)]
    setup = _setup(scenario, samples, kinds, stations, drones)
    guide, visits = (
        _guide(scenario, field, samples, kinds, setup, spray) if spray.method in ("smc", "hedac") else (None, None)
    )
    bodies, as_bodies = None, scenario.world.kind == "bullet"
    if as_bodies and not flown:
        bodies = bullet_world(scenario, setup, [kind.vehicle for kind in kinds])
        air = replace(air, wind=bodies.wind, receiver=bodies.receiver)
    runtime = FarmRuntime(
        setup, task, drones, stations, gear_of(spray), block, air, scenario.mission.time_step_s,
        Ways(fence_of(field), ZONE_CLEARANCE_M) if field.no_fly_zones else None, guide, visits, bodies,
        plan, flown=as_bodies and flown,
    )  # fmt: skip
    grid = task.map.grid
    raster = {
        "n_rows": grid.rows, "n_columns": grid.columns, "cell_m": grid.cell, "origin_x_m": grid.x, "origin_y_m": grid.y,
    }  # fmt: skip
    return FarmMission(samples, setup, runtime, raster, dose)


def _task(
    scenario: Scenario, density: Density, field: Field, spray: SprayTable, dose: DoseTable, air: Air, buffer: float
) -> Task:
    footprint = footprint_of(spray, scenario.world.height_m, spray.speed_m_s)
    shift = spray.drift_s * air.mean
    margin = footprint.reach + float(np.abs(shift).max()) + air.farthest_stray + 2.0 * spray.cell_m
    ground = dose_map(density, field, dose, spray.cell_m, margin, buffer)
    return Task(
        map=ground,
        footprint=footprint,
        spray=spray,
        speed=spray.speed_m_s,
        shift=shift,
        wanted=dose.effective_share * (AIM + AIM_STRAY * air.stray_sigma / footprint.across) * ground.target,
        most=_most(ground, dose, air, footprint.across),
        effective_share=dose.effective_share,
        uniform_rate=dose.rate_l_ha if dose.kind == "threshold" else float(ground.target.max()),
    )


def _most(ground: DoseMap, dose: DoseTable, air: Air, across: float) -> Floats:
    """What may be believed to lie on each cell, so that what does lie there is never more than the maximum.

    Between two passes, where the dose changes fastest, a stray s of both changes it by the share 1.25 s / sigma;
    more is allowed for, since a place may be passed over more than twice.
    """
    room = 1.0 + STEEPEST * GUST_CUT * air.stray_sigma / across
    dry = widened(ground.maximum <= 0.0, air.farthest_stray + 1.5 * ground.grid.cell, ground.grid.cell)
    if not (ground.maximum <= 0.0).any():
        dry = np.zeros_like(dry)
    return np.where(dry, 0.0, dose.maximum_l_ha / room)


def _air(scenario: Scenario, spray: SprayTable, n_drones: int) -> Air:
    table, sensors = scenario.world.wind, scenario.world.sensors
    toward = math.radians(table.toward_deg)
    gusts = low_altitude_gusts(scenario.world.height_m, table.speed_m_s) if table.gusts else None
    streams = [[random_stream(scenario, stream, r) for r in range(n_drones)] for stream in (WIND_STREAM, SENSOR_STREAM)]
    return Air(
        wind=Wind(table.speed_m_s, toward, gusts, streams[0]),
        mean=table.speed_m_s * np.array([math.cos(toward), math.sin(toward)]),
        gust_sigma=float(gusts.sigma[:2].max()) if gusts is not None else 0.0,
        receiver=SatelliteReceiver(sensors.position_sigma_m, sensors.velocity_sigma_m_s, streams[1]),
        position_sigma=sensors.position_sigma_m,
        drift=spray.drift_s,
        unseen=spray.unseen_gust_share,
        height=scenario.world.height_m,
    )


def gear_of(spray: SprayTable) -> Gear:
    """Pump and nozzles."""
    return Gear(
        spray.least_flow_l_min / 60.0, spray.largest_flow_l_min / 60.0, spray.pump_lag_s, spray.evaporated_share
    )


def _drone(r: int, kind: Kind, spray: SprayTable, air: Air, n_stations: int) -> Drone:
    airframe = load_preset(kind.vehicle.preset)
    tank = kind.vehicle.liquid_l or (airframe.tank.capacity_l if airframe.tank else 0.0)
    speed = top_speed_of(kind.model)
    pace = Pace(min(spray.speed_m_s, speed), speed, kind.model.limits.input_norm)
    return Drone(r, airframe, pace, tank, air.height / spray.climb_m_s, r % n_stations)


def _setup(
    scenario: Scenario, samples: SampleSet, kinds: Sequence[Kind], stations: Stations, drones: Sequence[Drone]
) -> TeamSetup:
    kind = np.repeat(np.arange(len(kinds), dtype=np.int32), [k.n_agents for k in kinds])
    return TeamSetup(
        points=samples.points,
        weights=samples.weights,
        models=[k.model for k in kinds],
        gains=[k.gains for k in kinds],
        kind=kind,
        n_steps=np.array([kinds[int(i)].n_steps for i in kind], np.int32),
        alpha=np.array([kinds[int(i)].alpha for i in kind]),
        initial_states=[
            initial_state(kinds[int(i)].model, stations.pad(drone.station, drone.number))
            for i, drone in zip(kind, drones, strict=True)
        ],
        comm_range=scenario.radio.comm_range_m,
    )


def _guide(
    scenario: Scenario,
    field: Field,
    samples: SampleSet,
    kinds: Sequence[Kind],
    setup: TeamSetup,
    spray: SprayTable,
) -> tuple[Steering, Floats]:
    """A method that wishes velocities, at the working speed, and what it books of each drone a step."""
    time_step = scenario.mission.time_step_s
    agents = [kinds[int(i)] for i in setup.kind]
    visits = setup.alpha.copy()
    task = CoverageTask(
        points=samples.points,
        weights=samples.weights,
        field=field,
        start=np.array(
            [state[list(kind.model.position_states)] for state, kind in zip(setup.initial_states, agents, strict=True)]
        ),
        n_steps=setup.n_steps,
        alpha=visits,
        time_step=time_step,
        speed=np.array([min(spray.speed_m_s, top_speed_of(kind.model)) for kind in agents]),
        response=np.array([response_of(kind.model, kind.gains, time_step) for kind in agents]),
        rngs=tuple(random_stream(scenario, GUIDANCE_STREAM, r) for r in range(len(agents))),
    )
    control = scenario.control.model_copy(update={"law": spray.method})
    return baseline_steering(control, task, setup.models, setup.gains, setup.kind), visits
