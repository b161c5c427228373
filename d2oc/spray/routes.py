"""Routes: in which order and direction a drone flies its segments, and what it takes.

A segment may be flown either way, so the tour visits one of its two ends first and leaves from the other. It starts at
the drone, ends at a station, and is found by going to the nearest end again and again, then by turning parts of the
tour around (2-opt) and moving short parts elsewhere (Or-opt) [1]_ as long as that saves time. The measure is time: of
a hop from rest to rest with the vehicle's acceleration and speed.

References
----------
.. [1] A. Corberan and G. Laporte (eds.), Arc Routing: Problems, Methods, and Applications, SIAM, 2014, chapter 9 (rural
   postman heuristics). :doi:`10.1137/1.9781611973679`
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2oc.arrays import Floats, Longs
from d2oc.compiled import compiled

MOST_ROUNDS = 30
"""Rounds of improvement at the most."""
LONGEST_MOVED = 3
"""Segments that Or-opt moves together."""


class Pace(NamedTuple):
    """How fast a drone gets around."""

    working: float
    """Speed on a pass. [m/s]"""
    transit: float
    """Largest speed between passes. [m/s]"""
    acceleration: float
    """[m/s^2]"""


@compiled
def hop_time(distance: float, speed: float, acceleration: float) -> float:
    """Time from rest to rest over a distance. [s]"""
    if distance * acceleration < speed * speed:
        return 2.0 * np.sqrt(distance / acceleration)
    return distance / speed + speed / acceleration


@compiled
def _hop(pace: Pace, ends: Floats, a: int, b: int) -> float:
    """Time between two ends; end 2 i is the first, 2 i + 1 the last of segment i."""
    dx, dy = ends[a, 0] - ends[b, 0], ends[a, 1] - ends[b, 1]
    return hop_time(np.sqrt(dx * dx + dy * dy), pace.transit, pace.acceleration)


@compiled
def tour(pace: Pace, ends: Floats) -> Longs:
    """Order of the ends at which segments are entered.

    Parameters
    ----------
    pace : Pace
    ends : ndarray, shape (2 n + 4, 2)
        Both ends of each of n segments; then the place of the drone, twice, and the place where it ends, twice. [m]

    Returns
    -------
    entered : ndarray, shape (n,)
        End 2 i: segment i is flown forwards; end 2 i + 1: backwards.
    """
    n = len(ends) // 2 - 2
    way = np.empty(n + 2, np.int64)
    way[0], way[n + 1] = 2 * n, 2 * n + 2
    _nearest_first(pace, ends, way)
    for _ in range(MOST_ROUNDS):
        improved = _turn_around(pace, ends, way)
        if not _move(pace, ends, way) and not improved:
            break
    return way[1:-1]


@compiled
def _nearest_first(pace: Pace, ends: Floats, way: Longs) -> None:
    n = len(way) - 2
    done = np.zeros(n, np.bool_)
    here = way[0]
    for k in range(1, n + 1):
        best, nearest = -1, np.inf
        for e in range(2 * n):
            if not done[e // 2]:
                d = _hop(pace, ends, here, e)
                if d < nearest:
                    best, nearest = e, d
        way[k] = best
        done[best // 2] = True
        here = best ^ 1


@compiled
def _turn_around(pace: Pace, ends: Floats, way: Longs) -> bool:
    """2-opt: fly a part of the tour the other way round."""
    n = len(way) - 2
    improved = False
    for i in range(1, n + 1):
        for j in range(i, n + 1):
            before, after = way[i - 1] ^ 1, way[j + 1]
            now = _hop(pace, ends, before, way[i]) + _hop(pace, ends, way[j] ^ 1, after)
            then = _hop(pace, ends, before, way[j] ^ 1) + _hop(pace, ends, way[i], after)
            if then < now - 1e-6:
                for k in range((j - i) // 2 + 1):
                    a, b = way[i + k], way[j - k]
                    way[i + k], way[j - k] = b ^ 1, a ^ 1
                improved = True
    return improved


@compiled
def _move(pace: Pace, ends: Floats, way: Longs) -> bool:
    """Or-opt: move one to three segments elsewhere, either way round."""
    n = len(way) - 2
    improved = False
    for length in range(1, LONGEST_MOVED + 1):
        for i in range(1, n - length + 2):
            j = i + length - 1
            first, last = way[i], way[j]
            before, after = way[i - 1] ^ 1, way[j + 1]
            saved = (
                _hop(pace, ends, before, first) + _hop(pace, ends, last ^ 1, after) - _hop(pace, ends, before, after)
            )
            best, where, turned = saved - 1e-6, -1, False
            for k in range(n + 1):
                if i - 1 <= k <= j:
                    continue
                a, b = way[k] ^ 1, way[k + 1]
                there = _hop(pace, ends, a, b)
                straight = _hop(pace, ends, a, first) + _hop(pace, ends, last ^ 1, b) - there
                back = _hop(pace, ends, a, last ^ 1) + _hop(pace, ends, first, b) - there
                if straight < best:
                    best, where, turned = straight, k, False
                if back < best:
                    best, where, turned = back, k, True
            if where >= 0:
                _relocate(way, i, j, where, turned)
                improved = True
    return improved


@compiled
def _relocate(way: Longs, i: int, j: int, k: int, turned: bool) -> None:
    """Put way[i..j] behind way[k], which lies outside it."""
    part = way[i : j + 1].copy()
    if turned:
        part = part[::-1].copy()
        for m in range(len(part)):
            part[m] ^= 1
    length = j - i + 1
    if k > j:
        for m in range(i, k - length + 1):
            way[m] = way[m + length]
        way[k - length + 1 : k + 1] = part
    else:
        for m in range(j, k + length, -1):
            way[m] = way[m - length]
        way[k + 1 : k + 1 + length] = part


@compiled
def tour_time(pace: Pace, ends: Floats, entered: Longs, seconds: Floats) -> float:
    """Time of a tour, its segments and the way to the place where it ends included.

    Parameters
    ----------
    pace, ends, entered
        As for `tour`, and what it returned.
    seconds : ndarray, shape (n,)
        What flying each segment takes. [s]

    Returns
    -------
    time : float
        [s]
    """
    n = len(entered)
    here, total = 2 * (len(ends) // 2 - 2), 0.0
    for k in range(n):
        e = entered[k]
        total += _hop(pace, ends, here, e) + seconds[e // 2]
        here = e ^ 1
    return total + _hop(pace, ends, here, len(ends) - 2)


def pass_time(pace: Pace, length: float, gaps: Floats) -> float:
    """Time of one pass from rest to rest.

    Parameters
    ----------
    pace : Pace
    length : float
        [m]
    gaps : ndarray, shape (n,)
        Ways with shut nozzles in it, on which the drone speeds up to its transit speed and down again. [m]

    Returns
    -------
    time : float
        [s]
    """
    w, v, a = pace.working, pace.transit, pace.acceleration
    top = np.minimum(v, np.sqrt(w * w + a * gaps))
    in_gaps = 2.0 * (top - w) / a + np.maximum(gaps - (top * top - w * w) / a, 0.0) / v
    return float(hop_time(length, w, a) + (in_gaps - gaps / w).sum())
