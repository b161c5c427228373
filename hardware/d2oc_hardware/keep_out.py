"""Where a vehicle may be, and how far what it might do keeps from where it may not: plane geometry of the guard.

Written in plain Python on purpose: nothing is compiled when a vehicle is in the air, and each function can be read in
one sitting. Whatever a vehicle can do before it stands is inside a *capsule*: a segment and a radius around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import hypot
from typing import NamedTuple

Point = tuple[float, float]
"""East and north. [m]"""


class Capsule(NamedTuple):
    """All places nearer than `radius` to a segment."""

    x: float
    y: float
    """Where the segment begins. [m]"""
    dx: float
    dy: float
    """From there to its end. [m]"""
    radius: float
    """[m]"""


class Obstacle(NamedTuple):
    """What a capsule comes too near to."""

    name: str
    normal: Point
    """Unit vector towards it."""


class _Edge(NamedTuple):
    """An edge of the fence or of a zone, prepared."""

    name: str
    x: float
    y: float
    dx: float
    dy: float
    length: float


Seen = tuple[_Edge, float, float]
"""An edge, its distance from a place [m], and where along it the nearest place is, 0 to 1."""


class Area:
    """The inside of a fence less the zones in it.

    Parameters
    ----------
    fence : sequence of (east, north)
        Corners of the geofence in either direction. [m]
    zones : sequence of sequences of (east, north)
        Corners of the no-fly zones. [m]
    """

    def __init__(self, fence: Sequence[Point], zones: Sequence[Sequence[Point]] = ()) -> None:
        self._fence = _edges("the fence", fence)
        self._zones = [_edges(f"no-fly zone {number}", zone) for number, zone in enumerate(zones)]
        self._edges = [edge for ring in (self._fence, *self._zones) for edge in ring]

    def contains(self, x: float, y: float) -> bool:
        """Whether a place is inside the fence and outside every zone."""
        return _inside(self._fence, x, y) and not any(_inside(zone, x, y) for zone in self._zones)

    def distance(self, x: float, y: float) -> float:
        """Distance of a place to the nearest edge, from either side. [m]"""
        return min(_point_to_edge(edge, x, y)[0] for edge in self._edges)

    def seen_from(self, x: float, y: float) -> list[Seen]:
        """All edges as they are seen from a place, for the capsules that begin there."""
        seen = []
        for edge in self._edges:  # `_point_to_edge`, written out: this is most of what the guard costs
            _, ax, ay, dx, dy, length = edge
            px, py = x - ax, y - ay
            along = (px * dx + py * dy) / (length * length)
            along = 0.0 if along < 0.0 else 1.0 if along > 1.0 else along
            seen.append((edge, hypot(px - along * dx, py - along * dy), along))
        return seen

    def obstacle(self, capsule: Capsule, margin: float, seen: Sequence[Seen] | None = None) -> Obstacle | None:
        """What a capsule that begins inside comes nearer to than a margin; None if nothing.

        From where the vehicle is too near already, it may go anywhere that is not nearer. `seen` is what `seen_from`
        gave for where the capsule begins.
        """
        reach = math.hypot(capsule.dx, capsule.dy) + capsule.radius
        nearest: Obstacle | None = None
        worst = 0.0
        for edge, distance, along in seen if seen is not None else self.seen_from(capsule.x, capsule.y):
            needed = min(margin, distance)
            if needed + reach - distance <= worst + 1e-9:  # it cannot be the nearest one
                continue
            lack = needed - (_segment_to_edge(edge, capsule) - capsule.radius)
            if lack > worst + 1e-9:
                worst = lack
                nearest = Obstacle(edge.name, _direction(edge, along, capsule.x, capsule.y, distance))
        return nearest


def _edges(name: str, ring: Sequence[Point]) -> list[_Edge]:
    edges = []
    for (ax, ay), (bx, by) in zip(ring, [*ring[1:], ring[0]], strict=True):
        length = math.hypot(bx - ax, by - ay)
        if length > 0.0:
            edges.append(_Edge(name, ax, ay, bx - ax, by - ay, length))
    return edges


def _inside(ring: Sequence[_Edge], x: float, y: float) -> bool:
    """Crossing number."""
    odd = False
    for _, ax, ay, dx, dy, _length in ring:
        if (ay > y) != (ay + dy > y) and x < ax + (y - ay) / dy * dx:
            odd = not odd
    return odd


def _point_to_edge(edge: _Edge, x: float, y: float) -> tuple[float, float]:
    """Distance of a point to an edge [m], and where along it the nearest place is, 0 to 1."""
    _, ax, ay, dx, dy, length = edge
    along = ((x - ax) * dx + (y - ay) * dy) / (length * length)
    along = 0.0 if along < 0.0 else 1.0 if along > 1.0 else along
    return math.hypot(x - ax - along * dx, y - ay - along * dy), along


def _direction(edge: _Edge, along: float, x: float, y: float, distance: float) -> Point:
    """Unit vector from a point to the nearest place of an edge."""
    if distance < 1e-9:
        return -edge.dy / edge.length, edge.dx / edge.length
    return (edge.x + along * edge.dx - x) / distance, (edge.y + along * edge.dy - y) / distance


def _segment_to_edge(edge: _Edge, capsule: Capsule) -> float:
    """Distance between the segment of a capsule and an edge. [m]"""
    return segments_apart(
        (capsule.x, capsule.y, capsule.dx, capsule.dy), (edge.x, edge.y, edge.dx, edge.dy)
    )  # fmt: skip


Segment = tuple[float, float, float, float]
"""Begin and extent. [m]"""


def segments_apart(first: Segment, second: Segment) -> float:
    """Distance between two segments; 0 where they cross. [m]"""
    ax, ay, adx, ady = first
    bx, by, bdx, bdy = second
    cross = adx * bdy - ady * bdx
    if cross != 0.0:
        s = ((bx - ax) * bdy - (by - ay) * bdx) / cross
        t = ((bx - ax) * ady - (by - ay) * adx) / cross
        if 0.0 <= s <= 1.0 and 0.0 <= t <= 1.0:
            return 0.0
    return min(
        _to_segment(second, ax, ay),
        _to_segment(second, ax + adx, ay + ady),
        _to_segment(first, bx, by),
        _to_segment(first, bx + bdx, by + bdy),
    )


def _to_segment(segment: Segment, x: float, y: float) -> float:
    ax, ay, dx, dy = segment
    squared = dx * dx + dy * dy
    along = ((x - ax) * dx + (y - ay) * dy) / squared if squared > 0.0 else 0.0
    along = 0.0 if along < 0.0 else 1.0 if along > 1.0 else along
    return math.hypot(x - ax - along * dx, y - ay - along * dy)
