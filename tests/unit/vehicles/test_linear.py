"""Vehicle models against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from d2oc.scenario.schema import DoubleIntegrator, Quadrotor, SingleIntegrator
from d2oc.vehicles.from_scenario import vehicle_model
from d2oc.vehicles.linear import Limits, double_integrator, quadrotor, single_integrator
from d2oc.vehicles.motion import motion_arrays, move


def fly(model, state, command, n_steps):
    motion = motion_arrays([model])
    state = np.array(state, dtype=float)
    for k in range(n_steps):
        applied = np.array(command, dtype=float)
        after = np.empty_like(state)
        move(motion, 0, k, state, applied, after)
        state = after
    return state, applied


def test_single_integrator_moves_straight():
    state, _ = fly(single_integrator(0.1), [1, 2], [3, -4], 10)
    assert state == pytest.approx([4, -2])


def test_double_integrator_falls_as_one_half_a_t_squared():
    state, _ = fly(double_integrator(0.1), [0, 1, 0, 0], [2, -9.81], 20)
    assert state == pytest.approx([1 * 2 + 0.5 * 2 * 4, 1 + 2 * 2, -0.5 * 9.81 * 4, -9.81 * 2])


def test_quadrotor_is_the_published_forward_euler_model():
    """x+ = x + T vx; vx+ = vx - T g theta; theta+ = theta + T rate; rate+ = rate + T/I tau, and y with + g phi."""
    t, g, inertia = 0.1, 9.81, 0.0075
    x, vx, th, q, y, vy, ph, p = state = [1.0, 2, 0.1, 0.2, 3, 4, -0.1, 0.3]
    after, _ = fly(quadrotor(t, np.array([inertia])), state, [0.01, 0.02], 1)
    expected = [
        x + t * vx, vx - t * g * th, th + t * q, q + t / inertia * 0.02,
        y + t * vy, vy + t * g * ph, ph + t * p, p + t / inertia * 0.01,
    ]  # fmt: skip
    assert after == pytest.approx(expected, abs=1e-15)


def test_quadrotor_inertia_changes_over_the_mission_and_then_stays():
    table = Quadrotor(model="quadrotor", inertia_kg_m2=0.01, inertia_at_end_kg_m2=0.004)
    model = vehicle_model(table, 0.1, 7)
    assert model.is_time_varying
    assert model.inertia_kg_m2 == pytest.approx([0.01, 0.009, 0.008, 0.007, 0.006, 0.005, 0.004])
    motion = motion_arrays([model])
    for k, inertia in ((0, 0.01), (6, 0.004), (99, 0.004)):
        after = np.empty(8)
        move(motion, 0, k, np.zeros(8), np.array([0.001, 0]), after)
        assert after[7] == pytest.approx(0.1 / inertia * 0.001)


def test_published_limits_scale_both_velocities_and_clip_tilt():
    table = Quadrotor(model="quadrotor", max_torque_n_m=10, max_speed_m_s=2, max_tilt_deg=5, max_tilt_rate_deg_s=15)
    model = vehicle_model(table, 0.1, 10)
    state, applied = fly(model, [0, 4, 0.5, 0, 0, -1, -0.5, 0], [99, -99], 1)
    assert applied == pytest.approx([10, -10])
    fastest = 4 - 0.1 * 9.81 * 0.5
    assert state[1] == pytest.approx(2)
    assert state[5] == pytest.approx((-1 - 0.1 * 9.81 * 0.5) * 2 / fastest)
    assert state[[2, 6]] == pytest.approx([math.radians(5), -math.radians(5)])
    assert state[[3, 7]] == pytest.approx([-math.radians(15), math.radians(15)])


def test_speed_limit_of_the_double_integrator_never_asks_for_more_acceleration():
    rng = np.random.default_rng(0)
    model = double_integrator(0.5, Limits(input_norm=4, speed_norm=8))
    for _ in range(200):
        speed, angle = rng.uniform(0, 8), rng.uniform(0, 2 * np.pi)
        command = rng.normal(size=2) * 10
        state, applied = fly(model, [0, speed * np.cos(angle), 0, speed * np.sin(angle)], command, 1)
        assert np.hypot(state[1], state[3]) <= 8 * (1 + 1e-12)
        assert np.linalg.norm(applied) <= 4 * (1 + 1e-12)


def test_tables_become_models_with_their_limits():
    single = vehicle_model(SingleIntegrator(model="single-integrator", max_speed_m_s=3.0), 0.1, 5)
    double = vehicle_model(
        DoubleIntegrator(model="double-integrator", max_speed_m_s=3.0, max_acceleration_m_s2=2.0), 0.1, 5
    )
    assert single.limits.input_norm == 3
    assert (double.limits.input_norm, double.limits.speed_norm) == (2, 3)
    assert double.C.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]


def test_lagged_integrator_is_the_exact_solution():
    from scipy.linalg import expm

    from d2oc.vehicles.linear import lagged_integrator

    t, lag = 0.2, 0.35
    model = lagged_integrator(t, lag)
    block = np.zeros((4, 4))
    block[0, 1] = block[1, 2] = 1.0
    block[2, 2:] = [-1 / lag, 1 / lag]
    step = expm(t * block)
    for first in (0, 3):
        states = slice(first, first + 3)
        assert model.A[0, states, states] == pytest.approx(step[:3, :3])
        assert model.B[0, states, first // 3] == pytest.approx(step[:3, 3])


def test_lagged_integrator_without_lag_is_the_double_integrator():
    from d2oc.vehicles.linear import lagged_integrator

    short, double = lagged_integrator(0.2, 1e-6), double_integrator(0.2)
    rows, states = [0, 1, 3, 4], [0, 1, 3, 4]
    assert short.A[0][np.ix_(rows, states)] == pytest.approx(double.A[0])
    assert short.B[0][rows] == pytest.approx(double.B[0], abs=1e-5)


def test_lagged_integrator_keeps_its_speed_and_input_limits():
    from d2oc.vehicles.linear import lagged_integrator

    motion = motion_arrays([lagged_integrator(0.2, 0.45, Limits(input_norm=3.0, speed_norm=7.0))])
    rng = np.random.default_rng(4)
    state, after = np.zeros(6), np.zeros(6)
    fastest = 0.0
    for k in range(3000):
        command = rng.uniform(-1, 1, 2) * 30 if k % 40 > 30 else np.array([20.0, 5.0])
        move(motion, 0, k, state, command, after)
        state[:] = after
        assert np.hypot(*command) <= 3.0 + 1e-9
        fastest = max(fastest, np.hypot(state[1], state[4]))
    assert 6.9 < fastest <= 7.0 + 1e-9
