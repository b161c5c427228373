"""Tracking within limits against the closed form without limits and a convex program with them."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from d2oc.control.closed_form import blocks_of, recursion, solve_closed_form, tracking
from d2oc.control.limited_tracking import bounds_of, gains_within_limits, track_within_limits
from d2oc.vehicles.linear import Limits, double_integrator, quadrotor, single_integrator
from d2oc.vehicles.motion import motion_arrays


def follow(model, problem, state, goals, sweeps, k=0):
    guess = np.zeros((len(goals), model.n_inputs))
    blocks, bounds = blocks_of(problem), bounds_of(model, problem.alpha)
    gains = gains_within_limits(blocks, bounds, k, len(goals))
    return track_within_limits(blocks, bounds, gains, motion_arrays([model]), 0, k, state, goals, guess, sweeps)


def wandering_goals(n, seed=1, step=3.0):
    return np.cumsum(np.random.default_rng(seed).normal(0, step, (n, 2)), axis=0)


def draining_quadrotor(n_steps=25):
    """Time varying: the inertia falls."""
    model = quadrotor(0.1, np.linspace(0.0075, 0.004, n_steps))
    q = np.diag([0, 1e-3, 1e-3, 1e-3] * 2)
    return model, tracking(model.A, model.B, model.C, q, np.eye(2)[None], 1 / 900)


def test_without_limits_one_sweep_is_the_closed_form():
    model, problem = draining_quadrotor()
    goals = wandering_goals(20)
    state = np.array([1.0, 2, 0.1, 0, -1, 0, 0, 0.2])
    blocks = blocks_of(problem)
    inputs = np.empty((20, 2))
    solve_closed_form(blocks, 3, state, goals, recursion(blocks, 20), inputs)
    track = follow(model, problem, state, goals, 1, k=3)
    assert track.input == pytest.approx(inputs, abs=1e-12)


def test_long_horizons_stay_stable():
    """Rounding must not pull the halves of the value matrix apart."""
    model = double_integrator(0.2, Limits(input_norm=4.0, speed_norm=8.0))
    problem = tracking(model.A, model.B, model.C, np.zeros((4, 4)), 1e-6 * np.eye(2)[None], 1e-4)
    goals = np.column_stack([np.linspace(0, 300, 600), np.zeros(600)])
    track = follow(model, problem, np.zeros(4), goals, 300)
    assert np.abs(track.state[100:, [0, 2]] - goals[100:]).max() < 0.1


@pytest.mark.parametrize(
    ("model", "weight"),
    [
        (single_integrator(0.5, Limits(input_norm=4.0)), 1e-2),
        (double_integrator(0.2, Limits(input_norm=4.0, speed_norm=8.0)), 1e-2),
        (quadrotor(0.1, np.array([0.0075]), Limits(
            input_each=0.02, speed_each=4.0, state_each=np.array([np.inf, np.inf, 0.3, 0.6] * 2))), 1.0),
    ],
)  # fmt: skip
def test_comes_as_near_as_a_convex_program(model, weight):
    n, horizon = model.n_states, 40
    problem = tracking(model.A, model.B, model.C, 1e-6 * np.eye(n), weight * np.eye(2)[None], 1.0)
    goals = wandering_goals(horizon, step=2.0)
    track = follow(model, problem, np.zeros(n), goals, 2000)

    x, u = cp.Variable((horizon + 1, n)), cp.Variable((horizon, 2))
    limits = model.limits
    constraints = [x[0] == 0, model.A[0] @ x[:-1].T + model.B[0] @ u.T == x[1:].T]
    if np.isfinite(limits.input_norm):
        constraints += [cp.norm(u, axis=1) <= limits.input_norm]
    if np.isfinite(limits.speed_norm):
        constraints += [cp.norm(x[1:, list(model.velocity_states)], axis=1) <= limits.speed_norm]
    if np.isfinite(limits.input_each):
        constraints += [cp.abs(u) <= limits.input_each]
        constraints += [cp.abs(x[1:, list(model.velocity_states)]) <= limits.speed_each]
        tilts = [i for i in range(n) if np.isfinite(limits.state_each[i])]
        constraints += [cp.abs(x[1:, tilts]) <= limits.state_each[tilts][None]]
    places = x[1:, list(model.position_states)]
    cost = cp.sum_squares(places - goals) + 1e-6 * cp.sum_squares(x[1:]) + weight * cp.sum_squares(u)
    program = cp.Problem(cp.Minimize(cost), constraints)
    program.solve(solver=cp.CLARABEL)

    miss = track.state[:, list(model.position_states)] - goals
    ours = (miss**2).sum() + 1e-6 * (track.state**2).sum() + weight * (track.input**2).sum()
    assert ours >= program.value * (1 - 1e-6)
    assert ours <= program.value * (1 + 1e-3)


def test_the_result_is_flyable_after_any_number_of_sweeps():
    model = double_integrator(0.1, Limits(input_norm=4.0, speed_norm=8.0))
    problem = tracking(model.A, model.B, model.C, np.zeros((4, 4)), 1e-2 * np.eye(2)[None], 1.0)
    state = np.array([0.0, 7.9, 0, 0])
    for sweeps in (1, 3, 50):
        track = follow(model, problem, state, wandering_goals(60, step=5.0), sweeps)
        assert np.linalg.norm(track.input, axis=1).max() <= 4.0 * (1 + 1e-12)
        assert np.linalg.norm(track.state[:, [1, 3]], axis=1).max() <= 8.0 * (1 + 1e-12)
        before = np.vstack([state, track.state[:-1]])
        assert track.state == pytest.approx(before @ model.A[0].T + track.input @ model.B[0].T, abs=1e-12)
