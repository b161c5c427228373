"""Ground effect and downwash against momentum theory, and flown."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq

from d2oc.airframes.airframe import load_preset
from d2oc.faults import Fault
from d2oc.vehicles.linear import double_integrator
from d2oc.vehicles.motion import motion_arrays
from d2oc.world.air import ground_gain, jet_speed, share_in_downwash
from d2oc.world.bullet import BulletSetup, BulletWorld
from d2oc.world.sensors import SatelliteReceiver
from d2oc.world.wind import Wind

RHO, G, T = 1.225, 9.81, 0.1


def body(x, y, z, vx=0.0):
    return np.array([x, y, z, 0, 0, 0, 1, vx, 0, 0, 0, 0, 0], float)


def make_world(place, name="research-quadrotor", **effects):
    n, model = len(place), double_integrator(T)
    setup = BulletSetup(
        [model], np.zeros(n, np.int32), [load_preset(name)] * n, np.zeros(n), np.zeros(n), np.array(place, float), T,
        **effects,
    )  # fmt: skip
    rngs = [np.random.default_rng(r) for r in range(n)]
    world = BulletWorld(setup, motion_arrays([model]), Wind(0, 0, None, rngs), SatelliteReceiver(0, 0, rngs))
    return world, world.true_state(np.zeros((n, 4)))


def fly(world, state, steps):
    for k in range(steps):
        world.advance(k, state, np.zeros((len(state), 2)), np.zeros(len(state), bool))


def test_ground_effect_is_cheeseman_and_bennetts_and_bounded():
    assert ground_gain(0.7, 0.7) == pytest.approx(16 / 15)
    assert ground_gain(0.7, 2.8) == pytest.approx(256 / 255)
    assert ground_gain(0.7, 0.0) == ground_gain(0.7, 0.35) == pytest.approx(4 / 3)
    assert ground_gain(0.7, 1e4) == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 6), st.floats(1, 1000), st.floats(0.01, 30))
def test_jet_keeps_its_momentum_at_every_depth(area, lift, depth):
    def flux(r):
        return RHO * jet_speed(area, lift, body(0, 0, depth), body(r, 0, 0), np.zeros(3)) ** 2 * 2 * math.pi * r

    reach = 8 * (math.sqrt(area / math.pi) + 0.12 * depth)
    assert quad(flux, 0, reach, limit=200)[0] == pytest.approx(lift, rel=1e-6)


def test_jet_begins_at_twice_the_induced_speed_and_blows_only_down():
    area, lift = 2.0, 300.0
    hover = math.sqrt(lift / (2 * RHO * area))
    assert jet_speed(area, lift, body(0, 0, 1e-9), body(0, 0, 0), np.zeros(3)) == pytest.approx(2 * hover)
    assert jet_speed(area, lift, body(0, 0, 0), body(0, 0, 0), np.zeros(3)) == 0.0
    assert jet_speed(area, lift, body(0, 0, 0), body(0, 0, 3), np.zeros(3)) == 0.0


def test_jet_drifts_with_the_air_and_stays_behind_who_flies():
    still = [jet_speed(1.0, 100.0, body(0, 0, 5), body(x, 0, 0), np.zeros(3)) for x in (-1.0, 0.0, 1.0)]
    windy = [jet_speed(1.0, 100.0, body(0, 0, 5), body(x, 0, 0), np.array([2.0, 0, 0])) for x in (-1.0, 0.0, 1.0)]
    moving = [jet_speed(1.0, 100.0, body(0, 0, 5, 2.0), body(x, 0, 0), np.zeros(3)) for x in (-1.0, 0.0, 1.0)]
    assert still[0] == pytest.approx(still[2])
    assert windy[0] < windy[1] < windy[2]
    assert moving == pytest.approx(windy[::-1])


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 6), st.floats(1, 1000), st.floats(0.01, 25))
def test_lift_in_downwash_is_that_of_the_same_power_in_momentum_theory(area, lift, down):
    power = lift * math.sqrt(lift / (2 * RHO * area))
    same = brentq(
        lambda t: t * (down / 2 + math.sqrt(down**2 / 4 + t / (2 * RHO * area))) - power, 0.0, lift, xtol=1e-12
    )
    assert share_in_downwash(area, lift, down) == pytest.approx(same / lift, rel=1e-6)


def test_effects_are_off_unless_asked_for():
    world, state = make_world([[0, 0, 0.3], [0, 0, 3.0]])
    fly(world, state, 10)
    assert world.air.lift_share.tolist() == [1.0, 1.0]
    assert not world.air.wind.any()


def test_hover_in_ground_effect_costs_less_thrust():
    world, state = make_world([[0, 0, 0.3], [9, 0, 30.0]], ground_effect=True)
    fly(world, state, 200)
    assert world.body[:, 2] == pytest.approx([0.3, 30.0], abs=1e-3)
    asked = world.thrust.sum(axis=1) / (0.65 * G)
    assert asked[0] == pytest.approx(1 / ground_gain(0.15, 0.3), rel=1e-4)
    assert asked[1] == pytest.approx(1.0, rel=1e-4)
    assert world.drawn[0] < world.drawn[1]


def test_lower_drone_fights_the_downwash_and_the_upper_one_feels_nothing():
    world, state = make_world([[0, 0, 5.0], [0, 0, 10.0], [40, 0, 5.0]], downwash=True)
    fly(world, state, 300)
    assert world.fault.tolist() == [Fault.NONE] * 3
    thrust = world.thrust.sum(axis=1) / (0.65 * G)
    assert thrust[0] > 1.2
    assert thrust[1:] == pytest.approx([1.0, 1.0], rel=1e-6)
    assert world.air.wind[0, 2] < -1.0
    assert abs(world.body[0, 2] - 5.0) < 0.05  # the integral of the height loop carries it
    # the balance of forces that the model says
    down = -world.air.wind[0, 2]
    frame = load_preset("research-quadrotor")
    pushed = (frame.drag.linear_n_s_m + 0.5 * RHO * frame.drag.area_m2 * down) * down
    assert world.air.lift_share[0] * world.thrust[0].sum() == pytest.approx(0.65 * G + pushed, rel=1e-3)
