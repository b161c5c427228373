"""The step of the full quadrotor: against cvxpy, its merit, its limits on the true model, missions end to end."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from d2oc.control.constrained import Infeasible, Solved
from d2oc.control.convexified_flight import INSIDE, INSIDE_M, ConvexifiedFlight
from d2oc.control.half_planes import HalfPlanes
from d2oc.control.law import tracking_problem
from d2oc.errors import ScenarioError
from d2oc.field import Field
from d2oc.mission import simulate
from d2oc.scenario import load_scenario
from d2oc.scenario.schema import ControlTable, FullQuadrotor
from d2oc.vehicles.from_scenario import vehicle_model

T, H = 0.2, 10
TABLE = FullQuadrotor(
    model="full-quadrotor", preset="sprayer", liquid_l=40.0, max_speed_m_s=4.0, max_acceleration_m_s2=2.5
)
MODEL = vehicle_model(TABLE, T, 40)
PROBLEM = tracking_problem(MODEL, ControlTable(terminal_cost="dare"), 1 / 900)
WALL = HalfPlanes(np.tile([1.0, 0.0], (H, 1, 1)), np.full((H, 1), 5.0), np.zeros(1, np.bool_))


@pytest.fixture(scope="module")
def step():
    return ConvexifiedFlight(PROBLEM, MODEL, H, 1)


def flights(step, count=30):
    """A flight into a wall that stands before its goal; yields k, state and result."""
    state, start = np.zeros(12), None
    for k in range(count):
        result = step.solve(k, state, np.tile([8.0, 3.0], (H, 1)), WALL, start)
        yield k, state, result, start
        start, state = result.inputs[1:], result.predicted_states[0]


def test_the_program_of_a_round_is_the_one_that_cvxpy_solves(step):
    """At several places of a flight, in shares of half the inputs' range."""
    compared = 0
    for k, state, _, start in flights(step, 24):
        if k % 6 != 5:
            continue
        goals = np.tile([8.0, 3.0], (H, 1))
        task = step._task(k, state, goals, WALL)
        plan = step._first(task, start)
        step._prepare(task, plan, 0.0)
        ours = step._solver.solve()
        assert not ours.reason
        theirs = by_cvxpy(step, task, plan)
        np.testing.assert_allclose(ours.inputs.reshape(H, 4)[:, :3], theirs[:, :3], atol=1e-6)
        # The cost hardly knows the torque about the vertical, nor does cvxpy's solver: compared in the cost's metric.
        away = ours.inputs - theirs.ravel()
        assert np.sqrt(away @ step._sheet.hessian @ away) < 1e-6
        compared += 1
    assert compared == 4


def by_cvxpy(step, task, plan):
    """The linearised problem, stated with states and slacks."""
    body, sheet, w = MODEL.body, step._sheet, task.weight
    half = 0.5 * (body.highest - body.lowest)
    x, v = cp.Variable((H + 1, 12)), cp.Variable((H, 4))
    nominal = np.vstack([task.state, plan.states])
    rules, cost, excess = [x[0] == task.state], 0, []
    speed = MODEL.limits.speed_norm * np.cos(np.pi / 16)
    tilt, change = MODEL.limits.tilt_norm * np.cos(np.pi / 16), MODEL.limits.acceleration_norm * T * np.cos(np.pi / 16)
    angle = np.pi * np.arange(8) / 8
    edges = np.column_stack([np.cos(angle), np.sin(angle)])
    for h in range(H):
        k = task.k + h
        rules += [x[h + 1] == nominal[h + 1] + sheet.a[h] @ (x[h] - nominal[h]) + sheet.b[h] @ v[h]]
        u = plan.inputs[h] + cp.multiply(half[k], v[h])
        rules += [u >= body.lowest[k], u <= body.highest[k]]
        weight, pull = (PROBLEM.P_end, PROBLEM.S_end) if h == H - 1 else (PROBLEM.M, PROBLEM.S)
        root = np.linalg.cholesky(w * weight + 1e-14 * np.eye(12)).T
        cost += cp.sum_squares(root @ x[h + 1]) / 2 - (w * pull @ task.goals[h]) @ x[h + 1]
        cost += cp.sum_squares(cp.multiply(np.sqrt(w * np.diag(PROBLEM.R[k])), u)) / 2
        excess += [cp.abs(edges @ x[h + 1, 3:5]) / speed - 1 + INSIDE]
        excess += [cp.abs(edges @ x[h + 1, 6:8]) / tilt - 1 + INSIDE]
        excess += [cp.abs(edges @ (x[h + 1, 3:5] - x[h, 3:5])) / change - 1 + INSIDE]
        for i in (5, 9, 10, 11):
            excess += [cp.abs(x[h + 1, [i]]) / MODEL.limits.state_each[i] - 1 + INSIDE]
        excess += [x[h + 1, [0]] - 5.0 + INSIDE_M]
    for beyond in excess:
        slack = cp.Variable(beyond.shape, nonneg=True)
        rules += [beyond <= slack]
        cost += 1e3 * (cp.sum(slack) + cp.sum_squares(slack) / 2)
    problem = cp.Problem(cp.Minimize(cost), rules)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return v.value


def test_merit_falls_in_every_round_and_limits_hold_on_the_true_model(step):
    rounds, nearest = 0, np.inf
    for k, state, result, start in flights(step, 40):
        assert isinstance(result, Solved)
        merits = [f.merit for f in step.descend(step._task(k, state, np.tile([8.0, 3.0], (H, 1)), WALL), start)]
        assert (np.diff(merits) < 0).all()
        rounds += len(merits) - 1
        at = min(k, len(MODEL.body.lowest) - 1)
        assert (MODEL.body.lowest[at] <= result.input).all()
        assert (result.input <= MODEL.body.highest[at]).all()
        assert np.linalg.norm(state[3:5]) <= 4.0 * (1 + 1e-3)
        assert np.cos(state[6]) * np.cos(state[7]) >= np.cos(MODEL.limits.tilt_norm * (1 + 1e-3))
        assert state[0] <= 5.0 + 1e-6
        nearest = min(nearest, 5.0 - state[0])
    assert rounds > 20
    assert nearest < 0.1  # it did fly up to the wall


def test_what_cannot_be_planned_is_named_and_hovers(step):
    result = step.solve(0, np.full(12, np.nan), np.zeros((H, 2)))
    assert isinstance(result, Infeasible)
    assert "finite" in result.reason
    np.testing.assert_array_equal(result.inputs, 0.0)
    hard = WALL._replace(offset=np.full((H, 1), -1.0), hard=np.ones(1, np.bool_))
    assert "hard half-plane" in step.solve(0, np.zeros(12), np.zeros((H, 2)), hard).reason


QUADROTORS = {
    "vehicle": {"model": "full-quadrotor", "max_speed_m_s": 6.0, "max_acceleration_m_s2": 4.0},
    "control": {"law": "closed-form", "limits": "optimised", "terminal_cost": "dare", "horizon_steps": 8},
    "team": {"n_agents": 2, "separation_m": 2.0, "start_m": [[30.0, 10.0], [45.0, 10.0]]},
    "field.no_fly_zones": [{"name": "barn", "boundary_m": [[30, 20], [50, 20], [50, 30], [30, 30]]}],
    "density": {"kind": "mixture", "components": [{"mean_m": [40.0, 45.0], "sigma_m": 5.0, "weight": 1.0}]},
    "mission.duration_s": 12.0,
    "sampling.n_samples": 60,
}


def test_a_mission_around_a_no_fly_zone_is_safe():
    scenario = load_scenario("six_drones", overrides=QUADROTORS)
    record = simulate(scenario, runtime="inline")
    path = record.by_tick("x_m", "y_m")
    field = Field.from_table(scenario.field)
    between = [path[:-1] + share * (path[1:] - path[:-1]) for share in np.linspace(0, 1, 9)]
    assert field.contains(np.reshape(between, (-1, 2))).all()
    assert path[:, :, 1].max() > 30.0  # somebody went round
    assert record.summary()["min_separation_m"] >= 2.0
    assert record.summary()["top_speed_m_s"] <= 6.0 * (1 + 2e-3)


def test_a_full_quadrotor_needs_its_own_step():
    with pytest.raises(ScenarioError, match=r'full-quadrotor" needs control\.limits = "optimised"'):
        load_scenario("six_drones", overrides={"vehicle": QUADROTORS["vehicle"]})
