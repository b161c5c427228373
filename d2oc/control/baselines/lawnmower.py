r"""Lawnmower: equal strips, one an agent, mown to and fro so that the operation time is used up.

The field is cut across its shorter side into L strips of equal area, along straight lines. Each agent mows its strip in
n equally spaced passes along the longer side (boustrophedon [1]_). n is the same for all and the largest whose way
every agent can fly in its time at cruise speed; the speed is then lowered so that the way lasts to the end of
operation. Strips are given to agents so that the sum of squared distances from their starts is least. A pass stops at
no-fly zones and at the boundary, and goes on behind them after a shortest way round.

Knows: the field and where everyone starts, once, before take-off; nothing of the density (no information in flight).

References
----------
.. [1] H. Choset, "Coverage of known spaces: the boustrophedon cellular decomposition", Autonomous Robots 9, 2000.
   :doi:`10.1023/A:1008958800904`
"""

from __future__ import annotations

import math

import numpy as np

from d2oc.arrays import Floats
from d2oc.control.baselines.guidance import CoverageTask
from d2oc.control.baselines.way_round import WaysRound
from d2oc.field import Field

LINES = 1024
"""Lines across which the area of the field is summed to cut it into strips."""
MOST_PASSES = 400
"""More passes a strip are not planned."""


class Lawnmower:
    """Boustrophedon in equal strips, flown as a moving reference point along each way."""

    def __init__(self, task: CoverageTask) -> None:
        self._task = task
        self.ways: list[Floats] = mowing_ways(task)
        self._lengths = [_lengths_along(way) for way in self.ways]

    def velocities(self, k: int, position: Floats, velocity: Floats) -> Floats:
        """See `Guidance`."""
        here, next_place = self.reference(k), self.reference(k + 1)
        wanted: Floats = (next_place - here) / self._task.time_step + (here - position) / self._task.response[:, None]
        return wanted

    def reference(self, k: int) -> Floats:
        """Where everyone should be after k steps, shape (L, 2). [m]"""
        task = self._task
        places = np.empty((task.n_agents, 2))
        for r, (way, length) in enumerate(zip(self.ways, self._lengths, strict=True)):
            share = min(1.0, k / task.n_steps[r])
            flown = min(share * length[-1], k * task.time_step * task.speed[r])
            places[r] = [np.interp(flown, length, way[:, axis]) for axis in range(2)]
        return places


def mowing_ways(task: CoverageTask) -> list[Floats]:
    """Way of each agent from its start, shape (corners, 2) each. [m]"""
    strips = _by_agent(equal_strips(task.field, task.n_agents), task)
    reach = task.speed * task.time_step * task.n_steps
    ways_round = WaysRound(task.field)
    x_min, y_min, x_max, y_max = task.field.bounds
    fits = task.field.area_m2 / task.n_agents / max(x_max - x_min, y_max - y_min)  # mean width of a strip
    n_passes = math.ceil(min(MOST_PASSES, float((reach / (task.field.area_m2 / task.n_agents)).max()) * fits + 1))
    while True:
        ways = [
            _way(task.field, strip, n_passes, start, ways_round)
            for strip, start in zip(strips, task.start, strict=True)
        ]
        if n_passes == 1 or all(_lengths_along(way)[-1] <= far for way, far in zip(ways, reach, strict=True)):
            return ways
        n_passes -= 1


def equal_strips(field: Field, n_strips: int) -> Floats:
    """Strips of equal area across the shorter side of the field.

    Parameters
    ----------
    field : Field
        The ground; no-fly zones do not count.
    n_strips : int
        How many.

    Returns
    -------
    strips : ndarray, shape (n_strips, 2)
        First and last coordinate of each across the passes. [m]
    """
    across, low, high = _across(field)
    edges = np.linspace(low, high, LINES + 1)
    width = [np.diff(free_intervals(field, u, across), axis=1).sum() for u in (edges[:-1] + edges[1:]) / 2]
    area = np.concatenate([[0.0], np.cumsum(width)])
    cuts = np.interp(np.linspace(0.0, area[-1], n_strips + 1), area, edges)
    return np.column_stack([cuts[:-1], cuts[1:]])


def free_intervals(field: Field, at: float, across: int) -> Floats:
    """Parts of a straight line inside the field and outside its zones, in order, shape (m, 2).

    Parameters
    ----------
    field : Field
        The ground.
    at : float
        Coordinate `across` of the line. [m]
    across : {0, 1}
        Axis that the line crosses.
    """
    rings = [field.boundary, *(zone.boundary for zone in field.no_fly_zones)]
    crossings = [_crossings(ring, at, across) for ring in rings]
    ends = np.unique(np.concatenate(crossings))
    middles = (ends[:-1] + ends[1:]) / 2
    inside = [np.searchsorted(np.sort(own), middles) % 2 == 1 for own in crossings]
    free = np.concatenate([[False], inside[0] & ~np.any(inside[1:], axis=0), [False]]) if len(middles) else np.zeros(2)
    change = np.flatnonzero(np.diff(free.astype(int)))
    return ends[change].reshape(-1, 2)


def _crossings(ring: Floats, at: float, across: int) -> Floats:
    start, end = ring, np.roll(ring, -1, axis=0)
    cut = (start[:, across] < at) != (end[:, across] < at)
    a, b = start[cut], end[cut]
    share = (at - a[:, across]) / (b[:, across] - a[:, across])
    along = 1 - across
    return np.asarray(a[:, along] + share * (b[:, along] - a[:, along]))


def _across(field: Field) -> tuple[int, float, float]:
    """Axis across the passes, which run along the longer side, and the extent of the field there."""
    x_min, y_min, x_max, y_max = field.bounds
    return (0, x_min, x_max) if y_max - y_min >= x_max - x_min else (1, y_min, y_max)


def _by_agent(strips: Floats, task: CoverageTask) -> Floats:
    """The strips in the order of the agents that get them."""
    from scipy.optimize import linear_sum_assignment

    across, _, _ = _across(task.field)
    middle = np.array([_line(task.field, strip.mean(), across).mean(axis=(0, 1)) for strip in strips])
    cost = ((task.start[:, None] - middle[None]) ** 2).sum(axis=2)
    _, chosen = linear_sum_assignment(cost)
    return strips[chosen]


def _line(field: Field, at: float, across: int) -> Floats:
    """Free parts of a line as places, shape (m, 2 ends, 2)."""
    parts = free_intervals(field, at, across)
    places = np.full((*parts.shape, 2), at)
    places[..., 1 - across] = parts
    return places


def _way(field: Field, strip: Floats, n_passes: int, start: Floats, ways_round: WaysRound) -> Floats:
    """Way through a strip, begun at the corner nearest to the start."""
    across, _, _ = _across(field)
    spacing = float(strip[1] - strip[0]) / n_passes
    lines = strip[0] + (np.arange(n_passes) + 0.5) * spacing
    passes = [_shortened(_line(field, at, across), spacing / 2, 1 - across) for at in lines]
    passes = [parts for parts in passes if len(parts)]
    variants = [
        _to_and_fro(order, upwards) for order in (passes, passes[::-1]) for upwards in (True, False)
    ]  # begun at each of the four corners
    places = min(variants, key=lambda way: float(np.linalg.norm(way[0] - start)))
    way = [start[None]]
    for place in places:
        way.append(ways_round.between(way[-1][-1], place))
    return np.vstack(way)


def _shortened(parts: Floats, by: float, along: int) -> Floats:
    """Parts of a line with both ends drawn in, at most to the middle."""
    middle = parts.mean(axis=1, keepdims=True)
    parts = parts.copy()
    parts[:, 0, along] = np.minimum(parts[:, 0, along] + by, middle[:, 0, along])
    parts[:, 1, along] = np.maximum(parts[:, 1, along] - by, middle[:, 0, along])
    return parts


def _to_and_fro(passes: list[Floats], upwards: bool) -> Floats:
    way = []
    for parts in passes:
        way.append(parts.reshape(-1, 2) if upwards else parts.reshape(-1, 2)[::-1])
        upwards = not upwards
    return np.vstack(way)


def _lengths_along(way: Floats) -> Floats:
    """Length flown at each corner of a way. [m]"""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
