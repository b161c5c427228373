r"""Tracking of one goal a step over a long horizon within limits, by operator splitting.

.. math::
    \min_{x, u} \tfrac12 \sum_{h=1}^{H} \left[ \alpha |C x_h - g_h|^2 + x_h^T Q x_h \right]
    + \tfrac12 \sum_{h=0}^{H-1} u_h^T R_h u_h, \qquad x_{h+1} = A_h x_h + B_h u_h, \quad x_h \in X, \; u_h \in U

The problem of `d2oc.control.closed_form` with limits, and with a horizon that may be the whole rest of a mission. The
alternating direction method of multipliers [1]_ gives the states and inputs a copy that obeys the limits but not the
dynamics, and asks the two to agree:

.. math::
    (x, u) &\leftarrow \arg\min J + \tfrac12 |x - z_x + \lambda_x|_{\rho_x}^2
    + \tfrac12 |u - z_u + \lambda_u|_{\rho_u}^2, \\
    z &\leftarrow \Pi_{X \times U} \bigl( (x, u) + \lambda \bigr), \qquad \lambda \leftarrow \lambda + (x, u) - z

The first line is a linear quadratic problem whose Riccati gains do not change from sweep to sweep, so a sweep costs
O(H) [2]_. The result is flown through the vehicle's own limits at last, so it is feasible after any number of sweeps.

References
----------
.. [1] S. Boyd et al., Foundations and Trends in Machine Learning 3(1), 2011. :doi:`10.1561/2200000016`
.. [2] B. O'Donoghue, G. Stathopoulos, S. Boyd, A splitting method for optimal control, IEEE Trans. CST 21(6), 2013.
   :doi:`10.1109/TCST.2012.2231960`
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Ints
from d2oc.compiled import compiled
from d2oc.control.closed_form import Blocks
from d2oc.vehicles.linear import Limits, LinearModel
from d2oc.vehicles.motion import Motion, move

REACH_M = 8.0
"""Length by which limits and positions are brought to one scale: a violation of a limit by its whole size weighs as
much as a goal missed by this. [m]"""

OVER_RELAXATION = 1.6
"""Step length of the splitting; 1.5 to 1.8 is the usual choice, [1]_ section 3.4.3."""


class Bounds(NamedTuple):
    """Limits of one vehicle and the weights of their copies."""

    input_norm: float
    input_each: float
    speed_norm: float
    speed_each: float
    state_each: Floats
    """Shape (n,)."""
    velocity_states: Ints
    """Shape (2,), -1 where there are none."""
    state_penalty: Floats
    """Diagonal of rho_x, shape (n,); zero for states without limit."""
    input_penalty: Floats
    """Diagonal of rho_u, shape (m,)."""


class Gains(NamedTuple):
    """Riccati gains of a horizon of H steps; the same for all goals."""

    gain: Floats
    """Feedback, shape (H, m, n)."""
    inverse: Floats
    """Inverse of the weight of the inputs, block by block, shape (blocks, H, inputs, inputs)."""


class Track(NamedTuple):
    """What a vehicle does over a horizon of H steps."""

    state: Floats
    """States 1 to H, shape (H, n)."""
    input: Floats
    """Inputs 0 to H - 1, shape (H, m)."""
    gain: Floats
    """Feedback on the deviation from these states, shape (H, m, n): u = input - gain (x - state before)."""


def bounds_of(model: LinearModel, alpha: float) -> Bounds:
    """Limits of a vehicle, weighted for a problem whose goals weigh `alpha`.

    Parameters
    ----------
    model : LinearModel
        The vehicle.
    alpha : float
        Weight of the squared distance to the goal.

    Returns
    -------
    bounds : Bounds
    """
    limits: Limits = model.limits
    state_each = np.full(model.n_states, np.inf) if limits.state_each is None else limits.state_each
    smallest = state_each.copy()
    if model.velocity_states is not None:
        for state in model.velocity_states:
            smallest[state] = min(smallest[state], limits.speed_norm, limits.speed_each)
    return Bounds(
        limits.input_norm,
        limits.input_each,
        limits.speed_norm,
        limits.speed_each,
        state_each,
        np.array(model.velocity_states or (-1, -1), np.int32),
        alpha * (REACH_M / smallest) ** 2,
        np.full(model.n_inputs, alpha * (REACH_M / min(limits.input_norm, limits.input_each)) ** 2),
    )


@compiled
def gains_within_limits(blocks: Blocks, bounds: Bounds, k: int, horizon: int) -> Gains:
    """Gains for a horizon that begins at step k of the mission: what does not change from goals to goals."""
    n, m = len(bounds.state_penalty), len(bounds.input_penalty)
    gain = np.zeros((horizon, m, n))
    inverse = np.zeros((len(blocks.A), horizon, blocks.B.shape[3], blocks.B.shape[3]))
    for g in range(len(blocks.A)):
        _gains(blocks, g, bounds, k, gain, inverse[g])
    return Gains(gain, inverse)


@compiled
def track_within_limits(
    blocks: Blocks,
    bounds: Bounds,
    gains: Gains,
    motion: Motion,
    kind: int,
    k: int,
    state: Floats,
    goals: Floats,
    guess: Floats,
    sweeps: int,
) -> Track:
    """States and inputs that follow goals as closely as the limits allow.

    Parameters
    ----------
    blocks : Blocks
        Model and weights, from `d2oc.control.closed_form.blocks_of`.
    bounds : Bounds
        Limits.
    gains : Gains
        From `gains_within_limits`, of this step and horizon.
    motion, kind : Motion and int
        The vehicle that flies the result.
    k : int
        Step of the mission at which the horizon begins.
    state : ndarray, shape (n,)
        State now.
    goals : ndarray, shape (H, 2)
        Goal of each of the states 1 to H, local ENU. [m]
    guess : ndarray, shape (H, m)
        Inputs to start from.
    sweeps : int
        Sweeps of the splitting; one suffices without limits.

    Returns
    -------
    track : Track
        Feasible: flown by `d2oc.vehicles.motion.move`.
    """
    horizon, (n, m) = len(goals), (len(bounds.state_penalty), len(bounds.input_penalty))
    gain, inverse = gains
    x, u = np.zeros((horizon, n)), guess.copy()
    _predict(blocks, k, state, u, x)
    limited = bounds.state_penalty.max() > 0.0 or bounds.input_penalty.max() > 0.0
    wanted_x, wanted_u = x.copy(), u.copy()
    slack_x, slack_u = np.zeros((horizon, n)), np.zeros((horizon, m))
    if limited:
        _project(bounds, wanted_x, wanted_u)
    feedforward = np.zeros((horizon, m))
    for _ in range(sweeps if limited else 1):
        for g in range(len(blocks.A)):
            _sweep(blocks, g, bounds, k, goals, gain, inverse[g], wanted_x, wanted_u, slack_x, slack_u, feedforward)
        _fly_freely(blocks, k, state, gain, feedforward, x, u)
        if limited:
            _relax(x, wanted_x, slack_x)
            _relax(u, wanted_u, slack_u)
            _project(bounds, wanted_x, wanted_u)
            slack_x -= wanted_x
            slack_u -= wanted_u
    return _flown(motion, kind, k, state, x, u, gain)


@compiled
def _gains(blocks: Blocks, g: int, bounds: Bounds, k: int, gain: Floats, inverse: Floats) -> None:
    """Riccati gains of block g with the penalties added to its weights."""
    all_a, all_b, all_r = blocks.A[g], blocks.B[g], blocks.R[g]
    states, inputs = blocks.states[g], blocks.inputs[g]
    n, m = len(states), len(inputs)
    value = blocks.P_end[g].copy()
    for i in range(n):
        value[i, i] += bounds.state_penalty[states[i]]
    for h in range(len(gain) - 1, -1, -1):
        a, b = all_a[min(k + h, len(all_a) - 1)], all_b[min(k + h, len(all_b) - 1)]
        s = all_r[min(k + h, len(all_r) - 1)] + b.T @ value @ b
        for i in range(m):
            s[i, i] += bounds.input_penalty[inputs[i]]
        _invert(s, inverse[h])
        bpa = b.T @ value @ a
        feedback = inverse[h] @ bpa
        for i in range(m):
            for j in range(n):
                gain[h, inputs[i], states[j]] = feedback[i, j]
        value = blocks.M[g] + a.T @ value @ a - bpa.T @ feedback
        for i in range(n):
            value[i, i] += bounds.state_penalty[states[i]]
            for j in range(i):  # rounding would pull the halves apart over a long horizon
                value[i, j] = value[j, i] = (value[i, j] + value[j, i]) / 2


@compiled
def _invert(matrix: Floats, inverse: Floats) -> None:
    """Inverse of a small positive definite matrix, by Gauss and Jordan."""
    size = len(matrix)
    for i in range(size):
        for j in range(size):
            inverse[i, j] = 1.0 if i == j else 0.0
    for i in range(size):
        scale = 1.0 / matrix[i, i]
        for j in range(size):
            matrix[i, j] *= scale
            inverse[i, j] *= scale
        for row in range(size):
            factor = matrix[row, i]
            if row != i and factor != 0.0:
                for j in range(size):
                    matrix[row, j] -= factor * matrix[i, j]
                    inverse[row, j] -= factor * inverse[i, j]


@compiled
def _sweep(
    blocks: Blocks,
    g: int,
    bounds: Bounds,
    k: int,
    goals: Floats,
    gain: Floats,
    inverse: Floats,
    wanted_x: Floats,
    wanted_u: Floats,
    slack_x: Floats,
    slack_u: Floats,
    feedforward: Floats,
) -> None:
    """Backward sweep of the linear terms of block g; goals and copies pull."""
    all_a, all_b = blocks.A[g], blocks.B[g]
    states, inputs = blocks.states[g], blocks.inputs[g]
    n, m = len(states), len(inputs)
    slope, before, bs = np.empty(n), np.empty(n), np.empty(m)
    last = len(goals) - 1
    for i in range(n):
        slope[i] = blocks.S_end[g, i, 0] * goals[last, 0] + blocks.S_end[g, i, 1] * goals[last, 1]
        slope[i] += bounds.state_penalty[states[i]] * (wanted_x[last, states[i]] - slack_x[last, states[i]])
    for h in range(last, -1, -1):
        a, b = all_a[min(k + h, len(all_a) - 1)], all_b[min(k + h, len(all_b) - 1)]
        for i in range(m):
            bs[i] = bounds.input_penalty[inputs[i]] * (wanted_u[h, inputs[i]] - slack_u[h, inputs[i]])
            for j in range(n):
                bs[i] += b[j, i] * slope[j]
        for i in range(m):
            feedforward[h, inputs[i]] = 0.0
            for j in range(m):
                feedforward[h, inputs[i]] += inverse[h, i, j] * bs[j]
        if h == 0:
            return
        for i in range(n):
            before[i] = blocks.S[g, i, 0] * goals[h - 1, 0] + blocks.S[g, i, 1] * goals[h - 1, 1]
            before[i] += bounds.state_penalty[states[i]] * (wanted_x[h - 1, states[i]] - slack_x[h - 1, states[i]])
            for j in range(n):
                before[i] += a[j, i] * slope[j]
            for j in range(m):
                before[i] -= gain[h, inputs[j], states[i]] * bs[j]
        slope[:] = before


@compiled
def _fly_freely(blocks: Blocks, k: int, state: Floats, gain: Floats, feedforward: Floats, x: Floats, u: Floats) -> None:
    """Forward sweep of the optimal inputs without limits."""
    now = state.copy()
    for h in range(len(x)):
        for i in range(u.shape[1]):
            u[h, i] = feedforward[h, i]
            for j in range(x.shape[1]):
                u[h, i] -= gain[h, i, j] * now[j]
        _advance(blocks, k + h, now, u[h], x[h])
        now[:] = x[h]


@compiled
def _predict(blocks: Blocks, k: int, state: Floats, u: Floats, x: Floats) -> None:
    """States that follow from inputs."""
    now = state.copy()
    for h in range(len(x)):
        _advance(blocks, k + h, now, u[h], x[h])
        now[:] = x[h]


@compiled
def _advance(blocks: Blocks, k: int, now: Floats, u: Floats, after: Floats) -> None:
    """One step x+ = A_k x + B_k u, block by block."""
    at = min(k, blocks.A.shape[1] - 1)
    for g in range(len(blocks.A)):
        for i in range(blocks.states.shape[1]):
            total = 0.0
            for j in range(blocks.states.shape[1]):
                total += blocks.A[g, at, i, j] * now[blocks.states[g, j]]
            for j in range(blocks.inputs.shape[1]):
                total += blocks.B[g, at, i, j] * u[blocks.inputs[g, j]]
            after[blocks.states[g, i]] = total


@compiled
def _relax(free: Floats, wanted: Floats, slack: Floats) -> None:
    """Over-relaxed point plus multiplier, left in both `wanted`, which is projected next, and `slack`."""
    for h in range(len(free)):
        for i in range(free.shape[1]):
            relaxed = OVER_RELAXATION * free[h, i] + (1.0 - OVER_RELAXATION) * wanted[h, i]
            slack[h, i] += relaxed
            wanted[h, i] = slack[h, i]


@compiled
def _project(bounds: Bounds, x: Floats, u: Floats) -> None:
    """Nearest states and inputs within the limits."""
    ix, iy = bounds.velocity_states
    for h in range(len(x)):
        if ix >= 0:
            x[h, ix] = min(max(x[h, ix], -bounds.speed_each), bounds.speed_each)
            x[h, iy] = min(max(x[h, iy], -bounds.speed_each), bounds.speed_each)
            speed = np.sqrt(x[h, ix] ** 2 + x[h, iy] ** 2)
            if speed > bounds.speed_norm:
                x[h, ix] *= bounds.speed_norm / speed
                x[h, iy] *= bounds.speed_norm / speed
        for i in range(x.shape[1]):
            x[h, i] = min(max(x[h, i], -bounds.state_each[i]), bounds.state_each[i])
        norm = 0.0
        for i in range(u.shape[1]):
            u[h, i] = min(max(u[h, i], -bounds.input_each), bounds.input_each)
            norm += u[h, i] ** 2
        norm = np.sqrt(norm)
        if norm > bounds.input_norm:
            for i in range(u.shape[1]):
                u[h, i] *= bounds.input_norm / norm


@compiled
def _flown(motion: Motion, kind: int, k: int, state: Floats, x: Floats, u: Floats, gain: Floats) -> Track:
    """Fly the free solution through the vehicle's own limits, led back by its gains."""
    horizon, n = x.shape
    m = u.shape[1]
    now, planned = state.copy(), state.copy()
    flown, applied = np.empty((horizon, n)), np.empty((horizon, m))
    for h in range(horizon):
        for i in range(m):
            applied[h, i] = u[h, i]
            for j in range(n):
                applied[h, i] -= gain[h, i, j] * (now[j] - planned[j])
        move(motion, kind, k + h, now, applied[h], flown[h])
        now[:] = flown[h]
        planned[:] = x[h]
    return Track(flown, applied, gain)
