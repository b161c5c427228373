r"""Lawnmower: equal strips, one an agent, mown to and fro so that the operation time is used up.

The field is cut across its shorter side into L strips of equal area, along straight lines. Each agent mows its strip in
n equally spaced passes along the longer side (boustrophedon [1]_). n is the same for all and the largest whose way
every agent can fly in its time at cruise speed; the speed is then lowered so that the way lasts to the end of
operation. Strips are given to agents so that the sum of squared distances from their starts is least. Where no-fly
zones or the boundary cut passes apart, the strip is mown cell after cell, with shortest ways round in between.

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
    """Boustrophedon in equal strips: everyone follows a point that moves along its way and waits for it."""

    def __init__(self, task: CoverageTask) -> None:
        self._task = task
        self.ways: list[Floats] = mowing_ways(task)
        self._lengths = [_lengths_along(way) for way in self.ways]
        self._flown: Floats = np.zeros(task.n_agents)
        self._ways_round = WaysRound(task.field)

    def velocities(self, k: int, position: Floats, velocity: Floats) -> Floats:
        """See `Guidance`."""
        task = self._task
        here = self.places(self._flown)
        towards = np.array([self._ways_round.between(*ends)[0] for ends in zip(position, here, strict=True)])
        near = np.linalg.norm(here - position, axis=1) <= task.speed * np.maximum(task.response, 2 * task.time_step)
        follows = near & (towards == here).all(axis=1)
        planned = np.array([length[-1] for length in self._lengths]) * np.minimum(1.0, (k + 1) / task.n_steps)
        ahead = np.minimum(planned, self._flown + task.speed * task.time_step)
        self._flown = np.where(follows, ahead, self._flown)
        advance = (self.places(self._flown) - here) / task.time_step
        wanted: Floats = advance + (towards - position) / task.response[:, None]
        return wanted

    def places(self, flown: Floats) -> Floats:
        """Points of the ways after so many metres, shape (L, 2). [m]"""
        places = np.empty((len(flown), 2))
        for r, (way, length) in enumerate(zip(self.ways, self._lengths, strict=True)):
            places[r] = [np.interp(flown[r], length, way[:, axis]) for axis in range(2)]
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
    """Way through a strip: cell after cell, the nearest first, each begun at its nearest corner."""
    across, _, _ = _across(field)
    spacing = float(strip[1] - strip[0]) / n_passes
    lines = strip[0] + (np.arange(n_passes) + 0.5) * spacing
    passes = [_shortened(_line(field, at, across), spacing / 2, 1 - across) for at in lines]
    cells = boustrophedon_cells(passes, 1 - across)
    way = [start[None]]
    while cells:
        here = way[-1][-1]
        variants = [(c, places) for c, cell in enumerate(cells) for places in _to_and_fro(cell)]
        c, places = min(variants, key=lambda variant: float(np.linalg.norm(variant[1][0] - here)))
        del cells[c]
        for place in places:
            way.append(ways_round.between(way[-1][-1], place))
    return np.vstack(way)


def boustrophedon_cells(passes: list[Floats], along: int) -> list[list[Floats]]:
    """Cells of the decomposition of [1]: a cell ends where a line falls apart or parts of it join.

    Parameters
    ----------
    passes : list of ndarray, shape (m, 2 ends, 2)
        Free parts of each line, in order. [m]
    along : {0, 1}
        Axis of the lines.

    Returns
    -------
    cells : list of list of ndarray, shape (2 ends, 2)
        Parts that are mown one after the other.
    """
    cells: list[list[Floats]] = []
    last: list[list[Floats]] = []
    for parts in passes:
        before = np.array([cell[-1] for cell in last]).reshape(-1, 2, 2)
        low = np.maximum(parts[:, None, 0, along], before[None, :, 0, along])
        high = np.minimum(parts[:, None, 1, along], before[None, :, 1, along])
        touch = high >= low
        single = touch & (touch.sum(axis=0) == 1)[None, :] & (touch.sum(axis=1) == 1)[:, None]
        now = []
        for part, mates in zip(parts, single, strict=True):
            if mates.any():
                cell = last[int(mates.argmax())]
            else:
                cell = []
                cells.append(cell)
            cell.append(part)
            now.append(cell)
        last = now
    return cells


def _shortened(parts: Floats, by: float, along: int) -> Floats:
    """Parts of a line with both ends drawn in, at most to the middle."""
    middle = parts.mean(axis=1, keepdims=True)
    parts = parts.copy()
    parts[:, 0, along] = np.minimum(parts[:, 0, along] + by, middle[:, 0, along])
    parts[:, 1, along] = np.maximum(parts[:, 1, along] - by, middle[:, 0, along])
    return parts


def _to_and_fro(cell: list[Floats]) -> list[Floats]:
    """The four ways through a cell, begun at each of its corners, shape (corners, 2) each."""
    ways = []
    for parts in (cell, cell[::-1]):
        for first in (1, -1):
            turned = [part[:: first * (-1) ** i] for i, part in enumerate(parts)]
            ways.append(np.vstack(turned))
    return ways


def _lengths_along(way: Floats) -> Floats:
    """Length flown at each corner of a way. [m]"""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
