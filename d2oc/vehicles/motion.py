"""One step of a linear vehicle within its limits, compiled; the arrays of a whole fleet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Flags, Floats, Ints
from d2oc.compiled import compiled
from d2oc.vehicles.linear import LinearModel
from d2oc.vehicles.rigid_quadrotor import Stages, advance
from d2oc.vehicles.unicycle import arc


class Motion(NamedTuple):
    """The models of a fleet as padded arrays; the first axis counts kinds of vehicles."""

    A: Floats
    """State matrices, shape (kinds, K, n, n)."""
    B: Floats
    """Input matrices, shape (kinds, K, n, m)."""
    length: Ints
    """Number of different steps of each kind, shape (kinds,)."""
    n_states: Ints
    n_inputs: Ints
    position_states: Ints
    """Shape (kinds, 2)."""
    velocity_states: Ints
    """Shape (kinds, 2), -1 where there are none."""
    lag: Floats
    """Time constant of the acceleration, shape (kinds,). [s]"""
    input_norm: Floats
    input_each: Floats
    speed_norm: Floats
    speed_each: Floats
    turn_rate: Floats
    unicycle: Flags
    """Which kinds drive along arcs, shape (kinds,)."""
    rigid: Flags
    """Which kinds are full quadrotors, shape (kinds,)."""
    body: Floats
    """What they are made of at every step, see `d2oc.vehicles.linear.RigidBody`, shape (kinds, K, 8)."""
    lowest: Floats
    """Their least inputs, shape (kinds, K, 4)."""
    highest: Floats
    """Their largest inputs, shape (kinds, K, 4)."""
    state_each: Floats
    """Shape (kinds, n)."""


def motion_arrays(models: Sequence[LinearModel]) -> Motion:
    """Pad the models of a fleet into common arrays."""
    kinds = len(models)
    steps = max(len(model.A) for model in models)
    n = max(model.n_states for model in models)
    m = max(model.n_inputs for model in models)
    a = np.zeros((kinds, steps, n, n))
    b = np.zeros((kinds, steps, n, m))
    state_each = np.full((kinds, n), np.inf)
    body, lowest, highest = np.zeros((kinds, steps, 8)), np.zeros((kinds, steps, 4)), np.zeros((kinds, steps, 4))
    for kind, model in enumerate(models):
        k = len(model.A)
        a[kind, :k, : model.n_states, : model.n_states] = model.A
        b[kind, :k, : model.n_states, : model.n_inputs] = model.B
        if model.limits.state_each is not None:
            state_each[kind, : model.n_states] = model.limits.state_each
        if model.body is not None:
            body[kind, :k], lowest[kind, :k], highest[kind, :k] = model.body
    return Motion(
        A=a,
        B=b,
        length=_ints([len(model.A) for model in models]),
        n_states=_ints([model.n_states for model in models]),
        n_inputs=_ints([model.n_inputs for model in models]),
        position_states=_ints([model.position_states for model in models]),
        velocity_states=_ints([model.velocity_states or (-1, -1) for model in models]),
        lag=np.array([model.lag for model in models]),
        input_norm=np.array([model.limits.input_norm for model in models]),
        input_each=np.array([model.limits.input_each for model in models]),
        speed_norm=np.array([model.limits.speed_norm for model in models]),
        speed_each=np.array([model.limits.speed_each for model in models]),
        turn_rate=np.array([model.limits.turn_rate for model in models]),
        unicycle=np.array([model.name == "unicycle" for model in models]),
        rigid=np.array([model.body is not None for model in models]),
        body=body,
        lowest=lowest,
        highest=highest,
        state_each=state_each,
    )


def _ints(values: object) -> Ints:
    return np.array(values, dtype=np.int32)


@compiled
def move(motion: Motion, kind: int, k: int, state: Floats, command: Floats, after: Floats) -> None:
    """One step x+ = A_k x + B_k u within the limits; rovers and full quadrotors by their own equations.

    Parameters
    ----------
    motion : Motion
        Models of the fleet.
    kind : int
        Which model.
    k : int
        Step of the mission.
    state : ndarray, shape (n,)
        State now.
    command : ndarray, shape (m,)
        Input asked for; overwritten with the input that was applied.
    after : ndarray, shape (n,)
        Receives the next state.
    """
    k = min(k, motion.length[kind] - 1)
    limit_input(motion, kind, k, state, command)
    if motion.unicycle[kind]:
        arc(state, command[0], command[1], motion.B[kind, k, 0, 0], after)
        return
    if motion.rigid[kind]:
        work = Stages(np.empty((2, 12)), np.empty((2, 12)), np.empty((0, 0, 0)), np.empty((0, 0, 0)))
        advance(motion.body[kind, k], state[:12], command, after[:12], work)
        return
    a = motion.A[kind, k]
    b = motion.B[kind, k]
    for i in range(motion.n_states[kind]):
        total = 0.0
        for j in range(motion.n_states[kind]):
            total += a[i, j] * state[j]
        for j in range(motion.n_inputs[kind]):
            total += b[i, j] * command[j]
        after[i] = total
    _limit_state(motion, kind, after)


@compiled
def limit_input(motion: Motion, kind: int, k: int, state: Floats, command: Floats) -> None:
    """Cut a command to what the vehicle may be asked for in this state."""
    if motion.unicycle[kind]:
        command[0] = min(max(command[0], -motion.input_each[kind]), motion.input_each[kind])
        command[1] = min(max(command[1], -motion.turn_rate[kind]), motion.turn_rate[kind])
        return
    if motion.rigid[kind]:
        for j in range(4):
            command[j] = min(max(command[j], motion.lowest[kind, k, j]), motion.highest[kind, k, j])
        return
    for j in range(motion.n_inputs[kind]):
        command[j] = min(max(command[j], -motion.input_each[kind]), motion.input_each[kind])
    norm = 0.0
    for j in range(motion.n_inputs[kind]):
        norm += command[j] * command[j]
    norm = np.sqrt(norm)
    if norm > motion.input_norm[kind]:
        for j in range(motion.n_inputs[kind]):
            command[j] *= motion.input_norm[kind] / norm
    if motion.speed_norm[kind] < np.inf:
        _limit_acceleration(motion, kind, k, state, command)


@compiled
def _limit_acceleration(motion: Motion, kind: int, k: int, state: Floats, command: Floats) -> None:
    """Cut the acceleration so that the next velocity is the one projected on the speed limit.

    The projection is onto a convex set that holds the present velocity, so it never asks for more
    acceleration than the command did. Where the acceleration lags, the velocity that is limited is the one
    that would be reached without further command, v + lag a: it grows by T u, and v follows it from below.
    """
    ix = motion.velocity_states[kind, 0]
    iy = motion.velocity_states[kind, 1]
    lag = motion.lag[kind]
    time_step = motion.B[kind, k, ix, 0]
    now_x, now_y = state[ix], state[iy]
    if lag > 0.0:
        time_step += lag * motion.B[kind, k, ix + 1, 0]
        now_x += lag * state[ix + 1]
        now_y += lag * state[iy + 1]
    vx = now_x + time_step * command[0]
    vy = now_y + time_step * command[1]
    speed = np.sqrt(vx * vx + vy * vy)
    if speed > motion.speed_norm[kind]:
        factor = motion.speed_norm[kind] / speed
        command[0] = (vx * factor - now_x) / time_step
        command[1] = (vy * factor - now_y) / time_step


@compiled
def _limit_state(motion: Motion, kind: int, state: Floats) -> None:
    if motion.speed_each[kind] < np.inf:
        ix = motion.velocity_states[kind, 0]
        iy = motion.velocity_states[kind, 1]
        fastest = max(abs(state[ix]), abs(state[iy]))
        if fastest > motion.speed_each[kind]:
            state[ix] *= motion.speed_each[kind] / fastest
            state[iy] *= motion.speed_each[kind] / fastest
    for i in range(motion.n_states[kind]):
        limit = motion.state_each[kind, i]
        state[i] = min(max(state[i], -limit), limit)
