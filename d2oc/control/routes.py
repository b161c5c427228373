"""Routes to begin a mission plan from: a tour through the heaviest places, with time to spend at each.

A transport plan improves a route only locally: it never reorders what is visited. So several routes are tried, from a
few waypoints with much time at each to many with little, and the best is kept.
"""

from __future__ import annotations

import itertools

import numpy as np

from d2oc.arrays import Floats, Longs
from d2oc.compiled import compiled
from d2oc.control.ways import Ways, length_of
from d2oc.transport.wasserstein import gather

LLOYD_ROUNDS = 8
"""Moves of the waypoints to the barycentres of what is nearest to them."""

SHARE_OF_SPEED = 0.92
"""Tours are timed at this share of the top speed; turns cost the rest."""

LEAST_SHARE_OF_TIME = 0.02
"""A tour must leave this share of the time to spend at the waypoints."""


def timed_tour(
    start: Floats,
    samples: Floats,
    weights: Floats,
    n_waypoints: int,
    n_steps: int,
    reach: float,
    ways: Ways | None = None,
) -> Floats | None:
    """Positions along a tour through waypoints, staying at each as long as its mass deserves.

    Parameters
    ----------
    start : ndarray, shape (2,)
        Where the agent is. [m]
    samples : ndarray, shape (n, 2)
        What it has to serve. [m]
    weights : ndarray, shape (n,)
        Weights of the samples, positive.
    n_waypoints : int
        Places to visit, at most.
    n_steps : int
        Steps of the route.
    reach : float
        Longest way of one step; inf: half of the time is spent travelling. [m]
    ways : Ways, optional
        Ways around zones; None: straight from place to place.

    Returns
    -------
    positions : ndarray, shape (n_steps, 2), or None
        None when the tour is too long for the time. [m]
    """
    waypoints, mass = waypoints_of(samples, weights, n_waypoints)
    order = shortest_tour(start, waypoints)
    legs = _legs(np.vstack([start, waypoints[order]]), ways)
    lengths = np.array([length_of(leg) for leg in legs])
    if np.isinf(reach):
        reach = max(2.0 * lengths.sum() / n_steps, 1e-9)
    pace = SHARE_OF_SPEED * reach
    left = n_steps - lengths.sum() / pace
    if left < LEAST_SHARE_OF_TIME * n_steps:
        return None
    stay = left * mass[order] / mass.sum()
    steps = [
        np.append(np.sqrt((np.diff(leg, axis=0) ** 2).sum(axis=1)) / pace, s) for leg, s in zip(legs, stay, strict=True)
    ]
    moments = np.concatenate([[0.0], np.cumsum(np.concatenate(steps))])
    places = np.vstack([start, *(np.vstack([leg[1:], leg[-1:]]) for leg in legs)])
    at = np.arange(1.0, n_steps + 1.0)
    return np.column_stack([np.interp(at, moments, places[:, axis]) for axis in range(2)])


def _legs(stops: Floats, ways: Ways | None) -> list[Floats]:
    """Polylines from stop to stop, each beginning where the last one ends."""
    legs: list[Floats] = []
    for start, end in itertools.pairwise(stops):
        begin = legs[-1][-1] if legs else start
        legs.append(np.array([begin, end]) if ways is None else ways.between(begin, end))
    return legs


def waypoints_of(samples: Floats, weights: Floats, n_waypoints: int) -> tuple[Floats, Floats]:
    """Places that stand for the samples, and the mass nearest to each.

    Halving the wider side gives cells of equal count, Lloyd's algorithm moves their centres to where they serve best.
    """
    cells = gather(samples, weights, n_waypoints)
    places = cells.centre.copy()
    mass = cells.total.copy()
    for _ in range(LLOYD_ROUNDS):
        _move_to_barycentres(samples, weights, places, mass)
    return places[mass > 0], mass[mass > 0]


@compiled
def _move_to_barycentres(samples: Floats, weights: Floats, places: Floats, mass: Floats) -> None:
    total = np.zeros((len(places), 2))
    mass[:] = 0.0
    for j in range(len(samples)):
        best = 0
        nearest = np.inf
        for i in range(len(places)):
            away = (samples[j, 0] - places[i, 0]) ** 2 + (samples[j, 1] - places[i, 1]) ** 2
            if away < nearest:
                nearest = away
                best = i
        mass[best] += weights[j]
        total[best, 0] += weights[j] * samples[j, 0]
        total[best, 1] += weights[j] * samples[j, 1]
    for i in range(len(places)):
        if mass[i] > 0.0:
            places[i, 0] = total[i, 0] / mass[i]
            places[i, 1] = total[i, 1] / mass[i]


@compiled
def shortest_tour(start: Floats, places: Floats) -> Longs:
    """Order of a short open tour from `start`: nearest first, then 2-opt and moves of single places until none helps.

    Parameters
    ----------
    start : ndarray, shape (2,)
        Where the tour begins. [m]
    places : ndarray, shape (n, 2)
        What it visits. [m]

    Returns
    -------
    order : ndarray of int64, shape (n,)
    """
    n = len(places)
    at = np.empty((n + 1, 2))
    at[0] = start
    at[1:] = places
    tour = np.arange(n + 1)
    for i in range(n):
        best = i + 1
        for j in range(i + 1, n + 1):
            if _leg(at, tour, i, j) < _leg(at, tour, i, best):
                best = j
        tour[i + 1], tour[best] = tour[best], tour[i + 1]
    while _reverse_once(at, tour) or _shift_once(at, tour):
        pass
    return tour[1:] - 1


@compiled
def _leg(at: Floats, tour: Longs, i: int, j: int) -> float:
    """Length from the i-th to the j-th stop; nothing beyond the end of an open tour."""
    if j >= len(tour) or i >= len(tour):
        return 0.0
    dx = at[tour[i], 0] - at[tour[j], 0]
    dy = at[tour[i], 1] - at[tour[j], 1]
    return np.sqrt(dx * dx + dy * dy)


@compiled
def _reverse_once(at: Floats, tour: Longs) -> bool:
    """One pass of 2-opt; whether anything got shorter."""
    shorter = False
    for i in range(1, len(tour) - 1):
        for j in range(i + 1, len(tour)):
            gain = _leg(at, tour, i - 1, i) + _leg(at, tour, j, j + 1)
            gain -= _leg(at, tour, i - 1, j) + (_leg(at, tour, i, j + 1) if j + 1 < len(tour) else 0.0)
            if gain > 1e-9:
                tour[i : j + 1] = tour[i : j + 1][::-1].copy()
                shorter = True
    return shorter


@compiled
def _shift_once(at: Floats, tour: Longs) -> bool:
    """Move one place to where it fits better; whether anything got shorter."""
    for i in range(1, len(tour)):
        out = _leg(at, tour, i - 1, i) + _leg(at, tour, i, i + 1)
        if i + 1 < len(tour):
            out -= _leg(at, tour, i - 1, i + 1)
        for j in range(len(tour)):
            if j in (i, i - 1):
                continue
            extra = _leg(at, tour, j, i) + (_leg(at, tour, i, j + 1) if j + 1 < len(tour) else 0.0)
            extra -= _leg(at, tour, j, j + 1)
            if extra < out - 1e-9:
                moved = tour[i]
                if j < i:
                    tour[j + 2 : i + 1] = tour[j + 1 : i].copy()
                    tour[j + 1] = moved
                else:
                    tour[i:j] = tour[i + 1 : j + 1].copy()
                    tour[j] = moved
                return True
    return False
