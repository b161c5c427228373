"""Shortest ways around no-fly zones: what lies behind a zone is approached past its corners.

Every convex piece of the fence is grown by the clearance; the corners of the grown pieces and the free lines of sight
between them are the visibility graph [1]_, whose shortest ways are found once.

References
----------
.. [1] T. Lozano-Pérez and M. A. Wesley, Communications of the ACM 22(10), 1979. :doi:`10.1145/359156.359164`
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from d2oc.arrays import Flags, Floats, Longs
from d2oc.compiled import compiled
from d2oc.control.convex_pieces import hull_corners
from d2oc.control.fence import Fence, segment_meets

LARGEST_TURN = math.pi / 4
"""A corner is rounded by points at most this far apart, seen from it. [rad]"""

SIGHT = 0.98
"""Lines of sight may come this share of the clearance near, so that corners of one piece see each other."""

JUST_OUTSIDE_M = 1e-6
"""Places moved out of a piece are this far from its edge. [m]"""


class Ways:
    """Ways past the pieces of a fence.

    Parameters
    ----------
    fence : Fence
        The field's edge and zones.
    clearance : float
        Distance to keep from all of it. [m]
    """

    def __init__(self, fence: Fence, clearance: float) -> None:
        self.origin = fence, clearance
        """What it was made of; another process makes its own."""
        pieces = [fence.corner[low:high] for low, high in itertools.pairwise(fence.first)]
        grown = [grow(piece, SIGHT * clearance) for piece in pieces]
        self._corner = np.concatenate(grown) if grown else np.zeros((0, 2))
        self._first = np.cumsum([0, *(len(piece) for piece in grown)]).astype(np.int64)
        self._normal = fence.normal
        self._offset = fence.offset - clearance
        around = [grow(piece, clearance) for piece in pieces]
        places = np.concatenate(around) if around else np.zeros((0, 2))
        inside = (places @ self._normal.T <= self._offset).all(axis=1)
        self._places = np.ascontiguousarray(places[inside & ~self._covered(places)])
        self._length, self._next = self._shortest()

    def is_clear(self, path: Floats) -> bool:
        """Whether a polyline, shape (n, 2), keeps away from all pieces."""
        return bool(_is_clear(self._corner, self._first, np.ascontiguousarray(path)))

    def outside(self, place: Floats) -> Floats:
        """The place itself, or one near it inside the boundary and outside the pieces, shape (2,). [m]"""
        return np.asarray(_outside(self._corner, self._first, self._normal, self._offset, self._places, place.copy()))

    def between(self, start: Floats, end: Floats) -> Floats:
        """Shortest way from `start` to `end`, or as near to it as there is a way, shape (n, 2). [m]"""
        start_free, end_free = self.outside(start), self.outside(end)
        if self.is_clear(np.array([start_free, end_free])) or not len(self._places):
            return np.array([start, end_free])
        leave, arrive = self._sight(start_free), self._sight(end_free)
        total = leave[:, None] + self._length + arrive[None]
        if not np.isfinite(total).any():
            # No way leads there: go as near as possible.
            away = np.linalg.norm(self._places - end_free, axis=1)
            total = np.where(np.isfinite(leave[:, None] + self._length), away[None], np.inf)
            if not np.isfinite(total).any():
                return np.array([start, end_free])
            end_free = self._places[int(np.argmin(total.min(axis=0)))]
        first, last = np.unravel_index(int(np.argmin(total)), total.shape)
        stops = [int(first)]
        while stops[-1] != last:
            stops.append(int(self._next[stops[-1], last]))
        return np.vstack([start, self._places[stops], end_free])

    def _covered(self, places: Floats) -> Flags:
        return np.array([not self.is_clear(np.array([place, place])) for place in places], np.bool_).reshape(-1)

    def _sight(self, place: Floats) -> Floats:
        """Distance to every corner in sight, inf to the others."""
        return np.asarray(_sight(self._corner, self._first, self._places, place))

    def _shortest(self) -> tuple[Floats, Longs]:
        n = len(self._places)
        length = np.array([self._sight(place) for place in self._places]).reshape(n, n)
        following = np.tile(np.arange(n), (n, 1))
        _floyd_warshall(length, following)
        return length, following


def way_past(ways: Ways | None, start: Floats, end: Floats) -> list[Floats]:
    """Places to fly to on the way from `start` to `end`, the last of them `end` itself; `ways` None: no zones."""
    if ways is None or ways.is_clear(np.array([start, end])):
        return [end]
    return [*ways.between(start, end)[1:-1], end]


def goals_around(ways: Ways, positions: Floats, reach: float) -> Floats | None:
    """Goals that lead a track around what it runs into.

    Parameters
    ----------
    ways : Ways
        Zones and field.
    positions : ndarray, shape (H + 1, 2)
        Where the track begins, and where it is after each step. [m]
    reach : float
        Longest way of one step. [m]

    Returns
    -------
    goals : ndarray, shape (H, 2), or None
        The positions themselves where they are clear; None if all are. [m]
    """
    blocked = np.array([not ways.is_clear(leg) for leg in np.stack([positions[:-1], positions[1:]], axis=1)])
    if not blocked.any():
        return None
    goals = positions.copy()
    last = len(positions) - 1
    end = 0
    for step in np.flatnonzero(blocked):
        if step < end:
            continue
        begin, end = int(step), int(step) + 1
        while end < last and blocked[end]:
            end += 1
        way = ways.between(goals[begin], positions[end])
        while length_of(way) > reach * (end - begin) and (begin > 0 or end < last):
            begin, end = max(0, begin - 1), min(last, end + 1)
            way = ways.between(goals[begin], positions[end])
        goals[begin + 1 : end + 1] = along(way, length_of(way) / (end - begin), end - begin)
    return goals[1:]


def while_advancing(way: Floats) -> Floats:
    """A way up to where it first turns back, by more than a right angle, from the direction it begins in.

    A goal beyond that would pull an agent that cannot see it back along the edge that it has to pass.
    """
    legs = np.diff(way, axis=0)
    back = legs @ legs[0] < 0
    return way[: int(back.argmax()) + 1] if back.any() else way


def length_of(way: Floats) -> float:
    """Length of a polyline, shape (n, 2). [m]"""
    return float(np.sqrt((np.diff(way, axis=0) ** 2).sum(axis=1)).sum())


def along(way: Floats, step: float, count: int) -> Floats:
    """Places at the distances step, 2 step, ... along a way, the last ones at its end, shape (count, 2). [m]"""
    legs = np.sqrt((np.diff(way, axis=0) ** 2).sum(axis=1))
    moment = np.concatenate([[0.0], np.cumsum(legs)])
    at = np.minimum(step * np.arange(1.0, count + 1.0), moment[-1])
    return np.column_stack([np.interp(at, moment, way[:, axis]) for axis in range(2)])


def grow(piece: Floats, distance: float) -> Floats:
    """A convex polygon, anticlockwise, that holds all points up to `distance` from a piece, shape (v, 2). [m]"""
    edge = np.roll(piece, -1, axis=0) - piece
    out = np.arctan2(-edge[:, 0], edge[:, 1])
    points = []
    for i in range(len(piece)):
        turn = (out[i] - out[i - 1]) % (2 * math.pi)
        parts = max(1, math.ceil(turn / LARGEST_TURN))
        radius = distance / math.cos(turn / (2 * parts))
        angle = out[i - 1] + turn * np.arange(parts + 1) / parts
        points.append(piece[i] + radius * np.column_stack([np.cos(angle), np.sin(angle)]))
    ring = np.concatenate(points)
    return np.ascontiguousarray(ring[hull_corners(ring)])


@compiled
def _is_clear(corner: Floats, first: Longs, path: Floats) -> bool:
    for z in range(len(first) - 1):
        for i in range(len(path) - 1):
            if segment_meets(corner[first[z] : first[z + 1]], path[i], path[i + 1]):
                return False
    return True


@compiled
def _sight(corner: Floats, first: Longs, places: Floats, place: Floats) -> Floats:
    distance = np.full(len(places), np.inf)
    line = np.empty((2, 2))
    line[0] = place
    for i in range(len(places)):
        line[1] = places[i]
        if _is_clear(corner, first, line):
            distance[i] = np.sqrt((place[0] - places[i, 0]) ** 2 + (place[1] - places[i, 1]) ** 2)
    return distance


@compiled
def _is_free(corner: Floats, first: Longs, normal: Floats, offset: Floats, place: Floats) -> bool:
    """Whether a place is inside the boundary and in no piece."""
    for e in range(len(offset)):
        if normal[e, 0] * place[0] + normal[e, 1] * place[1] > offset[e] + 1e-9:
            return False
    within = False
    for z in range(len(first) - 1):
        within = within or segment_meets(corner[first[z] : first[z + 1]], place, place)
    return not within


@compiled
def _outside(corner: Floats, first: Longs, normal: Floats, offset: Floats, known: Floats, place: Floats) -> Floats:
    """The place itself if it is free, else the nearest free one on an edge of a piece, a line or among known ones."""
    for e in range(len(offset)):
        beyond = normal[e, 0] * place[0] + normal[e, 1] * place[1] - offset[e]
        if beyond > 0.0:
            place[0] -= beyond * normal[e, 0]
            place[1] -= beyond * normal[e, 1]
    if _is_free(corner, first, normal, offset, place):
        return place
    best, found = np.inf, place.copy()
    for i in range(len(known)):
        square = (known[i, 0] - place[0]) ** 2 + (known[i, 1] - place[1]) ** 2
        if square < best:
            best = square
            found[:] = known[i]
    there = np.empty(2)
    for z in range(len(first) - 1):
        piece = corner[first[z] : first[z + 1]]
        for i in range(len(piece)):
            x, y = piece[i, 0], piece[i, 1]
            dx, dy = piece[(i + 1) % len(piece), 0] - x, piece[(i + 1) % len(piece), 1] - y
            square = dx * dx + dy * dy
            t = min(max(((place[0] - x) * dx + (place[1] - y) * dy) / square, 0.0), 1.0)
            there[0] = x + t * dx + JUST_OUTSIDE_M * dy / np.sqrt(square)
            there[1] = y + t * dy - JUST_OUTSIDE_M * dx / np.sqrt(square)
            square = (there[0] - place[0]) ** 2 + (there[1] - place[1]) ** 2
            if square < best and _is_free(corner, first, normal, offset, there):
                best = square
                found[:] = there
    return found


@compiled
def _floyd_warshall(length: Floats, following: Longs) -> None:
    """Shortest lengths between all pairs, and the stop that follows on the way (Floyd 1962)."""
    n = len(length)
    for m in range(n):
        for i in range(n):
            for j in range(n):
                if length[i, m] + length[m, j] < length[i, j]:
                    length[i, j] = length[i, m] + length[m, j]
                    following[i, j] = following[i, m]
