"""The Riccati recursion against the KKT system, the condensed normal equations, cvxpy and published gains."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.control.closed_form import blocks_of, recursion, solve_closed_form, tracking
from d2oc.control.law import first_gains, require_stable, spectral_radius, tracking_problem
from d2oc.errors import UnstableLoopError
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import double_integrator, quadrotor, single_integrator

PUBLISHED = np.array([0.0075])


def random_problem(rng, horizon, n, m, k_steps):
    q_root = rng.normal(size=(n, n)) * 0.3
    alpha = float(rng.uniform(0.1, 2))
    c = rng.normal(size=(2, n))
    q = q_root @ q_root.T
    r = np.array([np.diag(rng.uniform(0.5, 2, m)) for _ in range(k_steps)])
    a = np.eye(n) + 0.3 * rng.normal(size=(k_steps, n, n)) * (rng.random((k_steps, n, n)) < 0.5)
    b = rng.normal(size=(k_steps, n, m))
    return tracking(a, b, c, q, r, alpha)


def at(array, k):
    return array[min(k, len(array) - 1)]


def solve_kkt(problem, k, x0, goals):
    """The published way: one dense linear system in states, inputs and multipliers."""
    horizon = len(goals)
    n, m = problem.B.shape[1:]
    cost = np.zeros((horizon * (n + m),) * 2)
    linear = np.zeros(horizon * (n + m))
    dynamics = np.zeros((horizon * n, horizon * (n + m)))
    right = np.zeros(horizon * n)
    for h in range(horizon):
        xs = slice(h * n, (h + 1) * n)
        us = slice(horizon * n + h * m, horizon * n + (h + 1) * m)
        last = h == horizon - 1
        cost[xs, xs] = problem.P_end if last else problem.alpha * problem.C.T @ problem.C + problem.Q
        linear[xs] = (problem.S_end if last else problem.alpha * problem.C.T) @ goals[h]
        cost[us, us] = at(problem.R, k + h)
        dynamics[xs, xs] = -np.eye(n)
        dynamics[xs, us] = at(problem.B, k + h)
        if h == 0:
            right[xs] = -at(problem.A, k) @ x0
        else:
            dynamics[xs, (h - 1) * n : h * n] = at(problem.A, k + h)
    zeros = np.zeros((horizon * n, horizon * n))
    kkt = np.block([[cost, dynamics.T], [dynamics, zeros]])
    solution = np.linalg.solve(kkt, np.concatenate([linear, right]))
    return solution[horizon * n : horizon * (n + m)].reshape(horizon, m)


def condense(problem, k, x0, horizon):
    """States as free response plus input-to-state map: x = free + gamma u."""
    n, m = problem.B.shape[1:]
    free = np.zeros((horizon, n))
    gamma = np.zeros((horizon, n, horizon * m))
    x, g = x0, np.zeros((n, horizon * m))
    for h in range(horizon):
        x = at(problem.A, k + h) @ x
        g = at(problem.A, k + h) @ g
        g[:, h * m : (h + 1) * m] += at(problem.B, k + h)
        free[h], gamma[h] = x, g
    return free, gamma


def solve_condensed(problem, k, x0, goals):
    """Normal equations in the inputs alone."""
    horizon = len(goals)
    m = problem.B.shape[2]
    free, gamma = condense(problem, k, x0, horizon)
    hessian = np.zeros((horizon * m,) * 2)
    right = np.zeros(horizon * m)
    for h in range(horizon):
        last = h == horizon - 1
        weight = problem.P_end if last else problem.alpha * problem.C.T @ problem.C + problem.Q
        pull = (problem.S_end if last else problem.alpha * problem.C.T) @ goals[h]
        hessian += gamma[h].T @ weight @ gamma[h]
        right += gamma[h].T @ (pull - weight @ free[h])
        hessian[h * m : (h + 1) * m, h * m : (h + 1) * m] += at(problem.R, k + h)
    return np.linalg.solve(hessian, right).reshape(horizon, m)


def solve_riccati(problem, k, x0, goals):
    blocks = blocks_of(problem)
    inputs = np.empty((len(goals), problem.B.shape[2]))
    solve_closed_form(blocks, k, x0, goals, recursion(blocks, len(goals)), inputs)
    return inputs


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("k_steps", [1, 9])
def test_three_ways_agree(seed, k_steps):
    rng = np.random.default_rng(seed)
    horizon, n, m = int(rng.integers(1, 9)), int(rng.integers(2, 9)), int(rng.integers(1, 4))
    problem = random_problem(rng, horizon, n, m, k_steps)
    x0, goals, k = rng.normal(size=n), rng.normal(size=(horizon, 2)), int(rng.integers(0, 5))
    riccati = solve_riccati(problem, k, x0, goals)
    scale = np.abs(riccati).max()
    assert np.abs(riccati - solve_kkt(problem, k, x0, goals)).max() <= 1e-12 * scale
    assert np.abs(riccati - solve_condensed(problem, k, x0, goals)).max() <= 1e-12 * scale


@pytest.mark.parametrize("horizon", [15, 30])
def test_three_ways_agree_on_the_time_varying_quadrotor(horizon):
    rng = np.random.default_rng(horizon)
    model = quadrotor(0.1, np.linspace(0.0075, 0.004, 40))
    control = ControlTable(horizon_steps=horizon, scale_input_weight_with_inertia=True)
    problem = tracking_problem(model, control, 1 / 900)
    x0, goals = rng.normal(size=8), rng.uniform(-10, 10, (horizon, 2))
    riccati = solve_riccati(problem, 5, x0, goals)
    assert np.abs(riccati - solve_kkt(problem, 5, x0, goals)).max() <= 1e-12
    assert np.abs(riccati - solve_condensed(problem, 5, x0, goals)).max() <= 1e-12


def test_cvxpy_states_the_same_problem():
    cvxpy = pytest.importorskip("cvxpy", reason="cvxpy comes with the extra 'test'")
    rng = np.random.default_rng(3)
    problem = random_problem(rng, 6, 4, 2, 9)
    x0, goals = rng.normal(size=4), rng.normal(size=(6, 2))
    x, u = cvxpy.Variable((7, 4)), cvxpy.Variable((6, 2))
    cost = 0
    rules = [x[0] == x0]
    for h in range(6):
        rules.append(x[h + 1] == problem.A[h] @ x[h] + problem.B[h] @ u[h])
        cost += problem.alpha * cvxpy.sum_squares(problem.C @ x[h + 1] - goals[h])
        cost += cvxpy.quad_form(x[h + 1], cvxpy.psd_wrap(problem.Q)) + cvxpy.quad_form(u[h], problem.R[h])
    cvxpy.Problem(cvxpy.Minimize(cost / 2), rules).solve(solver="CLARABEL")
    assert np.abs(u.value - solve_riccati(problem, 0, x0, goals)).max() < 1e-6


def test_published_oracle_gains():
    """Gains of the published settings, H = 15, alpha = 1/900 (S. Seo and K. Lee, official code)."""
    problem = tracking_problem(quadrotor(0.1, PUBLISHED), ControlTable(), 1 / 900)
    gains = first_gains(problem, 15, 150)
    u1 = [0, 0, 0, 0, -0.021549, -0.024498, -0.130098, -0.043951]
    u2 = [0.021549, 0.024498, -0.130098, -0.043951, 0, 0, 0, 0]
    assert gains.state[0] == pytest.approx(np.array([u1, u2]), abs=6e-7)
    assert gains.goal[0] == pytest.approx(np.array([[0, 0.021549], [-0.021549, 0]]), abs=6e-7)


@pytest.mark.parametrize(("horizon", "radius"), [(4, 1.045), (10, 1.056), (12, 0.975), (15, 0.949), (30, 0.908)])
def test_published_spectral_radii(horizon, radius):
    problem = tracking_problem(quadrotor(0.1, PUBLISHED), ControlTable(), 1 / 900)
    assert spectral_radius(problem, horizon, 150) == pytest.approx(radius, abs=6e-4)


def test_unstable_loop_is_refused_with_the_smallest_horizon_that_works():
    control = ControlTable(horizon_steps=10)
    problem = tracking_problem(quadrotor(0.1, PUBLISHED), control, 1 / 900)
    with pytest.raises(UnstableLoopError) as caught:
        require_stable(problem, control, "mine", 150)
    assert str(caught.value) == (
        "mine: control.horizon_steps = 10 makes the closed loop unstable (spectral radius 1.056, must be below 1); "
        'the smallest horizon that works is 12, or set control.terminal_cost = "dare"'
    )


@pytest.mark.parametrize("horizon", [1, 2, 4, 10])
@pytest.mark.parametrize(
    "model", [single_integrator(0.1), double_integrator(0.1), quadrotor(0.1, PUBLISHED)], ids=lambda m: m.name
)
def test_dare_terminal_cost_is_stable_at_any_horizon(model, horizon):
    control = ControlTable(horizon_steps=horizon, terminal_cost="dare")
    problem = tracking_problem(model, control, 1 / 900)
    gains = first_gains(problem, horizon, 150)
    assert spectral_radius(problem, horizon, 150) < 1
    # The infinite-horizon law is the same whatever the horizon in front of it.
    longer = first_gains(problem, horizon + 7, 150)
    assert gains.state == pytest.approx(longer.state, abs=1e-9)
    assert gains.goal == pytest.approx(longer.goal, abs=1e-9)


@pytest.mark.parametrize("factor", [4, 20, 100])
def test_input_weight_scaled_with_inertia_keeps_the_loop_stable(factor):
    heavy = quadrotor(0.1, PUBLISHED * factor)
    plain = tracking_problem(heavy, ControlTable(), 1 / 900)
    scaled = tracking_problem(heavy, ControlTable(scale_input_weight_with_inertia=True), 1 / 900)
    light = tracking_problem(quadrotor(0.1, PUBLISHED), ControlTable(), 1 / 900)
    assert spectral_radius(plain, 15, 1) > 1
    radius = spectral_radius(light, 15, 1)
    assert spectral_radius(scaled, 15, 1) == pytest.approx(radius, abs=1e-9)


def test_axes_that_do_not_act_on_each_other_are_solved_apart():
    quad = blocks_of(tracking_problem(quadrotor(0.1, PUBLISHED), ControlTable(), 1 / 900))
    assert quad.states.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert quad.inputs.tolist() == [[1], [0]]
    coupled = blocks_of(random_problem(np.random.default_rng(0), 5, 4, 2, 3))
    assert coupled.states.tolist() == [[0, 1, 2, 3]]
