"""Coming to rest: the problem whose solution is the fallback command when no plan meets the hard limits."""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.closed_form import TrackingProblem
from d2oc.control.law import without_rounding
from d2oc.vehicles.linear import LinearModel


def stopping_problem(problem: TrackingProblem, model: LinearModel) -> TrackingProblem:
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

    Returns
    -------
    stopping : TrackingProblem

    References
    ----------
    .. [1] A. E. Bryson and Y.-C. Ho, Applied Optimal Control, 1975, sec. 5.2.
    """
    moving = [i for i in range(model.n_states) if i not in model.position_states]
    weight = np.diag(np.where(np.isin(np.arange(model.n_states), moving), 1.0 / _scale(model) ** 2, 0.0))
    limits = model.limits
    largest = min(limits.input_each, limits.input_norm)
    r = np.eye(model.n_inputs)[None] / (largest**2 if np.isfinite(largest) else 1.0)
    pull = np.zeros((model.n_states, 2))
    end = _terminal_cost(problem, weight, r[0], moving)
    return TrackingProblem(problem.A, problem.B, problem.C, weight, r, 0.0, weight, pull, end, pull)


def _scale(model: LinearModel) -> Floats:
    """Largest value of each state, 1 where there is no limit."""
    limits = model.limits
    scale = np.full(model.n_states, np.inf) if limits.state_each is None else limits.state_each.copy()
    if model.velocity_states is not None:
        fastest = min(limits.speed_each, limits.speed_norm)
        scale[list(model.velocity_states)] = np.minimum(scale[list(model.velocity_states)], fastest)
    return np.where(np.isfinite(scale), scale, 1.0)


def _terminal_cost(problem: TrackingProblem, weight: Floats, r: Floats, moving: list[int]) -> Floats:
    from scipy.linalg import solve_discrete_are

    end = weight.copy()
    if moving:
        part = np.ix_(moving, moving)
        end[part] = without_rounding(solve_discrete_are(problem.A[-1][part], problem.B[-1][moving], weight[part], r))
    return end
