"""Ways around zones: short, clear, and as near as there is a way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from d2oc.control.fence import fence_of
from d2oc.control.routes import timed_tour
from d2oc.control.ways import Ways, along, goals_around, grow, length_of, while_advancing
from d2oc.field import Field, NoFlyZone

WALL = NoFlyZone("wall", np.array([[40.0, 20], [60, 20], [60, 80], [40, 80]]))
FIELD = Field(np.array([[0.0, 0], [100, 0], [100, 100], [0, 100]]), (WALL,))
HOOK = NoFlyZone("hook", np.array([[20.0, 20], [80, 20], [80, 80], [70, 80], [70, 30], [20, 30]]))


def dense(way):
    return np.concatenate([a + np.linspace(0, 1, 50)[:, None] * (b - a) for a, b in itertools.pairwise(way)])


def away_from(ring, points):
    """Distance to the edges of a polygon."""
    a, d = ring, np.roll(ring, -1, axis=0) - ring
    t = np.clip(((points[:, None] - a) * d).sum(2) / (d**2).sum(1), 0, 1)
    return np.linalg.norm(points[:, None] - a - t[..., None] * d, axis=2).min(axis=1)


@pytest.mark.parametrize("piece", [WALL.boundary, np.array([[0.0, 0], [10, 0], [0.5, 1]])])
def test_a_grown_piece_holds_all_that_is_near_and_little_more(piece):
    ring = grow(piece, 2.0)
    out = np.roll(ring, -1, axis=0) - ring
    turn = out[:, 0] * np.roll(out, -1, axis=0)[:, 1] - out[:, 1] * np.roll(out, -1, axis=0)[:, 0]
    assert (turn > 0).all()
    away = away_from(piece, dense(np.vstack([ring, ring[:1]])))
    assert away.min() >= 2.0 - 1e-9
    assert away.max() <= 2.0 / np.cos(np.pi / 8) + 1e-9


def test_a_free_way_is_straight():
    ways = Ways(fence_of(FIELD), 1.0)
    assert np.array_equal(ways.between(np.array([10.0, 5]), np.array([90.0, 5])), [[10, 5], [90, 5]])


def test_the_way_around_a_wall_is_the_shortest_one():
    ways = Ways(fence_of(FIELD), 1e-6)
    way = ways.between(np.array([30.0, 40]), np.array([70.0, 40]))
    assert length_of(way) == pytest.approx(2 * np.hypot(10, 20) + 20, abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_ways_keep_their_clearance_inside_the_field(seed):
    field = Field(FIELD.boundary, (HOOK,))
    ways = Ways(fence_of(field), 1.5)
    rng = np.random.default_rng(seed)
    start, end = (ways.outside(place) for place in rng.uniform(3, 97, (2, 2)))
    way = ways.between(start, end)
    assert np.array_equal(way[[0, -1]], [start, end])
    points = dense(way)
    assert field.contains(points).all()
    assert away_from(HOOK.boundary, points).min() >= 0.98 * 1.5 - 1e-6


def test_a_place_in_a_zone_is_moved_out_and_one_behind_walls_is_approached():
    ways = Ways(fence_of(FIELD), 1.0)
    way = ways.between(np.array([10.0, 50]), np.array([45.0, 50]))
    assert 38.9 < way[-1, 0] < 39.1
    ring = [
        NoFlyZone("west", np.array([[40.0, 40], [45, 40], [45, 60], [40, 60]])),
        NoFlyZone("east", np.array([[55.0, 40], [60, 40], [60, 60], [55, 60]])),
        NoFlyZone("south", np.array([[40.0, 38], [60, 38], [60, 42], [40, 42]])),
        NoFlyZone("north", np.array([[40.0, 58], [60, 58], [60, 62], [40, 62]])),
    ]
    closed = Field(FIELD.boundary, tuple(ring))
    way = Ways(fence_of(closed), 1.0).between(np.array([10.0, 50]), np.array([50.0, 50]))
    assert closed.contains(dense(way)).all()


def test_places_along_a_way_are_a_step_apart_and_stay_at_its_end():
    way = np.array([[0.0, 0], [3, 0], [3, 4]])
    assert np.allclose(along(way, 2.0, 5), [[2, 0], [3, 1], [3, 3], [3, 4], [3, 4]])


def test_a_track_through_a_wall_gets_goals_around_it_at_a_pace_that_can_be_flown():
    ways = Ways(fence_of(FIELD), 1.0)
    track = np.column_stack([np.linspace(10, 90, 81), np.full(81, 60.0)])
    goals = goals_around(ways, track, 2.0)
    assert goals.shape == (80, 2)
    assert FIELD.contains(dense(np.vstack([track[:1], goals]))).all()
    assert np.linalg.norm(np.diff(goals, axis=0), axis=1).max() <= 2.0 + 1e-9
    assert goals_around(ways, track * [1, 0] + [0, 10], 2.0) is None


def test_tours_lead_around_zones_in_their_time():
    ways = Ways(fence_of(FIELD), 1.0)
    samples = np.random.default_rng(0).uniform([5, 30], [95, 70], (60, 2))
    samples = samples[FIELD.contains(samples)]
    tour = timed_tour(np.array([5.0, 50]), samples, np.ones(len(samples)), 6, 300, 2.0, ways)
    assert FIELD.contains(dense(tour)).all()
    assert np.linalg.norm(np.diff(tour, axis=0), axis=1).max() <= 2.0


def test_a_way_is_cut_where_it_turns_back():
    way = np.array([[0.0, 0], [0, -2], [3, -3], [6, -2], [6, 5]])
    assert np.array_equal(while_advancing(way), way[:3])
    assert np.array_equal(while_advancing(way[:3]), way[:3])
