"""The ground to cover: a boundary polygon with no-fly zones in it, in a local metric frame (x east, y north)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from d2oc.errors import FieldError
from d2oc.geo import LocalFrame, NamedRing, read_boundary, read_zones

if TYPE_CHECKING:
    from d2oc.scenario.schema import FieldTable, NoFlyZoneTable, NoSprayZoneTable

__all__ = ["Bounds", "Field", "NoFlyZone", "NoSprayZone"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Bounds = tuple[float, float, float, float]
"""x min, y min, x max, y max. [m]"""

EDGE_TOLERANCE = 1e-9
"""A point is on an edge when it is nearer than this share of the polygon's largest extent (0.1 um on 100 m)."""
BLOCK = 1 << 20
"""Points handled at once, which bounds the working memory."""


@dataclass(frozen=True, eq=False)
class NoFlyZone:
    """A polygon where no drone may be and nothing is treated; its edge belongs to it.

    Attributes
    ----------
    name : str
        Name used in messages.
    boundary : ndarray, shape (v, 2)
        Corners in either direction, local ENU, not repeated at the end. [m]
    """

    name: str
    boundary: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "boundary", _checked_ring(self.boundary, f"no-fly zone '{self.name}'"))


@dataclass(frozen=True, eq=False)
class NoSprayZone:
    """A polygon where nothing is treated, but which drones may fly over; its edge belongs to it.

    Attributes
    ----------
    name : str
        Name used in messages.
    boundary : ndarray, shape (v, 2)
        Corners in either direction, local ENU, not repeated at the end. [m]
    """

    name: str
    boundary: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "boundary", _checked_ring(self.boundary, f"no-spray zone '{self.name}'"))


@dataclass(frozen=True, eq=False)
class Field:
    """A polygon to cover, and the zones in it that are not flown or not sprayed.

    The edge of the boundary belongs to the field; the edge of a zone belongs to the zone.

    Attributes
    ----------
    boundary : ndarray, shape (v, 2)
        Corners in either direction, local ENU, not repeated at the end. [m]
    no_fly_zones : tuple of NoFlyZone
        They may overlap each other and reach beyond the boundary.
    no_spray_zones : tuple of NoSprayZone
        They too, and also the no-fly zones.
    frame : LocalFrame or None
        Where the local coordinates are on the globe; None for a field that has no place.
    notes : tuple of str
        Sentences on what was done to the files that it came from.

    Raises
    ------
    FieldError
        If a polygon has fewer than three corners, no area or edges that cross, or if the zones cover the field.
    """

    boundary: Floats
    no_fly_zones: tuple[NoFlyZone, ...] = ()
    no_spray_zones: tuple[NoSprayZone, ...] = ()
    frame: LocalFrame | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "boundary", _checked_ring(self.boundary, "field boundary"))
        if self.no_fly_zones and self.area_m2 <= EDGE_TOLERANCE * ring_area(self.boundary):
            raise FieldError("field.no_fly_zones cover the whole field, so nothing is left to treat")
        if self.no_spray_zones and self.treatable_area_m2 <= EDGE_TOLERANCE * ring_area(self.boundary):
            raise FieldError("the no-spray and no-fly zones cover the whole field, so nothing is left to treat")

    @classmethod
    def rectangle(cls, xmin: float, ymin: float, xmax: float, ymax: float) -> Field:
        """Field with axis-parallel edges. [m]"""
        return cls(np.array([[xmin, ymin], [xmax, ymin], [xmax, ymax], [xmin, ymax]], dtype=np.float64))

    @classmethod
    def from_table(cls, table: FieldTable) -> Field:
        """Field of a scenario's `[field]` table: a rectangle, a polygon or files; mistakes name the key or the file.

        Raises
        ------
        FieldError
            If the values make no field.
        MapFileError
            If a file cannot be used.
        """
        place = table.origin_lon_lat_deg
        frame = None if place is None else LocalFrame.at(*place)
        holes: tuple[NamedRing, ...] = ()
        notes: tuple[str, ...] = ()
        if table.boundary_file is not None:
            outline = read_boundary(table.boundary_file, frame, table.boundary_part)
            frame, holes, notes = outline.frame, outline.holes, outline.notes
            boundary = _checked_ring(outline.ring, str(table.boundary_file))
        else:
            boundary = _checked_ring(_boundary_of(table), "field.boundary_m")
        no_fly, of_no_fly = _zones_in_file(table.no_fly_file, frame, boundary, table.no_fly_buffer_m)
        no_spray, of_no_spray = _zones_in_file(table.no_spray_file, frame, boundary, table.no_spray_buffer_m)
        no_fly = (*_zones_in_table("no_fly_zones", table.no_fly_zones), *holes, *no_fly)
        no_spray = (*_zones_in_table("no_spray_zones", table.no_spray_zones), *no_spray)
        return cls(
            boundary,
            tuple(NoFlyZone(zone.name, zone.ring) for zone in no_fly),
            tuple(NoSprayZone(zone.name, zone.ring) for zone in no_spray),
            frame,
            (*notes, *of_no_fly, *of_no_spray),
        )

    @property
    def bounds(self) -> Bounds:
        """Smallest rectangle around the boundary. [m]"""
        (xmin, ymin), (xmax, ymax) = self.boundary.min(axis=0), self.boundary.max(axis=0)
        return float(xmin), float(ymin), float(xmax), float(ymax)

    @cached_property
    def area_m2(self) -> float:
        """Area inside the boundary and outside every no-fly zone, exact also where zones overlap. [m^2]"""
        if not self.no_fly_zones:
            return ring_area(self.boundary)
        return _area_outside(self.boundary, [zone.boundary for zone in self.no_fly_zones])

    @property
    def zones(self) -> tuple[NoFlyZone | NoSprayZone, ...]:
        """Zones of either kind, no-fly zones first."""
        return (*self.no_fly_zones, *self.no_spray_zones)

    @cached_property
    def treatable_area_m2(self) -> float:
        """Area inside the boundary and outside every zone of either kind. [m^2]"""
        if not self.no_spray_zones:
            return self.area_m2
        return _area_outside(self.boundary, [zone.boundary for zone in self.zones])

    def area_within(self, ring: Floats) -> float:
        """Area of the part of a polygon, shape (v, 2), that is inside the boundary. [m^2]"""
        return ring_area(ring) - _area_outside(ring, [self.boundary])

    def contains(self, points: ArrayLike) -> Bools:
        """Whether drones may be at points: in the boundary and in no no-fly zone.

        Parameters
        ----------
        points : array_like, shape (n, 2)
            Local ENU. [m]

        Returns
        -------
        inside : ndarray of bool, shape (n,)
        """
        return self.in_boundary(points) & ~self.in_no_fly_zones(points)

    def in_boundary(self, points: ArrayLike) -> Bools:
        """Whether points are inside the boundary or on it, shape (n,)."""
        return ring_contains(self.boundary, points)

    def in_no_fly_zones(self, points: ArrayLike) -> Bools:
        """Whether points are in at least one no-fly zone or on its edge, shape (n,)."""
        return _in_any(self.no_fly_zones, points)

    def in_no_spray_zones(self, points: ArrayLike) -> Bools:
        """Whether points are in at least one no-spray zone or on its edge, shape (n,)."""
        return _in_any(self.no_spray_zones, points)

    def treatable(self, points: ArrayLike) -> Bools:
        """Whether points may be treated: in the boundary and in no zone of either kind, shape (n,)."""
        return self.contains(points) & ~self.in_no_spray_zones(points)

    def place(self, unit: Floats) -> Floats:
        """Carry the unit square onto the inside of the boundary, area for area (inverse Rosenblatt transform).

        Uniform points of the square become uniform points of the polygon; no-fly zones are not left out.

        Parameters
        ----------
        unit : ndarray, shape (n, 2)
            Points in [0, 1)^2; the second coordinate decides y, the first then x.

        Returns
        -------
        points : ndarray, shape (n, 2)
            Local ENU. [m]
        """
        slabs = list(_slabs(self.boundary))
        areas = np.array([slab.area for slab in slabs])
        ends = np.cumsum(areas) / areas.sum()
        which = np.minimum(np.searchsorted(ends, unit[:, 1], side="right"), len(slabs) - 1)
        points = np.empty_like(unit)
        for i, slab in enumerate(slabs):
            here = np.flatnonzero(which == i)
            start, end = (ends[i - 1] if i else 0.0), ends[i]
            if len(here):
                share = np.clip((unit[here, 1] - start) / (end - start), 0.0, 1.0)
                points[here] = slab.place(unit[here, 0], share)
        return points


def _in_any(zones: Iterable[NoFlyZone | NoSprayZone], points: ArrayLike) -> Bools:
    where = _as_points(points)
    inside = np.zeros(len(where), dtype=np.bool_)
    for zone in zones:
        inside |= ring_contains(zone.boundary, where)
    return inside


class _Slab(NamedTuple):
    """The part of a polygon between two successive corner heights: trapezoids side by side."""

    low: float
    high: float
    x_low: Floats
    """Where the edges cross the lower line, west to east, shape (2 k,). [m]"""
    x_high: Floats
    """Where the same edges cross the upper line, shape (2 k,). [m]"""

    @property
    def area(self) -> float:
        widths = _width(self.x_low) + _width(self.x_high)
        return float(widths * (self.high - self.low) / 2)

    def place(self, along: Floats, up: Floats) -> Floats:
        """Points at the share `up` of the slab's area and the share `along` of the width there, shape (n, 2)."""
        w0, w1 = _width(self.x_low), _width(self.x_high)
        # area below height t is (w0 t + (w1 - w0) t^2 / 2); solved for t without cancellation
        root = np.sqrt(np.maximum(w0 * w0 + up * (w1 * w1 - w0 * w0), 0.0))
        t = np.divide(up * (w0 + w1), w0 + root, out=np.zeros_like(up), where=w0 + root > 0)
        t = np.minimum(t, 1.0)
        left = self.x_low[0::2] + t[:, None] * (self.x_high - self.x_low)[0::2]
        right = self.x_low[1::2] + t[:, None] * (self.x_high - self.x_low)[1::2]
        ends = np.cumsum(right - left, axis=1)
        target = along * ends[:, -1]
        piece = np.minimum((target[:, None] >= ends).sum(axis=1), ends.shape[1] - 1)
        row = np.arange(len(t))
        x = right[row, piece] - (ends[row, piece] - target)
        x = np.clip(x, left[row, piece], right[row, piece])
        return np.column_stack([x, self.low + t * (self.high - self.low)])


def _width(crossings: Floats) -> float:
    return float((crossings[1::2] - crossings[0::2]).sum())


def _slabs(ring: Floats) -> Iterator[_Slab]:
    start, end = ring, np.roll(ring, -1, axis=0)
    heights = np.unique(ring[:, 1])
    for low, high in itertools.pairwise(heights):
        spans = (np.minimum(start[:, 1], end[:, 1]) <= low) & (np.maximum(start[:, 1], end[:, 1]) >= high)
        x_low = _x_at(start[spans], end[spans], low)
        x_high = _x_at(start[spans], end[spans], high)
        order = np.argsort(x_low + x_high, kind="stable")
        yield _Slab(float(low), float(high), x_low[order], x_high[order])


def _x_at(start: Floats, end: Floats, height: float) -> Floats:
    """Where edges cross a horizontal line, shape (k,). [m]"""
    t = (height - start[:, 1]) / (end[:, 1] - start[:, 1])
    x: Floats = start[:, 0] * (1 - t) + end[:, 0] * t
    return x


def ring_area(ring: Floats) -> float:
    """Area of a polygon by the shoelace formula. [m^2]"""
    x, y = (ring - ring[0]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def ring_contains(ring: Floats, points: ArrayLike) -> Bools:
    """Whether points are inside a polygon or on its edge, by the crossing number.

    Points are sorted by y once, so that each edge meets only those beside it: the cost does not grow with the
    number of corners.

    Parameters
    ----------
    ring : ndarray, shape (v, 2)
        Corners. [m]
    points : array_like, shape (n, 2)
        NaN is outside. [m]

    Returns
    -------
    inside : ndarray of bool, shape (n,)
    """
    where = _as_points(points)
    inside = np.empty(len(where), dtype=np.bool_)
    for first in range(0, len(where), BLOCK):
        block = where[first : first + BLOCK]
        order = np.argsort(block[:, 1], kind="stable")
        inside[first + order] = _sorted_inside(ring, block[order, 0].copy(), block[order, 1].copy())
    return inside


def _sorted_inside(ring: Floats, x: Floats, y: Floats) -> Bools:
    tolerance = EDGE_TOLERANCE * float(np.ptp(ring, axis=0).max())
    odd = np.zeros(len(x), dtype=np.bool_)
    on_edge = np.zeros(len(x), dtype=np.bool_)
    for (ax, ay), (bx, by) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        first, last = np.searchsorted(y, [min(ay, by) - tolerance, max(ay, by) + tolerance])
        px, py = x[first:last], y[first:last]
        length = float(np.hypot(bx - ax, by - ay))
        off = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / length
        along = ((bx - ax) * (px - ax) + (by - ay) * (py - ay)) / length
        on_edge[first:last] |= (abs(off) <= tolerance) & (along >= -tolerance) & (along <= length + tolerance)
        if ay != by:
            odd[first:last] ^= ((py >= ay) != (py >= by)) & (off > 0 if by > ay else off < 0)
    return odd | on_edge


def _area_outside(boundary: Floats, zones: list[Floats]) -> float:
    """Area of a polygon outside others: between two heights where nothing begins, ends or crosses it is linear."""
    rings = [boundary, *zones]
    heights = np.unique(np.concatenate([*(ring[:, 1] for ring in rings), _crossing_heights(rings)]))
    heights = heights[(heights >= boundary[:, 1].min()) & (heights <= boundary[:, 1].max())]
    middles = (heights[:-1] + heights[1:]) / 2
    return float(sum(_free_width(rings, y) * dy for y, dy in zip(middles, np.diff(heights), strict=True)))


def _free_width(rings: list[Floats], y: float) -> float:
    """Length of a horizontal line inside the first ring and outside the rest. [m]"""
    crossings = [_crossings_of_line(ring, y) for ring in rings]
    xs = np.sort(np.concatenate(crossings))
    middles = (xs[:-1] + xs[1:]) / 2
    inside = [np.searchsorted(np.sort(own), middles) % 2 == 1 for own in crossings]
    free = inside[0] & ~np.any(inside[1:], axis=0)
    return float(np.diff(xs)[free].sum())


def _crossings_of_line(ring: Floats, y: float) -> Floats:
    start, end = ring, np.roll(ring, -1, axis=0)
    across = (start[:, 1] < y) != (end[:, 1] < y)
    return _x_at(start[across], end[across], y)


def _crossing_heights(rings: list[Floats]) -> Floats:
    """Heights at which edges of different or equal rings cross, shape (k,). [m]"""
    start = np.concatenate(rings)
    step = np.concatenate([np.roll(ring, -1, axis=0) - ring for ring in rings])
    heights = [np.empty(0)]
    for p, d in zip(start, step, strict=True):
        denominator = d[0] * step[:, 1] - d[1] * step[:, 0]
        gap = start - p
        oblique = denominator != 0
        t = (gap[oblique, 0] * step[oblique, 1] - gap[oblique, 1] * step[oblique, 0]) / denominator[oblique]
        s = (gap[oblique, 0] * d[1] - gap[oblique, 1] * d[0]) / denominator[oblique]
        heights.append(p[1] + t[(t > 0) & (t < 1) & (s > 0) & (s < 1)] * d[1])
    return np.concatenate(heights)


def _as_points(points: ArrayLike) -> Floats:
    where = np.asarray(points, dtype=np.float64)
    if where.ndim != 2 or where.shape[1] != 2:
        raise ValueError(f"points have shape {where.shape}, expected (n, 2)")
    return where


def _as_ring(corners: ArrayLike) -> Floats:
    return np.asarray(corners, dtype=np.float64).reshape(-1, 2)


def _boundary_of(table: FieldTable) -> Floats:
    width, height = table.width_m, table.height_m
    if table.boundary_m is not None:
        if width is not None or height is not None:
            raise FieldError("field has boundary_m and width_m or height_m; keep one of the two forms")
        return _as_ring(table.boundary_m)
    if width is None or height is None:
        raise FieldError("field needs width_m and height_m for a rectangle, or boundary_m for a polygon")
    return np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])


def _zones_in_table(key: str, tables: Iterable[NoFlyZoneTable | NoSprayZoneTable]) -> tuple[NamedRing, ...]:
    return tuple(
        NamedRing(zone.name, _checked_ring(zone.boundary_m, f"field.{key}[{i}].boundary_m ('{zone.name}')"))
        for i, zone in enumerate(tables)
    )


def _zones_in_file(
    file: Path | None, frame: LocalFrame | None, boundary: Floats, buffer_m: float
) -> tuple[tuple[NamedRing, ...], tuple[str, ...]]:
    """Zones of a file and sentences on it; nothing if there is no file."""
    if file is None:
        return (), ()
    if frame is None:
        raise FieldError(
            f"{file} is on the globe, but the field is not: give field.boundary_file, or field.origin_lon_lat_deg"
        )
    return read_zones(file, frame, boundary, buffer_m)


def _checked_ring(corners: ArrayLike, what: str) -> Floats:
    ring = _as_ring(corners)
    finite = np.isfinite(ring).all(axis=1)
    if not finite.all():
        raise FieldError(f"{what} has the corner {_corner(ring[~finite][0])}, which is not finite")
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]  # repeated corners, also a closing one
    if len(ring) < 3:
        raise FieldError(f"{what} has {len(ring)} distinct corners, a polygon needs at least 3")
    _require_area(ring, what)
    _require_simple(ring, what)
    ring.setflags(write=False)
    return ring


def _require_area(ring: Floats, what: str) -> None:
    centred = ring - ring.mean(axis=0)
    thickness, length = np.sort(np.linalg.svd(centred, compute_uv=False))
    if thickness <= EDGE_TOLERANCE * length:
        raise FieldError(f"{what} has no area: all its {len(ring)} corners lie on one line")


def _require_simple(ring: Floats, what: str) -> None:
    """Refuse a ring whose edges cross or touch other than at successive corners."""
    start, end = ring, np.roll(ring, -1, axis=0)
    low, high = np.minimum(start, end), np.maximum(start, end)
    n = len(ring)
    _require_no_fold(ring, what)
    for i in range(n):
        others = np.arange(i + 2, n if i else n - 1)
        near = others[((low[others] <= high[i]) & (high[others] >= low[i])).all(axis=1)]
        apart = _side(start[i], end[i], start[near]) * _side(start[i], end[i], end[near]) > 0
        apart |= _side(start[near], end[near], start[i]) * _side(start[near], end[near], end[i]) > 0
        if not apart.all():
            j = int(near[~apart][0])
            raise FieldError(f"{what} crosses itself: edge {_edge(ring, i)} meets edge {_edge(ring, j)}")


def _require_no_fold(ring: Floats, what: str) -> None:
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    folds = (_side(before, ring, after) == 0) & (((ring - before) * (after - ring)).sum(axis=1) < 0)
    if folds.any():
        raise FieldError(f"{what} folds back on itself at the corner {_corner(ring[folds][0])}")


def _side(start: Floats, end: Floats, points: Floats) -> Floats:
    """Sign of the side of the line start-end on which points lie; arrays broadcast over the first axis."""
    d, r = end - start, points - start
    return np.sign(d[..., 0] * r[..., 1] - d[..., 1] * r[..., 0])


def _edge(ring: Floats, i: int) -> str:
    return f"{i + 1} from {_corner(ring[i])} to {_corner(ring[(i + 1) % len(ring)])}"


def _corner(corner: Floats) -> str:
    return f"({corner[0]:g}, {corner[1]:g}) m"
