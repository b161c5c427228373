"""Dryden gusts against their specification and their closed-form correlations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2oc.world.wind import FOOT, Wind, low_altitude_gusts


def streams(n):
    return [np.random.default_rng([8, r]) for r in range(n)]


def blown(speed, n, steps, dt, height=30.0, toward=0.0, velocity=(0.0, 0.0, 0.0)):
    wind = Wind(speed, toward, low_altitude_gusts(height, speed), streams(n))
    motion = np.tile(np.array(velocity), (n, 1))
    return np.array([wind.blow(dt, motion).copy() for _ in range(steps)])


def test_scales_and_intensities_at_100_ft():
    gusts = low_altitude_gusts(100 * FOOT, 10.0)
    base = 0.177 + 0.0823
    assert gusts.length / FOOT == pytest.approx([100 / base**1.2, 100 / base**1.2, 100])
    assert gusts.sigma == pytest.approx([1 / base**0.4, 1 / base**0.4, 1.0])


def test_isotropic_at_1000_ft():
    gusts = low_altitude_gusts(1000 * FOOT, 10.0)
    assert gusts.length == pytest.approx(1000 * FOOT * np.ones(3), rel=1e-9)
    assert gusts.sigma == pytest.approx(np.ones(3), rel=1e-9)


def test_below_ten_feet_as_at_ten_feet():
    assert low_altitude_gusts(1.0, 5.0).length == pytest.approx(low_altitude_gusts(10 * FOOT, 5.0).length)


def test_mean_and_variance_from_the_first_step_on():
    wind = blown(8.0, 4000, 30, 0.1)
    sigma = low_altitude_gusts(30.0, 8.0).sigma
    for at in (0, 29):
        assert wind[at].mean(axis=0) == pytest.approx([8.0, 0.0, 0.0], abs=0.1)
        assert wind[at].std(axis=0) == pytest.approx(sigma, rel=0.05)


def test_correlation_in_time_is_the_dryden_one():
    """Frozen field passing at nearly constant airspeed: exp(-x) along, (1 - x/2) exp(-x) across, x = V t / L."""
    dt, lags = 0.25, np.array([4, 16, 40])
    speed, velocity = 0.5, (-20.0, 0.0, 0.0)  # airspeed 20.5 and gusts that hardly change it
    wind = blown(speed, 6000, 41, dt, velocity=velocity)
    gusts = low_altitude_gusts(30.0, speed)
    x = 20.5 * dt * lags / gusts.length[0]
    first = wind[0] - [speed, 0, 0]
    for axis, form in ((0, np.exp(-x)), (1, (1 - x / 2) * np.exp(-x))):
        measured = [np.mean(first[:, axis] * (wind[lag][:, axis] - [speed, 0, 0][axis])) for lag in lags]
        assert np.array(measured) / gusts.sigma[axis] ** 2 == pytest.approx(form, abs=0.05)


@settings(max_examples=20, deadline=None)
@given(st.floats(-3.1, 3.1), st.floats(0.5, 12.0))
def test_steady_wind_blows_where_it_is_told(toward, speed):
    wind = Wind(speed, toward, None, streams(2)).blow(0.1, np.zeros((2, 3)))
    assert wind[1] == pytest.approx([speed * np.cos(toward), speed * np.sin(toward), 0.0])


def test_no_wind_no_gusts():
    assert not blown(0.0, 3, 5, 0.1).any()


def test_gusts_turn_with_the_wind():
    along = blown(6.0, 3, 20, 0.1, toward=0.0)
    across = blown(6.0, 3, 20, 0.1, toward=np.pi / 2)
    assert across[..., 0] == pytest.approx(-along[..., 1], abs=1e-9)
    assert across[..., 1] == pytest.approx(along[..., 0], abs=1e-9)
