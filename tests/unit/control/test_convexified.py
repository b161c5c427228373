"""The rover: exact arcs, derivatives against finite differences, costs that never rise, a mission end to end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

from d2oc.control.convexified import ConvexifiedStep, Rover
from d2oc.errors import RuntimeUnavailableError, ScenarioError
from d2oc.mission import simulate
from d2oc.scenario import load_scenario
from d2oc.vehicles.nonlinear import Unicycle
from d2oc.vehicles.unicycle import arc, arc_jacobians

T = 0.2
ROVER = Rover(T, 10, (2.0, 1.0), (0.05, 0.05))
COMMANDS = [(1.5, 0.8), (-1.0, 0.3), (2.0, 0.0), (1.0, 1e-5), (0.0, -1.0)]


def driven(state, command):
    after = np.empty(3)
    arc(np.asarray(state), *command, T, after)
    return after


@pytest.mark.parametrize("command", COMMANDS)
def test_an_arc_is_the_exact_solution_of_the_nonlinear_model(command):
    state, model = np.array([3.0, -2.0, 0.7]), Unicycle()
    exact = solve_ivp(lambda _, x: model.rate(x, np.array(command)), (0.0, T), state, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(driven(state, command), exact.y[:, -1], atol=1e-9)


@pytest.mark.parametrize("command", COMMANDS)
def test_derivatives_are_those_of_finite_differences(command):
    state, step = np.array([3.0, -2.0, 0.7]), 1e-6
    by_state, by_command = np.empty((3, 3)), np.empty((3, 2))
    arc_jacobians(state, *command, T, by_state, by_command)
    for i, unit in enumerate(np.eye(3)):
        difference = (driven(state + step * unit, command) - driven(state - step * unit, command)) / (2 * step)
        np.testing.assert_allclose(by_state[:, i], difference, atol=1e-9)
    for i, unit in enumerate(np.eye(2)):
        ahead, behind = driven(state, command + step * unit), driven(state, command - step * unit)
        np.testing.assert_allclose(by_command[:, i], (ahead - behind) / (2 * step), atol=1e-9)


@pytest.mark.parametrize("goal", [(3.0, 0.0), (0.0, 2.0), (-2.0, 0.1), (1.0, -3.0), (0.05, 0.02)])
def test_plans_are_as_good_as_those_of_a_general_solver(goal):
    """Within 1 % of the best of five starts of a quasi-Newton method on the same problem."""
    goals, state = np.tile(goal, (10, 1)), np.zeros(3)
    step = ConvexifiedStep(ROVER)
    plan = step.solve(state, goals)
    limit = np.tile(ROVER.limit, 10)
    assert (np.abs(plan.inputs.ravel()) <= limit).all()

    def cost(inputs):
        now, total = state, 0.0
        for speed, rate in inputs.reshape(-1, 2):
            now = driven(now, (speed, rate))
            total += 0.5 * (((now[:2] - goal) ** 2).sum() + 0.05 * (speed**2 + rate**2))
        return total

    assert plan.cost == pytest.approx(cost(plan.inputs.ravel()), rel=1e-12)
    rng = np.random.default_rng(1)
    bounds = list(zip(-limit, limit, strict=True))
    best = min(minimize(cost, rng.uniform(-limit, limit), bounds=bounds, method="L-BFGS-B").fun for _ in range(5))
    assert plan.cost <= 1.01 * best


def test_a_goal_beside_a_rover_at_rest_is_reached():
    """Linearised at rest no input moves it sideways; the pursuit helps it out."""
    step, state, last = ConvexifiedStep(ROVER), np.zeros(3), None
    for _ in range(40):
        plan = step.solve(state, np.tile([0.0, 3.0], (10, 1)), last)
        last, state = plan.inputs, plan.states[0].copy()
    assert np.linalg.norm(state[:2] - [0.0, 3.0]) < 0.2  # as near as is worth manoeuvring for


ROVERS = {
    "vehicle": {"model": "unicycle", "max_speed_m_s": 4.0, "max_turn_rate_deg_s": 60.0},
    "control": {"law": "closed-form"},
    "mission.duration_s": 20.0,
    "sampling.n_samples": 200,
}


def test_rovers_drive_a_mission():
    record = simulate(load_scenario("six_drones", overrides=ROVERS))
    trajectory = record.trajectory
    assert record.complete
    assert record.header.agents[0].state_names == ("x_m", "y_m", "heading_rad")
    assert np.nanmax(np.abs(trajectory["input_0"])) <= 4.0
    assert np.nanmax(np.abs(trajectory["input_1"])) <= np.radians(60.0) + 1e-12
    assert record.summary()["remaining_weight"] < 0.3
    still = record.by_tick("x_m", "y_m")[[0, -1]]
    assert np.linalg.norm(still[1] - still[0], axis=1).min() > 5.0


def test_rovers_follow_a_moving_density_beside_drones():
    changes = {
        **ROVERS,
        "density.motion": {"kind": "drift", "velocity_m_s": [0.5, 0.2]},
        "team": {"groups": [{"n_agents": 2}, {"n_agents": 2, "vehicle": {"model": "single-integrator"}}]},
        "mission.duration_s": 10.0,
    }
    assert simulate(load_scenario("six_drones", overrides=changes)).complete


def test_what_rovers_cannot_do_says_so():
    with pytest.raises(ScenarioError, match=r'goes with control\.law = "closed-form" only, not with "mission-plan"'):
        load_scenario("six_drones", overrides={**ROVERS, "control": {"law": "mission-plan"}})
    with pytest.raises(RuntimeUnavailableError, match=r'vehicle\.model = "unicycle"'):
        simulate(load_scenario("six_drones", overrides=ROVERS), runtime="inline")
