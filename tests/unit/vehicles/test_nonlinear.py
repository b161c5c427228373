"""Analytic linearisations against finite differences, and discretisation against integration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from d2oc.vehicles.linear import GRAVITY, loaded_quadrotor
from d2oc.vehicles.nonlinear import RigidQuadrotor, Unicycle, discretised

SPRAYER = RigidQuadrotor(mass=70.0, inertia=(12.0, 13.0, 20.0), drag=2.0)


def differences(model, state, command, size=1e-6):
    def central(f, at):
        steps = size * np.eye(len(at))
        return np.stack([(f(at + e) - f(at - e)) / (2 * size) for e in steps], axis=1)

    return central(lambda x: model.rate(x, command), state), central(lambda u: model.rate(state, u), command)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_jacobians_are_the_differences(seed):
    rng = np.random.default_rng(seed)
    for model, state, command in (
        (SPRAYER, rng.uniform(-1.2, 1.2, 12), np.array([700, 0, 0, 0]) + rng.uniform(-1, 1, 4)),
        (Unicycle(), rng.uniform(-3, 3, 3), rng.uniform(-2, 2, 2)),
    ):
        for exact, difference in zip(model.jacobians(state, command), differences(model, state, command), strict=True):
            assert exact == pytest.approx(difference, abs=2e-6)


def test_discretised_model_is_exact_where_it_was_linearised():
    state = np.array([1, 2, 3, 4, -1, 0.5, 0.1, -0.2, 0.3, 0.2, 0.1, -0.1])
    command = np.array([690.0, 1.0, -2.0, 0.5])
    for step in (0.01, 0.005):
        a, b, c = discretised(SPRAYER, state, command, step)
        true = solve_ivp(lambda t, x: SPRAYER.rate(x, command), (0, step), state, rtol=1e-11, atol=1e-12).y[:, -1]
        assert a @ state + b @ command + c == pytest.approx(true, abs=2 * step**3)


def test_unicycle_drives_a_circle():
    turn = solve_ivp(lambda t, x: Unicycle().rate(x, np.array([2.0, 0.5])), (0, 4 * np.pi), [0, 0, 0], rtol=1e-10)
    assert turn.y[:2, -1] == pytest.approx([0, 0], abs=1e-6)


def test_loaded_quadrotor_is_the_rigid_one_near_hover():
    """The tilts of the published model are minus pitch and minus roll."""
    mass, inertia, drag, t = 70.0, 12.0, 2.0, 0.1
    rigid = RigidQuadrotor(mass, (inertia, inertia, 20.0), drag)
    by_state, by_command = rigid.jacobians(np.zeros(12), np.array([mass * GRAVITY, 0, 0, 0]))
    # x, vx, -pitch, -q, y, vy, -roll, -p
    order, sign = [0, 3, 7, 10, 1, 4, 6, 9], np.array([1, 1, -1, -1, 1, 1, -1, -1.0])
    a = np.eye(8) + t * by_state[np.ix_(order, order)] * sign[:, None] * sign
    b = -t * by_command[np.ix_(order, [1, 2])] * sign[:, None]
    model = loaded_quadrotor(t, np.array([mass]), np.array([inertia]), drag_n_s_m=drag)
    assert model.A[0] == pytest.approx(a)
    assert model.B[0] == pytest.approx(b)


def test_thrust_that_is_not_retrimmed_accelerates_a_lighter_vehicle_more():
    mass = np.array([90.0, 50.0])
    model = loaded_quadrotor(0.1, mass, np.array([14.0, 11.0]), thrust_n=np.full(2, 90.0 * GRAVITY))
    assert model.A[:, 1, 2] == pytest.approx(-0.1 * 90 * GRAVITY / mass)
    assert model.A[:, 5, 6] == pytest.approx(0.1 * 90 * GRAVITY / mass)
