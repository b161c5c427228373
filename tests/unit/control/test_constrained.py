"""The constrained step against the closed form, cvxpy, its optimality conditions and its own promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import nnls

from d2oc.control.closed_form import blocks_of, recursion, solve_closed_form, tracking
from d2oc.control.constrained import ConstrainedStep, Infeasible, Solved
from d2oc.control.half_planes import HalfPlanes
from d2oc.control.law import tracking_problem
from d2oc.scenario.schema import ControlTable
from d2oc.vehicles.linear import Limits, LinearModel, double_integrator, quadrotor, single_integrator

TILT, TILT_RATE = math.radians(15), math.radians(60)


def quadrotor_limits(torque=0.05, speed=2.0):
    each = np.full(8, np.inf)
    each[[2, 6]], each[[3, 7]] = TILT, TILT_RATE
    return Limits(input_each=torque, speed_each=speed, state_each=each)


def payload_quadrotor(limits=None):
    """A tank that drains: every matrix differs."""
    model = quadrotor(0.1, np.linspace(0.0075, 0.004, 60), limits or quadrotor_limits())
    control = ControlTable(scale_input_weight_with_inertia=True, terminal_cost="dare")
    return model, tracking_problem(model, control, 1 / 900)


def spray_drone(limits=None):
    model = double_integrator(0.2, limits or Limits(input_norm=1.5, speed_norm=3.0))
    return model, tracking_problem(model, ControlTable(), 1 / 900)


def random_vehicle(seed, k_steps):
    """Coupled states and inputs, every matrix random, time varying or not."""
    rng = np.random.default_rng(seed)
    a = np.eye(4) + 0.15 * rng.normal(size=(k_steps, 4, 4))
    b = rng.normal(size=(k_steps, 4, 2))
    q, r = np.diag(rng.uniform(0, 0.1, 4)), np.array([np.diag(rng.uniform(0.2, 1, 2)) for _ in range(k_steps)])
    limits = Limits(input_each=0.5, speed_each=0.8, state_each=np.array([np.inf, np.inf, np.inf, 3.0]))
    model = LinearModel("random", tuple("abcd"), ("u", "v"), a, b, (0, 2), (1, 3), ((0, 1), (2, 3)), limits)
    return model, tracking(a, b, model.C, q, r, 0.3)


def cases():
    rng = np.random.default_rng(11)
    for name, (model, problem) in {
        "payload quadrotor": payload_quadrotor(),
        "double integrator": spray_drone(),
        "single integrator": (
            m := single_integrator(0.2, Limits(input_norm=0.5)),
            tracking_problem(m, ControlTable(), 1 / 900),
        ),
        "random, time varying": random_vehicle(1, 20),
        "random, time invariant": random_vehicle(2, 1),
    }.items():
        for horizon in (1, 6, 15):
            state = 0.3 * rng.normal(size=model.n_states)
            goals = rng.uniform(-8, 8, (horizon, 2))
            yield pytest.param(model, problem, horizon, state, goals, id=f"{name}, H={horizon}")


def flight(step, model, n_steps, goal_of, half_planes=None, state=None, warm=True):
    """Fly in closed loop; yields (k, state, goals, result)."""
    state = np.zeros(model.n_states) if state is None else state
    start = None
    for k in range(n_steps):
        goals = np.tile(goal_of(k), (step.horizon, 1))
        result = step.solve(k, state, goals, half_planes, start if warm else None)
        yield k, state, goals, result
        start = result.active_set
        at = min(k, len(model.A) - 1)
        state = model.A[at] @ state + model.B[at] @ result.input


def oracle(problem, model, horizon, n_half_planes=0, **options):
    convex = pytest.importorskip("d2oc.control.convex_program", reason="cvxpy comes with the extra 'convex'")
    program = convex.ConvexProgram(problem, model, horizon, n_half_planes, **options)
    return lambda *args: program.solve(*args, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)


@pytest.mark.parametrize("horizon", [1, 10, 30])
@pytest.mark.parametrize("vehicle", [payload_quadrotor, spray_drone])
def test_equals_the_closed_form_when_no_limit_binds(vehicle, horizon):
    model, problem = vehicle(Limits(input_each=1e3, speed_each=1e3))
    rng = np.random.default_rng(horizon)
    state, goals = rng.normal(size=model.n_states), rng.uniform(-9, 9, (horizon, 2))
    blocks, expected = blocks_of(problem), np.empty((horizon, 2))
    solve_closed_form(blocks, 3, state, goals, recursion(blocks, horizon), expected)
    result = ConstrainedStep(problem, model, horizon).solve(3, state, goals)
    assert isinstance(result, Solved)
    assert not result.active_set.any()
    assert np.abs(result.inputs - expected).max() <= 1e-9 * max(1.0, np.abs(expected).max())
    assert result.input == pytest.approx(result.inputs[0])


@pytest.mark.parametrize(("model", "problem", "horizon", "state", "goals"), list(cases()))
def test_equals_cvxpy_with_binding_limits(model, problem, horizon, state, goals):
    result = ConstrainedStep(problem, model, horizon).solve(2, state, goals)
    optimum = oracle(problem, model, horizon, exact_norms=False)(2, state, goals)
    assert isinstance(result, Solved)
    assert np.abs(result.inputs - optimum.inputs).max() < 1e-6
    assert np.abs(result.predicted_states - optimum.states).max() < 1e-5
    assert horizon == 1 or result.active_set.any()


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize(("vehicle", "room"), [(payload_quadrotor, 0.1), (spray_drone, 0.4)])
def test_equals_cvxpy_with_binding_half_planes(vehicle, room, hard):
    model, problem = vehicle()
    horizon, rng = 12, np.random.default_rng(4)
    planes = HalfPlanes(np.zeros((horizon, 3, 2)), np.full((horizon, 3), np.inf), np.array([hard, False, False]))
    planes.normal[:, 0], planes.offset[:, 0] = [0.6, 0.8], room * np.linspace(0.8, 1.2, horizon)
    planes.normal[:, 1], planes.offset[:, 1] = [0.0, -1.0], 0.05
    state, goals = 0.02 * rng.normal(size=model.n_states), np.tile([6.0, -2.0], (horizon, 1))
    step = ConstrainedStep(problem, model, horizon, 3)
    result = step.solve(0, state, goals, planes)
    optimum = oracle(problem, model, horizon, 3, exact_norms=False)(0, state, goals, planes)
    assert isinstance(result, Solved), result.reason
    assert result.intrusion_m < 1e-7
    assert result.active_set[:, -3:-1].any(axis=0).all()
    assert np.abs(result.inputs - optimum.inputs).max() < 1e-6
    # Half-planes that the plan without them meets change nothing.
    far = planes._replace(offset=planes.offset + 50)
    free = step.solve(0, state, goals)
    assert np.array_equal(step.solve(0, state, goals, far).inputs, free.inputs)


def test_equals_cvxpy_where_soft_limits_cannot_be_met():
    """Too fast, too tilted and on the wrong side of a half-plane: the penalty shares out what must be violated."""
    model, problem = payload_quadrotor(quadrotor_limits(torque=0.01))
    horizon = 8
    state = np.array([0, 3.0, 0.1, 0, 0, -2.5, 0.3, 0.5])
    planes = HalfPlanes(np.tile([1.0, 0.0], (horizon, 1, 1)), np.full((horizon, 1), 0.2), np.array([False]))
    goals = np.tile([1.0, 1.0], (horizon, 1))
    result = ConstrainedStep(problem, model, horizon, 1, penalty=50).solve(0, state, goals, planes)
    optimum = oracle(problem, model, horizon, 1, penalty=50)(0, state, goals, planes)
    assert isinstance(result, Solved)
    assert result.excess > 0.1
    assert result.intrusion_m > 0.1
    assert np.abs(result.inputs - optimum.inputs).max() < 1e-6


def test_polygon_loses_little_against_the_exact_disc():
    model, problem = spray_drone()
    state, goals = np.zeros(4), np.tile([30.0, 18.0], (10, 1))
    exact = oracle(problem, model, 10)(0, state, goals)
    assert np.linalg.norm(exact.inputs[0]) == pytest.approx(1.5, abs=1e-6)
    for sides in (8, 16, 32):
        result = ConstrainedStep(problem, model, 10, sides=sides).solve(0, state, goals)
        norms = np.linalg.norm(result.inputs, axis=1)
        assert norms.max() <= 1.5
        assert norms[0] >= 1.5 * math.cos(math.pi / sides) - 1e-9
        speed = np.linalg.norm(result.predicted_states[:, [1, 3]], axis=1)
        assert speed.max() <= 3.0 * (1 + 1e-7)


def test_optimality_conditions():
    """Some multipliers of the right sign on the active constraints balance the gradient, which is sufficient."""
    model, problem = payload_quadrotor()
    horizon = 10
    step = ConstrainedStep(problem, model, horizon)
    for k, state, goals, result in flight(step, model, 12, lambda _: np.array([9.0, -6.0])):
        active = np.argwhere(result.active_set)
        gradient = slope_of(problem, model, k, state, goals, result.inputs)
        rows = np.array([row_of(model, problem, k, h, c, horizon) * result.active_set[h, c] for h, c in active])
        _, residual = nnls(rows.T, -gradient)
        assert residual <= 1e-9 * np.abs(gradient).max()
        for (h, c), row in zip(active, rows, strict=True):
            value = row @ result.inputs.ravel()
            if c < 2:
                assert value == pytest.approx(0.05, abs=1e-9)
            else:
                moved = result.predicted_states[h] @ state_row(model, c) * result.active_set[h, c]
                assert moved == pytest.approx(1.0, abs=1e-6)


def slope_of(problem, model, k, state, goals, inputs):
    """Gradient of the cost by its definition: central differences are exact for a quadratic."""
    flat = inputs.ravel()

    def cost(u):
        x, total = state, 0.0
        for h, (goal, command) in enumerate(zip(goals, u.reshape(inputs.shape), strict=True)):
            x = model.A[k + h] @ x + model.B[k + h] @ command
            last = h == len(goals) - 1
            weight, pull = (problem.P_end, problem.S_end) if last else (problem.M, problem.S)
            total += 0.5 * x @ weight @ x - x @ pull @ goal + 0.5 * command @ problem.R[k + h] @ command
        return total

    step = np.eye(len(flat))
    return np.array([(cost(flat + e) - cost(flat - e)) / 2 for e in step])


def state_row(model, c):
    from d2oc.control.limit_rows import limit_rows

    return limit_rows(model).state_rows[c - 2]


def row_of(model, problem, k, h, c, horizon):
    """One constraint as a row on the stacked inputs."""
    row = np.zeros((horizon, 2))
    if c < 2:
        row[h, c] = 1.0
        return row.ravel()
    back = state_row(model, c)
    for j in range(h, -1, -1):
        row[j] = back @ model.B[k + j]
        back = back @ model.A[k + j]
    return row.ravel()


@pytest.mark.parametrize("horizon", [5, 20])
def test_hard_limits_hold_exactly_and_soft_ones_whenever_possible(horizon):
    rng = np.random.default_rng(3)
    goals = rng.uniform(-40, 40, (60, 2))
    model, problem = spray_drone()
    step = ConstrainedStep(problem, model, horizon)
    for _, _, _, result in flight(step, model, 60, lambda k: goals[k // 10]):
        assert isinstance(result, Solved)
        assert np.linalg.norm(result.input) <= 1.5
        assert result.excess < 1e-7
    model, problem = payload_quadrotor()
    step = ConstrainedStep(problem, model, horizon)
    for _, _, _, result in flight(step, model, 60, lambda k: goals[k // 10] / 8):
        assert isinstance(result, Solved)
        assert np.abs(result.inputs).max() <= 0.05
        assert result.excess < 1e-7


def test_soft_limits_come_back_as_fast_as_the_hard_ones_allow():
    """Twice too fast: the drone brakes with all it has, then keeps the limit."""
    model, problem = spray_drone(Limits(input_each=1.5, speed_each=3.0))
    step = ConstrainedStep(problem, model, 12)
    speeds = []
    start = np.array([0, 6.0, 0, 0])
    for _, state, _, result in flight(step, model, 16, lambda _: np.array([90.0, 0.0]), state=start):
        speeds.append(state[1])
        if state[1] > 3.3:
            assert result.excess > 0
            assert result.input[0] == pytest.approx(-1.5)
    assert speeds[10] == pytest.approx(3.0)
    assert speeds[15] == pytest.approx(3.0)


@pytest.mark.parametrize("vehicle", [payload_quadrotor, spray_drone])
def test_contradicting_hard_half_planes_give_a_braking_command_and_the_next_step_recovers(vehicle):
    model, problem = vehicle()
    horizon = 12
    step = ConstrainedStep(problem, model, horizon, 2)
    split = HalfPlanes(
        np.tile([[1.0, 0.0], [-1.0, 0.0]], (horizon, 1, 1)), np.full((horizon, 2), -1.0), np.array([True, True])
    )
    state = np.zeros(model.n_states)
    state[list(model.velocity_states)] = [1.5, -0.5]
    goals = np.tile([3.0, 0.0], (horizon, 1))
    result = step.solve(0, state, goals, split)
    assert isinstance(result, Infeasible)
    assert result.reason in (
        "no input keeps all hard limits",
        "a hard half-plane is violated by 1.6 m before any input moves the vehicle",
    )
    assert_within_input_limits(model, result.input)
    assert result.active_set is None
    again = step.solve(0, state, goals, None, result.active_set)
    fresh = ConstrainedStep(problem, model, horizon).solve(0, state, goals)
    assert isinstance(again, Solved)
    assert np.array_equal(again.inputs, fresh.inputs)


@pytest.mark.parametrize("vehicle", [payload_quadrotor, spray_drone])
def test_braking_comes_to_rest(vehicle):
    model, problem = vehicle()
    step = ConstrainedStep(problem, model, 12, 1)
    nowhere = HalfPlanes(np.tile([1.0, 0.0], (12, 1, 1)), np.full((12, 1), -1e3), np.array([True]))
    state = np.zeros(model.n_states)
    state[list(model.velocity_states)] = [1.8, -0.9]
    speeds = []
    for _, at, _, result in flight(step, model, 70, lambda _: np.array([50.0, 50.0]), nowhere, state):
        assert isinstance(result, Infeasible)
        assert_within_input_limits(model, result.input)
        speeds.append(np.abs(at[list(model.velocity_states)]).max())
    assert speeds[-1] < 0.02


def assert_within_input_limits(model, command):
    assert np.linalg.norm(command) <= model.limits.input_norm
    assert np.abs(command).max() <= model.limits.input_each


def test_numbers_that_are_not_finite_give_a_named_result():
    model, problem = spray_drone()
    step = ConstrainedStep(problem, model, 5, 1)
    goals, state = np.zeros((5, 2)), np.zeros(4)
    broken = step.solve(0, np.array([0, math.nan, 0, 0]), goals)
    assert isinstance(broken, Infeasible)
    assert broken.reason == "the state or a goal is not a finite number"
    assert not broken.input.any()
    planes = HalfPlanes(np.full((5, 1, 2), math.nan), np.zeros((5, 1)), np.array([False]))
    broken = step.solve(0, state, goals, planes)
    assert broken.reason == "a half-plane is not made of finite numbers"
    assert isinstance(step.solve(0, state, goals), Solved)


@pytest.mark.parametrize("vehicle", [payload_quadrotor, spray_drone])
def test_warm_and_cold_give_the_same_answer(vehicle):
    model, problem = vehicle()
    horizon = 15
    step = ConstrainedStep(problem, model, horizon, 1)
    planes = HalfPlanes(np.tile([0.8, 0.6], (horizon, 1, 1)), np.full((horizon, 1), 3.0), np.array([False]))
    start = None
    for k, state, goals, cold in flight(step, model, 40, lambda _: np.array([6.0, 4.0]), planes, warm=False):
        warm = step.solve(k, state, goals, planes, start)
        assert np.abs(warm.inputs - cold.inputs).max() < 1e-9
        start = warm.active_set
    nonsense = np.random.default_rng(0).integers(-1, 2, start.shape).astype(np.int32)
    assert np.abs(step.solve(k, state, goals, planes, nonsense).inputs - cold.inputs).max() < 1e-9


def test_an_answer_does_not_depend_on_earlier_ones():
    model, problem = payload_quadrotor()
    step = ConstrainedStep(problem, model, 10)
    calls = [(k, state, goals) for k, state, goals, _ in flight(step, model, 20, lambda _: np.array([7.0, 7.0]))]
    forward = [step.solve(*call).inputs for call in calls]
    backward = [step.solve(*call).inputs for call in calls[::-1]][::-1]
    assert np.array_equal(forward, backward)


def test_infeasible_exactly_where_cvxpy_says_so():
    model, problem = payload_quadrotor()
    horizon, rng = 8, np.random.default_rng(8)
    step, program = ConstrainedStep(problem, model, horizon, 3), oracle(problem, model, horizon, 3)
    verdicts = []
    for _ in range(25):
        state = rng.normal(size=8) * np.array([5, 0.8, 0.1, 0.3] * 2)
        normal = rng.normal(size=(3, 2))
        normal /= np.linalg.norm(normal, axis=1)[:, None]
        offset = normal @ state[[0, 4]] + rng.normal(0.3, 0.5, 3)
        planes = HalfPlanes(
            np.tile(normal, (horizon, 1, 1)), np.tile(offset, (horizon, 1)), np.array([True, True, False])
        )
        goals = np.tile(state[[0, 4]] + rng.normal(0, 5, 2), (horizon, 1))
        result, optimum = step.solve(1, state, goals, planes), program(1, state, goals, planes)
        assert isinstance(result, Infeasible) == optimum.status.startswith("infeasible")
        verdicts.append(isinstance(result, Infeasible))
    assert 5 < sum(verdicts) < 20


def test_fewer_half_planes_than_there_is_room_for_are_fine_and_more_are_refused():
    model, problem = spray_drone()
    planes = HalfPlanes(np.tile([1.0, 0.0], (6, 1, 1)), np.full((6, 1), 0.5), np.array([False]))
    goals = np.tile([9.0, 1.0], (6, 1))
    exact = ConstrainedStep(problem, model, 6, 1).solve(0, np.zeros(4), goals, planes)
    roomy = ConstrainedStep(problem, model, 6, 4).solve(0, np.zeros(4), goals, planes)
    assert np.abs(exact.inputs - roomy.inputs).max() < 1e-9
    assert exact.intrusion_m < 1e-7
    with pytest.raises(ValueError, match="1 half-planes a step, memory was set aside for 0"):
        ConstrainedStep(problem, model, 6).solve(0, np.zeros(4), goals, planes)


@pytest.mark.parametrize(("most_iterations", "braking_is_found"), [(1, False), (3, True)])
def test_a_solver_that_gives_up_is_a_named_result(monkeypatch, most_iterations, braking_is_found):
    monkeypatch.setattr("d2oc.control.active_set.MOST_ITERATIONS", most_iterations)
    model, problem = payload_quadrotor()
    step = ConstrainedStep(problem, model, 10)
    state = np.array([0, 1.9, 0.2, 0, 0, -1.9, 0.2, 0])
    result = step.solve(0, state, np.tile([30.0, 30.0], (10, 1)))
    assert isinstance(result, Infeasible)
    assert result.reason.startswith("no solution within")
    assert ("braking: no solution within" in result.reason) != braking_is_found
    assert result.input.any() == braking_is_found
    assert np.isfinite(result.predicted_states).all() == braking_is_found
    assert_within_input_limits(model, result.input)
    if braking_is_found:
        assert isinstance(step.solve(1, np.zeros(8), np.zeros((10, 2))), Solved)
