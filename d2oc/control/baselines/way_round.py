"""Shortest ways inside a field that keep out of its no-fly zones, through a visibility graph of its corners.

References
----------
.. [1] M. de Berg et al., Computational Geometry, 3rd ed., 2008, ch. 15. :doi:`10.1007/978-3-540-77974-2`
"""

from __future__ import annotations

import numpy as np

from d2oc.arrays import Flags, Floats
from d2oc.control.baselines.walls import walls_of
from d2oc.field import Field

CORNER_CLEARANCE = 0.01
"""Ways pass corners at this share of the field's shorter side."""


class WaysRound:
    """Shortest ways between places of one field."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._walls = walls_of(field)
        self._convex = not field.no_fly_zones and _is_convex(field.boundary)
        self._corners = _turning_places(field)

    def between(self, start: Floats, end: Floats) -> Floats:
        """Places to fly through after `start`, the last one `end`, shape (n, 2).

        The straight way is taken where it is free, and also where no way round was found.
        """
        if self.sees(start, end[None])[0]:
            return end[None]
        places = np.vstack([start, self._corners, end])
        length = np.full((len(places), len(places)), np.inf)
        for i, place in enumerate(places):
            away = np.linalg.norm(places - place, axis=1)
            length[i] = np.where(self.sees(place, places), away, np.inf)
        return places[_shortest(length)]

    def sees(self, place: Floats, others: Floats) -> Flags:
        """Whether the straight way from one place to others is free, shape (n,)."""
        if self._convex:
            return np.ones(len(others), np.bool_)
        return ~_crossing(place, others, self._walls.start, self._walls.along) & self._field.contains(
            (place + others) / 2
        )


def _shortest(length: Floats) -> list[int]:
    """Nodes of the shortest way from the first to the last, without the first; inf is no edge."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    last = len(length) - 1
    edges = csr_array(np.where(np.isfinite(length), length, 0.0))
    _, before = dijkstra(edges, directed=False, indices=0, return_predecessors=True)
    if before[last] < 0:
        return [last]
    way = [last]
    while before[way[0]] != 0:
        way.insert(0, int(before[way[0]]))
    return way


def _crossing(place: Floats, others: Floats, start: Floats, along: Floats) -> Flags:
    """Whether the segments from one place to others cross any wall, shape (n,)."""
    ways = (others - place)[:, None, :]
    to_start = (start - place)[None]
    turn = ways[..., 0] * along[:, 1] - ways[..., 1] * along[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        on_way = (to_start[..., 0] * along[:, 1] - to_start[..., 1] * along[:, 0]) / turn
        on_wall = (to_start[..., 0] * ways[..., 1] - to_start[..., 1] * ways[..., 0]) / turn
    crosses = (turn != 0) & (on_way > 1e-12) & (on_way < 1 - 1e-12) & (on_wall >= 0) & (on_wall <= 1)
    return np.asarray(crosses.any(axis=1))


def _is_convex(ring: Floats) -> bool:
    along = np.roll(ring, -1, axis=0) - ring
    after = np.roll(along, -1, axis=0)
    turn = along[:, 0] * after[:, 1] - along[:, 1] * after[:, 0]
    return bool((turn >= 0).all() or (turn <= 0).all())


def _turning_places(field: Field) -> Floats:
    """One place beside each corner, on its free side, shape (n, 2)."""
    x_min, y_min, x_max, y_max = field.bounds
    step = CORNER_CLEARANCE * min(x_max - x_min, y_max - y_min)
    places = []
    for ring in (field.boundary, *(zone.boundary for zone in field.no_fly_zones)):
        before, after = np.roll(ring, 1, axis=0) - ring, np.roll(ring, -1, axis=0) - ring
        middle = before / np.linalg.norm(before, axis=1)[:, None] + after / np.linalg.norm(after, axis=1)[:, None]
        length = np.linalg.norm(middle, axis=1)[:, None]
        straight = np.column_stack([-after[:, 1], after[:, 0]]) / np.linalg.norm(after, axis=1)[:, None]
        middle = np.where(length > 1e-9, middle / np.maximum(length, 1e-9), straight)
        places += [ring + step * middle, ring - step * middle]
    both = np.vstack(places)
    return both[field.contains(both)]
