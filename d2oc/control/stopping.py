"""Coming to rest: how fast one may be, and the problem behind the fallback command when no plan meets the limits."""

from __future__ import annotations

import math

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.closed_form import TrackingProblem
from d2oc.control.law import without_rounding
from d2oc.vehicles.linear import LinearModel

HASTE = 4.0
"""A full quadrotor tilts to its limit to brake from this share of its top speed, not from all of it."""


def stoppable_speed(distance: float, deceleration: float, time_step: float) -> float:
    """Largest speed of the next step from which one still stops within a distance. [m/s]

    The solution v of v T / 2 + v^2 / (2 a) = distance.

    Parameters
    ----------
    distance : float
        Not negative. [m]
    deceleration : float
        a. [m/s^2]
    time_step : float
        T. [s]
    """
    half = time_step / 2.0
    return deceleration * (math.sqrt(half * half + 2.0 * distance / deceleration) - half)


def stopping_problem(problem: TrackingProblem, model: LinearModel, effort: float = 1.0) -> TrackingProblem:
    """Bring everything but the position to zero.

    Each state and input is weighted by one over the square of its limit (Bryson's rule [1]_), or by 1 where it has
    none; the end of the horizon by the infinite-horizon cost of the last A and B. A velocity command stops by being
    zero.

    Parameters
    ----------
    problem : TrackingProblem
        Model.
    model : LinearModel
        The same model with its limits.
    effort : float
        Weight of the inputs; the smaller, the shorter the way to rest.

    Returns
    -------
    stopping : TrackingProblem

    References
    ----------
    .. [1] A. E. Bryson and Y.-C. Ho, Applied Optimal Control, 1975, sec. 5.2.
    """
    moving = [i for i in range(model.n_states) if i not in model.position_states]
    scale = scale_of(model)
    if model.body is not None:
        scale[[3, 4]] /= HASTE
    weight = np.diag(np.where(np.isin(np.arange(model.n_states), moving), 1.0 / scale**2, 0.0))
    limits = model.limits
    if model.body is not None:
        r = effort * np.diag(1.0 / np.minimum(-model.body.lowest[0], model.body.highest[0]) ** 2)[None]
    else:
        largest = min(limits.input_each, limits.input_norm)
        r = effort * np.eye(model.n_inputs)[None] / (largest**2 if np.isfinite(largest) else 1.0)
    pull = np.zeros((model.n_states, 2))
    end = _terminal_cost(problem, weight, r[0], moving)
    return TrackingProblem(problem.A, problem.B, problem.C, weight, r, 0.0, weight, pull, end, pull)


def scale_of(model: LinearModel) -> Floats:
    """Largest value of each state, 1 where there is no limit."""
    limits = model.limits
    scale = np.full(model.n_states, np.inf) if limits.state_each is None else limits.state_each.copy()
    if model.velocity_states is not None:
        fastest = min(limits.speed_each, limits.speed_norm)
        scale[list(model.velocity_states)] = np.minimum(scale[list(model.velocity_states)], fastest)
        if model.lag > 0.0:  # the acceleration, which is the state after the velocity, follows the input
            acceleration = [state + 1 for state in model.velocity_states]
            scale[acceleration] = np.minimum(scale[acceleration], min(limits.input_each, limits.input_norm))
    if model.body is not None:
        scale[[6, 7, 8]] = limits.tilt_norm
    return np.where(np.isfinite(scale), scale, 1.0)


def stopping_gain(problem: TrackingProblem, model: LinearModel, effort: float, haste: float = HASTE) -> Floats:
    """Gain K of the law u = -K x that brings to rest without limits, for the first A and B, shape (m, n).

    Parameters
    ----------
    problem, model, effort
        As for `stopping_problem`.
    haste : float
        The smaller, the slower, and the later it asks for more than the limits.
    """
    stopping = stopping_problem(problem, model, effort)
    weight = stopping.Q.copy()
    weight[[3, 4], [3, 4]] *= (haste / HASTE) ** 2
    moving = [i for i in range(model.n_states) if i not in model.position_states]
    a, b, r = stopping.A[:1], stopping.B[:1], stopping.R[0]
    p = _terminal_cost(problem._replace(A=a, B=b), weight, r, moving)
    return np.asarray(np.linalg.solve(r + b[0].T @ p @ b[0], b[0].T @ p @ a[0]))


def leading_gain(problem: TrackingProblem, model: LinearModel, effort: float) -> Floats:
    """Gain K of the law u = -K x that leads a vehicle back to where it should be, shape (m, n).

    As if it came to rest with a metre from its place as one more state, which counts like a limit reached.
    """
    from scipy.linalg import solve_discrete_are

    stopping = stopping_problem(problem, model, effort)
    weight = stopping.Q + np.diag(problem.C.sum(axis=0))
    a, b, r = stopping.A[0], stopping.B[0], stopping.R[0]
    p = solve_discrete_are(a, b, weight, r)
    return np.asarray(np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a))


def _terminal_cost(problem: TrackingProblem, weight: Floats, r: Floats, moving: list[int]) -> Floats:
    from scipy.linalg import solve_discrete_are

    end = weight.copy()
    if moving:
        part = np.ix_(moving, moving)
        end[part] = without_rounding(solve_discrete_are(problem.A[-1][part], problem.B[-1][moving], weight[part], r))
    return end
