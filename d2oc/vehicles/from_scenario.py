"""The vehicle tables of a scenario as linear models."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from d2oc.scenario.schema import DoubleIntegrator, Quadrotor, SingleIntegrator
from d2oc.vehicles.linear import Limits, LinearModel, double_integrator, quadrotor, single_integrator

VehicleTable = SingleIntegrator | DoubleIntegrator | Quadrotor


def vehicle_model(table: VehicleTable, time_step_s: float, n_steps: int) -> LinearModel:
    """Model of one vehicle.

    Parameters
    ----------
    table : SingleIntegrator, DoubleIntegrator or Quadrotor
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


def _quadrotor(table: Quadrotor, time_step_s: float, n_steps: int) -> LinearModel:
    tilt = math.radians(table.max_tilt_deg)
    tilt_rate = math.radians(table.max_tilt_rate_deg_s)
    axis = [math.inf, math.inf, tilt, tilt_rate]
    limits = Limits(
        input_each=table.max_torque_n_m,
        speed_each=table.max_speed_m_s,
        state_each=np.array(axis + axis),
    )
    inertia = np.array([table.inertia_kg_m2])
    if table.inertia_at_end_kg_m2 is not None:
        inertia = np.linspace(table.inertia_kg_m2, table.inertia_at_end_kg_m2, n_steps)
    return quadrotor(time_step_s, inertia, limits)


_BUILDERS: dict[str, Callable[..., LinearModel]] = {
    "single-integrator": _single,
    "double-integrator": _double,
    "quadrotor": _quadrotor,
}
