"""The flight stack between a control law and the rotors, with the setpoints that a real autopilot takes.

Cascaded loops as in PX4 and ArduPilot: velocity to acceleration to tilt to body rate to torque, each proportional
with a bandwidth from the airframe; velocity also has an integral, which carries the wind. Thrust and torque are
scaled with the mass and inertia of the moment, so every loop answers alike with a full and an empty tank. Heading is
kept, height is held.

Sign convention of the published model: tilt theta accelerates by -g theta along x, phi by +g phi along y; in the
world's right-handed axes (x east, y north, z up) they are minus the pitch and minus the roll of the body.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.compiled import compiled
from d2oc.vehicles.linear import GRAVITY
from d2oc.world.fleet import Fleet
from d2oc.world.mixer import mix
from d2oc.world.rotation import Vector, attitude_of, heading, rotated, unrotated

OFF = 0
"""Motors stopped."""
HOLD = 1
"""Stay over a place."""
VELOCITY = 2
"""Fly a velocity, as PX4 and ArduPilot take it."""
ACCELERATION = 3
"""Fly an acceleration, from the velocity of this moment on."""
TILT = 4
"""Turn with an angular acceleration, from the tilt of this moment on: attitude and rate setpoints."""
TILT_AND_THRUST = 5
"""The same, with a thrust instead of a height: what attitude setpoints over MAVLink hold."""


SPEED_RESERVE = 0.98
"""Share of a speed limit that is steered for, so that overshoot stays below it."""


MAX_CLIMB = 1.5
"""Climb and descent over the ground towards the height that is held. [m/s]"""


class Setpoint(NamedTuple):
    """What each agent's autopilot was told at the start of the control period."""

    mode: Ints
    """Shape (L,)."""
    command: Floats
    """Velocity [m/s], acceleration [m/s^2], or angular acceleration of (theta, phi) [rad/s^2], shape (L, 2)."""
    velocity: Floats
    """Velocity when it was told, shape (L, 2). [m/s]"""
    tilt: Floats
    """theta, phi when it was told, shape (L, 2). [rad]"""
    tilt_rate: Floats
    """Their rates, shape (L, 2). [rad/s]"""
    place: Floats
    """Place to hold, and the height above ground that every mode holds, shape (L, 3). [m]"""
    ground: Floats
    """Height of the ground below, shape (L,). [m]"""
    climb: Floats
    """How fast the ground rises on the way, shape (L,). [m/s]"""
    thrust: Floats
    """Specific thrust, shape (L,). [m/s^2]"""


class Memory(NamedTuple):
    """What an autopilot remembers from step to step."""

    integral: Floats
    """Acceleration that carries wind and drag, shape (L, 3). [m/s^2]"""


@compiled
def command_rotors(
    fleet: Fleet, r: int, dt: float, since: float, setpoint: Setpoint, memory: Memory, body: Floats, rotor: Floats
) -> None:
    """One pass through all loops of one agent.

    Parameters
    ----------
    fleet : Fleet
        The airframes.
    r : int
        Which agent.
    dt : float
        Period of the loops. [s]
    since : float
        Time since the setpoint was given. [s]
    setpoint, memory : Setpoint, Memory
        Of all agents.
    body : ndarray, shape (13,)
        The autopilot's estimate of position, attitude (x, y, z, w), velocity and rate, in the world's axes.
    rotor : ndarray, shape (R,)
        Receives the command of each rotor. [N]
    """
    if setpoint.mode[r] == OFF:
        rotor[:] = 0.0
        return
    up, turn, spin_up = _wanted_lift(fleet, r, dt, since, setpoint, memory, body)
    q = attitude_of(body)
    lift = rotated(q, (0.0, 0.0, 1.0))
    thrust = max(fleet.mass[r] * (up[0] * lift[0] + up[1] * lift[1] + up[2] * lift[2]), 0.0)
    torque = _torque(fleet, r, up, turn, spin_up, body)
    mix(fleet, r, thrust, torque, rotor)


@compiled
def _wanted_lift(
    fleet: Fleet, r: int, dt: float, since: float, setpoint: Setpoint, memory: Memory, body: Floats
) -> tuple[Vector, Vector, Vector]:
    """Specific force wanted, and the rate and its growth to feed forward, in the world's axes."""
    if setpoint.mode[r] == TILT_AND_THRUST:
        up_axis = rotated(attitude_of(body), (0.0, 0.0, 1.0))
        return _tilt_lift(fleet, r, since, setpoint.thrust[r] * max(up_axis[2], 0.1), setpoint, body)
    climb = fleet.height_gain[r] * (setpoint.ground[r] + setpoint.place[r, 2] - body[2])
    climb = min(max(climb, -MAX_CLIMB), MAX_CLIMB) + setpoint.climb[r]
    error = climb - body[9]
    az = GRAVITY + fleet.velocity_gain[r] * error + _integral(fleet, r, 2, dt, error, memory)
    az = max(az, 0.3 * GRAVITY)
    if setpoint.mode[r] == TILT:
        return _tilt_lift(fleet, r, since, az, setpoint, body)
    ax, ay = _horizontal(fleet, r, dt, since, setpoint, memory, body)
    most = az * np.tan(fleet.max_tilt[r])
    size = np.sqrt(ax * ax + ay * ay)
    if size > most:
        ax, ay = ax * most / size, ay * most / size
    return (ax, ay, az), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)


@compiled
def _horizontal(
    fleet: Fleet, r: int, dt: float, since: float, setpoint: Setpoint, memory: Memory, body: Floats
) -> tuple[float, float]:
    """Horizontal acceleration wanted by the velocity loop."""
    vx, vy = setpoint.command[r, 0], setpoint.command[r, 1]
    forward_x, forward_y = 0.0, 0.0
    if setpoint.mode[r] == HOLD:
        vx = fleet.height_gain[r] * (setpoint.place[r, 0] - body[0])
        vy = fleet.height_gain[r] * (setpoint.place[r, 1] - body[1])
    elif setpoint.mode[r] == ACCELERATION:
        forward_x, forward_y = vx, vy
        vx = setpoint.velocity[r, 0] + since * forward_x
        vy = setpoint.velocity[r, 1] + since * forward_y
    goal_speed = SPEED_RESERVE * fleet.max_speed[r]
    speed = np.sqrt(vx * vx + vy * vy)
    if speed > goal_speed:
        vx, vy = vx * goal_speed / speed, vy * goal_speed / speed
    gain = fleet.velocity_gain[r]
    error_x, error_y = vx - body[7], vy - body[8]
    ax, ay = _governed(fleet, r, forward_x + gain * error_x, forward_y + gain * error_y, goal_speed, body)
    ax += _integral(fleet, r, 0, dt, error_x, memory)
    ay += _integral(fleet, r, 1, dt, error_y, memory)
    return _governed(fleet, r, ax, ay, fleet.max_speed[r], body)  # the integral of another heading may push


@compiled
def _integral(fleet: Fleet, r: int, axis: int, dt: float, error: float, memory: Memory) -> float:
    """The integral of a velocity error: it damps the loop critically, and never asks for half the tilt."""
    gain = fleet.velocity_gain[r]
    most = 0.5 * GRAVITY * np.tan(fleet.max_tilt[r])
    grown = memory.integral[r, axis] + 0.25 * gain * gain * error * dt
    memory.integral[r, axis] = min(max(grown, -most), most)
    return float(memory.integral[r, axis])


@compiled
def _tilt_lift(
    fleet: Fleet, r: int, since: float, az: float, setpoint: Setpoint, body: Floats
) -> tuple[Vector, Vector, Vector]:
    """Specific force of the tilt that the angular acceleration has led to by now."""
    most = fleet.max_tilt[r]
    theta = setpoint.tilt[r, 0] + since * (setpoint.tilt_rate[r, 0] + 0.5 * since * setpoint.command[r, 0])
    phi = setpoint.tilt[r, 1] + since * (setpoint.tilt_rate[r, 1] + 0.5 * since * setpoint.command[r, 1])
    free_theta, free_phi = abs(theta) < most, abs(phi) < most
    theta, phi = min(max(theta, -most), most), min(max(phi, -most), most)
    ax, ay = -az * np.tan(theta), az * np.tan(phi)
    turn_y = -(setpoint.tilt_rate[r, 0] + since * setpoint.command[r, 0]) if free_theta else 0.0
    turn_x = -(setpoint.tilt_rate[r, 1] + since * setpoint.command[r, 1]) if free_phi else 0.0
    grow_y = -setpoint.command[r, 0] if free_theta else 0.0
    grow_x = -setpoint.command[r, 1] if free_phi else 0.0
    slow_x, slow_y = _governed(fleet, r, ax, ay, SPEED_RESERVE * fleet.max_speed[r], body)
    if slow_x != ax or slow_y != ay:  # too fast: braking comes before the turn that was asked for
        return (slow_x, slow_y, az), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    return (ax, ay, az), (turn_x, turn_y, 0.0), (grow_x, grow_y, 0.0)


@compiled
def _governed(fleet: Fleet, r: int, ax: float, ay: float, limit: float, body: Floats) -> tuple[float, float]:
    """Cut the part of an acceleration that would drive the speed over a limit."""
    speed = np.sqrt(body[7] ** 2 + body[8] ** 2)
    if speed < 1e-6 or limit == np.inf:
        return ax, ay
    along = (ax * body[7] + ay * body[8]) / speed
    excess = max(0.0, along - 0.5 * fleet.attitude_gain[r] * (limit - speed))
    return ax - excess * body[7] / speed, ay - excess * body[8] / speed


@compiled
def _torque(fleet: Fleet, r: int, up: Vector, turn: Vector, spin_up: Vector, body: Floats) -> Vector:
    """Torque about the body's axes: tilt and heading to rate, rate to torque, with the gyroscopic term."""
    q = attitude_of(body)
    wx, wy, wz = _rate_wanted(fleet, r, up, turn, body)
    rate = unrotated(q, (body[10], body[11], body[12]))
    grow = unrotated(q, spin_up)
    gain = fleet.rate_gain[r]
    ix, iy, iz = fleet.inertia[r, 0], fleet.inertia[r, 1], fleet.inertia[r, 2]
    return (
        ix * (gain * (wx - rate[0]) + grow[0]) + (iz - iy) * rate[1] * rate[2],
        iy * (gain * (wy - rate[1]) + grow[1]) + (ix - iz) * rate[2] * rate[0],
        iz * gain * (wz - rate[2]) + (iy - ix) * rate[0] * rate[1],
    )


@compiled
def _rate_wanted(fleet: Fleet, r: int, up: Vector, turn: Vector, body: Floats) -> Vector:
    """Body rate that turns the lift towards where it is wanted, the short way, and the heading to east."""
    q = attitude_of(body)
    x, y, z = unrotated(q, up)
    across = np.sqrt(x * x + y * y)
    angle = np.arctan2(across, z)
    share = angle / across if across > 1e-12 else 0.0
    forward = unrotated(q, turn)
    gain = fleet.attitude_gain[r]
    most = fleet.max_rate[r]
    return (
        min(max(forward[0] - gain * share * y, -most), most),
        min(max(forward[1] + gain * share * x, -most), most),
        -fleet.yaw_gain[r] * heading(q) + forward[2],
    )
