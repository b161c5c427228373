"""The full quadrotor: its equations, its derivatives, its payload, and inputs that its rotors can make."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from d2oc.airframes.airframe import AIR_DENSITY, load_preset
from d2oc.airframes.rotors import input_range, least_thrusts, rotor_torques
from d2oc.scenario.schema import FullQuadrotor
from d2oc.vehicles.from_scenario import vehicle_model
from d2oc.vehicles.linear import GRAVITY
from d2oc.vehicles.motion import motion_arrays, move
from d2oc.vehicles.nonlinear import RigidQuadrotor
from d2oc.vehicles.rigid_quadrotor import advance, linearise, stages

T = 0.2
LOADED = FullQuadrotor(model="full-quadrotor", preset="sprayer", liquid_l=40.0)
SMALL = FullQuadrotor(model="full-quadrotor")


def flown(body, state, command):
    after = np.empty(12)
    advance(body, state, command, after, stages())
    return after


def points(model, count=4):
    rng = np.random.default_rng(5)
    most = model.body.highest[0]
    for _ in range(count):
        state = rng.normal(size=12) * np.repeat([20.0, 3.0, 0.3, 0.8], 3)
        yield state, rng.uniform(-0.3, 0.3, 4) * most


@pytest.mark.parametrize("table", [SMALL, LOADED], ids=["research quadrotor", "sprayer"])
def test_a_step_is_the_solution_of_the_rigid_body(table):
    model, frame = vehicle_model(table, T, 10), load_preset(table.preset)
    mass = frame.mass_with(table.liquid_l)
    rigid = RigidQuadrotor(mass, frame.inertia_with(table.liquid_l), frame.drag.linear_n_s_m)

    def rate(_, x, command):
        slope, v = rigid.rate(x, command + mass * GRAVITY * np.eye(4)[0]), x[3:6]
        slope[3:6] -= 0.5 * AIR_DENSITY * frame.drag.area_m2 * np.linalg.norm(v) * v / mass
        return slope

    for state, command in points(model):
        exact = solve_ivp(rate, (0.0, T), state, args=(command,), rtol=1e-10, atol=1e-10).y[:, -1]
        np.testing.assert_allclose(flown(model.body.constants[0], state, command), exact, atol=2e-4)


@pytest.mark.parametrize("table", [SMALL, LOADED], ids=["research quadrotor", "sprayer"])
def test_derivatives_are_those_of_finite_differences(table):
    model, after = vehicle_model(table, T, 10), np.empty(12)
    body, scale = model.body.constants[0], np.concatenate([np.ones(12), model.body.highest[0]])
    for state, command in points(model):
        slope = linearise(body, state, command, after, stages()) * scale
        np.testing.assert_array_equal(after, flown(body, state, command))
        for i, step in enumerate(1e-5 * np.diag(scale)):
            ahead = flown(body, state + step[:12], command + step[12:])
            behind = flown(body, state - step[:12], command - step[12:])
            np.testing.assert_allclose(slope[:, i], (ahead - behind) / 2e-5, atol=1e-7, rtol=1e-6)


def test_no_input_is_hover_at_every_payload_and_torques_turn_a_lighter_body_faster():
    model = vehicle_model(LOADED, T, 50)
    motion, after = motion_arrays([model]), np.empty(12)
    for k in (0, 25, 49, 60):
        move(motion, 0, k, np.zeros(12), np.zeros(4), after)
        np.testing.assert_allclose(after, 0.0, atol=1e-12)
    assert model.body.constants[0, 0] == pytest.approx(90.0)
    assert (np.diff(model.body.constants[:, :4], axis=0) < 0).all()
    assert (np.diff(model.B[:, 9, 1]) > 0).all()


def test_commands_are_cut_to_what_the_rotors_can_make_together():
    model = vehicle_model(LOADED, T, 50)
    rotors, weight = load_preset("sprayer").rotors, 90.0 * GRAVITY
    lowest, highest = input_range(rotors, weight)
    np.testing.assert_array_equal(model.body.highest[0], highest)
    mixing = least_thrusts(rotor_torques(rotors))
    for corner in itertools.product(*zip(lowest, highest, strict=True)):
        thrust = (weight + corner[0]) / rotors.number + mixing @ corner[1:]
        assert thrust.min() >= 0.0
        assert thrust.max() <= rotors.max_thrust_n
    command = 10.0 * highest
    move(motion_arrays([model]), 0, 0, np.zeros(12), command, np.empty(12))
    np.testing.assert_array_equal(command, highest)
