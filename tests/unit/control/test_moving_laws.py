"""Mission plan, cells and baselines over a density that moves."""

from __future__ import annotations

import numpy as np
import pytest

from d2oc.control.baselines.carried import Carried
from d2oc.control.closed_form import tracking
from d2oc.control.mission_plan import Effort, demand_of, flyer_of, improve, plan_alone
from d2oc.control.team_plan import plan_team
from d2oc.density.moving import Drift, Moves, Rotation, VelocityField
from d2oc.mission import simulate
from d2oc.scenario.load import validate
from d2oc.vehicles.linear import Limits, double_integrator

T = 0.5
N_STEPS = 60
EFFORT = Effort(routes=3, rounds=3, sweeps=30, changes=5)
TURNING = Moves(Rotation((50.0, 50.0), 0.05), T)


def drone(moves, n_agents, limits=Limits(input_norm=4.0)):  # noqa: B008
    model = double_integrator(T, limits)
    alpha = 1.0 / (n_agents * N_STEPS)
    problem = tracking(model.A, model.B, model.C, np.zeros((4, 4)), 1e-2 * alpha * np.eye(2)[None], alpha)
    return flyer_of(model, problem, T, None, moves)


def samples(n=200, seed=2):
    rng = np.random.default_rng(seed)
    centres = np.array([[20.0, 70], [70, 75], [60, 20]])
    return centres[rng.integers(0, 3, n)] + rng.normal(0, 8, (n, 2))


def mission(**changes):
    data = {
        "name": "moving",
        "field": {"width_m": 100.0, "height_m": 100.0},
        "density": {
            "kind": "mixture",
            "components": [{"mean_m": [30.0, 60.0], "sigma_m": 8.0}, {"mean_m": [60.0, 30.0], "sigma_m": 8.0}],
            "motion": {"kind": "rotation", "centre_m": [50.0, 50.0], "rate_deg_s": 4.0},
        },
        "sampling": {"n_samples": 300, "method": "random"},
        "team": {"n_agents": 3},
        "vehicle": {"model": "double-integrator", "max_acceleration_m_s2": 4.0, "max_speed_m_s": 8.0},
        "control": {
            "terminal_cost": "dare",
            "plan_rounds": 2,
            "plan_routes": 3,
            "plan_divisions": 1,
            "plan_changes": 5,
        },
        "mission": {"duration_s": 30.0, "time_step_s": 0.25},
        "radio": {"comm_range_m": 50.0},
    }
    for key, value in changes.items():
        table, name = key.split("__")
        data[table] = data.get(table, {}) | {name: value}
    return validate(data, "moving")


def test_the_plan_over_a_drift_is_the_one_at_rest_seen_from_a_moving_frame():
    """Nothing limits speeds, so who begins by moving along sees a density at rest."""
    drift = np.array([1.5, -0.7])
    points, weights = samples(), np.full(200, 1 / 200)
    starts = [np.array([10.0, 0, 10, 0]), np.array([90.0, 0, 20, 0])]
    along = [state + np.array([0, drift[0], 0, drift[1]]) for state in starts]
    steps = [N_STEPS, N_STEPS]
    at_rest, _ = plan_team([drone(None, 2)] * 2, 0, starts, steps, points, weights, EFFORT)
    moving, _ = plan_team([drone(Moves(Drift(tuple(drift)), T), 2)] * 2, 0, along, steps, points, weights, EFFORT)
    way = T * np.arange(1, N_STEPS + 1)[:, None] * drift
    for still, carried in zip(at_rest, moving, strict=True):
        np.testing.assert_allclose(carried.track.state[:, [0, 2]], still.track.state[:, [0, 2]] + way, atol=1e-3)
        np.testing.assert_allclose(carried.goals, still.goals + way, atol=1e-3)
        assert carried.objective == pytest.approx(still.objective, rel=1e-6)


def test_goals_are_where_what_is_served_will_be():
    """The goal of each step of a turning density, from the definition, for a plan that begins in flight."""
    flyer = drone(TURNING, 1)
    demand = demand_of(samples(), np.full(200, 1 / 200), 1024)
    plan = plan_alone(flyer, 7, np.array([50.0, 0, 50, 0]), N_STEPS, demand, demand.weight, EFFORT)
    cost = 0.0
    for h in range(N_STEPS):
        mine = plan.point == h
        there = TURNING.between(demand.point[plan.cell[mine]], 0, 8 + h)
        mass = plan.amount[mine]
        np.testing.assert_allclose(plan.goals[h], mass @ there / mass.sum(), atol=1e-9)
        cost += mass @ ((there - plan.track.state[h, [0, 2]]) ** 2).sum(axis=1)
    effort = sum(u @ flyer.problem.R[0] @ u for u in plan.track.input)
    assert plan.objective == pytest.approx(cost + effort, rel=1e-9)  # a rotation keeps distances


def test_no_turn_raises_the_objective_where_the_ground_is_stretched():
    velocity = np.zeros((1, 3, 3, 2))
    velocity[0, :, :, 0] = [-2.0, 0.0, 2.0]  # spreads along x
    flyer = drone(Moves(VelocityField(velocity, (0.0, 0.0), 100 / 3, 60.0), T), 1)
    demand = demand_of(samples(), np.full(200, 1 / 200), 1024)
    state = np.array([50.0, 0, 50, 0])
    plan = plan_alone(flyer, 0, state, N_STEPS, demand, demand.weight, EFFORT)
    for _ in range(3):
        better = improve(flyer, 0, state, plan, demand, demand.weight, 1, EFFORT)
        assert better.objective <= plan.objective
        plan = better


def test_a_plan_that_foresees_is_better_than_one_that_does_not_and_than_the_published_law():
    planned = simulate(mission(control__law="mission-plan"), runtime="arrays").summary()["w2_m"]
    held = simulate(mission(control__law="mission-plan", control__feed_forward=False), runtime="arrays").summary()[
        "w2_m"
    ]
    published = simulate(mission(), runtime="arrays").summary()["w2_m"]
    assert planned < 0.8 * published
    assert planned < 0.5 * held


@pytest.mark.parametrize("changes", [{"control__law": "mission-plan"}, {"assignment__method": "semi-discrete"}])
def test_agents_that_know_only_what_they_are_told_foresee_too(changes):
    together = simulate(mission(**changes), runtime="arrays").summary()
    alone = simulate(mission(**changes), runtime="inline").summary()
    assert alone["w2_m"] < 1.2 * together["w2_m"]
    assert alone["remaining_weight"] < 0.1


class Still:
    """Wishes to stay."""

    def velocities(self, k, position, velocity):
        self.saw = position, velocity
        return np.zeros_like(position)


@pytest.mark.parametrize("foresees", [True, False])
def test_a_baseline_that_stays_is_carried_along(foresees):
    inner = Still()
    guidance = Carried(inner, TURNING, foresees=foresees)
    start = np.array([[80.0, 50.0], [50.0, 20.0]])
    position = TURNING.between(start, 0, 9)
    along = (TURNING.between(start, 0, 10) - position) / T
    wanted = guidance.velocities(9, position, along)
    np.testing.assert_allclose(wanted, along if foresees else 0 * along, atol=1e-12)
    np.testing.assert_allclose(inner.saw[0], start, atol=1e-12)
    np.testing.assert_allclose(inner.saw[1], 0.0, atol=1e-12)


@pytest.mark.parametrize("law", ["smc", "hedac", "lawnmower", "lloyd", "random"])
def test_baselines_cover_what_moves(law):
    record = simulate(mission(control__law=law, mission__duration_s=10.0))
    assert record.complete
    assert np.isfinite(record.summary()["w2_m"])
