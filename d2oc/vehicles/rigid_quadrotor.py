r"""The full quadrotor in discrete time: twelve states, thrust and three torques held over a step, and its derivatives.

.. math::
    \dot p = v, \quad m \dot v = (m g + u_0)\, R(\eta)\, e_z - m g\, e_z - (c + \tfrac12 \rho A |v|)\, v, \quad
    \dot\eta = W(\eta)\, \omega, \quad I \dot\omega = (u_1, u_2, u_3) - \omega \times I \omega

The Newton-Euler equations of [1]_ with z up, roll, pitch and yaw as :math:`\eta`, and the drag of
`d2oc.world.drag`. The first input is the thrust above the weight of the moment, so that no input is hover whatever is
left in the tank. Angles are singular at a pitch of 90 degrees; tilt is limited far below. A step is integrated by the
classical Runge-Kutta method, and its derivatives are those of this method itself, stage by stage.

References
----------
.. [1] R. W. Beard and T. W. McLain, Small Unmanned Aircraft: Theory and Practice, 2012, chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats
from d2oc.compiled import compiled
from d2oc.vehicles.linear import GRAVITY, Limits, LinearModel, RigidBody

LONGEST_STAGE = 0.1
"""A step is integrated in parts no longer than this. [s]"""

TURNING_EFFORT = 0.05
"""Weight of an angular acceleration against an acceleration: that of the published quadrotor, whose torque of 1 N m on
0.0075 kg m^2 weighs 900 times a metre from the goal. [m^2]"""

HELD = (10.0, 1.0, 30.0, 3.0)
"""Weights of height, climb, heading and its rate against a metre from the goal."""


class Stages(NamedTuple):
    """Working memory of one step."""

    state: Floats
    """Shape (2, 12)."""
    rate: Floats
    """Shape (2, 12)."""
    slope: Floats
    """Derivatives of states by state and inputs at the start, shape (3, 12, 16)."""
    rate_slope: Floats
    """The same of rates, shape (2, 12, 16)."""


def stages() -> Stages:
    """Memory for `advance` and `linearise`."""
    return Stages(np.zeros((2, 12)), np.zeros((2, 12)), np.zeros((3, 12, 16)), np.zeros((2, 12, 16)))


def constants(mass: float, inertia: Sequence[float], drag: tuple[float, float], time_step: float) -> Floats:
    """A row of `RigidBody.constants`; drag is the linear one [N s/m] and half the density times the area [kg/m]."""
    parts = np.ceil(time_step / LONGEST_STAGE - 1e-9)
    return np.array([mass, *inertia, *drag, time_step, parts])


def full_quadrotor(body: RigidBody, limits: Limits) -> LinearModel:
    """The full quadrotor as a model: what is linear in it is the hover of each step, the vehicle itself is `body`.

    Parameters
    ----------
    body : RigidBody
        The vehicle.
    limits : Limits
        What it should not exceed; the limits on its inputs are those of the body.

    Returns
    -------
    model : LinearModel
        States x, y, z, velocity, roll, pitch, yaw and body rates, z from the height that is held; inputs thrust above
        weight and torques.
    """
    count = len(body.constants)
    a, b = np.zeros((count, 12, 12)), np.zeros((count, 12, 4))
    work, nowhere = stages(), np.zeros(12)
    for k in range(count):
        slope = linearise(body.constants[k], np.zeros(12), np.zeros(4), nowhere, work)
        a[k], b[k] = slope[:, :12], slope[:, 12:]
    mass, inertia = body.constants[:, :1], body.constants[:, 1:4]
    effort = np.hstack([1.0 / mass**2, TURNING_EFFORT / inertia**2])
    held = np.zeros(12)
    held[[2, 5, 8, 11]] = HELD
    return LinearModel(
        name="full-quadrotor",
        state_names=(
            "x_m", "y_m", "z_m", "vx_m_s", "vy_m_s", "vz_m_s",
            "roll_rad", "pitch_rad", "yaw_rad", "p_rad_s", "q_rad_s", "r_rad_s",
        ),
        input_names=("lift_n", "tau_x_n_m", "tau_y_n_m", "tau_z_n_m"),
        A=a,
        B=b,
        position_states=(0, 1),
        velocity_states=(3, 4),
        axes=((0, 3, 7, 10), (1, 4, 6, 9)),
        limits=limits,
        body=body,
        effort=effort,
        held=held,
    )  # fmt: skip


@compiled
def advance(body: Floats, state: Floats, command: Floats, after: Floats, work: Stages) -> None:
    """One step of flight; `after`, shape (12,), receives the next state.

    Parameters
    ----------
    body : ndarray, shape (8,)
        A row of `RigidBody.constants`.
    state, command : ndarray, shape (12,) and (4,)
        State now, and inputs held over the step.
    after : ndarray, shape (12,)
        Overwritten; may be `state` itself.
    work : Stages
        Working memory.
    """
    parts = int(body[7])
    dt = body[6] / parts
    at, rate = work.state[0], work.rate[0]
    now, total = work.state[1], work.rate[1]
    now[:] = state
    for _ in range(parts):
        _rate(body, now, command, total)
        for stage in range(1, 4):
            reach = dt if stage == 3 else 0.5 * dt
            source = total if stage == 1 else rate
            for i in range(12):
                at[i] = now[i] + reach * source[i]
            _rate(body, at, command, rate)
            share = 1.0 if stage == 3 else 2.0
            for i in range(12):
                total[i] += share * rate[i]
        for i in range(12):
            now[i] += dt / 6.0 * total[i]
    after[:] = now


@compiled
def linearise(body: Floats, state: Floats, command: Floats, after: Floats, work: Stages) -> Floats:
    """One step of flight as `advance`, and its derivatives.

    Returns
    -------
    slope : ndarray, shape (12, 16)
        Derivatives of the next state by the state (12 columns) and the inputs (4); part of the working memory.
    """
    parts = int(body[7])
    dt = body[6] / parts
    at, rate = work.state[0], work.rate[0]
    now, total = work.state[1], work.rate[1]
    slope, moved = work.slope[0], work.slope[1]
    turn, summed = work.rate_slope[0], work.rate_slope[1]
    now[:] = state
    slope[:] = 0.0
    for i in range(12):
        slope[i, i] = 1.0
    for _ in range(parts):
        _rate(body, now, command, total)
        _rate_slope(body, now, command, slope, summed)
        for stage in range(1, 4):
            reach = dt if stage == 3 else 0.5 * dt
            source = total if stage == 1 else rate
            tilt = summed if stage == 1 else turn
            for i in range(12):
                at[i] = now[i] + reach * source[i]
                for j in range(16):
                    moved[i, j] = slope[i, j] + reach * tilt[i, j]
            _rate(body, at, command, rate)
            _rate_slope(body, at, command, moved, turn)
            share = 1.0 if stage == 3 else 2.0
            for i in range(12):
                total[i] += share * rate[i]
                for j in range(16):
                    summed[i, j] += share * turn[i, j]
        for i in range(12):
            now[i] += dt / 6.0 * total[i]
            for j in range(16):
                slope[i, j] += dt / 6.0 * summed[i, j]
    after[:] = now
    return slope


@compiled
def _rate(body: Floats, state: Floats, command: Floats, rate: Floats) -> None:
    """Time derivative of the state."""
    mass, ix, iy, iz = body[0], body[1], body[2], body[3]
    sr, cr = np.sin(state[6]), np.cos(state[6])
    sp, cp = np.sin(state[7]), np.cos(state[7])
    sy, cy = np.sin(state[8]), np.cos(state[8])
    vx, vy, vz = state[3], state[4], state[5]
    p, q, r = state[9], state[10], state[11]
    lift = GRAVITY + command[0] / mass
    drag = (body[4] + body[5] * np.sqrt(vx * vx + vy * vy + vz * vz)) / mass
    rate[0], rate[1], rate[2] = vx, vy, vz
    rate[3] = lift * (cr * sp * cy + sr * sy) - drag * vx
    rate[4] = lift * (cr * sp * sy - sr * cy) - drag * vy
    rate[5] = lift * cr * cp - GRAVITY - drag * vz
    rate[6] = p + (q * sr + r * cr) * sp / cp
    rate[7] = q * cr - r * sr
    rate[8] = (q * sr + r * cr) / cp
    rate[9] = ((iy - iz) * q * r + command[1]) / ix
    rate[10] = ((iz - ix) * r * p + command[2]) / iy
    rate[11] = ((ix - iy) * p * q + command[3]) / iz


@compiled
def _rate_slope(body: Floats, state: Floats, command: Floats, slope: Floats, out: Floats) -> None:
    """Derivatives of the rate by what the state depends on: F slope + G, shape (12, 16)."""
    mass, ix, iy, iz = body[0], body[1], body[2], body[3]
    sr, cr = np.sin(state[6]), np.cos(state[6])
    sp, cp = np.sin(state[7]), np.cos(state[7])
    sy, cy = np.sin(state[8]), np.cos(state[8])
    vx, vy, vz = state[3], state[4], state[5]
    p, q, r = state[9], state[10], state[11]
    lift = GRAVITY + command[0] / mass
    speed = np.sqrt(vx * vx + vy * vy + vz * vz)
    drag = (body[4] + body[5] * speed) / mass
    more = body[5] / (mass * speed) if speed > 0.0 else 0.0
    tp, ahead, side = sp / cp, q * sr + r * cr, q * cr - r * sr
    for j in range(3, 16):  # nothing depends on the position
        dvx, dvy, dvz = slope[3, j], slope[4, j], slope[5, j]
        dr, dp, dy = slope[6, j], slope[7, j], slope[8, j]
        wp, wq, wr = slope[9, j], slope[10, j], slope[11, j]
        along = more * (vx * dvx + vy * dvy + vz * dvz)
        out[0, j], out[1, j], out[2, j] = dvx, dvy, dvz
        out[3, j] = lift * (
            (cr * sy - sr * sp * cy) * dr + cr * cp * cy * dp + (sr * cy - cr * sp * sy) * dy
        ) - drag * dvx - along * vx  # fmt: skip
        out[4, j] = lift * (
            -(sr * sp * sy + cr * cy) * dr + cr * cp * sy * dp + (cr * sp * cy + sr * sy) * dy
        ) - drag * dvy - along * vy  # fmt: skip
        out[5, j] = -lift * (sr * cp * dr + cr * sp * dp) - drag * dvz - along * vz
        out[6, j] = wp + (sr * wq + cr * wr) * tp + side * tp * dr + ahead / (cp * cp) * dp
        out[7, j] = cr * wq - sr * wr - ahead * dr
        out[8, j] = (sr * wq + cr * wr + side * dr + ahead * tp * dp) / cp
        out[9, j] = (iy - iz) / ix * (r * wq + q * wr)
        out[10, j] = (iz - ix) / iy * (p * wr + r * wp)
        out[11, j] = (ix - iy) / iz * (q * wp + p * wq)
    out[3, 12] += (cr * sp * cy + sr * sy) / mass
    out[4, 12] += (cr * sp * sy - sr * cy) / mass
    out[5, 12] += cr * cp / mass
    out[9, 13] += 1.0 / ix
    out[10, 14] += 1.0 / iy
    out[11, 15] += 1.0 / iz
