"""A vehicle kept inside by `walls` never crosses a wall, whatever it wishes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from d2oc.control.baselines.walls import Braking, kept_inside, reflected, walls_of
from d2oc.field import Field, NoFlyZone

TRIANGLE = NoFlyZone("triangle", np.array([[20.0, 20.0], [45.0, 30.0], [25.0, 45.0]]))
FIELD = Field(np.array([[0.0, 0], [80, 0], [80, 40], [50, 40], [50, 70], [0, 60]]), (TRIANGLE,))
WALLS = walls_of(FIELD)
T, SPEED, ACCELERATION = 0.2, 8.0, 4.0
ONE = np.ones(1)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["jitter", "steady", "into the nearest wall"]))
def test_double_integrator_stays_inside(seed, wish):
    rng = np.random.default_rng(seed)
    braking = Braking(0.4 * ACCELERATION * ONE, T * ONE, T * ACCELERATION * ONE, SPEED * ONE)
    position, velocity = inside(rng), np.zeros((1, 2))
    wanted = rng.normal(0, 10, (1, 2))
    for k in range(150):
        if wish == "jitter" or (wish == "steady" and k % 30 == 0):
            wanted = rng.normal(0, 10, (1, 2))
        elif wish == "into the nearest wall":
            wanted = 20 * velocity + rng.normal(0, 1, (1, 2))
        after = kept_inside(WALLS, braking, position, velocity, wanted, T)
        assert np.linalg.norm(after - velocity) <= T * ACCELERATION * (1 + 1e-6)
        assert np.linalg.norm(after) <= SPEED * (1 + 1e-6)
        before, position, velocity = position, position + T * (velocity + after) / 2, after
        assert_inside(before, position)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_single_integrator_stays_inside_and_is_free_far_from_walls(seed):
    rng = np.random.default_rng(seed)
    braking = Braking(np.inf * ONE, 2 * T * ONE, np.inf * ONE, SPEED * ONE)
    position = inside(rng)
    for _ in range(100):
        wanted = rng.normal(0, 1, (1, 2))
        wanted *= SPEED / np.linalg.norm(wanted)
        after = kept_inside(WALLS, braking, position, np.zeros((1, 2)), wanted, T)
        before, position = position, position + T * after
        assert_inside(before, position)
    middle = np.array([[65.0, 20.0]])
    assert np.array_equal(kept_inside(WALLS, braking, middle, np.zeros((1, 2)), wanted, T), wanted)


def test_a_velocity_across_a_wall_is_mirrored():
    position = np.array([[79.9, 20.0], [40.0, 20.0], [79.9, 0.1]])
    wanted = np.array([[5.0, 3.0], [5.0, 3.0], [5.0, -3.0]])
    expected = [[-5.0, 3.0], [5.0, 3.0], [-5.0, 3.0]]
    assert np.allclose(reflected(WALLS, position, wanted, 0.2), expected)


def inside(rng):
    while True:
        place = rng.uniform(0, 80, (1, 2))
        if FIELD.contains(place)[0]:
            return place


def assert_inside(before, after):
    between = before + np.linspace(0, 1, 7)[:, None] * (after - before)
    assert FIELD.contains(between).all()
