"""Tours through segments, against all orders there are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from d2oc.spray.routes import Pace, hop_time, pass_time, tour, tour_time

PACE = Pace(6.0, 10.0, 3.0)


def places(rng, n):
    first = rng.uniform(0, 300, (n, 2))
    last = first + rng.normal(0, 25, (n, 2))
    ends = np.empty((2 * n + 4, 2))
    ends[0 : 2 * n : 2], ends[1 : 2 * n : 2] = first, last
    ends[2 * n : 2 * n + 2], ends[2 * n + 2 :] = rng.uniform(0, 300, 2), rng.uniform(0, 300, 2)
    return ends


@pytest.mark.parametrize("seed", range(8))
def test_a_tour_of_five_is_near_the_best_of_all(seed):
    ends = places(np.random.default_rng(seed), 5)
    lengths = np.linalg.norm(ends[0:10:2] - ends[1:10:2], axis=1)
    seconds = np.array([pass_time(PACE, length, np.empty(0)) for length in lengths])
    best = min(
        tour_time(PACE, ends, np.array([2 * i + turned for i, turned in zip(order, turns, strict=True)]), seconds)
        for order in itertools.permutations(range(5))
        for turns in itertools.product((0, 1), repeat=5)
    )
    assert best - 1e-9 <= tour_time(PACE, ends, tour(PACE, ends), seconds) <= 1.08 * best


@pytest.mark.parametrize("n", [1, 2, 40])
def test_every_segment_is_flown_once(n):
    entered = tour(PACE, places(np.random.default_rng(n), n))
    assert sorted(entered // 2) == list(range(n))


def test_a_hop_is_bang_bang_below_the_speed_limit_and_trapezoidal_above():
    assert hop_time(12.0, 100.0, 3.0) == pytest.approx(2 * math.sqrt(12 / 3))
    assert hop_time(100.0, 10.0, 2.0) == pytest.approx(5 + 5 + (100 - 50) / 10)


@pytest.mark.parametrize("gap", [4.0, 15.0, 80.0])
def test_gaps_are_flown_as_fast_as_the_vehicle_can(gap):
    """Against small steps of speeding up and down between 6 and 10 m/s at 3 m/s^2."""
    way = np.linspace(0.0, gap, 200_001)
    speed = np.minimum(10.0, np.sqrt(36.0 + 6.0 * np.minimum(way, gap - way)))
    in_gap = float(np.trapezoid(1.0 / speed, way))
    expected = hop_time(200.0, 6.0, 3.0) - gap / 6.0 + in_gap
    assert pass_time(PACE, 200.0, np.array([gap])) == pytest.approx(expected, abs=1e-6)
