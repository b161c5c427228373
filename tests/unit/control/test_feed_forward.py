"""Following a goal that moves: without lag with feed-forward, with the lag of theory without it."""

from __future__ import annotations

import copy
import tomllib

import numpy as np
import pytest

from d2oc.bus.perfect import PerfectBus
from d2oc.control.feed_forward import feed_forward, moving_along
from d2oc.control.law import first_gains, tracking_problem
from d2oc.density import SampleSet
from d2oc.density.moving import Drift, Moves, Rotation
from d2oc.field import Field
from d2oc.mission import simulate, team_setup
from d2oc.runtime.arrays import ArraysRuntime
from d2oc.scenario.load import validate
from d2oc.scenario.schema import (
    ControlTable,
    DoubleIntegrator,
    LaggedIntegrator,
    LoadedQuadrotor,
    Quadrotor,
    SingleIntegrator,
)
from d2oc.team import team_kinds
from d2oc.vehicles.from_scenario import vehicle_model

T = 0.1
DRIFT = np.array([1.2, -0.5])
VEHICLES = [
    SingleIntegrator(model="single-integrator"),
    DoubleIntegrator(model="double-integrator"),
    LaggedIntegrator(model="lagged-integrator"),
    Quadrotor(model="quadrotor"),
    LoadedQuadrotor(model="loaded-quadrotor", preset="research-quadrotor"),
]
IDS = [vehicle.model for vehicle in VEHICLES]


def closed_loop(vehicle):
    control = ControlTable(horizon_steps=30, terminal_cost="dare", scale_input_weight_with_inertia=True)
    model = vehicle_model(vehicle, T, 1)
    alpha = 1e-3
    return model, first_gains(tracking_problem(model, control, alpha), control.horizon_steps, 1)


def follow(model, gains, motion, *, foresee, n_steps=4000):
    """Distances of the vehicle from its goal, one a step, shape (n_steps, 2)."""
    moves = Moves(motion, T)
    ahead = feed_forward(moves, [model], [gains], "test")
    start = np.array([[3.0, 4.0]])
    state, behind = np.zeros(model.n_states), []
    for k in range(n_steps):
        goal = moves.between(start, 0, k)[0]
        behind.append(goal - model.C @ state)
        command = gains.state[0] @ state + gains.goal[0] @ goal
        if foresee:
            velocity = (moves.between(goal[None], k, k + 1)[0] - goal) / T
            command = command + ahead.gain[0, 0] @ velocity
        state = model.A[0] @ state + model.B[0] @ command
    return np.array(behind)


@pytest.mark.parametrize("vehicle", VEHICLES, ids=IDS)
def test_no_lag_with_feed_forward(vehicle):
    behind = follow(*closed_loop(vehicle), Drift(tuple(DRIFT)), foresee=True)
    assert np.abs(behind[-1]).max() < 1e-6


@pytest.mark.parametrize("vehicle", VEHICLES, ids=IDS)
def test_the_lag_of_theory_without_it(vehicle):
    """The error e from moving along obeys e+ = (A + B Kx) e - B F v, so it ends at -(I - A - B Kx)^-1 B F v."""
    model, gains = closed_loop(vehicle)
    ahead = feed_forward(Moves(Drift(tuple(DRIFT)), T), [model], [gains], "test")
    loop = np.eye(model.n_states) - model.A[0] - model.B[0] @ gains.state[0]
    lag = model.C @ np.linalg.solve(loop, model.B[0] @ ahead.gain[0, 0] @ DRIFT)
    behind = follow(model, gains, Drift(tuple(DRIFT)), foresee=False)
    np.testing.assert_allclose(behind[-1], lag, rtol=1e-6, atol=1e-9)
    assert lag @ DRIFT > 0.1


def test_the_lag_of_a_single_integrator_is_speed_over_gain():
    model, gains = closed_loop(VEHICLES[0])
    behind = follow(model, gains, Drift(tuple(DRIFT)), foresee=False)
    np.testing.assert_allclose(behind[-1], DRIFT / gains.goal[0, 0, 0], rtol=1e-9)


def test_a_goal_that_turns_is_followed_much_closer():
    model, gains = closed_loop(VEHICLES[1])
    turning = Rotation((0.0, 0.0), 0.1)
    with_it, without = (np.linalg.norm(follow(model, gains, turning, foresee=f)[-1]) for f in (True, False))
    assert with_it < 0.25 * without
    model, gains = closed_loop(VEHICLES[0])
    assert np.abs(follow(model, gains, turning, foresee=True)[-1]).max() < 1e-9  # it moves as it is told, at once


def test_moving_along_is_a_motion_of_the_model():
    for vehicle in VEHICLES:
        model, _ = closed_loop(vehicle)
        state, command = moving_along(model, 0, T, "test")
        after = model.A[0] @ state + model.B[0] @ command
        np.testing.assert_allclose(after - state, T * model.C.T, atol=1e-9)
        np.testing.assert_allclose(model.C @ state, 0.0, atol=1e-9)


SCENARIO = """
name = "drift"
[field]
width_m = 60.0
height_m = 60.0
[density]
kind = "mixture"
background = 0.1
components = [{ mean_m = [25.0, 35.0], sigma_m = 9.0 }]
motion = { kind = "drift", velocity_m_s = [0.8, 0.3] }
[sampling]
n_samples = 300
[team]
n_agents = 3
[vehicle]
model = "double-integrator"
[control]
terminal_cost = "dare"
[mission]
duration_s = 20.0
time_step_s = 0.2
give_way = false
[radio]
comm_range_m = 20.0
"""


def scenario(**changes):
    data = copy.deepcopy(tomllib.loads(SCENARIO))
    for key, value in changes.items():
        table, name = key.split("__")
        if value is None:
            del data[table][name]
        else:
            data[table][name] = value
    return validate(data, "drift.toml")


def flown(moving, velocity):
    """Positions, shape (steps + 1, L, 2), and consumption of a team that starts with a velocity."""
    plan = scenario() if moving else scenario(density__motion=None)
    rng = np.random.default_rng(5)
    samples = SampleSet(rng.uniform(0.0, 60.0, (300, 2)), np.full(300, 1 / 300), 300, 0, 0, 0.0, 0.0)
    setup = team_setup(plan, Field.rectangle(0.0, 0.0, 60.0, 60.0), samples, team_kinds(plan))
    for state in setup.initial_states:
        state[[1, 3]] = velocity
    runtime = ArraysRuntime(setup, PerfectBus(20.0))
    positions, eaten = [runtime.team.position.copy()], []
    for k in range(100):
        runtime.step(k)
        positions.append(runtime.team.position.copy())
        eaten.append(runtime.consumption(k))
    return np.array(positions), eaten


def test_the_moving_mission_is_the_one_at_rest_seen_from_a_moving_frame():
    """With feed-forward nothing but the frame differs: same way relative to the density, same samples at each step."""
    drift = np.array([0.8, 0.3])
    moving, eaten_moving = flown(True, (0.0, 0.0))
    resting, eaten_resting = flown(False, -drift)
    shift = 0.2 * np.arange(101)[:, None, None] * drift
    np.testing.assert_allclose(moving - shift, resting, atol=1e-6)
    for one, other in zip(eaten_moving, eaten_resting, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


def test_w2_is_taken_where_the_density_stands_still():
    record = simulate(scenario())
    from d2oc.metrics import visited

    points, _ = visited(record)
    acted = record.trajectory["active"]
    x = record.trajectory["x_m"][acted] - 0.8 * record.trajectory["time_s"][acted]
    np.testing.assert_allclose(points[:, 0], x, atol=1e-9)
    assert record.header.motion == {"kind": "drift", "velocity_m_s": [0.8, 0.3]}


@pytest.mark.parametrize("limits", ["clamped", "optimised"])
@pytest.mark.parametrize("runtime", ["arrays", "inline"])
def test_a_moving_density_is_treated_by_every_runtime(runtime, limits):
    plan = scenario(
        control__limits=limits,
        mission__duration_s=15.0,
        vehicle__max_speed_m_s=6.0,
        vehicle__max_acceleration_m_s2=4.0,
        density__motion={"kind": "rotation", "centre_m": [30.0, 30.0], "rate_deg_s": 2.0},
    )
    record = simulate(plan, runtime=runtime)
    assert record.complete
    assert record.summary()["remaining_weight"] < 0.35


def test_what_cannot_move_says_so():
    from d2oc.errors import ScenarioError

    changes = {
        "mission__order": ("sequential", 'density.motion goes with mission.order = "parallel" only'),
        "vehicle__max_speed_m_s": (0.5, "density.motion.velocity_m_s is 0.854"),
    }
    for key, (value, sentence) in changes.items():
        data = tomllib.loads(SCENARIO)
        table, name = key.split("__")
        data.setdefault(table, {})[name] = value
        with pytest.raises(ScenarioError) as error:
            validate(data, "drift.toml")
        assert sentence in str(error.value)
