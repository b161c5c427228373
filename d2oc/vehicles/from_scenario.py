"""The vehicle tables of a scenario as linear models."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from d2oc.airframes.airframe import AIR_DENSITY, load_preset
from d2oc.airframes.payload import planned_liquid
from d2oc.airframes.rotors import input_range
from d2oc.scenario.schema import (
    DoubleIntegrator,
    FullQuadrotor,
    LaggedIntegrator,
    LoadedQuadrotor,
    Quadrotor,
    SingleIntegrator,
    Unicycle,
)
from d2oc.vehicles.linear import (
    GRAVITY,
    Limits,
    LinearModel,
    RigidBody,
    double_integrator,
    lagged_integrator,
    loaded_quadrotor,
    quadrotor,
    single_integrator,
)
from d2oc.vehicles.rigid_quadrotor import constants, full_quadrotor
from d2oc.vehicles.unicycle import unicycle

VehicleTable = (
    SingleIntegrator | DoubleIntegrator | LaggedIntegrator | Quadrotor | LoadedQuadrotor | FullQuadrotor | Unicycle
)


LEFT_TO_AUTOPILOT = 0.8
"""Share of an autopilot's limits on attitude that a law plans with by default; the rest is for its corrections."""


def vehicle_model(table: VehicleTable, time_step_s: float, n_steps: int) -> LinearModel:
    """Model of one vehicle.

    Parameters
    ----------
    table : SingleIntegrator, DoubleIntegrator, LaggedIntegrator, Quadrotor, LoadedQuadrotor, FullQuadrotor or Unicycle
        The scenario's `[vehicle]`.
    time_step_s : float
        Control period. [s]
    n_steps : int
        Steps of operation, over which a time-varying model changes.

    Returns
    -------
    model : LinearModel
    """
    return _BUILDERS[table.model](table, time_step_s, n_steps)


def _single(table: SingleIntegrator, time_step_s: float, n_steps: int) -> LinearModel:
    return single_integrator(time_step_s, Limits(input_norm=table.max_speed_m_s))


def _double(table: DoubleIntegrator, time_step_s: float, n_steps: int) -> LinearModel:
    limits = Limits(input_norm=table.max_acceleration_m_s2, speed_norm=table.max_speed_m_s)
    return double_integrator(time_step_s, limits)


def _lagged(table: LaggedIntegrator, time_step_s: float, n_steps: int) -> LinearModel:
    limits = Limits(input_norm=table.max_acceleration_m_s2, speed_norm=table.max_speed_m_s)
    return lagged_integrator(time_step_s, table.lag_s, limits)


def _tilting(table: Quadrotor | LoadedQuadrotor) -> Limits:
    tilt = math.radians(table.max_tilt_deg)
    tilt_rate = math.radians(table.max_tilt_rate_deg_s)
    axis = [math.inf, math.inf, tilt, tilt_rate]
    return Limits(
        input_each=table.max_torque_n_m,
        speed_each=table.max_speed_m_s,
        state_each=np.array(axis + axis),
    )


def _quadrotor(table: Quadrotor, time_step_s: float, n_steps: int) -> LinearModel:
    inertia = np.array([table.inertia_kg_m2])
    if table.inertia_at_end_kg_m2 is not None:
        inertia = np.linspace(table.inertia_kg_m2, table.inertia_at_end_kg_m2, n_steps)
    return quadrotor(time_step_s, inertia, _tilting(table))


def _loaded(table: LoadedQuadrotor, time_step_s: float, n_steps: int) -> LinearModel:
    airframe = load_preset(table.preset)
    flow = table.liquid_l / (n_steps * time_step_s)
    liquid = planned_liquid(table.liquid_l, flow, time_step_s, n_steps)
    if not table.predicts_payload or table.liquid_l == 0.0:
        liquid = liquid[:1]
    mass = np.array([airframe.mass_with(v) for v in liquid])
    return loaded_quadrotor(
        time_step_s,
        mass,
        np.array([airframe.inertia_with(v)[0] for v in liquid]),
        drag_n_s_m=airframe.drag.linear_n_s_m,
        thrust_n=None if table.retrims_thrust else np.full(len(mass), mass[0] * GRAVITY),
        limits=_tilting(table),
    )


def _full(table: FullQuadrotor, time_step_s: float, n_steps: int) -> LinearModel:
    airframe = load_preset(table.preset)
    liquid = planned_liquid(table.liquid_l, table.liquid_l / (n_steps * time_step_s), time_step_s, n_steps)
    if not table.predicts_payload or table.liquid_l == 0.0:
        liquid = liquid[:1]
    drag = airframe.drag.linear_n_s_m, 0.5 * AIR_DENSITY * airframe.drag.area_m2
    ranges = [input_range(airframe.rotors, GRAVITY * airframe.mass_with(v)) for v in liquid]
    body = RigidBody(
        np.array([constants(airframe.mass_with(v), airframe.inertia_with(v), drag, time_step_s) for v in liquid]),
        np.array([lowest for lowest, _ in ranges]),
        np.array([highest for _, highest in ranges]),
    )
    tilt = math.radians(table.max_tilt_deg or LEFT_TO_AUTOPILOT * airframe.max_tilt_deg)
    turn = math.radians(table.max_tilt_rate_deg_s or LEFT_TO_AUTOPILOT * airframe.max_rate_deg_s)
    states = np.full(12, math.inf)
    states[5], states[9:] = table.max_climb_m_s, turn
    limits = Limits(
        speed_norm=table.max_speed_m_s,
        state_each=states,
        tilt_norm=tilt,
        acceleration_norm=table.max_acceleration_m_s2,
    )
    return full_quadrotor(body, limits)


def _unicycle(table: Unicycle, time_step_s: float, n_steps: int) -> LinearModel:
    return unicycle(time_step_s, table.max_speed_m_s, math.radians(table.max_turn_rate_deg_s))


_BUILDERS: dict[str, Callable[..., LinearModel]] = {
    "single-integrator": _single,
    "double-integrator": _double,
    "lagged-integrator": _lagged,
    "quadrotor": _quadrotor,
    "loaded-quadrotor": _loaded,
    "full-quadrotor": _full,
    "unicycle": _unicycle,
}
