"""One step of the flight of a whole fleet, compiled: from setpoints to the wrench on every body."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.compiled import compiled
from d2oc.vehicles.linear import GRAVITY
from d2oc.vehicles.motion import Motion, limit_input, move
from d2oc.world.air import Air
from d2oc.world.autopilot import (
    ACCELERATION,
    HOLD,
    OFF,
    TILT,
    TILT_AND_THRUST,
    VELOCITY,
    Memory,
    Setpoint,
    command_rotors,
)
from d2oc.world.drag import drag
from d2oc.world.fleet import Fleet
from d2oc.world.mixer import spin
from d2oc.world.rotation import attitude_of, heading, rotated, tilts, turned, unrotated


class Wrench(NamedTuple):
    """Force and torque on every body for one step, in the world's axes."""

    force: Floats
    """Shape (L, 3). [N]"""
    torque: Floats
    """Shape (L, 3). [N m]"""


class Layout(NamedTuple):
    """Where the model of each agent keeps what a body does; -1 where it does not."""

    mode: Ints
    """What its command is: `VELOCITY`, `ACCELERATION`, `TILT` or `TILT_AND_THRUST`, shape (L,)."""
    column: Ints
    """State of x, y, vx, vy, theta, phi, the rates of theta and phi, ax, ay, shape (L, 10)."""


@compiled
def fly(
    dt: float,
    since: float,
    fleet: Fleet,
    setpoint: Setpoint,
    memory: Memory,
    body: Floats,
    error: Floats,
    air: Air,
    thrust: Floats,
    drawn: Floats,
    wrench: Wrench,
) -> None:
    """The wrench on every body over the next step: its mean, so that its impulse is exact.

    The attitude is taken in the middle of the step, as the rate carries it there; drag is that of the start.

    Parameters
    ----------
    dt : float
        [s]
    since : float
        Time since the setpoints were given. [s]
    fleet, setpoint, memory : Fleet, Setpoint, Memory
        Of all agents.
    body : ndarray, shape (L, 13)
        Position, attitude, velocity, rate.
    error : ndarray, shape (L, 4)
        What the autopilot's estimate of x, y, vx, vy is off by.
    air : Air
        Wind at every drone, and what its lift is worth there.
    thrust : ndarray, shape (L, R)
        Of each rotor; overwritten with that afterwards. [N]
    drawn : ndarray, shape (L,)
        Energy drawn from the battery; added to. [J]
    wrench : Wrench
        Overwritten.
    """
    rotor = np.zeros(thrust.shape[1])
    estimate = np.empty(13)
    for r in range(len(body)):
        estimate[:] = body[r]
        estimate[0] += error[r, 0]
        estimate[1] += error[r, 1]
        estimate[7] += error[r, 2]
        estimate[8] += error[r, 3]
        command_rotors(fleet, r, dt, since, setpoint, memory, estimate, rotor)
        push_by_rotors(dt, fleet, r, rotor, body[r], air, thrust[r], drawn, wrench)


@compiled
def push_by_rotors(
    dt: float,
    fleet: Fleet,
    r: int,
    asked: Floats,
    body: Floats,
    air: Air,
    thrust: Floats,
    drawn: Floats,
    wrench: Wrench,
) -> None:
    """The wrench on one body over the next step, by what its rotors are asked for and by drag.

    Parameters
    ----------
    dt : float
        [s]
    fleet : Fleet
        Of all agents.
    r : int
        Which agent.
    asked : ndarray, shape (R,)
        Thrust asked of each rotor; overwritten. [N]
    body : ndarray, shape (13,)
        Position, attitude, velocity, rate.
    air : Air
        Wind at every drone, and what its lift is worth there.
    thrust : ndarray, shape (R,)
        Of each rotor; overwritten with that afterwards. [N]
    drawn : ndarray, shape (L,)
        Energy drawn from the battery; added to. [J]
    wrench : Wrench
        Row r is overwritten.
    """
    lift, roll, pitch, yaw, power = spin(fleet, r, dt, asked, thrust)
    drawn[r] += fleet.power_constant[r] * power / GRAVITY**1.5 * dt
    middle = turned(attitude_of(body), (body[10], body[11], body[12]), 0.5 * dt)
    share = air.lift_share[r]
    force = rotated(middle, (0.0, 0.0, share * lift))
    torque = rotated(middle, (share * roll, share * pitch, share * yaw))
    against = drag(fleet, r, body[7:10], air.wind[r])
    for axis in range(3):
        wrench.force[r, axis] = force[axis] + against[axis]
        wrench.torque[r, axis] = torque[axis]


@compiled
def tell_autopilots(
    k: int,
    time_step: float,
    motion: Motion,
    kind: Ints,
    layout: Layout,
    fleet: Fleet,
    state: Floats,
    command: Floats,
    flies: Ints,
    body: Floats,
    setpoint: Setpoint,
) -> None:
    """Turn the commands of a control period into setpoints.

    Parameters
    ----------
    k : int
        Step of the mission.
    time_step : float
        Control period. [s]
    motion : Motion
        Models of the fleet, with their limits.
    kind : ndarray, shape (L,)
        Model of each agent.
    layout : Layout
        Of each agent.
    fleet : Fleet
        The airframes: a torque turns them by the inertia they have.
    state : ndarray, shape (L, n)
        Measured states.
    command : ndarray, shape (L, m)
        Inputs; overwritten with those within the limits.
    flies : ndarray of int32, shape (L,)
        1 on a mission, 0 waiting, -1 lost.
    body : ndarray, shape (L, 13)
        Where the bodies are.
    setpoint : Setpoint
        Overwritten.
    """
    for r in range(len(kind)):
        if flies[r] < 0:
            setpoint.mode[r] = OFF
        elif flies[r] == 0:
            if setpoint.mode[r] != HOLD:
                setpoint.mode[r] = HOLD
                setpoint.place[r, :2] = body[r, :2]
        else:
            at = min(k, motion.length[kind[r]] - 1)
            limit_input(motion, kind[r], at, state[r], command[r])
            _tell(time_step, layout, fleet, r, state[r], command[r], setpoint)


@compiled
def _tell(
    time_step: float, layout: Layout, fleet: Fleet, r: int, state: Floats, command: Floats, setpoint: Setpoint
) -> None:
    setpoint.mode[r] = layout.mode[r]
    if layout.mode[r] == VELOCITY:
        setpoint.command[r] = command[:2]
        return
    for axis in range(2):
        setpoint.velocity[r, axis] = state[layout.column[r, 2 + axis]]
        if layout.mode[r] == ACCELERATION:
            setpoint.command[r, axis] = command[axis]
        elif layout.mode[r] == TILT:
            setpoint.tilt[r, axis] = state[layout.column[r, 4 + axis]]
            rate = state[layout.column[r, 6 + axis]]
            # theta is pitch, turned by the second torque; phi is roll, turned by the first
            growth = command[1 - axis] / fleet.inertia[r, 1 - axis]
            _turn(time_step, fleet, r, axis, rate, growth, setpoint)
        elif layout.mode[r] == TILT_AND_THRUST:  # theta and phi are minus pitch and minus roll
            roll, pitch = state[6], state[7]
            setpoint.tilt[r, axis] = -pitch if axis == 0 else -np.arctan(np.tan(roll) / np.cos(pitch))
            _turn(
                time_step, fleet, r, axis, -state[10 - axis], -command[2 - axis] / fleet.inertia[r, 1 - axis], setpoint
            )
            setpoint.thrust[r] = GRAVITY + command[0] / fleet.mass[r]


@compiled
def _turn(time_step: float, fleet: Fleet, r: int, axis: int, rate: float, growth: float, setpoint: Setpoint) -> None:
    """Rate and angular acceleration of a tilt, within what the airframe is asked for."""
    most = fleet.max_rate[r]
    rate = min(max(rate, -most), most)
    growth = min(max(growth, -fleet.rate_gain[r] * most), fleet.rate_gain[r] * most)
    setpoint.tilt_rate[r, axis] = rate
    setpoint.command[r, axis] = (min(max(rate + growth * time_step, -most), most) - rate) / time_step


@compiled
def predict(
    k: int, motion: Motion, kind: Ints, state: Floats, command: Floats, active: Flags, position: Floats
) -> None:
    """Where the models say the active agents will be after a step, shape (L, 2). [m]"""
    after = np.empty(state.shape[1])
    for r in range(len(kind)):
        if active[r]:
            move(motion, kind[r], k, state[r], command[r].copy(), after)
            for axis in range(2):
                position[r, axis] = after[motion.position_states[kind[r], axis]]


@compiled
def write_states(layout: Layout, body: Floats, error: Floats, height: Floats, state: Floats) -> None:
    """States of the models from the bodies: the truth where `error` is zero, the measurement where it is not.

    Parameters
    ----------
    layout : Layout
        Of each agent.
    body : ndarray, shape (L, 13)
        Position, attitude, velocity, rate.
    error : ndarray, shape (L, 4)
        Added to x, y, vx, vy.
    height : ndarray, shape (L,)
        That each should hold: the third state of a full quadrotor counts from there. [m]
    state : ndarray, shape (L, n)
        Overwritten.
    """
    value = np.empty(10)
    for r in range(len(body)):
        if layout.mode[r] == TILT_AND_THRUST:
            _write_rigid(body[r], error[r], height[r], state[r])
            continue
        theta, phi = tilts(attitude_of(body[r]))
        value[0], value[1] = body[r, 0] + error[r, 0], body[r, 1] + error[r, 1]
        value[2], value[3] = body[r, 7] + error[r, 2], body[r, 8] + error[r, 3]
        value[4], value[5] = theta, phi
        value[6], value[7] = -body[r, 11], -body[r, 10]
        value[8], value[9] = -GRAVITY * np.tan(theta), GRAVITY * np.tan(phi)  # what the tilt accelerates
        for i in range(10):
            if layout.column[r, i] >= 0:
                state[r, layout.column[r, i]] = value[i]


@compiled
def _write_rigid(body: Floats, error: Floats, height: float, state: Floats) -> None:
    """States of a full quadrotor: position, velocity, roll, pitch, yaw, body rates."""
    q = attitude_of(body)
    x, y, z, w = q
    rate = unrotated(q, (body[10], body[11], body[12]))
    state[0], state[1], state[2] = body[0] + error[0], body[1] + error[1], body[2] - height
    state[3], state[4], state[5] = body[7] + error[2], body[8] + error[3], body[9]
    state[6] = np.arctan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
    state[7] = np.arcsin(min(max(2.0 * (w * y - z * x), -1.0), 1.0))
    state[8] = heading(q)
    state[9], state[10], state[11] = rate
