r"""The control law of a scenario: weights, terminal cost, and the gains that the loop applies.

With one goal held over the whole horizon the first optimal input is linear in state and goal,
:math:`u_k = K^x_k x_k + K^g_k g`, so its gains are computed once: one pair for a time-invariant model, one pair
per step for a time-varying one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.closed_form import TrackingProblem, blocks_of, recursion, sweep_back, tracking
from d2oc.errors import UnstableLoopError
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import LinearModel

PUBLISHED_INERTIA = 0.0075
"""Inertia the published input weight was tuned for. [kg m^2]"""

PUBLISHED_STATE_WEIGHT = (0.0, 1e-5, 1e-5, 1e-5)
"""Diagonal of Q for one axis in the published settings (position, velocity, tilt, tilt rate)."""


PLANNED_EFFORT = 1e-2
"""R of a planned integrator over alpha: an input of 10 m/s or m/s^2 counts like a metre from the goal. [s^2 or s^4]"""

LONGEST_TRIED = 200
"""Longest horizon that is tried when a stable one is looked for."""


class Gains(NamedTuple):
    """First-input gains of one vehicle at each step."""

    state: Floats
    """K^x, shape (K, m, n)."""
    goal: Floats
    """K^g, shape (K, m, 2)."""


def tracking_problem(model: LinearModel, control: ControlTable, alpha: float) -> TrackingProblem:
    """Weights of the problem of one vehicle.

    Parameters
    ----------
    model : LinearModel
        The vehicle.
    control : ControlTable
        The scenario's `[control]`.
    alpha : float
        Mass of one step of this agent.

    Returns
    -------
    problem : TrackingProblem
    """
    axis_weight = control.state_weight or _default_state_weight(model, control)
    diagonal = np.zeros(model.n_states)
    for axis in model.axes:
        diagonal[list(axis)] = axis_weight
    if model.held is not None:
        diagonal += alpha * model.held
    q = np.diag(diagonal)
    weight = control.input_weight or _default_input_weight(model, control, alpha)
    effort = np.ones((1, model.n_inputs)) if model.effort is None else model.effort
    r = weight * effort[:, :, None] * np.eye(model.n_inputs)
    if control.scale_input_weight_with_inertia and model.inertia_kg_m2 is not None:
        r = r * ((PUBLISHED_INERTIA / model.inertia_kg_m2) ** 2)[:, None, None]
    problem = tracking(model.A, model.B, model.C, q, r, alpha)
    return _with_infinite_horizon(problem) if control.terminal_cost == "dare" else problem


def _default_state_weight(model: LinearModel, control: ControlTable) -> tuple[float, ...]:
    """The published values; none for a plan of an integrator, whose limits make it flyable."""
    if control.law == "mission-plan" and model.inertia_kg_m2 is None:
        return (0.0,) * len(model.axes[0])
    return PUBLISHED_STATE_WEIGHT[: len(model.axes[0])]


def _default_input_weight(model: LinearModel, control: ControlTable, alpha: float) -> float:
    """The published value for what has inertia.

    An integrator answers with the time constant (R / alpha)^(1/2) or ^(1/4): about a second for R = alpha. A plan knows
    what comes and need not be slow; its R only settles what the goals leave open.
    """
    if model.inertia_kg_m2 is not None:
        return 1.0
    return PLANNED_EFFORT * alpha if control.law == "mission-plan" else alpha


def _with_infinite_horizon(problem: TrackingProblem) -> TrackingProblem:
    """End the horizon with the cost of tracking the last goal for ever, for the last A, B and R."""
    from scipy.linalg import solve_discrete_are

    a, b, r = problem.A[-1], problem.B[-1], problem.R[-1]
    p = solve_discrete_are(a, b, problem.P_end, r)
    gain = np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a)
    s = np.linalg.solve(np.eye(len(a)) - (a - b @ gain).T, problem.S_end)
    return problem._replace(P_end=without_rounding(p), S_end=without_rounding(s))


def without_rounding(weight: Floats) -> Floats:
    """Rounding errors of a solver set to zero: they would tie together axes that do not act on each other."""
    return np.where(np.abs(weight) < 1e-11 * np.abs(weight).max(), 0.0, weight)


def first_gains(problem: TrackingProblem, horizon: int, n_steps: int) -> Gains:
    """Gains of the first input at every step, for a goal held over the horizon.

    Parameters
    ----------
    problem : TrackingProblem
        Model and weights.
    horizon : int
        Steps looked ahead, H.
    n_steps : int
        Steps of operation; a time-varying problem gets a pair of gains for each.

    Returns
    -------
    gains : Gains
    """
    varies = max(len(problem.A), len(problem.R)) > 1
    return _gains_at(problem, horizon, range(n_steps if varies else 1))


def _gains_at(problem: TrackingProblem, horizon: int, steps: Sequence[int]) -> Gains:
    n, m = problem.B.shape[1:]
    state = np.zeros((len(steps), m, n))
    goal = np.zeros((len(steps), m, 2))
    blocks = blocks_of(problem)
    work = recursion(blocks, horizon)
    for g, (states, inputs) in enumerate(zip(blocks.states, blocks.inputs, strict=True)):
        for i, k in enumerate(steps):
            for axis in range(2):
                goals = np.zeros((horizon, 2))
                goals[:, axis] = 1.0
                sweep_back(blocks, g, k, goals, work)
                goal[i, inputs, axis] = work.feedforward[g, 0]
            state[i][np.ix_(inputs, states)] = -work.K[g, 0]
    return Gains(state, goal)


def spectral_radius(problem: TrackingProblem, horizon: int, n_steps: int) -> float:
    """Largest spectral radius of A_k + B_k K^x_k over the mission; the loop is stable below 1.

    A time-varying loop is looked at in up to 16 steps spread over the mission, each held frozen.
    """
    varies = max(len(problem.A), len(problem.R)) > 1
    steps = [int(k) for k in np.unique(np.linspace(0, n_steps - 1 if varies else 0, 16).astype(int))]
    gains = _gains_at(problem, horizon, steps)
    at = np.minimum(steps, len(problem.A) - 1)
    return float(np.abs(np.linalg.eigvals(problem.A[at] + problem.B[at] @ gains.state)).max())


def require_stable(problem: TrackingProblem, control: ControlTable, scenario_name: str, n_steps: int) -> None:
    """Refuse a control law whose closed loop diverges.

    Raises
    ------
    UnstableLoopError
        Names the smallest horizon that works, if there is one.
    """
    radius = spectral_radius(problem, control.horizon_steps, n_steps)
    if radius < 1.0:
        return
    works = smallest_stable_horizon(problem, n_steps)
    raise UnstableLoopError(
        f"{scenario_name}: control.horizon_steps = {control.horizon_steps} makes the closed loop unstable "
        f"(spectral radius {radius:.3f}, must be below 1); "
        + (f"the smallest horizon that works is {works}" if works else f"none up to {LONGEST_TRIED} works")
        + (', or set control.terminal_cost = "dare"' if control.terminal_cost == "none" else "")
    )


def smallest_stable_horizon(problem: TrackingProblem, n_steps: int) -> int | None:
    """Smallest horizon whose loop is stable, and stays so for the next longer one."""
    stable_before = False
    for horizon in range(1, LONGEST_TRIED + 2):
        stable = spectral_radius(problem, horizon, n_steps) < 1.0
        if stable and stable_before:
            return horizon - 1
        stable_before = stable
    return None
