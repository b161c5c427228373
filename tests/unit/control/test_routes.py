"""Tours: valid, short, timed by mass and within reach."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from d2oc.control.routes import shortest_tour, timed_tour, waypoints_of


def length(start, places, order):
    path = np.vstack([start, places[list(order)]])
    return np.linalg.norm(np.diff(path, axis=0), axis=1).sum()


@pytest.mark.parametrize("seed", range(5))
def test_tour_visits_all_and_is_almost_the_shortest(seed):
    rng = np.random.default_rng(seed)
    start, places = rng.uniform(0, 100, 2), rng.uniform(0, 100, (7, 2))
    order = shortest_tour(start, places)
    assert sorted(order) == list(range(7))
    best = min(length(start, places, p) for p in permutations(range(7)))
    assert length(start, places, order) <= 1.1 * best


def test_no_reversal_and_no_single_move_makes_a_tour_shorter():
    rng = np.random.default_rng(8)
    start, places = rng.uniform(0, 100, 2), rng.uniform(0, 100, (30, 2))
    order = shortest_tour(start, places).tolist()
    ours = length(start, places, order)
    for i in range(30):
        for j in range(i + 1, 31):
            assert length(start, places, order[:i] + order[i:j][::-1] + order[j:]) >= ours - 1e-6
        rest = order[:i] + order[i + 1 :]
        for j in range(30):
            assert length(start, places, [*rest[:j], order[i], *rest[j:]]) >= ours - 1e-6


def test_time_at_waypoints_is_shared_by_mass():
    """Two heaps 40 m apart, one three times the other: travel 5 + 5 steps of the 92 % speed, the rest 3 to 1."""
    samples = np.array([[40.0, 0], [80.0, 0]])
    route = timed_tour(np.zeros(2), samples, np.array([3.0, 1.0]), 2, 100, 8.0 / 0.92)
    assert (np.abs(route[:, 0] - 40) < 1e-9).sum() == pytest.approx(0.75 * 90, abs=1.5)
    assert (np.abs(route[:, 0] - 80) < 1e-9).sum() == pytest.approx(0.25 * 90, abs=1.5)
    assert np.linalg.norm(np.diff(route, axis=0), axis=1).max() <= 8.0 + 1e-9


def test_a_tour_too_long_for_the_time_is_refused():
    assert timed_tour(np.zeros(2), np.array([[500.0, 0]]), np.ones(1), 1, 100, 5.0) is None


def test_without_a_speed_limit_half_of_the_time_is_travel():
    route = timed_tour(np.zeros(2), np.array([[100.0, 0]]), np.ones(1), 1, 100, np.inf)
    assert (route[:, 0] < 99.9).sum() == pytest.approx(50 / 0.92, abs=1.5)


def test_waypoints_hold_all_mass():
    rng = np.random.default_rng(0)
    samples, weights = rng.normal(0, 10, (500, 2)), rng.random(500)
    places, mass = waypoints_of(samples, weights, 16)
    assert len(places) == 16
    assert mass.sum() == pytest.approx(weights.sum())
    assert mass @ places == pytest.approx(weights @ samples)
